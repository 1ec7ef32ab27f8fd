"""The numbered story of an operation, and the bells that tell its readers to read on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from operations.models import Operation, OperationEvent
from streams import bell

Story = Iterable[tuple[str, Mapping[str, Any]]]
"""``(kind, data)`` of events, in order."""


def append(operation: Operation, story: Story) -> None:
    """Adds events with the next numbers.

    Within a transaction that has updated the operation's row before: that lock keeps the numbers without gaps
    and without doubles, whoever else writes.
    """
    last = OperationEvent.objects.filter(operation=operation).aggregate(last=Max("seq"))["last"] or 0
    OperationEvent.objects.bulk_create(
        OperationEvent(operation=operation, seq=seq, kind=kind, data=dict(data))
        for seq, (kind, data) in enumerate(story, last + 1)
    )


def ring(operation: Operation, *, state: bool = False) -> None:
    """After the commit: rings the operation, and when its state changed also the list and what it changes."""
    topics = [f"operation:{operation.pk}"]
    if state:
        kind = operation.target_type
        if operation.target_id:
            topics.append(f"{kind}:{operation.target_id}")
        topics += ["operations", f"{kind}s"]
    transaction.on_commit(lambda: bell.ring(*topics), robust=True)
