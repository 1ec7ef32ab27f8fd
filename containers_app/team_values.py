"""Which of a team's variables each container was given, and how it is given today's values.

An engine fixes a container's environment when it is made. So a value that changes reaches no container by itself:
those with an older one are known by the versions that are noted here, and are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app.models import Container
from engine import names
from operations import variables
from operations.variable import Variable


@dataclass(frozen=True, slots=True)
class User:
    """A container that was given a variable. ``into``: its own names; ``older``: not the value of today.

    ``renews``: it can be made anew with that; else ``why`` not.
    """

    container: Container
    into: tuple[str, ...]
    older: bool
    renews: bool
    why: str = ""


def given(row: Container | None, params: Mapping[str, Any], like: Container | None = None) -> None:
    """Notes what a container was made with by an operation's ``params``, and what it has of the one it is ``like``."""
    if row is None:
        return
    has = {**_staying(like, params.get("changes") or {}), **(params.get(variables.USES) or {})}
    if has != row.variables:
        row.variables = has
        Container.everything.filter(pk=row.pk).update(variables=has)


def _staying(like: Container | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What nobody has typed anew."""
    if like is None:
        return {}
    typed = {key: changes[key] for key in ("environment", "secrets") if isinstance(changes.get(key), Mapping)}
    if not typed:
        return dict(like.variables)
    kept = {name for values in typed.values() for name, value in values.items() if value is None}
    if len(typed) < 2:  # the other half was left as it is
        kept |= set(like.variables) - {name for values in typed.values() for name in values}
    return {name: use for name, use in like.variables.items() if name in kept}


def hidden_in(container: Container) -> list[str]:
    """Names of its variables that it was given as secrets."""
    return [name for name in str(container.labels.get(names.SECRETS_LABEL, "")).split(",") if name]


def users(variable: Variable, actor: Actor) -> list[User]:
    """The containers that were given it, as far as the reader may see them; those with an older value first."""
    rows = visible_to(actor, Container.objects.filter(team_id=variable.team_id).exclude(variables={}))
    found = [_user(variable, row, actor) for row in rows.select_related("engine", "team")]
    return sorted((one for one in found if one), key=lambda one: (not one.older, one.container.name))


def counts(rows: Iterable[Variable], actor: Actor) -> dict[Any, tuple[int, int]]:
    """By variable: containers that were given it, and how many of those have an older value. One query."""
    found = {row.pk: [0, 0] for row in rows}
    by_name = {(row.team_id, row.name): row for row in rows}
    containers = visible_to(actor, Container.objects.exclude(variables={}))
    for team_id, uses in containers.values_list("team_id", "variables"):
        has: dict[str, set[str]] = {}
        for use in uses.values():
            for name, version in use["names"].items():
                has.setdefault(name, set()).add(version)
        for name, versions in has.items():
            if row := by_name.get((team_id, name)):
                found[row.pk][0] += 1
                found[row.pk][1] += versions != {row.version}
    return {pk: (all_, older) for pk, (all_, older) in found.items()}


def changes(container: Container, variable: Variable) -> dict[str, Any]:
    """The changes by which it gets the value of today: everything else stays."""
    into = {name: use["value"] for name, use in _uses(container, variable).items()}
    secret = [name for name in hidden_in(container) if name not in into]
    open_ = [name for name in container.environment if name not in into and name not in secret]
    return {
        "environment": {**dict.fromkeys(open_), **into},
        "secrets": dict.fromkeys(secret),
    }


def _uses(container: Container, variable: Variable) -> dict[str, Any]:
    return {name: use for name, use in container.variables.items() if variable.name in use["names"]}


def _user(variable: Variable, row: Container, actor: Actor) -> User | None:
    uses = _uses(row, variable)
    if not uses:
        return None
    older = any(use["names"][variable.name] != variable.version for use in uses.values())
    why = ""
    if any(not use["value"] for use in uses.values()):
        why = _("what stood around the name was not kept: edit the container")
    elif not can(actor, "container.recreate", row):
        why = _("you may not make it anew")
    return User(row, tuple(sorted(uses)), older, older and not why, why)
