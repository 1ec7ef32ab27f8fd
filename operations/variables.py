"""Variables and secrets of a team: kept, changed, and put into what is asked for.

A wish names them as ``${{ NAME }}`` in the values of its environment, its secrets and its build arguments, alone or
within other text. They are filled in when the wish is accepted: what a secret went into is sealed from there on, as
any other secret of an operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, require
from accounts.models import Team
from accounts.querysets import visible_to
from engine.docker_text import MASK, is_secret_name, mask
from engine.specs import SpecError
from operations import secrets
from operations.services import Refused, Target, denials
from operations.variable import Variable

MOST = 500
"""Of one team."""
LONGEST = 32_768
"""Characters of a value: an engine takes 128 KB a variable, and nobody types more."""
SHORTEST_SECRET = 6
"""Characters from which on a value in the open is held against the team's secrets; shorter ones are no secrets."""
USES = "_variables"
"""In ``params``: variable of the container → `Use` as JSON."""
PLACES = ("environment", "secrets", "build_args")
_REFERENCE = re.compile(r"\$\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
Uses = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Filled:
    """A wish with its values. ``uses``: of each place that named some, ``{"names": {NAME: version}, "value"}``.

    ``value`` is what was written there, empty where its own text may be a secret.
    """

    body: dict[str, Any]
    uses: Uses = field(default_factory=dict)


# Kept and changed


def visible(actor: Actor) -> QuerySet[Variable]:
    """Those of the reader's teams; of secrets the name alone."""
    return visible_to(actor, Variable.objects.select_related("team"))


def put(
    team: Team, name: str, *, actor: Actor, value: str | None = None, secret: bool | None = None,
    note: str | None = None, row: Variable | None = None,
) -> Variable:  # fmt: skip
    """Keeps a new one, or changes ``row``; what is ``None`` stays. Raises `Denied`, `SpecError` or `Refused`.

    A secret turns into a variable in the open only together with a new value.
    """
    target = Target("variable", str(row.pk) if row else "", name[:255])
    with denials("variable.manage", actor=actor, target=target, team_id=team.pk):
        require(actor, "variable.manage", row or team)
    row = row or Variable(team=team, name=name, secret=is_secret_name(name))
    fresh = row._state.adding
    if errors := _wrong(row, value, secret, note):
        raise SpecError(errors)
    was_secret, row.secret = row.secret and not fresh, row.secret if secret is None else secret
    changed = _set(row, value, was_secret)
    row.note = row.note if note is None else note.strip()
    row.changed_at, row.changed_by = timezone.now(), actor.name
    if changed:
        row.version = uuid4().hex[:12]
    detail = {"secret": row.secret, "value_changed": changed}
    try:
        with transaction.atomic():
            row.save(force_insert=fresh)
            _record("variable.manage", row, actor, detail)
    except IntegrityError:
        raise Refused(
            "name_in_use", _("The team has a %(name)s already: change that one.") % {"name": name}
        ) from None
    return row


def remove(row: Variable, *, actor: Actor) -> None:
    """Forgets it, for good; what was given it before keeps it. Raises `Denied`."""
    target = Target("variable", str(row.pk), row.name)
    with denials("variable.manage", actor=actor, target=target, team_id=row.team_id):
        require(actor, "variable.manage", row)
    with transaction.atomic():
        _record("variable.manage", row, actor, {"removed": True, "secret": row.secret})
        row.delete()


def _record(verb: str, row: Variable, actor: Actor, detail: Mapping[str, Any]) -> None:
    audit.record(
        verb, actor, target_type="variable", target_id=row.pk, target_name=row.name, team_id=row.team_id,
        detail=dict(detail),
    )  # fmt: skip


def _wrong(row: Variable, value: str | None, secret: bool | None, note: str | None) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not _NAME.fullmatch(row.name):
        errors["name"] = [_("Letters, digits and underscores, not a digit first, 64 at most.")]
    if value is None and row._state.adding:
        errors["value"] = [_("A value is expected.")]
    elif value is not None and ("\0" in value or len(value) > LONGEST):
        errors["value"] = [
            _("At most %(longest)s characters, and none of them NUL.") % {"longest": f"{LONGEST:,}"}
        ]
    elif value is not None and _REFERENCE.search(value):
        errors["value"] = [_("A value is taken as it is: it cannot name another variable.")]
    elif row.secret and secret is False and value in (None, MASK):
        errors["value"] = [_("A secret is not shown: give a new value to have it in the open.")]
    if note is not None and len(note.strip()) > 200:
        errors["note"] = [_("At most 200 characters.")]
    if row._state.adding and Variable.objects.filter(team_id=row.team_id).count() >= MOST:
        errors[""] = [_("A team has %(most)s at most.") % {"most": MOST}]
    return errors


def _set(row: Variable, value: str | None, was_secret: bool) -> bool:
    """Puts the value where it belongs; whether it is another one than before."""
    if value == MASK and was_secret:  # what a form or a client was shown, and sends back
        value = None
    before = _value(row) if not row._state.adding else None
    now = before if value is None else value
    assert now is not None  # noqa: S101 - a new one without a value is wrong already
    row.value = "" if row.secret else now
    row.sealed = secrets.seal(row.pk, {"value": now}) if row.secret else ""
    return now != before


def _value(row: Variable) -> str:
    return str(secrets.unseal(row.pk, row.sealed)["value"]) if row.sealed else row.value


# Put into a wish


def references(actor: Actor) -> list[str]:
    """How a wish names those of the actor's teams."""
    found = visible(actor).order_by("name").values_list("name", flat=True)[:MOST]
    return [f"${{{{ {name} }}}}" for name in dict.fromkeys(found)]


def fill(body: Mapping[str, Any], *, team_id: UUID | None) -> Filled:
    """The wish with the values that it names, of this team. Raises `SpecError` at the place of a name it has not.

    A value of ``environment`` that a secret goes into is among ``secrets`` then. ``build_args`` stay in an image for
    everybody to read, so that no secret of the team may be one, named or typed.
    """
    found = Filled(dict(body))
    maps = {key: dict(body[key]) for key in PLACES if isinstance(body.get(key), Mapping)}
    places = [(key, name, value) for key, values in maps.items() for name, value in values.items()]
    rows = _rows({one for _, _, value in places for one in _names(value)}, team_id)
    errors: dict[str, list[str]] = {}
    for key, name, value in places:
        if not (used := list(_names(value))):
            continue
        if why := _refused(key, used, rows, team_id):
            errors[f"{key}.{name}"] = [why]
            continue
        given = {one: rows[one] for one in used}
        text = _REFERENCE.sub(lambda match: _value(rows[match[1]]), value)
        _put(maps, key, name, text, hides=any(row.secret for row in given.values()))
        versions = {one: row.version for one, row in given.items()}
        found.uses[name] = {"names": versions, "value": _shown(name, value)}
    errors |= _typed_secrets(maps.get("build_args", {}), team_id)
    if errors:
        raise SpecError(errors)
    found.body |= maps
    return found


def _rows(wanted: set[str], team_id: UUID | None) -> dict[str, Variable]:
    if not wanted or team_id is None:
        return {}
    return {row.name: row for row in Variable.objects.filter(team_id=team_id, name__in=wanted)}


def _refused(key: str, used: list[str], rows: Mapping[str, Variable], team_id: UUID | None) -> str:
    """Why they may not go there; empty where they may."""
    for one in used:
        if one not in rows and team_id is None:
            return _("%(one)s is a team's, and this is nobody's: choose a team.") % {"one": one}
        if one not in rows:
            return _("The team has no variable %(one)s.") % {"one": one}
        if key == "build_args" and rows[one].secret:
            return _("%(one)s is a secret: hand it over as a secret of the build.") % {"one": one}
    return ""


def _put(maps: dict[str, dict[str, Any]], key: str, name: str, text: str, *, hides: bool) -> None:
    if key == "environment" and hides:
        del maps[key][name]
        key = "secrets"
    maps.setdefault(key, {})[name] = text


def _typed_secrets(arguments: Mapping[str, Any], team_id: UUID | None) -> dict[str, list[str]]:
    """Build arguments whose value is a secret of the team, typed in the open."""
    long = {name: value for name, value in arguments.items() if isinstance(value, str)}
    long = {name: value for name, value in long.items() if len(value) >= SHORTEST_SECRET}
    if not long or team_id is None:
        return {}
    kept = {_value(row): row.name for row in Variable.objects.filter(team_id=team_id, secret=True)}
    return {
        f"build_args.{name}": [
            _("This is the secret %(value)s: hand it over as a secret of the build.") % {"value": kept[value]}
        ]
        for name, value in long.items()
        if value in kept
    }


def _names(value: Any) -> Iterator[str]:
    return (match[1] for match in _REFERENCE.finditer(value)) if isinstance(value, str) else iter(())


def _shown(name: str, value: str) -> str:
    """What was written, as far as it may be kept: the text around the names may itself be a secret."""
    rest = _REFERENCE.sub("", value)
    return value if not rest or not (is_secret_name(name) or mask(value) != value) else ""
