"""How a worker carries an operation out: claim, authorize again, call, verify, finish. Nothing is guessed.

Each write is conditional on the fence that the claim gave; the automaton stands in `models.Operation`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from accounts.access import Denied, require
from engine import errors
from engine.base import Engine as EngineBackend
from engine.connect import connect
from engine.words import kept
from operations import claims, endings, engines, leases, reads, registry, room, secrets, services, verifying
from operations.context import LeaseLost, RunContext
from operations.endings import Outcome, cancelled, failed
from operations.models import Engine, Operation

log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=10)
"""What is still unclear is left alone for this long."""


def backend(engine: Engine) -> EngineBackend:
    """The client of that engine; safe to share between threads. Another one once its address or keys changed."""
    return _backend(engine.pk, *engines.door(engine))


@cache
def _backend(engine_id: UUID, endpoint: str, keys_at: object) -> EngineBackend:
    return connect(endpoint, certificates=engines.certificates(engine_id) if keys_at else None)


def run(operation_id: UUID) -> None:
    """Carries one operation out, or does nothing where it is somebody else's or needs nothing."""
    operation = claims.claim(operation_id)
    if operation is None:
        return
    about = bound_contextvars(operation=str(operation.pk), kind=operation.kind)
    with about, leases.hold(operation) as held:
        try:
            _run(operation, held)
        except LeaseLost:
            log.warning("operation %s was taken over by another worker", operation.pk)
        except room.AWAY as error:
            # Nothing can be written now, neither what came of it: its lease lapses, and somebody looks again.
            log.warning("operation %s is left for another attempt: %s", operation.pk, error)


def _run(operation: Operation, held: leases.Hold) -> None:
    try:
        kind = registry.get(operation.kind)
        params = operation.params | secrets.unseal(operation.pk, operation.sealed)
    except (LookupError, secrets.Unreadable) as error:
        log.error("operation %s cannot be run: %s", operation.pk, error)
        endings.finish(
            operation, held, Outcome("failed", code="internal", message="This server cannot carry it out.")
        )
        return
    try:
        engine = backend(operation.engine)
    except errors.EngineError as error:
        _without_engine(operation, held, error)
        return
    ctx = RunContext(operation, engine, params, held)
    outcome = verifying.verify(kind, ctx) if operation.state == "unknown" else _attempt(kind, ctx)
    if outcome is None:
        _later(operation, held)
        return
    ctx.flush()
    if kind.after:
        _bring_up_to_date(kind.after, ctx)
    endings.finish(operation, held, outcome)


def _attempt(kind: registry.Kind, ctx: RunContext) -> Outcome | None:
    """Does it, and looks at the engine where the answer is not to be had. ``None``: it is still unclear."""
    before = kept("it started") if ctx.operation.attempt < 2 else kept("another worker went on with it")
    stop = cancelled(f"Cancelled before {before}.") if ctx.held.cancelled else _not_begun(kind, ctx.operation)
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
        return verifying.unless_done(kind, ctx, ended)
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
        return verifying.unless_done(kind, ctx, failed(errors.DiskFull(room.FULL)))
    if isinstance(why, errors.Cancelled):
        if not ctx.overdue:
            return verifying.unless_done(kind, ctx, cancelled(why.message))
        why = errors.DeadlineExceeded(f"It took longer than {kind.deadline:.0f} s.")
    if isinstance(why, errors.Unreachable | errors.DeadlineExceeded) and not ctx.changes:
        return failed(why)  # with a change it may have been the look afterwards that found nobody
    if isinstance(why, errors.EngineError) and not isinstance(
        why, errors.DeadlineExceeded | errors.Unreachable
    ):
        return failed(why) if ctx.operation.attempt <= 1 else verifying.unless_done(kind, ctx, failed(why))
    if not isinstance(why, errors.EngineError) and not ctx.changes:
        return Outcome("failed", code="internal", message=verifying.BROKE)
    return verifying.unclear(kind, ctx, why)


def answer(question: str) -> None:
    """Answers a read that a page is waiting for; see `operations.reads`."""
    reads.answer(question, backend)


def _not_begun(kind: registry.Kind, operation: Operation) -> Outcome | None:
    """Why it is not to be begun: what it was to follow has not succeeded, or rights have ended."""
    first = operation.params.get(services.AFTER)
    if first and not Operation.objects.filter(pk=first, state="succeeded").exists():
        return cancelled("What it was to follow did not succeed: nothing was done.")
    return _denied(kind, operation)


def _denied(kind: registry.Kind, operation: Operation) -> Outcome | None:
    reason = _rights_gone(kind, operation)
    return Outcome("cancelled", code="denied", message=f"Rights ended: {reason}") if reason else None


def _rights_gone(kind: registry.Kind, operation: Operation) -> str | None:
    """Asks again, of today's owner and with today's rights of whoever asked."""
    actor = services.actor_of(operation)
    if actor is None:
        return kept("the account or the token is gone.")
    owner = services.owner_of(operation)
    try:
        require(actor, kind.permission, owner)
        registry.may_touch(kind.name, operation.target_type, operation.target_id, actor)
    except (Denied, errors.SelfProtected) as error:
        return str(error)
    except Http404:
        return kept("it belongs to another team now.")
    return None


def _without_engine(operation: Operation, held: leases.Hold, error: errors.EngineError) -> None:
    if operation.state == "unknown":
        _later(operation, held)
    else:
        endings.finish(operation, held, failed(error))


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
