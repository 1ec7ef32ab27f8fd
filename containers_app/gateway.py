"""What the gateway reads of containers: their logs for as long as somebody looks, their figures at all times."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable
from uuid import UUID

import orjson
import redis.asyncio
from channels.db import database_sync_to_async
from django.db import DatabaseError

from containers_app.collector import Collector
from containers_app.keeping import Keeping
from containers_app.log_reader import LogReader, Target
from containers_app.models import Container
from containers_app.replay import KIND, MOST_AT_ONCE, Past, replay
from engine.base import EngineStreams
from engine.cgroups import Cgroups
from engine.holes import rotates_at
from streams.connection import LOST
from streams.ring import Overtaken, Writer

log = logging.getLogger(__name__)

MOST_READERS = 100
"""Logs followed at once on one engine: above 128 its inotify instances run out and every line is late."""

GRACE = 3.0
"""Seconds that a reader outlives the wish for it."""


def _targets(engine_id: UUID, ids: Collection[str]) -> list[Target]:
    rows = Container.objects.filter(engine_id=engine_id, pk__in=ids)
    return [
        Target(str(row.pk), row.native_id, row.tty, rotates_at(row.inspect))
        for row in rows.only("pk", "native_id", "tty", "inspect")
    ]


class Watch:
    """Everything that is read of one engine's containers. `tick` with what is wanted."""

    def __init__(self, engine_id: UUID, streams: EngineStreams, connection: redis.asyncio.Redis) -> None:
        self._engine_id = engine_id
        self._streams = streams
        self._redis = connection
        self._readers: dict[str, tuple[LogReader, asyncio.Task[None]]] = {}
        self._last_wanted: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._collector = Collector(engine_id, streams, connection, Cgroups(streams.endpoint))
        self._collecting: asyncio.Task[None] | None = None
        self._pasts: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._keeping = Keeping(engine_id)
        self._names: set[str] = set()
        self._again: asyncio.Task[None] | None = None

    async def tick(self, wanted: Iterable[str]) -> None:
        """``wanted``: names such as ``logs:<id>`` and ``stats:<id>``. Starts and ends readers by it."""
        kinds: dict[str, set[str]] = {"logs": set(), "stats": set()}
        pasts: set[str] = set()
        self._names = set(wanted)
        for name in self._names:
            kind, _, id_ = name.partition(":")
            if kind == KIND:
                pasts.add(name)
            if kind in kinds and _is_id(id_):
                kinds[kind].add(id_)
        logs, figures = kinds["logs"], kinds["stats"]
        async with self._lock:
            await self._tick_logs(self._still(logs), await self._keeping.wanted())
            await self._tick_pasts(pasts)
        self._collector.want(figures)
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collector.run())

    def started(self, native_ids: Collection[str] | None) -> None:
        """These containers (``None``: any) may have been started: their logs go on, their figures begin."""
        self._collector.started(native_ids)
        for reader, _ in self._readers.values():
            if native_ids is None or reader.target.native_id in native_ids:
                reader.started.set()
        self._keeping.look_again()
        if self._keeping.used and (self._again is None or self._again.done()):
            # What lives for a moment only is not there any more at the next usual look.
            self._again = asyncio.create_task(self.tick(self._names))

    def ended(self) -> None:
        """Containers may have ended."""
        self._collector.ended()

    async def close(self) -> None:
        """Ends every reader."""
        tasks = [task for _, task in self._readers.values()]
        tasks += self._pasts.values()
        tasks += [self._again] if self._again else []
        if self._collecting:
            tasks.append(self._collecting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._readers.clear()
        await self._keeping.close()
        await self._collector.close()

    def _still(self, wanted: set[str]) -> set[str]:
        """What is wanted, or was a moment ago: an emptied Redis has forgotten it until somebody says it again."""
        now = time.monotonic()
        self._last_wanted |= dict.fromkeys(wanted, now)
        self._last_wanted = {id_: at for id_, at in self._last_wanted.items() if now - at < GRACE}
        return wanted | (self._last_wanted.keys() & self._readers.keys())

    async def _tick_logs(self, looked_at: set[str], kept: dict[str, Container]) -> None:
        """One reader for each log, whether people look at it, it is kept, or both."""
        wanted = looked_at | kept.keys()
        for id_, (reader, task) in list(self._readers.items()):
            if id_ in wanted and not task.done() and (id_ in kept) is (reader.observer is not None):
                continue
            del self._readers[id_]
            task.cancel()
            # The next one goes on where this one has stopped.
            (error,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(error, Exception):
                log.error("the log of container %s broke", id_, exc_info=error)
            self._keeping.untap(id_, off=id_ not in kept)
        fresh = wanted - self._readers.keys()
        free = MOST_READERS - len(self._readers)
        targets = await database_sync_to_async(_targets)(self._engine_id, fresh) if fresh else []
        # Those first for whom somebody waits.
        for target in sorted(targets, key=lambda target: target.id in kept):
            if free <= 0:
                await self._too_many(target)
                continue
            free -= 1
            await self._begin_reader(target, kept.get(target.id))
        await asyncio.gather(*(reader.keep() for reader, _ in self._readers.values()))

    async def _begin_reader(self, target: Target, kept: Container | None) -> None:
        try:
            tap = await self._keeping.tap(kept) if kept else None
        except DatabaseError as error:
            log.warning("the log of %s cannot be kept: %s", kept, error)
            return
        reader = LogReader(self._streams, self._redis, target, tap)
        self._readers[target.id] = reader, asyncio.create_task(reader.run())

    async def _tick_pasts(self, wanted: set[str]) -> None:
        """Each is read once: its name stays known for as long as it is wanted."""
        self._pasts = {name: task for name, task in self._pasts.items() if name in wanted or not task.done()}
        for name in wanted - self._pasts.keys():
            try:
                past = Past.parse(name)
            except ValueError:
                continue
            if _is_id(past.container):
                self._pasts[name] = asyncio.create_task(self._replay(past))

    async def _replay(self, past: Past) -> None:
        async with self._slots:
            for target in await database_sync_to_async(_targets)(self._engine_id, [past.container]):
                await replay(self._streams, self._redis, target, past)

    async def _too_many(self, target: Target) -> None:
        writer = Writer(self._redis, f"logs:{target.id}")
        words = f"{MOST_READERS} logs are followed on this engine already; close one."
        with contextlib.suppress(Overtaken, *LOST):
            await writer.open()
            await writer.say(orjson.dumps({"state": "unreachable", "detail": words}).decode())


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
