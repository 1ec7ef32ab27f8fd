"""Reads one container's log from the engine into a ring, however many people look.

It never stops taking what the engine sends; what comes faster than 3 MB a second for long is skipped, and the hole in
the numbers says how much. Where the engine itself left something out, a note stands in the ring.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import redis.asyncio

from engine.base import EngineStreams
from engine.errors import EngineError, NotFound
from engine.holes import BEHIND
from engine.types import LogHole, LogLine
from streams.connection import LOST
from streams.credit import Credit
from streams.ring import Overtaken, Writer

TAIL = 5000
"""Lines of the past that the first viewer makes us read: 25 ms of the engine's time."""

TOO_OLD = 5
"""Seconds that the newest line may be old while more keep coming; then the rest is skipped."""

TOO_OLD_TO_KEEP = 120
"""The same where the lines are kept: what was written while nobody read is read first."""

TAIL_BEHIND = 1000

FLUSH = 0.05
FLUSH_BYTES = 64 * 1024
RATE = 3_000_000
BURST = 8_000_000
MOST_WAITING = 20_000
"""Lines that wait to be written; the oldest are skipped."""

LONGEST = 16_384
"""Characters of a line in a live view."""

QUIET = 0.15
"""Seconds without a line after which the past counts as read."""

_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Target:
    """A container whose log is read."""

    id: str
    native_id: str
    tty: bool
    rotates_at: int = 0


class Observer(Protocol):
    """Who gets the lines too, all of them: what comes too fast for those who look is skipped for them alone.

    ``cursor`` is that of the last line it has, as the engine's reader takes it. Nothing of it blocks.
    """

    cursor: dict[int, tuple[int, int]]

    def lines(self, lines: Sequence[LogLine]) -> None: ...
    def hole(self, hole: LogHole) -> None: ...
    def opened(self) -> None: ...
    def ended(self) -> None: ...
    def removed(self) -> None: ...


