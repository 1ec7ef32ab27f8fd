"""Following one container's log without loss and without repetition, over everything an engine does to it.

Engines end a stream early when the container ends while they still send (140,000 of 300,000 lines), send lines again
when a log is rotated, and read a whole log from its start for ``since`` alone (5.4 s for 324 MB; 6 ms with ``tail``).
So: after an end, read again from the cursor until nothing new comes; drop what is not behind the cursor; and ask
with ``tail`` first, for all of it only where the answer does not reach back to the cursor.

They also leave lines out of a log that rotates (see `engine.holes`), and fall silent where a log has one file only,
or was removed. So a log that fills a file a second is not followed any more but read again and again, which tells
exactly where something is missing; and where nothing comes, the log itself is asked whether that is true.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Self

from engine.base import Missing
from engine.docker_errors import clean
from engine.docker_http import Answer
from engine.docker_logs import LARGEST_READ, parameters
from engine.errors import DeadlineExceeded, EngineError
from engine.holes import BEHIND, ROTATION, holes
from engine.logs import LogParser, resume_from, since_text
from engine.types import LogHole, LogLine

Get = Callable[[str, Mapping[str, str]], AbstractAsyncContextManager[Answer]]

RESUME_TAIL = 10_000
"""Lines that a resumed stream asks for first: 50 ms of the engine's time."""

MOST_READS_AGAIN = 100
"""Bound on reading again after an end, for a container that is started again and again meanwhile."""

QUIET = (1.0, 15.0)
"""Seconds without a line after which the log is asked (1 ms of the engine's time): after the last one, then again."""

LATE = 0.5
"""Seconds that a line which the log has may be on its way."""

BUCKET = 0.1
"""Seconds over which the pace of a log is measured, and between two readings of one that is too fast."""

CALM, CALM_AFTER_SILENCE = 10, 300
"""So many readings with little in them, and the log is followed again. An engine that fell silent will do so again."""

MOST_AT_ONCE = 20_000
"""Lines of one reading."""

MOST_FAILURES = 5
"""So often in a row a rotating log may be unreadable (its only file is being exchanged) before that is an error."""

READ_WITHIN = 10.0
OVERHEAD = 75
"""Bytes of a file beside the text of each line."""

LAG_NS = 10**9 // 2
"""A line that is older when it comes, although it was written meanwhile: the engine does not keep up."""


class LogUnreadable(EngineError):
    """The engine's own words within a log, instead of it."""


