"""The gateway process: holds what lives long towards the engines, and no page ever waits for it.

For each engine whose lease it has: events (heard first, then everything is compared, then what the events say is
looked at), the rows' state of being online or not, and the readers that somebody wants. Beside them: a heartbeat
for /readyz, and the sweeper that sends operations again which Redis or a worker has lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import redis.asyncio
from django.db import close_old_connections
from django.utils import timezone

from containers_app import care, chronicle, forensics, incidents
from containers_app import sync as containers_sync
from containers_app.console_gateway import Consoles
from containers_app.gateway import Watch
from engine.base import Engine as EngineBackend
from engine.base import EngineStreams
from engine.connect import connect, connect_streams
from engine.errors import EngineError, EventsLost
from engine.types import Event
from images_app import sync as images_sync
from operations import claims, engines
from operations.models import Engine
from streams import health, want
from streams.connection import LOST, aclient

log = logging.getLogger(__name__)

WINDOW = 0.05
"""Seconds that events are gathered before the rows are looked at: a start is four events."""

FIRST = 0.005
"""The same for the first ones after a quiet moment: somebody waits to see what happened."""

MOST_EVENTS = 500
"""More in one window, and comparing everything is cheaper."""

COMPARE_EVERY = 120.0
PING_EVERY = 10.0
LEASES_EVERY = 3.0
WANTED_EVERY = 2.0
SWEEP_EVERY = 2.0
LAST_WORDS = 1.0
"""Seconds until an engine has written down what a container said last."""

PRUNE_EVERY = 600.0
LOOK_EVERY = 3600.0
BACK_OFF = (0.5, 1.0, 2.0, 3.0, 5.0)
STOP_WITHIN = 2.5


class Keeper:
    """One engine, for as long as the lease lasts."""

    def __init__(self, engine: Engine, connection: redis.asyncio.Redis) -> None:
        self.engine = engine
        self.door = engines.door(engine)
        self.compare = asyncio.Event()
        """Set it to have everything compared now."""
        self.watch: Watch | None = None
        self.consoles: Consoles | None = None
        self._redis = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"engine-{engine.name}")
        self._aside = ThreadPoolExecutor(1, thread_name_prefix=f"lines-{engine.name}")
        self._curious = asyncio.Event()
        self._events: list[Event] = []
        self._heard = asyncio.Event()
        self._looked = 0.0

    async def run(self) -> None:
        """Connects, stays connected, connects again: for ever, or until the engine is forgotten."""
        failures = 0
        try:
            keys = await self._do(engines.certificates, self.engine.pk)
            streams = connect_streams(self.engine.endpoint, certificates=keys)
            backend = connect(self.engine.endpoint, certificates=keys)
        except EngineError as error:
            await self._do(engines.mark_unreachable, self.engine, error.message)
            await asyncio.Event().wait()  # nothing helps but another address, or other certificates
            raise
        self.watch = Watch(self.engine.pk, streams, self._redis)
        self.consoles = Consoles(self.engine.pk, streams, self._redis)
        try:
            while True:
                try:
                    await self._connected(streams, backend)
                except EventsLost:
                    log.info("%s: events were lost, comparing everything", self.engine)
                    failures, self._deaf = 0, "Events came faster than they were taken."
                except EngineError as error:
                    failures = 0 if self._was_online else failures
                    self._deaf = "The engine did not answer."
                    if failures == 0:
                        log.warning("%s does not answer: %s", self.engine, error.message)
                    await self._do(engines.mark_unreachable, self.engine, error.message)
                except Exception:
                    if not await self._do(Engine.objects.filter(pk=self.engine.pk).exists):
                        return
                    # The database, or a mistake of ours: said aloud, and tried again.
                    log.exception("%s: the reader broke", self.engine)
                    self._deaf = "Slipway could not write."
                await asyncio.sleep(BACK_OFF[min(failures, len(BACK_OFF) - 1)])
                failures += 1
        finally:
            await asyncio.gather(self.watch.close(), self.consoles.close())
            for pool in (self._thread, self._aside):
                pool.shutdown(wait=False, cancel_futures=True)
            backend.close()

    async def _connected(self, streams: EngineStreams, backend: EngineBackend) -> None:
        """From the connection to its end, which is always an exception."""
        self._was_online = False
        info = await self._do(backend.info)
        heard = await self._do(chronicle.last_heard, self.engine)
        async with streams.events() as events:
            self.engine = await self._do(engines.mark_online, self.engine, info)
            log.info("%s answers: %s %s", self.engine, info.name, info.version)
            since, listening = max(filter(None, (heard, self._alive)), default=None), timezone.now()
            self._events.clear()
            await self._compare(backend)
            await self._do(partial(chronicle.missing, self.engine, listening, self._deaf, since=since))
            await self._do(incidents.missed, self.engine)
            self._curious.set()
            self._was_online = True
            if self.watch:
                self.watch.started(None)
            works = [self._hear(events), self._ping(streams), self._look(streams, backend)]
            works += [self._prune(), self._investigate(backend), self._look_at_all(backend)]
            if self.consoles:
                works.append(self.consoles.watch())
            await _first_to_end(*works)

    _was_online = False
    _deaf = "Slipway was not running."
    """Why nobody listens, once nobody does."""
    _alive: datetime | None = None
    """When the engine was last known to be listened to."""

    async def _hear(self, events: Any) -> None:
        """Does nothing but take: who reads events slowly slows the engine for everybody."""
        async for event in events:
            self._events.append(event)
            self._heard.set()
        raise EngineError("The engine ended its stream of events.")

    async def _ping(self, streams: EngineStreams) -> None:
        """An engine that hangs keeps its connections: only asking tells."""
        while True:
            await asyncio.sleep(PING_EVERY)
            try:
                await streams.ping()
            except EngineError:
                await streams.ping()
            self._alive = timezone.now()

    async def _look(self, streams: EngineStreams, backend: EngineBackend) -> None:
        """Looks at what the events say, and now and then at everything."""
        while True:
            await self._something()
            compare = self.compare.is_set()
            self.compare.clear()
            self._heard.clear()
            events, self._events = self._events, []
            try:
                await self._do(self._take, backend, events, compare)
            except EngineError as error:
                # One slow answer is not the end of an engine that is there otherwise.
                await streams.ping()
                log.warning("%s: %s", self.engine, error.message)
                await asyncio.sleep(1)
                self.compare.set()
            self._started(events)
            self._looked = time.monotonic()

    async def _investigate(self, backend: EngineBackend) -> None:
        """Reads the last lines before an incident, in a thread of its own."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMPARE_EVERY):
                    await self._curious.wait()
            self._curious.clear()
            await asyncio.sleep(LAST_WORDS)
            await self._do(forensics.remember_figures, self.engine)
            for incident in await self._do(incidents.pending, self.engine):
                await asyncio.get_running_loop().run_in_executor(
                    self._aside, _with_database, forensics.read, backend, incident
                )

    async def _look_at_all(self, backend: EngineBackend) -> None:
        """Inspects every container, beside all else: what lists do not show has then been missed at most so long."""
        while True:
            await asyncio.get_running_loop().run_in_executor(
                self._aside, _with_database, containers_sync.look_at_all, self.engine, backend
            )
            await asyncio.sleep(LOOK_EVERY)

    async def _prune(self) -> None:
        """Takes old events away, now and then."""
        while True:
            await self._do(chronicle.prune, self.engine)
            await asyncio.sleep(PRUNE_EVERY)

    async def _something(self) -> None:
        """Returns a moment after the first event, at once when a comparison is asked for, or when one is due."""
        heard, asked = asyncio.create_task(self._heard.wait()), asyncio.create_task(self.compare.wait())
        try:
            done, _ = await asyncio.wait({heard, asked}, timeout=COMPARE_EVERY, return_when="FIRST_COMPLETED")
            if heard in done and asked not in done:
                await asyncio.sleep(FIRST if time.monotonic() - self._looked > WINDOW else WINDOW)
        finally:
            heard.cancel()
            asked.cancel()

    def _started(self, events: list[Event]) -> None:
        started = {e.native_id for e in events if e.type == "container" and e.action in ("start", "unpause")}
        if started and self.watch:
            self.watch.started(started)
        if self.watch and any(e.type == "container" and e.action == "die" for e in events):
            self.watch.ended()

    def _take(self, backend: EngineBackend, events: list[Event], compare: bool) -> None:
        """Makes the rows true and keeps the events, also where the engine gives no answer to the looks."""
        heard, before = timezone.now(), chronicle.known(self.engine, events)
        try:
            if compare or not events or len(events) > MOST_EVENTS:
                self._compare_now(backend)
            else:
                self._apply(backend, _unlike(events))
        finally:
            rows = chronicle.keep(self.engine, events, before, heard)
            noted = incidents.note(rows)
        if noted or (not events and incidents.missed(self.engine)):
            self._curious.set()

    def _apply(self, backend: EngineBackend, events: list[Event]) -> None:
        images_sync.apply(self.engine, backend, events)
        containers_sync.apply(self.engine, backend, events)

    async def _compare(self, backend: EngineBackend) -> None:
        await self._do(self._compare_now, backend)

    def _compare_now(self, backend: EngineBackend) -> None:
        images_sync.reconcile(self.engine, backend)
        containers_sync.reconcile(self.engine, backend)
        engines.mark_synced(self.engine)

    async def _do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Runs what blocks in this engine's own thread: a slow engine holds up no other."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _with_database, work, *arguments
        )


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Runs all until one ends, ends the others, and raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _with_database(work: Callable[..., Any], *arguments: Any) -> Any:
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


