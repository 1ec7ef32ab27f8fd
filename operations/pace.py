"""The pace of what is expensive, for one wish: counted once, outside transactions, and not for what is joined."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.access import Actor
from operations import registry
from operations.batches import Batch
from operations.models import Operation
from operations.previews import is_preview
from operations.refused import EXPENSIVE, give_back, look, spend


@dataclass(slots=True)
class Pace:
    """Of one `services.submit`. Redis is asked before its transaction, so that nobody else waits for that."""

    actor: Actor
    batch: Batch | None
    counts: bool
    paid: bool = False

    def pay(self) -> None:
        """Raises `Refused` (429) where it is too soon. The wishes of a batch are one."""
        if not self.counts or self.paid or (self.batch and self.batch.paid):
            return
        spend(EXPENSIVE, self.actor)
        self.paid = True
        if self.batch:
            self.batch.paid = True

    def joined(self) -> None:
        """Somebody else was first with the same wish: this was no second one."""
        if self.paid:
            give_back(EXPENSIVE, self.actor)


def before(kind: str, *, actor: Actor, lock_key: str = "", idempotency_key: str = "") -> None:
    """Raises `Refused` (429) where `services.submit` will, before a large file is read. What may be joined is read."""
    if is_preview() or not registry.get(kind).expensive:
        return
    known = Operation.objects.filter(actor=actor.user, idempotency_key=idempotency_key[:200])
    if idempotency_key and known.exists():
        return
    if not (lock_key and Operation.objects.active().filter(lock_key=lock_key).exists()):
        look(EXPENSIVE, actor)
