"""Lines on their way from the one reader of a log into the log history. The gateway's.

What takes lines (`Tap`) only puts them aside; packing and writing are a thread's, every second where a block is full
and every ten where some lines wait. While the database is slow or away lines wait, up to a bound; what comes beyond it
is left out, and a gap says how much.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import DatabaseError, close_old_connections, transaction
from django.db.models import F

from containers_app import keep_rules
from containers_app.log_blocks import FULL, Block
from containers_app.models import Container, KeptLog, LogBlock, LogGap
from engine.types import LogHole, LogLine

log = logging.getLogger(__name__)

ASK_EVERY = 1.5
EVERY, FLUSH_EVERY, PURGE_EVERY = 1.0, 10.0, 60.0
MOST_WAITING = 48 * 1024 * 1024
"""Bytes of text that wait to be written, of all logs of one engine."""

ENDED, OFF = "ended", "off"
MOST = 80
"""Logs that are followed on one engine to be kept: people who look need some too."""

Cursor = dict[int, tuple[int, int]]


class Tap:
    """What a reader gives one container's lines to. Never blocks."""

    def __init__(self, keeping: Keeping, container: Container) -> None:
        self.container = container
        self.id: UUID | None = None
        self.cursor: Cursor = {}
        """Of the last line that was taken, or that is kept."""
        self.block = Block()
        self.block_id: int | None = None
        self.size = 0
        self.waiting: list[LogLine | LogHole] = []
        self.bytes = 0
        self.since = 0.0
        self.end: str | None = None
        self._keeping = keeping
        self._lost = 0
        self._lost_ns = 0
        self._unread = True
        self._had: Cursor | None = None

    def lines(self, lines: Sequence[LogLine]) -> None:
        """Those that are new are taken, or counted where there is no room."""
        cursor = self.cursor
        fresh = self._fresh(lines)
        if not fresh:
            return
        before = max((ts for ts, _ in cursor.values()), default=0)
        for line in fresh:
            cursor[line.stream] = (line.ts_ns, line.n)
        size = sum(len(line.text) for line in fresh) + 100 * len(fresh)
        if not self._keeping.room(size):
            self._lost_ns = self._lost_ns or before or fresh[0].ts_ns
            self._lost += len(fresh)
            return
        if self._lost:
            self.waiting.append(LogHole(self._lost_ns, fresh[0].ts_ns, self._lost, "load"))
            self._lost = self._lost_ns = 0
        self.since = self.since or time.monotonic()
        self.waiting += fresh
        self.bytes += size

    def _fresh(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """Only at the beginning may a reader hand out again what is kept. Later its word counts, whatever the clock."""
        if self._had is None:
            self._had = dict(self.cursor)
        if not self._had:
            return lines
        fresh = [line for line in lines if (line.ts_ns, line.n) > self._had.get(line.stream, (0, 0))]
        for stream in {line.stream for line in fresh}:
            self._had.pop(stream, None)
        return fresh

    def hole(self, hole: LogHole) -> None:
        """The engine has left something out."""
        self.since = self.since or time.monotonic()
        self.waiting.append(hole)

    def opened(self) -> None:
        """The log is being read: there may be more than was taken."""
        self._unread, self.end = True, None

    def ended(self) -> None:
        """The container has ended and all of it was taken."""
        self._unread, self.end = False, ENDED

    def removed(self) -> None:
        """It is gone. Where its log was not read to the end before, something may be missing."""
        newest = max((ts for ts, _ in self.cursor.values()), default=0)
        if self._unread and newest:
            self.hole(LogHole(newest, max(time.time_ns(), newest), None, "removed"))
        self._unread, self.end = False, ENDED

    def put_back(self, waiting: list[LogLine | LogHole], since: float, end: str | None) -> None:
        """These could not be written; what the database has is looked at anew."""
        self.waiting = waiting + self.waiting
        self.since = since
        self.end = self.end or end
        self.id, self.block, self.block_id = None, Block(), None

    def lost(self) -> LogHole | None:
        """What was left out at the end."""
        newest = max((ts for ts, _ in self.cursor.values()), default=0)
        found = LogHole(self._lost_ns, newest, self._lost, "load") if self._lost else None
        self._lost = self._lost_ns = 0
        return found


class Keeping:
    """The log history of one engine: `wanted` now and then, `tap` for each reader, `close` at the end."""

    def __init__(self, engine_id: UUID) -> None:
        self._engine_id = engine_id
        self._taps: dict[str, Tap] = {}
        self._closing: list[Tap] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-history")
        self._task: asyncio.Task[None] | None = None
        self._warned = False
        self._wanted: dict[str, Container] = {}
        self._asked = 0.0
        self.used = False
        """Whether anything is to be kept at all."""
        self._lock = asyncio.Lock()
        self._stop = asyncio.Event()

    async def wanted(self) -> dict[str, Container]:
        """Our id → container, of those that are to be followed. What the database does not say is as before."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if time.monotonic() - self._asked < ASK_EVERY:
            return self._wanted
        try:
            # Not by the thread that writes: who wants to look at a log must not wait for it.
            found = await database_sync_to_async(keep_rules.wanted)(self._engine_id)
        except DatabaseError as error:
            log.warning("cannot read what is to be kept of logs: %s", error)
            return self._wanted
        self._asked, self.used = time.monotonic(), found is not None
        self._wanted = self._bounded(found or [])
        return self._wanted

    def look_again(self) -> None:
        """There may be more to follow than a moment ago."""
        self._asked = 0.0

    def _bounded(self, found: list[Container]) -> dict[str, Container]:
        if len(found) > MOST and not self._warned:
            log.warning("%s logs are to be kept, %s of them are", len(found), MOST)
        self._warned = len(found) > MOST
        first = sorted(found, key=lambda row: str(row.pk) not in self._taps)
        return {str(row.pk): row for row in first[:MOST]}

    async def tap(self, container: Container) -> Tap:
        """For a new reader, with the cursor from which it reads on. Raises `DatabaseError`."""
        if any(tap.container.pk == container.pk for tap in self._closing):
            await self._flush()
        tap = Tap(self, container)
        await self._do(_begin, self._engine_id, tap)
        self._taps[str(container.pk)] = tap
        return tap

    def untap(self, id_: str, *, off: bool = False) -> None:
        """Its reader has ended: the rest is written. ``off``: it is not to be kept any more."""
        if tap := self._taps.pop(id_, None):
            tap.end = tap.end or (OFF if off else None)
            self._closing.append(tap)

    def room(self, size: int) -> bool:
        """Whether so much more may wait."""
        return size + sum(tap.bytes for tap in (*self._taps.values(), *self._closing)) <= MOST_WAITING

    async def close(self) -> None:
        """Writes what waits."""
        self._stop.set()
        if self._task:
            # Not cancelled: what a thread is writing just now must not be written a second time.
            await asyncio.gather(self._task, return_exceptions=True)
        for id_ in list(self._taps):
            self.untap(id_)
        with contextlib.suppress(DatabaseError):
            await self._flush(everything=True)
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        purged = looked = 0.0
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._stop.wait()
            try:
                await self._flush()
                now = time.monotonic()
                if now - looked > FLUSH_EVERY:
                    looked = now
                    followed = {tap.container.native_id for tap in (*self._taps.values(), *self._closing)}
                    await self._do(keep_rules.close_gone, self._engine_id, followed)
                if now - purged > PURGE_EVERY:
                    purged = now
                    await self._do(keep_rules.purge)
            except DatabaseError as error:
                log.warning("the log history could not be written: %s", error)
            except Exception:
                log.exception("the log history could not be written")

    async def _flush(self, *, everything: bool = False) -> None:
        """Writes those that are due, one after the other. What fails stays and is tried again."""
        now = time.monotonic()
        async with self._lock:
            for tap in [*self._closing, *self._taps.values()]:
                closing = tap in self._closing
                old = tap.since and now - tap.since > FLUSH_EVERY
                if not (everything or closing or old or tap.end or tap.bytes >= FULL):
                    continue
                if closing and (lost := tap.lost()):
                    tap.waiting.append(lost)
                await self._write(tap)
                if closing:
                    self._closing.remove(tap)

    async def _write(self, tap: Tap) -> None:
        waiting, size, since, end = tap.waiting, tap.bytes, tap.since, tap.end
        tap.waiting, tap.since, tap.end = [], 0.0, None
        try:
            await self._do(_put, tap, waiting, end)
        except Exception:
            tap.put_back(waiting, since, end)
            raise
        tap.bytes -= size

    async def _do(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _with_database, work, *arguments
        )


def _with_database(work: Any, *arguments: Any) -> Any:
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


def _begin(engine_id: UUID, tap: Tap) -> None:
    """Finds or makes the kept log, and its last block to go on with."""
    row = tap.container
    now = {"name": row.name, "team_id": row.team_id, "image_ref": row.image_ref, "container_id": row.pk}
    kept, made = KeptLog.objects.get_or_create(engine_id=engine_id, native_id=row.native_id, defaults=now)
    if not made:
        KeptLog.objects.filter(pk=kept.pk).update(**now, open=True)
    tap.id = kept.pk
    if not tap.cursor:
        tap.cursor = {int(stream): (int(at[0]), int(at[1])) for stream, at in kept.cursor.items()}
    last = LogBlock.objects.filter(log=kept).order_by("-id").first()
    tap.block, tap.block_id, tap.size = Block(), None, 0
    if last and last.size < FULL:
        try:
            tap.block.resume(bytes(last.data))
        except ValueError:
            tap.block = Block()
        else:
            tap.block_id, tap.size = last.pk, last.size


def _put(tap: Tap, waiting: list[LogLine | LogHole], end: str | None) -> None:
    """Writes lines and holes with the cursor behind them, or nothing of it."""
    if tap.id is None:
        _begin(tap.container.engine_id, tap)
    log_id: Any = tap.id
    with transaction.atomic():
        lines = [line for line in waiting if isinstance(line, LogLine)]
        grown = _put_lines(tap, lines)
        holes = [hole for hole in waiting if isinstance(hole, LogHole)]
        LogGap.objects.bulk_create(
            LogGap(log_id=log_id, from_ns=hole.from_ns, to_ns=hole.to_ns, lines=hole.lines, cause=hole.cause)
            for hole in holes
        )
        change: dict[str, Any] = {}
        if lines:
            kept = KeptLog.objects.select_for_update().get(pk=log_id)
            first, last = min(line.ts_ns for line in lines), max(line.ts_ns for line in lines)
            cursor = kept.cursor | {str(line.stream): [line.ts_ns, line.n] for line in lines}
            change |= {
                "lines": F("lines") + len(lines), "size": F("size") + grown, "cursor": cursor,
                "first_ns": min(kept.first_ns or first, first), "last_ns": max(kept.last_ns, last),
            }  # fmt: skip
        row = Container.objects.filter(pk=tap.container.pk).values("name", "team_id", "finished_at").first()
        if row:
            change |= {"name": row["name"], "team_id": row["team_id"]}
        if end == ENDED or (end and row):
            change |= {"open": False, "read_to": row["finished_at"] if row and end == ENDED else None}
        elif lines:
            change["open"] = True
        if change:
            KeptLog.objects.filter(pk=log_id).update(**change)


def _put_lines(tap: Tap, lines: list[LogLine]) -> int:
    """Fills the open block, and others after it. Returns how many bytes have come."""
    grown, at = 0, 0
    while at < len(lines):
        begin, first, last, raw = at, tap.block.first_ns, tap.block.last_ns, tap.block.raw
        while at < len(lines) and Block.fits(first, last, raw, lines[at]):
            line = lines[at]
            first, last = min(first or line.ts_ns, line.ts_ns), max(last, line.ts_ns)
            raw += len(line.text) + 10
            at += 1
        if at > begin:
            tap.block.add(lines[begin:at])
            grown += _save(tap)
        if at < len(lines):
            tap.block, tap.block_id, tap.size = Block(), None, 0
    return grown


def _save(tap: Tap) -> int:
    block = tap.block
    data, words = block.pack()
    log_id: Any = tap.id
    values: dict[str, Any] = {
        "first_ns": block.first_ns, "last_ns": block.last_ns, "lines": len(block), "data": data, "words": words,
        "size": len(data) + len(words),
    }  # fmt: skip
    grown = values["size"] - tap.size
    if tap.block_id is None or not LogBlock.objects.filter(pk=tap.block_id).update(**values):
        tap.block_id = LogBlock.objects.create(log_id=log_id, **values).pk
    tap.size = int(values["size"])
    return grown
