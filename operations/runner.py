"""How a worker carries an operation out: claim, authorize again, call, verify, finish. Nothing is guessed.

Each write is conditional on the fence that the claim gave; the automaton stands in `models.Operation`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils import timezone

from accounts import audit
from accounts.access import SYSTEM, Denied, require
from engine import errors
from engine.base import Engine as EngineBackend
from engine.connect import connect
from operations import batches, events, leases, reads, registry, room, secrets, services
from operations.context import LeaseLost, RunContext
from operations.models import Operation, TrashItem

log = logging.getLogger(__name__)

PICKUP = timedelta(seconds=4)
"""A queued operation that nobody has picked up within this time is sent again."""
UNSENT = timedelta(seconds=2)
"""One that was never sent, since the process that accepted it died, waits only for as long as sending may take."""
MOST_ATTEMPTS = 8
"""What takes its worker with it each time is not tried for ever: after so many attempts it is only looked up."""
BROKE = "Slipway made a mistake; its log has the details."
LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Pauses before each look at the engine after an answer was lost; then the sweeper takes over."""
LOOK_AGAIN = timedelta(seconds=10)
GIVE_UP = timedelta(minutes=1)
"""How long a reachable engine is asked what became of a change that leaves no trace, beside the time that the change
itself may take there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    state: str
    result: Mapping[str, Any] | None = None
    code: str = ""
    message: str = ""


class Unclear(Exception):
    """The engine may or may not have done it."""


@cache
def backend(endpoint: str) -> EngineBackend:
    """The client of that engine; safe to share between threads."""
    return connect(endpoint)


def run(operation_id: UUID) -> None:
    """Carries one operation out, or does nothing where it is somebody else's or needs nothing."""
    operation = claim(operation_id)
    if operation is None:
        return
    with leases.hold(operation) as held:
        try:
            _run(operation, held)
        except LeaseLost:
            log.warning("operation %s was taken over by another worker", operation.pk)
        except room.AWAY as error:
            # Nothing can be written now, neither what came of it: its lease lapses, and somebody looks again.
            log.warning("operation %s is left for another attempt: %s", operation.pk, error)


def claim(operation_id: UUID) -> Operation | None:
    """Takes the lease with a higher fence: one conditional update, so that one worker alone gets it.

    Takes what is queued; what runs on a lapsed lease and is safe to repeat; and what is unknown, or lapsed
    and not safe to repeat, in order to verify it.
    """
    now = timezone.now()
    rows = Operation.objects.filter(pk=operation_id)
    lapsed = Q(lease_until=None) | Q(lease_until__lt=now)
    repeatable = [name for name, kind in registry.all_kinds().items() if kind.repeatable]
    taken = {
        "fence": F("fence") + 1,
        "lease_owner": leases.owner(),
        "lease_until": now + timedelta(seconds=leases.LEASE),
    }
    with transaction.atomic():
        fresh = rows.filter(batches.due(), state="queued").update(
            state="running", attempt=F("attempt") + 1, started_at=now, **taken
        )
        again = fresh or rows.filter(
            lapsed, state="running", kind__in=repeatable, attempt__lt=MOST_ATTEMPTS
        ).update(attempt=F("attempt") + 1, started_at=Coalesce("started_at", now), **taken)
        lost = again or rows.filter(lapsed, state="running").update(state="unknown", **taken)
        if not (lost or rows.filter(lapsed, state="unknown").update(**taken)):
            return None
        operation = Operation.objects.select_related("engine", "team", "actor").get(pk=operation_id)
        if fresh or again:
            operation.deadline_at = now + timedelta(seconds=_deadline(operation))
            rows.update(deadline_at=operation.deadline_at)
        if lost:
            story = {"state": operation.state, "attempt": operation.attempt}
            events.append(operation, [("state", story)])
            events.ring(operation, state=True)
    return operation


def _run(operation: Operation, held: leases.Hold) -> None:
    try:
        kind = registry.get(operation.kind)
        params = operation.params | secrets.unseal(operation.pk, operation.sealed)
    except (LookupError, secrets.Unreadable) as error:
        log.error("operation %s cannot be run: %s", operation.pk, error)
        finish(
            operation, held, Outcome("failed", code="internal", message="This server cannot carry it out.")
        )
        return
    try:
        engine = backend(operation.engine.endpoint)
    except errors.EngineError as error:
        _without_engine(operation, held, error)
        return
    ctx = RunContext(operation, engine, params, held)
    outcome = _verify(kind, ctx) if operation.state == "unknown" else _attempt(kind, ctx)
    if outcome is None:
        _later(operation, held)
        return
    ctx.flush()
    if kind.after:
        _bring_up_to_date(kind.after, ctx)
    finish(operation, held, outcome)


def _attempt(kind: registry.Kind, ctx: RunContext) -> Outcome | None:
    """Does it, and looks at the engine where the answer is not to be had. ``None``: it is still unclear."""
    before = "it started" if ctx.operation.attempt < 2 else "another worker went on with it"
    stop = _cancelled(f"Cancelled before {before}.") if ctx.held.cancelled else _denied(kind, ctx.operation)
    if stop:
        return _put_right(kind, ctx, stop)
    try:
        return Outcome("succeeded", kind.run(ctx))
    except (LeaseLost, *room.AWAY):
        raise
    except errors.EngineError as error:
        return _trouble(kind, ctx, error)
    except Exception as error:
        log.exception("operation %s (%s) broke", ctx.operation.pk, kind.name)
        return _trouble(kind, ctx, error)


