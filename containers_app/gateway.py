"""What the gateway reads of containers for as long as somebody looks: their logs and their figures.

One log reader a container, however many people look. It never stops taking what the engine sends; what comes
faster than 3 MB a second for long is skipped, and the hole in the numbers says how much.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import redis.asyncio
from channels.db import database_sync_to_async

from containers_app.models import Container
from engine.base import EngineStreams
from engine.errors import EngineError, NotFound
from engine.stats import rate
from engine.types import LogLine, StatsSample
from streams import stats
from streams.connection import LOST
from streams.ring import Overtaken, Writer

log = logging.getLogger(__name__)

TAIL = 5000
"""Lines of the past that the first viewer makes us read: 25 ms of the engine's time."""

BEHIND = 5
"""Seconds that the newest line may be old while more keep coming; then the rest is skipped."""

TAIL_BEHIND = 1000
SKIPPED = "Lines are missing here: they came faster than the engine could hand them out"

MOST_READERS = 100
"""Logs followed at once on one engine: above 128 its inotify instances run out and every line is late."""

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

GRACE = 3.0
"""Seconds that a reader outlives the wish for it."""

STATS_EVERY = 2.0
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Target:
    """A container whose log is read."""

    id: str
    native_id: str
    tty: bool


class LogReader:
    """Engine → ring, for one container, until it is cancelled."""

    def __init__(self, streams: EngineStreams, connection: redis.asyncio.Redis, target: Target) -> None:
        self.target = target
        self.started = asyncio.Event()
        """Set it when the container may have been started again."""
        self._streams = streams
        self._writer = Writer(connection, f"logs:{target.id}")
        self._waiting: list[LogLine] = []
        self._newest: dict[int, int] = {}
        self._skipped = 0
        self._live = False
        self._fresh = asyncio.Event()
        self._written = asyncio.Event()

    async def run(self) -> None:
        """Opens the ring, reads, waits for the container to be started again, reads on."""
        await self._open()
        cursor = _cursor(self._writer.mark)
        flusher = asyncio.create_task(self._flush_for_ever())
        failures = 0
        try:
            while not flusher.done():
                self.started.clear()
                try:
                    await self._follow(cursor)
                    failures = 0
                    await self._say("ended")
                    await self._wait(flusher, None)
                except NotFound:
                    await self._say("ended", "The container was removed.")
                    await self._wait(flusher, None)
                except EngineError as error:
                    await self._say("unreachable", error.message)
                    await self._wait(flusher, _BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                    failures += 1
                await self._drained()
                cursor = _cursor(self._writer.mark) or cursor
        finally:
            flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError, Overtaken):
                await flusher

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
            self._take([LogLine(stream=0, ts_ns=time.time_ns(), n=0, text=SKIPPED)])
            cursor, tail = {}, TAIL_BEHIND

    async def _read(self, cursor: dict[int, tuple[int, int]], tail: int) -> bool:
        """One stream to its end; true where it was left because it is too far behind."""
        opened, began = time.monotonic(), time.time_ns()
        had = dict(self._newest) if tail == TAIL_BEHIND else {}
        async with self._streams.logs(
            self.target.native_id, tty=self.target.tty, tail=tail, cursor=cursor or None, follow=True
        ) as batches:
            self._live = False
            live = asyncio.create_task(self._announce())
            try:
                async for some in batches:
                    lines = [line for line in some if line.ts_ns > had.get(line.stream, 0)] if had else some
                    if not lines:
                        continue
                    self._take(lines)
                    newest = lines[-1].ts_ns
                    self._live = self._live or newest >= began
                    if time.monotonic() - opened > BEHIND and time.time_ns() - newest > BEHIND * 10**9:
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
        self._waiting.extend(lines)
        self._newest |= {line.stream: line.ts_ns for line in lines}
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
        credit, credited, flushed = float(BURST), time.monotonic(), 0.0
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            early = flushed + FLUSH - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            while self._waiting:
                size = await self._flush()
                now = time.monotonic()
                credit, credited = min(BURST, credit + (now - credited) * RATE) - size, now
                if credit < 0:
                    await asyncio.sleep(-credit / RATE)
            flushed = time.monotonic()
            self._written.set()

    async def _flush(self) -> int:
        number = self._writer.last + self._skipped
        rows, size, taken = [], 0, 0
        marks = _cursor(self._writer.mark)
        for line in self._waiting:
            number += 1
            text = _short(line.text)
            rows.append([number, self.target.id, str(line.ts_ns), line.stream, text])
            if line.stream:
                marks[line.stream] = (line.ts_ns, line.n)
            size += len(text) + 80
            taken += 1
            if size >= FLUSH_BYTES:
                break
        skipped, self._skipped = self._skipped, 0
        del self._waiting[:taken]
        await self._writer.append(_encode(rows), taken, mark=json.dumps(marks), skipped=skipped)
        return size


def _encode(rows: list[list[Any]]) -> bytes:
    """The rows as JSON without the outer brackets, so that batches can be put together without being read."""
    try:
        return orjson.dumps(rows)[1:-1]
    except orjson.JSONEncodeError:  # half of a surrogate pair is no Unicode
        for row in rows:
            row[4] = row[4].encode("utf-8", "replace").decode()
        return orjson.dumps(rows)[1:-1]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"