class LogFollower:
    """Entered, it has connected and the container is there; `batches` are the lines."""

    def __init__(
        self,
        get: Get,
        native_id: str,
        *,
        tty: bool,
        tail: int,
        cursor: Mapping[int, tuple[int, int]],
        follow: bool,
        rotates_at: int,
        missing: Missing,
    ) -> None:
        self.tty = tty
        self.cursor = dict(cursor)
        self._get = get
        self._path = f"/containers/{native_id}/logs"
        self._tail = tail
        self._follow = follow
        self._missing = missing
        self._pace = Pace(rotates_at)
        self._stack = AsyncExitStack()
        self._offset_ns = 0
        self._unended: list[LogLine] = []
        self._ended = False

    async def __aenter__(self) -> Self:
        self._answer = await self._open(follow=self._follow)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self, *, follow: bool, everything: bool = False) -> Answer:
        """The next connection; the one before is closed."""
        await self._stack.aclose()
        query = parameters(RESUME_TAIL if self.cursor else self._tail)
        if self.cursor:
            query["since"] = since_text(resume_from(self.cursor))
            if everything:
                query["tail"] = "all"
        if follow:
            query["follow"] = "1"
        answer = await self._stack.enter_async_context(self._get(self._path, query))
        self._offset_ns = answer.clock_offset_ns
        return answer

    async def batches(self) -> AsyncGenerator[Sequence[LogLine]]:
        """Never empty. Ends when the container has ended and everything was read."""
        parts = (self._live(), self._again()) if self._follow else (self._pass(self._answer, follow=False),)
        for part in parts:
            async with aclosing(part):
                async for lines in part:
                    yield lines
        if self._unended:
            yield self._unended

    async def _live(self) -> AsyncGenerator[Sequence[LogLine]]:
        """Until the engine says that it was all. A file that is just being exchanged is tried again."""
        answer, failures = self._answer, 0
        while not self._ended:
            try:
                async with aclosing(self._round(answer)) as some:
                    async for lines in some:
                        failures = 0
                        yield lines
            except LogUnreadable:
                failures += 1
                if not self._pace.rotates_at or failures > MOST_FAILURES:
                    raise
                await asyncio.sleep(BUCKET)
            if not self._ended:
                answer = await self._open(follow=True)

    async def _round(self, answer: Answer) -> AsyncGenerator[Sequence[LogLine]]:
        """Follows, and where that does not serve reads again and again, until it may be followed once more."""
        self._pace.begin(self._now())
        async with aclosing(self._pass(answer, follow=True)) as lines_as_they_come:
            async for lines in lines_as_they_come:
                yield lines
                if self._pace.fast:
                    break
        if not self._ended and self._pace.rotates_at:
            async with aclosing(self._readings()) as readings:
                async for lines in readings:
                    yield lines

    async def _again(self) -> AsyncGenerator[Sequence[LogLine]]:
        """After an end: what had not been sent."""
        for _ in range(MOST_READS_AGAIN):
            before = dict(self.cursor)
            async with aclosing(self._pass(await self._open(follow=False), follow=False)) as again:
                async for lines in again:
                    yield lines
            if self.cursor == before:
                break

    async def _pass(self, answer: Answer, *, follow: bool) -> AsyncGenerator[Sequence[LogLine]]:
        """One connection's lines; a second connection where the first does not reach back to the cursor.

        Afterwards ``_ended`` is true where the engine has closed it.
        """
        parser, everything, self._ended = self._parser(), False, False
        newest = self._newest()
        while piece := await (self._piece(answer) if follow else answer.piece()):
            lines = _fed(parser, piece)
            if newest and parser.first_ns:
                # The first line told is from after the cursor: lines in between may have been cut off by the tail.
                if parser.first_ns > newest and not everything:
                    everything = True
                    answer, parser = await self._open(follow=follow, everything=True), self._parser()
                    continue
                if parser.first_ns > newest:
                    self._missing(LogHole(newest, parser.first_ns, None, ROTATION))
                newest = 0
            self.cursor = parser.cursor
            if follow:
                self._pace.add(len(piece), lines, self._now())
            if lines:
                yield lines
        self._ended = piece is not None
        self._unended = parser.finish() if self._ended else []

    async def _piece(self, answer: Answer) -> bytes | None:
        """The next piece, empty at the end; ``None`` where the log goes on and the engine does not say so."""
        quiet = QUIET[0]
        while True:
            try:
                async with asyncio.timeout(quiet):
                    return await answer.piece()
            except TimeoutError:
                quiet = QUIET[1]
            if not await self._has_more():
                continue
            try:
                async with asyncio.timeout(LATE):
                    return await answer.piece()
            except TimeoutError:
                return None

    async def _has_more(self) -> bool:
        lines = await self._read(parameters(1), LogParser(tty=self.tty))
        return any(line.ts_ns > self.cursor.get(line.stream, (0, 0))[0] for line in lines)

    async def _readings(self) -> AsyncGenerator[Sequence[LogLine]]:
        """A log that is too fast to be followed, until it is not any more."""
        await self._stack.aclose()
        for hole in holes(self._pace.window, await self._look_back()):
            self._missing(hole)
        calm, most = 0, RESUME_TAIL
        while calm < (CALM if self._pace.fast else CALM_AFTER_SILENCE):
            began = time.monotonic()
            lines = await self._reading(most)
            if lines:
                yield lines
            most = min(MOST_AT_ONCE, max(1000, 2 * len(lines)))
            calm = 0 if self._pace.is_much(lines) else calm + 1
            await asyncio.sleep(max(BUCKET / 4, began + BUCKET - time.monotonic()))

    async def _look_back(self) -> list[LogLine]:
        """The log again since the window of the pace began."""
        window = self._pace.window
        if not window:
            return []
        query = parameters(MOST_AT_ONCE, since_ns=window[0].ts_ns)
        return await self._read(query, LogParser(tty=self.tty))

    async def _reading(self, most: int) -> list[LogLine]:
        """What is new since the last reading."""
        newest = self._newest()
        for tail in (most, MOST_AT_ONCE):
            parser = self._parser()
            query = parameters(tail, since_ns=resume_from(self.cursor) if self.cursor else 0)
            lines = await self._read(query, parser)
            reaches, cut = parser.first_ns <= newest, parser.repeated + len(lines) >= tail
            if reaches or not cut:
                break
        if lines and newest and not reaches:
            self._missing(LogHole(newest, parser.first_ns, None, BEHIND if cut else ROTATION))
        self.cursor = parser.cursor
        return lines

    async def _read(self, query: Mapping[str, str], parser: LogParser) -> list[LogLine]:
        """An answer that ends. What is more than a reading may take comes with the next."""
        lines: list[LogLine] = []
        size = 0
        try:
            async with asyncio.timeout(READ_WITHIN), self._get(self._path, query) as answer:
                self._offset_ns = answer.clock_offset_ns
                while size < LARGEST_READ and (piece := await answer.piece()):
                    lines += _fed(parser, piece)
                    size += len(piece)
        except TimeoutError:
            raise DeadlineExceeded(f"The engine did not answer within {READ_WITHIN:g} seconds.") from None
        return lines

    def _newest(self) -> int:
        return max((ts for ts, _ in self.cursor.values()), default=0)

    def _now(self) -> int:
        return time.time_ns() + self._offset_ns

    def _parser(self) -> LogParser:
        return LogParser(tty=self.tty, cursor=self.cursor, clock=self._now)


