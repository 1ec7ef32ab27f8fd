"""Whether the audit trail is what was written: every entry, in order, up to the newest that is known of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.crypto import constant_time_compare

from accounts import anchors, chain
from accounts.models import AuditEntry, AuditHead

PIECE = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """``bad`` is the first number at which the trail is not what was written, ``why`` a few words; else ``None``."""

    count: int
    newest: datetime | None = None
    bad: int | None = None
    why: str = ""


def verify() -> Verdict:
    """Reads the whole trail once, in pieces, with what is anchored beside it. Entries may be written meanwhile."""
    # In this order: what is anchored now is in the head that is read next, and that in the rows read after it.
    known = _Known(anchors.all_of_them())
    try:
        known.step()
        head = AuditHead.objects.filter(id=1).first() or AuditHead()
        return _walk(known, head)
    except ValueError as error:
        return Verdict(0, bad=known.passed + 1, why=f"the file of anchors is damaged there: {error}")


def wrong_with(entry: AuditEntry, before: str) -> str:
    """What is wrong with an entry that should come after one with the hash ``before``; nothing where it is well."""
    if not constant_time_compare(entry.prev_hash, before):
        return "it does not follow the entry before it"
    return wrong_with_seal(entry)


def wrong_with_seal(entry: AuditEntry) -> str:
    """What is wrong with an entry, by itself."""
    try:
        right = chain.seal(chain.facts_of(entry), entry.prev_hash)
    except LookupError as error:
        return str(error)
    if not constant_time_compare(entry.hash, right):
        return "its seal is not right: it was changed, or another key made it"
    return ""


class _Known:
    """The anchors beside the rows: the one that comes next, while the rows go by."""

    def __init__(self, found: Iterator[anchors.Anchor]) -> None:
        self._found = found
        self.next: anchors.Anchor | None = None
        self.passed = 0

    def step(self) -> None:
        """On to the next one; raises `ValueError` where numbers go down."""
        if self.next:
            self.passed = self.next.seq
        self.next = next(self._found, None)
        if self.next and self.next.seq < self.passed:
            raise ValueError(f"entry {self.next.seq} was anchored after entry {self.passed}")

    def wrong_with(self, entry: AuditEntry) -> str:
        """What is wrong with this entry by the anchors of its number."""
        while self.next and self.next.seq == entry.seq:
            if not constant_time_compare(self.next.hash, entry.hash):
                return f"it is not what was anchored at {self.next.at.isoformat()}"
            self.step()
        return ""


def _walk(known: _Known, head: AuditHead) -> Verdict:
    seq, before, last, newest = 0, chain.START, 0, None
    for entry in _rows():
        if entry.seq != seq + 1:
            why = "it is missing" if entry.seq > seq + 1 else f"there is an entry with the number {entry.seq}"
            return Verdict(seq, newest, seq + 1, why)
        why = wrong_with(entry, before) or known.wrong_with(entry)
        if not why and entry.pk <= last:
            why = "its row is older than the one before it"
        if not why and entry.seq == head.seq and not constant_time_compare(entry.hash, head.hash):
            why = "the head of the chain has another hash"
        if why:
            return Verdict(seq, newest, entry.seq, why)
        seq, before, last, newest = entry.seq, entry.hash, entry.pk, entry.at
    why = ""
    if known.next:
        why = f"it is missing: entry {known.next.seq} was anchored at {known.next.at.isoformat()}"
    elif head.seq > seq:
        why = f"it is missing: the head of the chain is entry {head.seq}"
    elif (now := AuditHead.objects.filter(id=1).values_list("seq", flat=True).first() or 0) < seq:
        # Of entries that were written meanwhile the head, read again, knows.
        seq, why = now, f"the head of the chain is entry {now}"
    return Verdict(seq, newest, seq + 1, why) if why else Verdict(seq, newest)


def _rows() -> Iterable[AuditEntry]:
    """By number, a piece a query: no reader holds up the database's own housekeeping for as long as this takes."""
    rows = AuditEntry.objects.order_by("seq")
    found = list(rows[:PIECE])
    while found:
        yield from found
        found = list(rows.filter(seq__gt=found[-1].seq)[:PIECE])
