"""What became of a change whose answer was lost: the engine is asked, and nothing is guessed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from engine import errors
from engine.words import kept
from operations import events, leases, registry, room
from operations.context import LeaseLost, RunContext
from operations.endings import Outcome, failed
from operations.models import Operation

log = logging.getLogger(__name__)

BROKE = kept("Slipway made a mistake; its log has the details.")
LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Pauses before each look at the engine after an answer was lost; then the sweeper takes over."""
GIVE_UP = timedelta(minutes=1)
"""How long a reachable engine is asked what became of a change that leaves no trace, beside the time that the change
itself may take there."""


def unclear(kind: registry.Kind, ctx: RunContext, why: Exception) -> Outcome | None:
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
    return verify(kind, ctx)


def verify(kind: registry.Kind, ctx: RunContext) -> Outcome | None:
    """Asks the engine what became of it, a few times. ``None``: not to be told yet."""
    operation = ctx.operation
    lost = Outcome(
        "failed",
        code=operation.error_code or "lost",
        message=operation.error_message
        or kept("The worker was lost on the way, and the engine shows no result."),
    )
    if kind.verify is None:
        return lost
    for pause in LOOKS:
        ctx.sleep(pause)
        try:
            found = kind.verify(ctx)
        except (errors.Unreachable, errors.DeadlineExceeded):
            return None  # for as long as it takes: what cannot be seen is not guessed
        except errors.NotFound:
            found = False  # what it was about is gone
        except errors.GateFailed as error:
            return failed(error)  # seen to its end just now: it was taken out again
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
            return lost
    # An engine goes on with a restart although whoever asked has gone, for as long as the container takes to end.
    patience = GIVE_UP + timedelta(seconds=float(ctx.params.get("timeout") or 0))
    return lost if timezone.now() > _unknown_since(operation) + patience else None


def unless_done(kind: registry.Kind, ctx: RunContext, otherwise: Outcome) -> Outcome | None:
    """What has happened all the same, by this attempt or one before it, is not called cancelled or failed."""
    try:
        found = kind.verify(ctx) if kind.verify and ctx.changes else None
    except (errors.Unreachable, errors.DeadlineExceeded) as error:
        return unclear(kind, ctx, error)
    except errors.EngineError:
        found = None
    if found is None or found is False:
        return otherwise
    return Outcome("succeeded", found if isinstance(found, Mapping) else None)


def _unknown_since(operation: Operation) -> datetime:
    said = operation.events.filter(kind="state", data__state="unknown").order_by("seq").first()
    return said.at if said else timezone.now()
