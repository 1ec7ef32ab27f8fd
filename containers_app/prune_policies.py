"""Cleaning up by itself: policies that say what, when and what stays; each run is one frozen plan and one operation.

A policy acts for whoever saved it last, with the rights of the day. Where those are gone it is off, and says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, close_old_connections, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, Denied, Owner, can, require
from containers_app import operations, prune_plans
from containers_app.models import PrunePlan, PrunePolicy
from containers_app.schedules import AGAIN, Every, next_after
from containers_app.unused import KINDS, Unused
from engine.fields import Fields
from engine.specs import SpecError
from engine.words import kept
from operations import actors, registry
from operations.models import Engine, Operation
from operations.services import Refused, Target, denials
from streams import bell

log = logging.getLogger(__name__)

PERMISSION = "prune.manage"
USUAL = ("containers", "images")
MOST_PATTERNS = 50
RUNS = 30
"""Runs in the plot."""
_free = threading.Lock()


def visible(actor: Actor) -> QuerySet[PrunePolicy]:
    """All of them, for site administrators; nobody else has any business here."""
    rows = PrunePolicy.objects.select_related("engine", "made_by")
    return rows if _may(actor) else rows.none()


def _may(actor: Actor) -> bool:
    try:
        return can(actor, PERMISSION) and can(actor, PERMISSION, Owner(None))
    except Http404:
        return False


def allowed(actor: Actor, name: str = "") -> None:
    """Raises `accounts.access.Denied` or Http404; the audit trail then has it."""
    with denials(PERMISSION, actor=actor, target=Target("prune_policy", "", name), team_id=None):
        require(actor, PERMISSION)
        require(actor, PERMISSION, Owner(None))


# What people say


def wished(body: Mapping[str, Any], engine: Engine, *, row: PrunePolicy | None = None) -> PrunePolicy:
    """What is said, not saved: a new one, or ``row`` with what is said changed and all else as it is.

    ``{"name", "kinds", "older_days", "keep_tags", "keep", "only_over", "every", "hour", "enabled"}``, each optional.
    Raises `SpecError`.
    """
    found = row or PrunePolicy(engine=engine, name="Clean up", kinds=list(USUAL))
    f = Fields(body)
    found.name = str(f.string("name", found.name, longest=60)).strip()
    kinds = f.strings("kinds", tuple(found.kinds), most=len(KINDS), total=500)
    for key, most in (("older_days", 3650), ("keep_tags", 1000), ("only_over", 10**15)):
        value = f.integer(key, None, 1, most)
        if key in body:
            setattr(found, key, value)
    found.keep = list(f.strings("keep", tuple(found.keep), most=MOST_PATTERNS, total=8192, longest=255))
    found.every = f.choice("every", found.every, Every.values)
    found.hour = f.integer("hour", found.hour, 0, 23)
    found.enabled = f.boolean("enabled", found.enabled)
    f.finish()
    if unknown := sorted(set(kinds) - set(KINDS)):
        f.fail("kinds", _("Not a kind: %(names)s.") % {"names": ", ".join(unknown)})
    elif not kinds:
        f.fail("kinds", _("Switch on what is to be cleaned up."))
    if not found.name:
        f.fail("name", _("A name is expected."))
    if f.errors:
        raise SpecError(f.errors)
    found.kinds = [kind for kind in KINDS if kind in kinds]
    return found


def save(row: PrunePolicy, *, actor: Actor) -> PrunePolicy:
    """Keeps it; from now on it acts for this actor. Raises `SpecError`, or as `allowed`. Audited."""
    allowed(actor, row.name)
    assert actor.user  # noqa: S101 - `allowed` lets no other in
    row.made_by, row.token_key, row.problem = actor.user, actor.token_key, ""
    row.next_at = next_after(timezone.now(), row.every, row.hour)
    try:
        with transaction.atomic():
            row.save()
            _noted(row, actor, _said(row))
    except IntegrityError:
        raise SpecError(
            {"name": [_("There is a policy of this name on %(engine)s already.") % {"engine": row.engine}]}
        ) from None
    return row


def drop(row: PrunePolicy, *, actor: Actor) -> None:
    """It is not done any more; its runs stay among the operations. Audited."""
    allowed(actor, row.name)
    with transaction.atomic():
        _noted(row, actor, {"removed": True})
        row.delete()


def _said(row: PrunePolicy) -> dict[str, Any]:
    names = ("kinds", "older_days", "keep_tags", "keep", "only_over", "every", "hour", "enabled")
    return {name: getattr(row, name) for name in names}


def _noted(row: PrunePolicy, actor: Actor, detail: Mapping[str, Any], outcome: str = "succeeded") -> None:
    audit.record(
        PERMISSION, actor, outcome=outcome, target_type="prune_policy", target_id=str(row.pk), target_name=row.name,
        detail={"engine": row.engine.name, **detail},
    )  # fmt: skip
    transaction.on_commit(lambda: bell.ring("prune"), robust=True)


# What it would do, and doing it


def look(row: PrunePolicy, *, actor: Actor, trial: bool = False) -> tuple[PrunePlan, Unused]:
    """What it would do now, frozen. ``trial``: of one that is not saved as it is here, so that the plan is not its."""
    found = prune_plans.look(row.engine, actor=actor)
    return prune_plans.freeze(found, row.kinds, actor=actor, by=row, trial=trial), found


def run(row: PrunePolicy, *, actor: Actor, plan: UUID | None = None, idempotency_key: str = "") -> Operation:
    """Asks for it to be done: ``plan`` is what it was shown to do, without one that is made now.

    Raises `Refused` where nothing is to go, or the plan is none of this policy's.
    """
    found = shown(row, plan, actor=actor) if plan else look(row, actor=actor)[0]
    return operations.request_prune(found.pk, actor=actor, idempotency_key=idempotency_key)


def shown(row: PrunePolicy, plan: UUID, *, actor: Actor) -> PrunePlan:
    """What this actor was shown that it would do."""
    found = prune_plans.own(plan, actor=actor)
    if found.policy_id != row.pk:
        raise Http404("No such plan.")
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """One time that it was carried out. ``freed`` and ``measured`` in bytes, ``None`` until it has succeeded."""

    operation: Operation
    frees: int

    @property
    def result(self) -> Mapping[str, Any]:
        """What the operation came to."""
        return self.operation.result or {}

    @property
    def freed(self) -> int | None:
        """Bytes of its list that went."""
        return self.result.get("freed")

    @property
    def removed(self) -> int | None:
        """How many things went."""
        return self.result.get("removed")

    @property
    def skipped(self) -> list[dict[str, str]]:
        """What stayed, each with its reason."""
        return list(self.result.get("skipped", ()))


def runs(row: PrunePolicy) -> list[Run]:
    """What it has led to, the newest first, as far as operations are kept. One query."""
    return last_runs([row]).get(row.pk, [])


def last_runs(rows: Sequence[PrunePolicy]) -> dict[UUID, list[Run]]:
    """The same for several. One query."""
    plans = PrunePlan.objects.filter(policy__in=rows, operation__isnull=False).select_related("operation")
    found: dict[UUID, list[Run]] = {}
    for plan in plans.defer("items").order_by("-operation__created_at")[: RUNS * max(1, len(rows))]:
        if plan.policy_id is None or plan.operation is None:
            continue
        mine = found.setdefault(plan.policy_id, [])
        if len(mine) < RUNS:
            mine.append(Run(plan.operation, plan.frees))
    return found


# By itself


def actor_of(row: PrunePolicy) -> Actor | None:
    """Whoever it acts for, with the rights of today; ``None`` where the account or the token is gone."""
    return actors.recall(row.made_by, source=Operation.Source.SYSTEM, token_key=row.token_key)


def _pause_without_rights(row: PrunePolicy) -> Actor | None:
    """Who it acts for; where they may not any more it is off from here on."""
    actor = actor_of(row)
    if actor is not None and _may(actor):
        return actor
    who = row.made_by.username if row.made_by else "Whoever made it"
    words = kept(f"{who} may not clean up any more: save it anew for it to go on in your name.")
    if PrunePolicy.objects.filter(pk=row.pk, enabled=True).update(enabled=False, problem=words):
        system = Actor(user=row.made_by, source=Operation.Source.SYSTEM)
        _noted(row, system, {"paused": words}, outcome="denied")
    return None


def run_due() -> int:
    """Does what is due; how many operations were asked for. What was missed while nobody was here comes once."""
    now, asked = timezone.now(), 0
    for row in PrunePolicy.objects.filter(enabled=True).select_related("engine", "made_by")[:500]:
        actor = _pause_without_rights(row)
        if actor is None or row.next_at > now:
            continue
        later = next_after(now, row.every, row.hour)
        mine = PrunePolicy.objects.filter(pk=row.pk, enabled=True)
        if not mine.filter(next_at=row.next_at).update(next_at=later):
            continue  # another worker was faster
        words, soon = _due(row, actor)
        mine.update(
            looked_at=now, looked=words[:200], **({"next_at": min(later, now + soon)} if soon else {})
        )
        asked += not words
        bell.ring("prune")
    return asked


def _due(row: PrunePolicy, actor: Actor) -> tuple[str, timedelta | None]:
    """Runs it: why not, and in how long it is tried again where that is before its next time."""
    if row.engine.status != Engine.Status.ONLINE:
        return kept("The engine did not answer."), AGAIN
    try:
        plan, found = look(row, actor=actor)
        if not plan.items:
            late = AGAIN if row.only_over is not None and found.usage is None else None
            return prune_plans.waits(row, found) or kept("Nothing to remove."), late
        operations.request_prune(plan.pk, actor=actor)
    except Refused as why:
        return kept(f"Not now: {why.message}"), AGAIN
    except (Denied, Http404) as why:
        return kept(f"Not allowed: {why}"), None
    return "", None


@registry.every(20)
def run_beside() -> None:
    """Beside everything else that the worker does: an engine takes seconds to count."""
    if _free.acquire(blocking=False):
        threading.Thread(target=_running, name="prune-policies", daemon=True).start()


def _running() -> None:
    try:
        run_due()
    except Exception:
        log.exception("the policies of cleaning up broke")
    finally:
        close_old_connections()
        _free.release()
