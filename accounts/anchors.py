"""The newest entry's number and hash, now and then written down outside the database.

Whoever can write to the database can cut the end off the trail, or put the whole of an earlier day back, and what
is left is still a chain. ``audit-anchor.log`` in the state directory remembers how far it went: one JSON object a
line, ``{"at": RFC 3339, "seq": int, "hash": hex}``, appended and never changed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import AuditEntry, AuditHead

EVERY = 60.0
"""Seconds between two lines at least, where something happened: how much of the end could be cut off unseen."""
_LONGEST_LINE = 4096


class Torn(Exception):
    """The trail no longer holds what was anchored; the message says which entry."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """That entry ``seq`` was the newest and had this ``hash``, at that time."""

    at: datetime
    seq: int
    hash: str

    @classmethod
    def of(cls, line: str) -> Anchor:
        """Reads a line; raises `ValueError`."""
        try:
            found = json.loads(line)
            return cls(datetime.fromisoformat(found["at"]), int(found["seq"]), str(found["hash"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no anchor: {line[:80]!r}") from error

    def __str__(self) -> str:
        return json.dumps({"at": self.at.isoformat(timespec="seconds"), "seq": self.seq, "hash": self.hash})

    def holds(self) -> bool:
        """Whether that entry is there and still has that hash; one query."""
        found = AuditEntry.objects.filter(seq=self.seq).values_list("hash", flat=True).first()
        return found is not None and constant_time_compare(found, self.hash)


def path() -> Path:
    """Where the anchors are."""
    return Path(settings.HOME) / "audit-anchor.log"


def drop() -> Anchor | None:
    """Appends the newest entry, where it is not the last line already. ``None`` where there is no entry at all.

    Raises `Torn`, and writes nothing, where the trail does not hold the anchor before.
    """
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path(), os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
        # One after the other, each reading the head only then: numbers in the file never go down.
        fcntl.flock(file, fcntl.LOCK_EX)
        last = _last(file)
        if last and not last.holds():
            raise Torn(f"entry {last.seq} is not what was anchored at {last.at.isoformat()}")
        head = AuditHead.objects.filter(id=1, seq__gt=0).first()
        if head is None or (last and last.seq == head.seq):
            return last
        fresh = Anchor(timezone.now().replace(microsecond=0), head.seq, head.hash)
        _append(file, f"{fresh}\n".encode())
        return fresh


def newest() -> Anchor | None:
    """The last line; ``None`` where nothing is anchored on this machine. Raises `ValueError` for what is none."""
    try:
        with path().open("rb") as file:
            return _last(file)
    except FileNotFoundError:
        return None


def all_of_them() -> Iterator[Anchor]:
    """Those that are there now, oldest first, read as they are asked for. Raises `ValueError` on the way."""
    try:
        file = path().open("rb")
    except FileNotFoundError:
        return
    with file:
        left = os.fstat(file.fileno()).st_size
        while left > 0 and (line := file.readline(min(left, _LONGEST_LINE))):
            left -= len(line)
            yield Anchor.of(line.decode(errors="replace"))


def _append(file: IO[bytes], line: bytes) -> None:
    """All of it or nothing: half a line, on a full disk, would spoil the next one too."""
    size = file.seek(0, os.SEEK_END)
    try:
        if file.write(line) != len(line):
            raise OSError("no room for a whole line")
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)
        raise


def _last(file: IO[bytes]) -> Anchor | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_LINE))
    lines = file.read().splitlines()
    return Anchor.of(lines[-1].decode(errors="replace")) if lines else None
