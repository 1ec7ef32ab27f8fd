"""Frozen plans of cleaning up: what was shown is what goes.

A plan is its maker's own, holds for an hour and is carried out once. What becomes unused after it was made is in no
plan; what is used again by then stays, which the operation says with its reason.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor, Owner, require
from containers_app.models import PrunePlan, PrunePolicy
from containers_app.unused import KINDS, Item, Unused, unused
from engine.disk import CacheRecord, DiskUsage, ImageUsage
from engine.errors import EngineError
from engine.specs import SpecError
from operations import services
from operations.models import Engine, Operation
from operations.plans import Item as Line
from operations.plans import Plan, listed
from operations.reads import read
from operations.services import Refused, Target

KIND = "engine.prune"
LIFE = timedelta(hours=1)
FORGET = timedelta(days=1)
"""How long an expired plan still says that it is one."""
COUNT = 8.0
"""Seconds that a plan waits for the engine to count; without, sizes are unknown and the plan says so."""
FOREVER = _lazy("What is cleaned up goes at once, not into the trash.")


def allowed(actor: Actor, engine: Engine | None = None) -> None:
    """The whole engine is meant, whoever owns what is on it. Raises `accounts.access.Denied` or Http404."""
    target = Target("engine", str(engine.pk) if engine else "", engine.name if engine else "")
    with services.denials(KIND, actor=actor, target=target, team_id=None):
        require(actor, KIND)
        require(actor, KIND, Owner(None))  # a team's token reaches no further than its team


def kinds_of(given: Collection[str]) -> list[str]:
    """In our own order; raises `SpecError`."""
    unknown = sorted(set(given) - set(KINDS))
    if unknown or not given:
        raise SpecError({"kinds": [_("Some of %(names)s are expected.") % {"names": ", ".join(KINDS)}]})
    return [kind for kind in KINDS if kind in given]


def look(engine: Engine, *, actor: Actor) -> Unused:
    """What nobody uses now, with the engine's own count where it comes in time."""
    allowed(actor, engine)
    try:
        return unused(engine, usage(engine, actor=actor))
    except EngineError:
        return unused(engine, None)


def usage(engine: Engine, *, actor: Actor) -> DiskUsage:
    """What everything takes, counted by the engine now. Raises `EngineError`, or what `allowed` does."""
    allowed(actor, engine)
    said = read("engine.disk_usage", engine, actor=actor, params={"deadline": COUNT}, deadline=COUNT + 1)
    images = {key: ImageUsage(**value) for key, value in said.pop("images").items()}
    cache = tuple(
        CacheRecord(**{**record, "parents": tuple(record["parents"])}) for record in said.pop("cache", ())
    )
    return DiskUsage(images=images, cache=cache, **said)


def freeze(
    found: Unused, kinds: Collection[str], *, actor: Actor, by: PrunePolicy | None = None, trial: bool = False
) -> PrunePlan:
    """Makes the plan, ``by`` the rules of a policy where one is given; ``trial``: it is none of its runs.

    Old ones that nobody has used are forgotten.
    """
    assert actor.user  # noqa: S101 - `allowed` lets no other in
    now = timezone.now()
    PrunePlan.objects.filter(operation=None, expires_at__lt=now - FORGET).delete()
    items = [] if by and waits(by, found) else found.items(kinds, by.rules if by else None)
    return PrunePlan.objects.create(
        engine=found.engine, made_by=actor.user, kinds=list(kinds), items=items, frees=_bytes(items),
        policy=None if trial else by,
        counted=all(item["size"] is not None for item in items), created_at=now, expires_at=now + LIFE,
    )  # fmt: skip


def waits(policy: PrunePolicy, found: Unused) -> str:
    """Why nothing goes by this policy now, as a sentence; empty where its time has come."""
    if policy.only_over is None:
        return ""
    over = _gb(policy.only_over)
    if found.usage is None:
        return _("It begins above %(over)s, and the engine did not count in time.") % {"over": over}
    total = found.usage.total
    return (
        ""
        if total > policy.only_over
        else _("It begins above %(over)s; %(gb)s are taken.") % {"over": over, "gb": _gb(total)}
    )


def _gb(size: int) -> str:
    return f"{size / 10**9:.3g} GB"


def _bytes(items: Collection[Item]) -> int:
    return sum(item["size"] or 0 for item in items)


def own(pk: UUID, *, actor: Actor) -> PrunePlan:
    """A plan that this actor has made; Http404 for all others."""
    found = PrunePlan.objects.select_related("engine", "operation").filter(pk=pk, made_by=actor.user).first()
    if found is None:
        raise Http404("No such plan.")
    return found


def is_good(plan: PrunePlan) -> None:
    """Raises `Refused` where it cannot be carried out: ``plan_expired``, or ``conflict`` where it lists nothing."""
    if plan.expires_at <= timezone.now():
        raise Refused(
            "plan_expired", _("This list is older than an hour: ask for a new one, and look at it.")
        )
    if not plan.items:
        raise Refused("conflict", _("Nothing is unused: there is nothing to remove."))


# In words


def planned(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``engine.prune``, of one that is asked for or on its way."""
    return told(PrunePlan.objects.get(pk=operation.params["plan"]))


def told(plan: PrunePlan) -> Plan:
    """A frozen plan as any other one."""
    words = Plan(
        kind=KIND,
        button=_("Remove %(things)s") % {"things": things(len(plan.items))},
        frees=plan.frees,
        no_undo=str(FOREVER),
    )
    for kind, items in by_kind(plan):
        sizes = [item["size"] for item in items]
        size = None if None in sizes else sum(sizes)
        words.lost.append(Line(counted(kind, len(items)), str(KINDS[kind][1]), size=size))
    words.lead = (
        _("%(names)s for good.") % {"names": listed([line.what for line in words.lost])}
        if words.lost
        else _("Nothing is unused.")
    )
    words.kept = [Line(_("What is used"), _("now, or again by the time its turn comes"))]
    if not plan.counted:
        words.unknown = [_("how much some of them hold")]
    if plan.operation_id is None:
        try:
            is_good(plan)
        except Refused as why:
            words.refused = {"code": why.code, "message": why.message}
    else:
        words.joins = str(plan.operation_id)
    return words


def by_kind(plan: PrunePlan) -> list[tuple[str, list[Item]]]:
    """What it lists, by kind; kinds of which there is nothing are left out."""
    groups = [(kind, [item for item in plan.items if item["kind"] == kind]) for kind in KINDS]
    return [(kind, items) for kind, items in groups if items]


def things(number: int) -> str:
    """``3 things``."""
    return ngettext("%(n)s thing", "%(n)s things", number) % {"n": number}


def counted(kind: str, number: int) -> str:
    """``3 stopped containers``."""
    return str(KINDS[kind][0] % {"n": number})


def public(item: Item) -> dict[str, Any]:
    """What everybody may know of one thing in a plan."""
    return {key: item[key] for key in ("kind", "id", "name", "size")}
