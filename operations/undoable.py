"""What can be taken back: by whom, and until when."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from accounts.access import Actor, can
from accounts.querysets import visible_to
from operations import registry
from operations.models import Operation, TrashItem


def kept(actor: Actor) -> QuerySet[TrashItem]:
    """What is in the trash and this actor's to see, newest first."""
    found = TrashItem.objects.filter(state=TrashItem.State.KEPT).select_related("team", "engine", "operation")
    return visible_to(actor, found)


def until(operation: Operation) -> datetime | None:
    """Until when this operation can be undone; ``None`` where it cannot (any more). Select ``trash`` along."""
    item = getattr(operation, "trash", None)
    kept_now = item and operation.ended and item.state == TrashItem.State.KEPT
    return item.expires_at if item and kept_now else None


def by(actor: Actor, operation: Operation) -> bool:
    """Whether this actor can undo it now: whoever may remove such a thing."""
    return until(operation) is not None and can(
        actor, registry.get(f"{operation.target_type}.restore").permission, operation
    )