class LogReader:
    """Engine → ring, for one container, until it is cancelled. With an observer it begins where that one is."""

    def __init__(
        self,
        streams: EngineStreams,
        connection: redis.asyncio.Redis,
        target: Target,
        observer: Observer | None = None,
    ) -> None:
        self.target = target
        self.observer = observer
        self.started = asyncio.Event()
        """Set it when the container may have been started again."""
        self._streams = streams
        self._writer = Writer(connection, f"logs:{target.id}")
        self._waiting: list[LogLine | LogHole] = []
        self._at: dict[int, tuple[int, int]] = {}
        """The last lines that were taken."""
        self._shown: dict[int, tuple[int, int]] = {}
        """The last lines that the ring had at the beginning, while older ones are read for the observer."""
        self._skipped = 0
        self._live = False
        self._fresh = asyncio.Event()
        self._written = asyncio.Event()

    async def run(self) -> None:
        """Opens the ring, reads, waits for the container to be started again, reads on."""
        await self._open()
        cursor = await self._begin()
        flusher = asyncio.create_task(self._flush_for_ever())
        failures = 0
        try:
            while not flusher.done():
                self.started.clear()
                try:
                    await self._follow(cursor)
                    failures = 0
                    if self.observer:
                        self.observer.ended()
                    await self._say("ended")
                    await self._wait(flusher, None)
                except NotFound:
                    if self.observer:
                        self.observer.removed()
                    await self._say("ended", "The container was removed.")
                    await self._wait(flusher, None)
                except EngineError as error:
                    await self._say("unreachable", error.message)
                    await self._wait(flusher, _BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                    failures += 1
                await self._drained()
                cursor = self._at or cursor
        finally:
            flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError, Overtaken):
                await flusher

    async def _begin(self) -> dict[int, tuple[int, int]]:
        """Where to read on: behind what the ring has, or where an observer has less, behind what that one has."""
        shown = cursor = _cursor(self._writer.mark)
        if self.observer:
            kept = self.observer.cursor
            if kept and not shown:
                shown = await self._fill()
            self._shown = shown
            cursor = {stream: min(at, shown.get(stream, at)) for stream, at in kept.items()}
        self._at = dict(cursor)
        return cursor

    async def _fill(self) -> dict[int, tuple[int, int]]:
        """The past for those who look: what the observer lacks may be much less. Returns its last lines."""
        found: dict[int, tuple[int, int]] = {}
        with contextlib.suppress(EngineError):
            async with self._streams.logs(
                self.target.native_id, tty=self.target.tty, tail=TAIL, cursor=None, follow=False
            ) as batches:
                async for lines in batches:
                    self._wait_with(lines)
                    found |= {line.stream: (line.ts_ns, line.n) for line in lines}
        return found

    async def keep(self) -> None:
        """Lengthens the ring's life, and fills it again where Redis was emptied. Called every few seconds."""
        with contextlib.suppress(Overtaken):
            await self._writer.flush()

    async def _open(self) -> None:
        while True:
            try:
                await self._writer.open()
            except LOST:
                await asyncio.sleep(1)
            else:
                return

    async def _wait(self, flusher: asyncio.Task[None], seconds: float | None) -> None:
        """Until the container may have started again, the time is up, or there is no writing any more."""
        started = asyncio.create_task(self.started.wait())
        try:
            await asyncio.wait({started, flusher}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()

    async def _follow(self, cursor: dict[int, tuple[int, int]]) -> None:
        """Reads until the container has ended. All it does is take: writing is the flusher's."""
        tail = TAIL
        while await self._read(cursor, tail):
            # A program can write faster than its engine can hand out: then what is shown would be older and older.
            cursor, tail = {}, TAIL_BEHIND

    async def _read(self, cursor: dict[int, tuple[int, int]], tail: int) -> bool:
        """One stream to its end; true where it was left because it is too far behind."""
        opened, began = time.monotonic(), time.time_ns()
        had = dict(self._at) if tail == TAIL_BEHIND else {}
        late = TOO_OLD_TO_KEEP if self.observer else TOO_OLD
        async with self._streams.logs(
            self.target.native_id,
            tty=self.target.tty,
            tail=tail,
            cursor=cursor or None,
            follow=True,
            rotates_at=self.target.rotates_at,
            missing=self._miss,
        ) as batches:
            self._live = False
            if self.observer:
                self.observer.opened()
            live = asyncio.create_task(self._announce())
            try:
                async for some in batches:
                    lines = (
                        [line for line in some if line.ts_ns > had.get(line.stream, (0, 0))[0]]
                        if had
                        else some
                    )
                    if not lines:
                        continue
                    if had:
                        self._miss(LogHole(max(had.values())[0], lines[0].ts_ns, None, BEHIND))
                        had = {}
                    self._take(lines)
                    newest = lines[-1].ts_ns
                    self._live = self._live or newest >= began
                    if time.monotonic() - opened > late and time.time_ns() - newest > late * 10**9:
                        return True
            finally:
                live.cancel()
        return False

    async def _announce(self) -> None:
        """Says that the past has been read: no more of it comes for a moment, or a line is of the present."""
        before, quiet = -1, 0.0
        while quiet < QUIET and not self._live:
            await asyncio.sleep(FLUSH)
            now = self._writer.last + len(self._waiting)
            quiet = quiet + FLUSH if now == before else 0.0
            before = now
        await self._say("following")

    async def _say(self, state: str, detail: str = "") -> None:
        await self._drained()
        text = orjson.dumps({"state": state, "detail": detail[:500]}).decode()
        if text != self._writer.state:
            with contextlib.suppress(Overtaken):
                await self._writer.say(text)

    def _take(self, lines: Sequence[LogLine]) -> None:
        self._at |= {line.stream: (line.ts_ns, line.n) for line in lines}
        if self.observer:
            self.observer.lines(lines)
        if self._shown:
            lines = [line for line in lines if (line.ts_ns, line.n) > self._shown.get(line.stream, (0, 0))]
            if lines and all(self._at.get(stream, (0, 0)) > at for stream, at in self._shown.items()):
                self._shown = {}
        if lines:
            self._wait_with(lines)

    def _miss(self, hole: LogHole) -> None:
        if self.observer:
            self.observer.hole(hole)
        if not self._shown or hole.to_ns > max(self._shown.values())[0]:
            self._wait_with([hole])

    def _wait_with(self, some: Sequence[LogLine | LogHole]) -> None:
        self._waiting.extend(some)
        over = len(self._waiting) - MOST_WAITING
        if over > 0:
            del self._waiting[:over]
            self._skipped += over
        self._written.clear()
        self._fresh.set()

    async def _drained(self) -> None:
        """All that was taken is written, or a second is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self._waiting:
                    self._written.clear()
                    self._fresh.set()
                    await self._written.wait()

    async def _flush_for_ever(self) -> None:
        """The first line after a quiet moment at once, then a batch each 50 ms or 64 KiB."""
        credit, flushed = Credit(RATE, BURST), 0.0
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            early = flushed + FLUSH - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            while self._waiting:
                await credit.spend(await self._flush())
            flushed = time.monotonic()
            self._written.set()

    async def _flush(self) -> int:
        """Writes a frame of lines, or one hole. Returns about how many bytes."""
        skipped, self._skipped = self._skipped, 0
        hole = self._waiting[0]
        if isinstance(hole, LogHole):
            del self._waiting[0]
            await self._writer.note(_note(hole), skipped=skipped)
            return 80
        number = self._writer.last + skipped
        rows, size = [], 0
        marks = _cursor(self._writer.mark)
        for line in self._waiting:
            if isinstance(line, LogHole) or size >= FLUSH_BYTES:
                break
            number += 1
            text = short(line.text)
            rows.append([number, self.target.id, str(line.ts_ns), line.stream, text])
            marks[line.stream] = (line.ts_ns, line.n)
            size += len(text) + 80
        del self._waiting[: len(rows)]
        await self._writer.append(encode(rows), len(rows), mark=json.dumps(marks), skipped=skipped)
        return size


def _note(hole: LogHole) -> str:
    """Times as text: they are more than a number of JavaScript can hold."""
    told = {"lines": hole.lines, "cause": hole.cause, "from": str(hole.from_ns), "to": str(hole.to_ns)}
    return orjson.dumps(told).decode()


def encode(rows: list[list[Any]]) -> bytes:
    """The rows as JSON without the outer brackets, so that batches can be put together without being read."""
    try:
        return orjson.dumps(rows)[1:-1]
    except orjson.JSONEncodeError:  # half of a surrogate pair is no Unicode
        for row in rows:
            row[4] = row[4].encode("utf-8", "replace").decode()
        return orjson.dumps(rows)[1:-1]


def short(text: str) -> str:
    """What a live view shows of a line."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"


def _cursor(mark: str) -> dict[int, tuple[int, int]]:
    """Stream → (time, n) of the last line that was written, as the engine's reader takes it."""
    try:
        return {int(stream): (int(at[0]), int(at[1])) for stream, at in json.loads(mark or "{}").items()}
    except (ValueError, TypeError, AttributeError, IndexError):
        return {}