def _unlike(events: list[Event]) -> list[Event]:
    """Each thing that happened once: four restarts of one container are looked at once."""
    return list({(e.type, e.action, e.native_id): e for e in events}.values())


class Gateway:
    """The process. `run` until `stop`."""

    def __init__(self) -> None:
        self.me = engines.owner()
        self.keepers: dict[UUID, tuple[Keeper, asyncio.Task[None]]] = {}
        self._redis = aclient()
        self._stop = asyncio.Event()
        self._wanted: set[str] = set()
        self._thread = ThreadPoolExecutor(2, thread_name_prefix="gateway")

    def stop(self) -> None:
        """Asks for the end."""
        self._stop.set()

    async def run(self) -> None:
        """Everything, until the end is asked for; then within three seconds."""
        loops = (
            self._every(LEASES_EVERY, self._leases),
            self._every(WANTED_EVERY, self._look_what_is_wanted),
            self._every(health.EVERY, self._beat),
            self._every(SWEEP_EVERY, self._sweep),
            self._listen(),
        )
        tasks = [asyncio.create_task(loop) for loop in loops]
        await self._stop.wait()
        keepers = [task for _, task in self.keepers.values()]
        for task in (*tasks, *keepers):
            task.cancel()
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await asyncio.gather(*tasks, *keepers, return_exceptions=True)
                await self._do(engines.release, self.me)
        except TimeoutError:
            log.warning("Ended before everything was put away.")
        finally:
            await self._redis.aclose()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("%s failed", work.__name__)
            await asyncio.sleep(seconds)

    async def _leases(self) -> None:
        mine = await self._do(self._take_leases)
        for id_, (keeper, task) in list(self.keepers.items()):
            if id_ not in mine or task.done() or keeper.door != engines.door(mine[id_]):
                del self.keepers[id_]
                task.cancel()
        for id_, engine in mine.items():
            if id_ not in self.keepers:
                keeper = Keeper(engine, self._redis)
                self.keepers[id_] = keeper, asyncio.create_task(keeper.run())

    def _take_leases(self) -> dict[UUID, Engine]:
        engines.ensure_default_engine()
        return {engine.pk: engine for engine in Engine.objects.all() if engines.take(engine.pk, self.me)}

    async def _look_what_is_wanted(self) -> None:
        # Without Redis, what was wanted goes on being read.
        with contextlib.suppress(*LOST):
            self._wanted = await want.wanted(self._redis)
        for keeper, _ in list(self.keepers.values()):
            if keeper.consoles:  # first: somebody waits before an empty terminal
                await keeper.consoles.tick(self._wanted)
            if keeper.watch:
                await keeper.watch.tick(self._wanted)

    async def _beat(self) -> None:
        await health.abeat("gateway", self._redis)

    async def _sweep(self) -> None:
        await self._do(claims.sweep)
        await self._do(care.sweep)

    async def _listen(self) -> None:
        """Hears at once what is newly wanted, and who asks for a comparison."""
        while True:
            connection = aclient(socket_timeout=None)
            pubsub = connection.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(want.CHANNEL, want.SYNC)
                async for message in pubsub.listen():
                    if message["channel"] == want.SYNC.encode():
                        self._compare(message["data"].decode(errors="replace"))
                    else:
                        await self._look_what_is_wanted()
            except LOST:
                pass
            finally:
                with contextlib.suppress(*LOST):
                    await pubsub.aclose()
                    await connection.aclose()
            await asyncio.sleep(1)

    def _compare(self, engine_id: str) -> None:
        for id_, (keeper, _) in self.keepers.items():
            if str(id_) == engine_id:
                keeper.compare.set()

    async def _do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _with_database, work, *arguments
        )
