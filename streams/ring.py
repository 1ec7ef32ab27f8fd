"""A bounded, numbered buffer in Redis: one writer (the gateway), any number of readers (the web processes).

What is numbered is lines: an entry holds lines ``first`` to ``last`` as one frame, encoded once for everybody.
A reader that has seen line 7 and is handed an entry that begins with 9 knows that one line is missing,
whatever the cause: trimmed here, skipped by the writer, or dropped on the way.

Kept as a Redis Stream whose ids are ``<epoch>-<last>``. Against a list it costs the same (0.15 ms to append and
announce 3 KB, 0.19 ms for 64 KB; reading two entries 0.12 against 0.11 ms), and the id is the reader's cursor.
The epoch is the writer's start in milliseconds: another epoch means that numbers have begun again. A writer
keeps what the ring holds in memory too, and writes it again, with the same numbers, where Redis was emptied.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from streams.connection import LOST, heed, key

LIFE = 60
"""Seconds that a ring outlives its writer, so that the next writer can go on where it stopped."""

ALONG = 4096
"""Bytes of a frame that go along with its announcement: whoever has all before it need not read the ring."""

MOST_LINES = 10_000
MOST_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last line that a reader has: ``str()`` and `parse` turn it into ``epoch:seq`` and back."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises `ValueError` for anything but two numbers of at most 15 digits."""
        epoch, _, seq = text.partition(":")
        if not (epoch.isascii() and seq.isascii() and epoch.isdigit() and seq.isdigit()):
            raise ValueError("A cursor is written epoch:seq.")
        if max(len(epoch), len(seq)) > 15:
            raise ValueError("A cursor has at most 15 digits on each side.")
        return cls(int(epoch), int(seq))


@dataclass(frozen=True, slots=True)
class Entry:
    """Lines ``first`` to ``last`` of an epoch, as the text that is sent to browsers.

    One with a ``note`` (JSON) holds no lines, and one number: the note's own.
    """

    epoch: int
    first: int
    last: int
    frame: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a ring holds after a cursor, oldest first, and the writer's last word about the ring itself."""

    entries: list[Entry]
    state: str


@dataclass(frozen=True, slots=True)
class _Kept:
    first: int
    last: int
    frame: bytes
    mark: str
    note: str = ""


def announcement(data: bytes) -> tuple[int, Entry | None]:
    """The epoch that is announced to grow, and the entry that came along."""
    head, _, frame = data.partition(b"\n")
    epoch, last, *first = map(int, head.split(b":"))
    return epoch, Entry(epoch, first[0], last, frame.decode()) if first else None


class Overtaken(Exception):
    """Another writer has written to this ring: this one must stop."""


def ring_key(name: str) -> str:
    """Where the ring of that name stands; also the channel on which its growth is announced."""
    return key("ring", name)


def _state_key(name: str) -> str:
    return key("ring", name, "state")


def _entry(raw: Any) -> tuple[Entry, str]:
    epoch, _, last = raw[0].partition(b"-")
    fields = raw[1]
    note = fields.get(b"n", b"").decode()
    entry = Entry(int(epoch), int(fields[b"f"]), int(last), fields[b"d"].decode(), note)
    return entry, fields[b"m"].decode()


async def read(
    connection: redis.asyncio.Redis, name: str, after: Cursor | None = None, most: int = 500
) -> Page:
    """At most so many entries after the cursor, or from the oldest. Raises `streams.connection.LOST`.

    The state is read before the lines: it may be older than they are, but whoever is told that
    it has ended has been given all of it.
    """
    pipe = connection.pipeline(transaction=False)
    pipe.get(_state_key(name))
    pipe.xrange(ring_key(name), f"({after.epoch}-{after.seq}" if after else "-", "+", count=most)
    state, raw = await pipe.execute()
    return Page([_entry(one)[0] for one in raw], state.decode() if state else "")


