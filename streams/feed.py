"""A web process's own copy of one ring, and the places at which its viewers stand in it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import redis.asyncio

from streams.connection import heed
from streams.ring import MOST_BYTES, MOST_LINES, Cursor, Entry, read

AWAY = '{"state":"away"}'
"""State of a ring while Redis does not answer."""

FRAME = 64 * 1024
"""Characters of entries that go together in one step."""


class Feed:
    """This process's copy of one ring, as bounded as the ring itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: deque[Entry] = deque()
        self.start = 0
        """How many entries have been dropped: entry i stands at ``entries[i - start]``."""
        self.state = ""
        self.loaded = asyncio.Event()
        self.followers: set[Follower] = set()
        self.wake = asyncio.Event()
        self._bytes = 0

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    async def catch_up(self, connection: redis.asyncio.Redis) -> None:
        """Takes over what is new in Redis. Raises `LOST`."""
        while True:
            last = self.entries[-1] if self.entries else None
            after = Cursor(last.epoch, last.last) if last else None
            page = await read(connection, self.name, after)
            heed()
            for entry in page.entries:
                self._add(entry)
            if len(page.entries) < 500:
                break
        self._now(page.state)
        if page.state:
            self.loaded.set()

    def away(self) -> None:
        """Redis has not answered for a while."""
        self._now(AWAY)
        self.loaded.set()

    def announced(self, epoch: int, entry: Entry | None = None) -> None:
        """There is more: to be read, but for an entry that came along and is what follows here.

        An epoch before ours (a clock was set back) would never be found after ours.
        """
        if self.entries and epoch < self.entries[-1].epoch:
            self.start = self.end
            self.entries.clear()
            self._bytes = 0
        last = self.entries[-1] if self.entries else None
        if entry and last and (last.epoch, last.last + 1) == (entry.epoch, entry.first):
            self._add(entry)
            self._now(self.state)
        else:
            self.wake.set()

    def _now(self, state: str) -> None:
        self.state = state
        for follower in self.followers:
            follower.wake()

    def _add(self, entry: Entry) -> None:
        last = self.entries[-1] if self.entries else None
        if last and (entry.epoch, entry.last) <= (last.epoch, last.last):
            return  # announced while the ring was being read
        self.entries.append(entry)
        self._bytes += len(entry.frame)
        while len(self.entries) > 1 and (
            self._bytes > MOST_BYTES or entry.last - self.entries[0].first >= MOST_LINES
        ):
            self._bytes -= len(self.entries.popleft().frame)
            self.start += 1


@dataclass(frozen=True, slots=True)
class Step:
    """What a follower gets next: entries without a hole between them, or a new state of the ring (`AWAY`, or its own).

    An entry with a note comes alone.

    ``missed`` lines before them are lost; ``anew``: their numbers have nothing to do with those before.
    """

    entries: list[Entry]
    missed: int = 0
    anew: bool = False
    state: str | None = None


class Follower:
    """A viewer of one ring, at a place of its own."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.at: Cursor | None = None
        self.state = ""
        self.surplus = 0
        self._place = 0
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Called by the hub."""
        self._woken.set()

    def begin(self, after: Cursor | None, tail: int | None) -> None:
        """Stands after that line; without one, so that at least ``tail`` lines come first (``None``: all).

        `surplus` is how many lines of the first entry are more than that.
        """
        feed, self.at, self.surplus = self.feed, after, 0
        self._place = feed.start
        if after is None and tail is not None:
            lines = 0
            for back, entry in enumerate(reversed(feed.entries)):
                if lines >= tail:
                    self._place = feed.end - back
                    break
                lines += entry.last - entry.first + 1
            self.surplus = max(0, lines - tail)
        self._woken.set()

    async def next(self) -> Step:
        """Waits for lines or for another state."""
        while True:
            self._place = max(self._place, self.feed.start)
            while self._place < self.feed.end:
                entry = self._take()
                before, self.at = self.at, Cursor(entry.epoch, entry.last)
                if before is None or before.epoch != entry.epoch:
                    return Step(self._with_next(entry), anew=before is not None)
                if entry.last > before.seq:
                    return Step(self._with_next(entry), missed=max(0, entry.first - before.seq - 1))
                self.at = before
            if self.feed.state != self.state:
                self.state = self.feed.state
                return Step([], state=self.state)
            self._woken.clear()
            await self._woken.wait()

    def _take(self) -> Entry:
        self._place += 1
        return self.feed.entries[self._place - 1 - self.feed.start]

    def _with_next(self, entry: Entry) -> list[Entry]:
        """What follows without a hole goes along, up to the size of one frame."""
        found, size = [entry], len(entry.frame)
        while self._place < self.feed.end and not entry.note:
            follower = self.feed.entries[self._place - self.feed.start]
            size += len(follower.frame)
            if (
                follower.note
                or follower.epoch != entry.epoch
                or follower.first != found[-1].last + 1
                or size > FRAME
            ):
                break
            found.append(self._take())
        self.at = Cursor(entry.epoch, found[-1].last)
        return found
