"""Changes that were asked for together and go one step after the other: a stack's services by what they need.

Each is an operation of its own. One waits, queued, until none of an earlier step of its batch is on its way any more,
however that ended; what holds that is the claim's own condition, so that no worker and no order of messages can
break it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from operations.models import Operation


@dataclass(slots=True)
class Batch:
    """Handed to `services.submit`, with the ``step`` of the next ones. Submit them in the order of their steps.

    ``paid``: they are one wish, and its pace was counted.
    """

    id: UUID = field(default_factory=uuid4)
    step: int = 0
    paid: bool = False


def due() -> Q:
    """Of queued operations those that nothing of an earlier step holds up."""
    before = Operation.objects.active().filter(batch=OuterRef("batch"), step__lt=OuterRef("step"))
    return Q(batch=None) | ~Q(Exists(before))


def go_on(operation: Operation, dispatch: Callable[[UUID], object]) -> None:
    """After the commit that ends this one: wakes a worker for each of its batch that has waited for it."""

    def wake() -> None:
        waiting = Operation.objects.filter(due(), batch=operation.batch, state="queued")
        for pk in list(waiting.values_list("pk", flat=True)[:100]):
            dispatch(pk)

    if operation.batch is not None:
        transaction.on_commit(wake, robust=True)