class Pace:
    """How fast a followed log is against the size of its files: a file a second is ``fast``.

    ``window`` is what came in the last tenth of a second or two.
    """

    def __init__(self, rotates_at: int) -> None:
        self.rotates_at = rotates_at
        self.begin(0)

    def begin(self, now_ns: int) -> None:
        """A new connection: what is older than now is the past, however fast it comes."""
        self.fast = False
        self._opened_ns = now_ns
        self._since = 0.0
        self._bytes = 0
        self._older: list[LogLine] = []
        self._newer: list[LogLine] = []

    @property
    def window(self) -> list[LogLine]:
        return [*self._older, *self._newer][-MOST_AT_ONCE:]

    def add(self, size: int, lines: Sequence[LogLine], now_ns: int) -> None:
        """A piece of so many bytes has come."""
        if not self.rotates_at or not lines:
            return
        now = time.monotonic()
        if now - self._since > BUCKET or len(self._newer) > MOST_AT_ONCE:
            self._older, self._newer, self._bytes, self._since = self._newer, [], 0, now
        self._newer += lines
        newest = lines[-1].ts_ns
        if newest >= self._opened_ns:
            self._bytes += size
            self.fast = self.fast or self._is_fast(self._bytes) or now_ns - newest > LAG_NS

    def is_much(self, lines: Sequence[LogLine]) -> bool:
        """Whether a reading every tenth of a second should go on after this one."""
        return self._is_fast(2 * sum(len(line.text) + OVERHEAD for line in lines))

    def _is_fast(self, size: int) -> bool:
        return size > self.rotates_at * BUCKET


def _fed(parser: LogParser, piece: bytes) -> list[LogLine]:
    try:
        lines = parser.feed(piece)
    except ValueError:
        raise EngineError("The engine's log makes no sense.") from None
    if parser.error:
        raise LogUnreadable(clean(parser.error) or "The engine cannot read this log.")
    return lines
