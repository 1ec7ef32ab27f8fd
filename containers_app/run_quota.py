"""What is left of a team's quotas, for the form that runs a container: with what this run would take of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.access import Actor, can
from accounts.models import Team
from containers_app import run_typed
from containers_app.run_form import RunForm
from operations import policies, quotas
from operations.models import Operation
from operations.policy import Policy


@dataclass(frozen=True, slots=True)
class Part:
    """One quota with a limit, of those that a run takes from. Amounts are in words.

    ``pct`` (what there is) and ``more`` (what this run adds, up to the end) are of the limit. ``over``: why the run
    would be refused, empty where it would not.
    """

    label: str
    used: str
    asked: str
    limit: str
    left: str
    pct: float
    more: float
    over: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """Of whom, and what."""

    team: Team
    parts: list[Part]

    @property
    def over(self) -> list[str]:
        """Why the run would be refused, a sentence each."""
        return [part.over for part in self.parts if part.over]


def left(form: RunForm, actor: Actor) -> Left | None:
    """For the team that is chosen in the form by now; ``None`` where nobody is, or it has no quota for a run."""
    team = _team(form)
    if team is None or not can(actor, Policy.read_permission, team):
        return None
    limits, wanted = quotas.limits(team.pk), _wanted(form, team)
    if not (names := [name for name in wanted if name in limits]):
        return None
    have = quotas.used(team.pk)
    return Left(team, [_part(name, have[name], wanted[name], limits[name]) for name in names])


def _team(form: RunForm) -> Team | None:
    """The chosen one; in a fresh form what its field begins with, as a browser shows it."""
    if form.is_bound:
        form.is_valid()
        found: Team | None = form.cleaned_data.get("team")
        return found
    chosen = form["team"].value()
    for team in form.teams:
        if team.pk == getattr(chosen, "pk", chosen):
            return team
    must = form.fields["team"].empty_label is None  # type: ignore[attr-defined]
    return form.teams[0] if must and form.teams else None


def _wanted(form: RunForm, team: Team) -> quotas.Amount:
    """What this run would add, as the wish itself is counted, with what guard rails give where nothing is typed."""
    rails = policies.said(team.pk).rails
    body = {
        "start": bool(_typed(form, "start")), "ports": list(form.ports),
        "resources": {"memory": _typed(form, "memory") or rails.memory, "cpus": _typed(form, "cpus") or rails.cpus},
    }  # fmt: skip
    return quotas.asked(Operation(kind="container.run", params=body))


def _typed(form: RunForm, name: str) -> float:
    """A number as far as it is one; 0 else."""
    if form.is_bound:
        return form.cleaned_data.get(name) or 0
    value = form[name].value()
    try:
        return run_typed.bytes_of(str(value or "")) if name == "memory" else float(value or 0)
    except (ValidationError, ValueError):
        return 0


def _part(name: str, have: float, asked: float, limit: float) -> Part:
    def words(number: float) -> str:
        return quotas.amount(name, number)

    free, what = max(0.0, limit - have), str(quotas.KINDS[name])
    pct = min(100.0, 100 * have / limit) if limit else 100.0
    over = ""
    if math.isinf(asked):
        over = _("%(what)s: give it a limit, or it could take all of it.") % {"what": what}
    elif asked and have + asked > limit:
        said = {"what": what, "more": words(have + asked - limit), "limit": words(limit)}
        over = _("%(what)s: this run would be %(more)s over the limit of %(limit)s.") % said
    more = 100 - pct if math.isinf(asked) or not limit else min(100 - pct, 100 * asked / limit)
    shown = _("no limit") if math.isinf(asked) else words(asked)
    return Part(what, words(have), shown, words(limit), words(free), pct, more, over)
