"""How much a team may have: counted and refused in the very transaction that accepts a change, under one lock a team.

So fifty wishes at once end with exactly as many things as are allowed. What is asked for and not there yet counts as
well. Who knows of containers says how much there is: see `measured_by`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.models import Team
from engine.fields import Fields
from engine.specs import SpecError
from operations.models import Operation
from operations.policy import Policy

KINDS: dict[str, Any] = {
    "containers": _lazy("Containers"),
    "running": _lazy("Running containers"),
    "cpus": _lazy("CPU limits"),
    "memory": _lazy("Memory limits"),
    "volumes": _lazy("Volumes"),
    "ports": _lazy("Published ports"),
    "builds": _lazy("Builds at once"),
}
Amount = dict[str, float]
Measure = Callable[[UUID, Operation | None], Amount]
Demand = Callable[[Operation], Amount]
_measures: list[Measure] = []
_demands: dict[str, Demand] = {}


def parse(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a quota, checked; null and what is left out means no limit. Raises `SpecError`."""
    said = {key: value for key, value in data.items() if value is not None}
    f = Fields(said)
    found: dict[str, Any] = {name: f.integer(name, 0, 0, 2**50) for name in KINDS if name != "cpus"}
    found["cpus"] = f.number("cpus", 0, 0, 2**20)
    f.finish()
    if f.errors:
        raise SpecError(f.errors)
    return {key: found[key] for key in KINDS if key in said}


def measured_by(measure: Measure) -> Measure:
    """Registers what tells how much a team has by now; an operation that is being judged is left out."""
    _measures.append(measure)
    return measure


def demand(*kinds: str) -> Callable[[Demand], Demand]:
    """Registers what operations of these kinds add, once they are done; infinity for what has no limit of its own."""

    def register(found: Demand) -> Demand:
        _demands.update(dict.fromkeys(kinds, found))
        return found

    return register


def limits(team_id: UUID) -> dict[str, float]:
    """What a team may have: its own row, else what the site says for each. One query."""
    rows = {row.team_id: row.quota for row in Policy.objects.filter(Q(team=None) | Q(team=team_id))}
    return {**rows.get(None, {}), **rows.get(team_id, {})}


def used(team_id: UUID, judged: Operation | None = None) -> Amount:
    """How much a team has, with what is on its way."""
    total = dict.fromkeys(KINDS, 0.0)
    for measure in _measures:
        _add(total, measure(team_id, judged))
    return total


def asked(operation: Operation) -> Amount:
    """What it would add."""
    found = _demands.get(operation.kind)
    return found(operation) if found else {}


def demanding() -> list[str]:
    """Kinds of operations that add something."""
    return sorted(_demands)


def exceeded(operation: Operation, *, locked: bool) -> dict[str, Any] | None:
    """What stands in its way: ``{"quota", "used", "asked", "limit"}``. ``locked``: within the accepting transaction."""
    if operation.team_id is None or not (wanted := asked(operation)):
        return None
    allowed = limits(operation.team_id)
    if not any(name in allowed for name in wanted):
        return None
    if locked:
        Team.objects.select_for_update().get(pk=operation.team_id)
        allowed = limits(operation.team_id)
    have = used(operation.team_id, operation)
    for name, amount in wanted.items():
        limit = allowed.get(name)
        if limit is None or amount == 0:
            continue
        if have[name] + amount > limit:
            more = None if math.isinf(amount) else amount
            return {"quota": name, "used": have[name], "asked": more, "limit": limit}
    return None


def _add(total: Amount, more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def sentence(found: Mapping[str, Any]) -> str:
    """What `exceeded` found, in words."""
    what, unit = KINDS[found["quota"]].lower(), found["quota"]
    have, limit = amount(unit, found["used"]), amount(unit, found["limit"])
    if found["asked"] is None:
        return _(
            "The team has a quota of %(limit)s for %(what)s: give it a limit, or it could take all of it."
        ) % {"limit": limit, "what": what}
    more = amount(unit, found["asked"])
    return _(
        "The team's quota is %(limit)s for %(what)s: %(have)s are there or on their way, "
        "and this asks for %(more)s more."
    ) % {"limit": limit, "what": what, "have": have, "more": more}


def amount(name: str, number: float) -> str:
    """``3``, ``1.5 cores``, ``512 MB``."""
    if name == "memory":
        return f"{number / 2**30:.3g} GB" if number >= 2**30 else f"{number / 2**20:.4g} MB"
    if name == "cpus":
        return ngettext("%(n)s core", "%(n)s cores", 1 if number == 1 else 2) % {"n": f"{number:g}"}
    return f"{number:g}"