class Writer:
    """The one that fills a ring. `open` first; while Redis is away it goes on and keeps what fits the bounds."""

    def __init__(self, connection: redis.asyncio.Redis, name: str) -> None:
        self._redis = connection
        self.name = name
        self.epoch = int(time.time() * 1000)
        self.last = 0
        self.mark = ""
        self.state = ""
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._written = 0
        self._said = ""
        self._unsure = True
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Goes on where an earlier writer stopped, if its ring is still there. Raises `LOST`."""
        raw = await self._redis.xrange(ring_key(self.name))
        for one in raw or ():
            entry, mark = _entry(one)
            self.epoch, self.last, self.mark = entry.epoch, entry.last, mark
            self._keep(_Kept(entry.first, entry.last, entry.frame.encode(), mark, entry.note))
        self._written = self.last

    @property
    def begun(self) -> bool:
        """Whether the ring holds anything."""
        return bool(self._kept)

    async def begin_again(self) -> None:
        """Forgets all: numbers start at 1 under a new epoch, readers are told of a restart."""
        self.epoch = max(int(time.time() * 1000), self.epoch + 1)
        self._kept.clear()
        self.last = self._written = self._bytes = 0
        self.mark = ""
        self._unsure = True

    async def append(self, frame: bytes, lines: int, *, mark: str = "", skipped: int = 0) -> None:
        """Adds lines ``last + skipped + 1`` to ``last + skipped + lines``; ``mark`` is for the next writer alone.

        Never raises for an absent Redis. Raises `Overtaken`.
        """
        first = self.last + skipped + 1
        self.last += skipped + lines
        self.mark = mark or self.mark
        self._keep(_Kept(first, self.last, frame, self.mark))
        await self.flush()

    async def note(self, note: str, *, skipped: int = 0) -> None:
        """Adds a word about the lines at this place; it takes the number after the skipped ones. As `append`."""
        self.last += skipped + 1
        self._keep(_Kept(self.last, self.last, b"", self.mark, note))
        await self.flush()

    async def say(self, state: str) -> None:
        """The last word about the ring: readers get it after the lines, late ones too."""
        self.state = state
        await self.flush()

    async def flush(self) -> None:
        """Writes what Redis has not got, and lengthens the ring's life: call it every few seconds."""
        async with self._lock:
            try:
                if self._unsure:
                    await self._look()
                if not await self._write():
                    # Emptied: everything again, under the same numbers.
                    self._written = 0
                    await self._write()
            except LOST:
                self._unsure = True
            heed()

    def _keep(self, entry: _Kept) -> None:
        self._kept.append(entry)
        self._bytes += len(entry.frame)
        while len(self._kept) > 1 and (
            self._bytes > MOST_BYTES or self.last - self._kept[0].first >= MOST_LINES
        ):
            self._bytes -= len(self._kept.popleft().frame)

    async def _look(self) -> None:
        """After a doubt: what is the last entry that Redis has?"""
        found: Any = await self._redis.xrevrange(ring_key(self.name), count=1)
        if not found:
            self._written = 0
        else:
            epoch, _, last = found[0][0].partition(b"-")
            if int(epoch) < self.epoch:
                await self._redis.delete(ring_key(self.name))
                self._written = 0
            elif int(epoch) > self.epoch or int(last) > self.last:
                raise Overtaken(self.name)
            else:
                self._written = int(last)
        self._unsure = False

    async def _write(self) -> bool:
        """True unless the ring has vanished although something had been written."""
        ring, state = ring_key(self.name), _state_key(self.name)
        fresh = [one for one in self._kept if one.last > self._written]
        # More may be appended while Redis answers: what is known to be written is what was sent.
        sent, said = fresh[-1].last if fresh else self._written, self.state
        pipe = self._redis.pipeline(transaction=False)
        for one in fresh:
            options: dict[str, Any] = {"minid": f"{self.epoch}-{self._kept[0].last}", "approximate": False}
            pipe.xadd(
                ring,
                {"f": str(one.first), "m": one.mark, "d": one.frame, **({"n": one.note} if one.note else {})},
                id=f"{self.epoch}-{one.last}",
                nomkstream=self._written > 0,
                **options,
            )
        pipe.expire(ring, LIFE)
        pipe.set(state, said, ex=LIFE)
        if fresh or self._written == 0 or said != self._said:
            told = f"{self.epoch}:{sent}".encode()
            if len(fresh) == 1 and said == self._said and len(fresh[0].frame) <= ALONG and not fresh[0].note:
                told += b":%d\n" % fresh[0].first + fresh[0].frame
            pipe.publish(ring, told)
        answers = await pipe.execute()
        if self._written and not answers[len(fresh)]:
            return False
        self._written, self._said = sent, said
        return True