def _put_right(kind: registry.Kind, ctx: RunContext, ended: Outcome) -> Outcome | None:
    """Not begun again; what an attempt before this one has left half done does not stay so. ``None``: not yet."""
    ctx.held.cancelled = True
    if ctx.operation.attempt < 2:
        return ended
    # Whoever looks again later is not to go on either.
    leases.mine(ctx.held).filter(cancel_requested_at=None).update(cancel_requested_at=timezone.now())
    if kind.half is None:
        return _unless_done(kind, ctx, ended)
    try:
        found = kind.half(ctx)
    except errors.NotFound:
        return ended  # what it was about is gone
    except errors.Cancelled as left:
        return replace(ended, message=f"{ended.message} {left.message}")
    except errors.EngineError as error:
        log.warning("operation %s could not be put right yet: %s", ctx.operation.pk, error)
        return None
    return Outcome("succeeded", found if isinstance(found, Mapping) else None) if found else ended


def _trouble(kind: registry.Kind, ctx: RunContext, why: Exception) -> Outcome | None:
    """What an error means: the engine refused, nothing was done, it was cancelled, or it is unclear."""
    if ctx.held.lost:
        raise LeaseLost
    if room.is_full(why):
        return _unless_done(kind, ctx, _failed(errors.DiskFull(room.FULL)))
    if isinstance(why, errors.Cancelled):
        if not ctx.overdue:
            return _unless_done(kind, ctx, _cancelled(why.message))
        why = errors.DeadlineExceeded(f"It took longer than {kind.deadline:.0f} s.")
    if isinstance(why, errors.Unreachable | errors.DeadlineExceeded) and not ctx.changes:
        return _failed(why)  # with a change it may have been the look afterwards that found nobody
    if isinstance(why, errors.EngineError) and not isinstance(
        why, errors.DeadlineExceeded | errors.Unreachable
    ):
        return _failed(why) if ctx.operation.attempt <= 1 else _unless_done(kind, ctx, _failed(why))
    if not isinstance(why, errors.EngineError) and not ctx.changes:
        return Outcome("failed", code="internal", message=BROKE)
    return _unclear(kind, ctx, why)


def _unclear(kind: registry.Kind, ctx: RunContext, why: Exception) -> Outcome | None:
    """Says that it is unknown, then looks."""
    code = why.code if isinstance(why, errors.EngineError) else "internal"
    message = why.message if isinstance(why, errors.EngineError) else BROKE
    ctx.flush()
    with transaction.atomic():
        if not leases.mine(ctx.held).update(state="unknown", error_code=code, error_message=message):
            raise LeaseLost
        ctx.operation.state = "unknown"
        ctx.operation.error_code, ctx.operation.error_message = code, message
        events.append(ctx.operation, [("state", {"state": "unknown", "message": message})])
        events.ring(ctx.operation, state=True)
    return _verify(kind, ctx)


def _verify(kind: registry.Kind, ctx: RunContext) -> Outcome | None:
    """Asks the engine what became of it, a few times. ``None``: not to be told yet."""
    operation = ctx.operation
    failed = Outcome(
        "failed",
        code=operation.error_code or "lost",
        message=operation.error_message or "The worker was lost on the way, and the engine shows no result.",
    )
    if kind.verify is None:
        return failed
    for pause in LOOKS:
        ctx.sleep(pause)
        try:
            found = kind.verify(ctx)
        except (errors.Unreachable, errors.DeadlineExceeded):
            return None  # for as long as it takes: what cannot be seen is not guessed
        except errors.NotFound:
            found = False  # what it was about is gone
        except errors.GateFailed as error:
            return _failed(error)  # seen to its end just now: it was taken out again
        except (LeaseLost, *room.AWAY):
            raise
        except Exception as error:
            # Whatever is wrong with the look itself: the operation ends, and is not looked at for ever.
            level = logging.WARNING if isinstance(error, errors.EngineError) else logging.ERROR
            log.log(level, "operation %s could not be verified: %r", operation.pk, error, exc_info=level > 30)
            found = None
        if found is not None and found is not False:
            return Outcome("succeeded", found if isinstance(found, Mapping) else None)
        if found is False:
            return failed
    # An engine goes on with a restart although whoever asked has gone, for as long as the container takes to end.
    patience = GIVE_UP + timedelta(seconds=float(ctx.params.get("timeout") or 0))
    return failed if timezone.now() > _unknown_since(operation) + patience else None