def _cursor(mark: str) -> dict[int, tuple[int, int]]:
    """Stream → (time, n) of the last line that was written, as the engine's reader takes it."""
    try:
        return {int(stream): (int(at[0]), int(at[1])) for stream, at in json.loads(mark or "{}").items()}
    except (ValueError, TypeError, AttributeError, IndexError):
        return {}


def _targets(engine_id: UUID, ids: Collection[str]) -> list[Target]:
    rows = Container.objects.filter(engine_id=engine_id, pk__in=ids).only("pk", "native_id", "tty")
    return [Target(str(row.pk), row.native_id, row.tty) for row in rows]


def _running(engine_id: UUID, ids: Collection[str]) -> dict[str, str]:
    """Native id → our id of those that run."""
    rows = Container.objects.filter(
        engine_id=engine_id, pk__in=ids, state__in=("running", "paused", "restarting")
    )
    return {native: str(pk) for native, pk in rows.values_list("native_id", "pk")}


class Watch:
    """Everything that is read of one engine's containers because somebody looks. `tick` with what is wanted."""

    def __init__(self, engine_id: UUID, streams: EngineStreams, connection: redis.asyncio.Redis) -> None:
        self._engine_id = engine_id
        self._streams = streams
        self._redis = connection
        self._readers: dict[str, tuple[LogReader, asyncio.Task[None]]] = {}
        self._last_wanted: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._figures: set[str] = set()
        self._figures_task: asyncio.Task[None] | None = None

    async def tick(self, wanted: Iterable[str]) -> None:
        """``wanted``: names such as ``logs:<id>`` and ``stats:<id>``. Starts and ends readers by it."""
        kinds: dict[str, set[str]] = {"logs": set(), "stats": set()}
        for name in wanted:
            kind, _, id_ = name.partition(":")
            if kind in kinds and _is_id(id_):
                kinds[kind].add(id_)
        logs, figures = kinds["logs"], kinds["stats"]
        async with self._lock:
            await self._tick_logs(self._still(logs))
        self._figures = figures
        if figures and (self._figures_task is None or self._figures_task.done()):
            self._figures_task = asyncio.create_task(self._read_figures())

    def started(self, native_ids: Collection[str] | None) -> None:
        """These containers (``None``: any) may have been started: their logs go on."""
        for reader, _ in self._readers.values():
            if native_ids is None or reader.target.native_id in native_ids:
                reader.started.set()

    async def close(self) -> None:
        """Ends every reader."""
        tasks = [task for _, task in self._readers.values()]
        if self._figures_task:
            tasks.append(self._figures_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._readers.clear()

    def _still(self, wanted: set[str]) -> set[str]:
        """What is wanted, or was a moment ago: an emptied Redis has forgotten it until somebody says it again."""
        now = time.monotonic()
        self._last_wanted |= dict.fromkeys(wanted, now)
        self._last_wanted = {id_: at for id_, at in self._last_wanted.items() if now - at < GRACE}
        return wanted | (self._last_wanted.keys() & self._readers.keys())

    async def _tick_logs(self, wanted: set[str]) -> None:
        for id_ in [i for i, (_, task) in self._readers.items() if i not in wanted or task.done()]:
            _, task = self._readers.pop(id_)
            task.cancel()
            if task.done() and not task.cancelled() and (error := task.exception()):
                log.error("the log of container %s broke", id_, exc_info=error)
        fresh = wanted - self._readers.keys()
        free = MOST_READERS - len(self._readers)
        for target in await database_sync_to_async(_targets)(self._engine_id, fresh) if fresh else ():
            if free <= 0:
                await self._too_many(target)
                continue
            free -= 1
            reader = LogReader(self._streams, self._redis, target)
            self._readers[target.id] = reader, asyncio.create_task(reader.run())
        await asyncio.gather(*(reader.keep() for reader, _ in self._readers.values()))

    async def _too_many(self, target: Target) -> None:
        writer = Writer(self._redis, f"logs:{target.id}")
        words = f"{MOST_READERS} logs are followed on this engine already; close one."
        with contextlib.suppress(Overtaken, *LOST):
            await writer.open()
            await writer.say(orjson.dumps({"state": "unreachable", "detail": words}).decode())

    async def _read_figures(self) -> None:
        before: dict[str, StatsSample] = {}
        while self._figures:
            began = time.monotonic()
            try:
                running = await database_sync_to_async(_running)(self._engine_id, self._figures)
                samples = await self._streams.stats(list(running))
                rows = [_row(running[s.native_id], before.get(s.native_id), s) for s in samples]
                before = {s.native_id: s for s in samples}
                if rows:
                    await stats.publish(self._redis, rows)
            except (EngineError, *LOST) as error:
                log.debug("no figures: %s", error)
            await asyncio.sleep(max(0.2, STATS_EVERY - (time.monotonic() - began)))


def _row(id_: str, before: StatsSample | None, now: StatsSample) -> stats.Row:
    rates = rate(before, now) if before else None
    return [
        id_,
        round(rates.cpu, 4) if rates else None,
        now.memory,
        now.memory_limit,
        *((round(rates.net_rx), round(rates.net_tx)) if rates else (None, None)),
        *((round(rates.blk_read), round(rates.blk_write)) if rates else (None, None)),
        now.pids,
        now.time_ns // 1_000_000,
    ]


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
