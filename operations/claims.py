"""Who carries an operation out: one worker claims it; what was lost on the way is sent again by all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from operations import batches, events, leases, registry, services
from operations.models import Operation

PICKUP = timedelta(seconds=4)
"""A queued operation that nobody has picked up within this time is sent again."""
UNSENT = timedelta(seconds=2)
"""One that was never sent, since the process that accepted it died, waits only for as long as sending may take."""
MOST_ATTEMPTS = 8
"""What takes its worker with it each time is not tried for ever: after so many attempts it is only looked up."""


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


def _deadline(operation: Operation) -> float:
    try:
        return registry.get(operation.kind).deadline
    except LookupError:
        return 60