def finish(operation: Operation, held: leases.Hold, outcome: Outcome) -> None:
    """Ends it, once: state, result, audit line and event in one transaction, if it is still ours to end."""
    result = dict(outcome.result) if outcome.result else None
    ended = {
        "state": outcome.state,
        "result": result,
        "error_code": outcome.code,
        "error_message": outcome.message,
        "finished_at": timezone.now(),
        "lease_until": None,
        "lease_owner": "",
        "sealed": "",
    }
    if not operation.target_id and result and operation.target_type in result:
        operation.target_id = ended["target_id"] = str(result[operation.target_type])
    with transaction.atomic():
        if not leases.mine(held).update(**ended):
            raise LeaseLost
        if outcome.state != "succeeded":
            # What it had begun to put aside is not in the trash, and never will be.
            TrashItem.objects.filter(operation=operation, state=TrashItem.State.GOING).delete()
        operation.state = outcome.state
        story = {"state": outcome.state, "code": outcome.code, "message": outcome.message, "result": result}
        events.append(operation, [("state", {key: value for key, value in story.items() if value})])
        audit.record(
            operation.kind,
            services.actor_of(operation) or SYSTEM,
            outcome=outcome.state,
            name=operation.actor_name,
            target_type=operation.target_type,
            target_id=operation.target_id,
            target_name=operation.target_name,
            team_id=operation.team_id,
            operation_id=operation.pk,
            detail={"code": outcome.code, "message": outcome.message} if outcome.code else None,
        )
        events.ring(operation, state=True)
        batches.go_on(operation, services.dispatch)


def sweep(otherwise: Callable[[UUID], bool] | None = None) -> int:
    """Sends again what Redis or a worker has lost: queued rows nobody has picked up, lapsed leases, unknowns.

    Called every few seconds by each worker; to send one twice does no harm. ``otherwise`` carries one out here, or says
    that it is busy: it gets what a dead worker has left, which has waited long enough to be before all that is queued,
    and what cannot be sent, since the broker is away. Returns how many there were.
    """
    leases.release_dead()
    now = timezone.now()
    old, unsent = now - PICKUP, now - UNSENT
    late = Q(dispatched_at=None, created_at__lt=unsent) | Q(dispatched_at__lt=old)
    waiting = Q(state="queued") & batches.due() & late
    lapsed = Q(state__in=("running", "unknown")) & (Q(lease_until=None) | Q(lease_until__lt=now))
    found = list(
        Operation.objects.filter(waiting | lapsed)
        .order_by("created_at")
        .values_list("pk", "lease_owner")[:100]
    )
    for operation_id, holder in found:
        if holder and otherwise and otherwise(operation_id):
            continue
        if not services.dispatch(operation_id) and otherwise:
            otherwise(operation_id)
    return len(found)


def answer(question: str) -> None:
    """Answers a read that a page is waiting for; see `operations.reads`."""
    reads.answer(question, backend)


def _unknown_since(operation: Operation) -> datetime:
    said = operation.events.filter(kind="state", data__state="unknown").order_by("seq").first()
    return said.at if said else timezone.now()


def _deadline(operation: Operation) -> float:
    try:
        return registry.get(operation.kind).deadline
    except LookupError:
        return 60


def _denied(kind: registry.Kind, operation: Operation) -> Outcome | None:
    reason = _rights_gone(kind, operation)
    return Outcome("cancelled", code="denied", message=f"Rights ended: {reason}") if reason else None


def _rights_gone(kind: registry.Kind, operation: Operation) -> str | None:
    """Asks again, of today's owner and with today's rights of whoever asked."""
    actor = services.actor_of(operation)
    if actor is None:
        return "the account or the token is gone."
    owner = services.owner_of(operation)
    try:
        require(actor, kind.permission, owner)
    except Denied as error:
        return str(error)
    except Http404:
        return "it belongs to another team now."
    return None


def _without_engine(operation: Operation, held: leases.Hold, error: errors.EngineError) -> None:
    if operation.state == "unknown":
        _later(operation, held)
    else:
        finish(operation, held, _failed(error))


def _later(operation: Operation, held: leases.Hold) -> None:
    """Lets go of it; the sweeper has somebody look again soon."""
    leases.mine(held).update(lease_until=timezone.now() + LOOK_AGAIN, lease_owner="")


def _bring_up_to_date(after: registry.After, ctx: RunContext) -> None:
    try:
        after(ctx)
    except errors.EngineError as error:
        log.info("rows not brought up to date after %s: %s", ctx.operation.pk, error)
    except Exception:
        # The change itself has happened: how it ended must be said, and the gateway's next sync repairs the
        # rows.
        log.exception("rows not brought up to date after %s", ctx.operation.pk)


def _failed(error: errors.EngineError) -> Outcome:
    return Outcome("failed", code=error.code, message=error.message)


def _unless_done(kind: registry.Kind, ctx: RunContext, otherwise: Outcome) -> Outcome | None:
    """What has happened all the same, by this attempt or one before it, is not called cancelled or failed."""
    try:
        found = kind.verify(ctx) if kind.verify and ctx.changes else None
    except (errors.Unreachable, errors.DeadlineExceeded) as error:
        return _unclear(kind, ctx, error)
    except errors.EngineError:
        found = None
    if found is None or found is False:
        return otherwise
    return Outcome("succeeded", found if isinstance(found, Mapping) else None)


def _cancelled(message: str) -> Outcome:
    return Outcome("cancelled", code="cancelled", message=message)
