"""The figures of one engine's containers: one collector for all of them, however many people look.

Where the engine runs on this host and a container is proven to be its own (`engine.cgroups`), its figures come from the
kernel and cost the engine nothing. All others are asked for one by one, where each answer costs the engine 4 to 7 ms of
a core; so at most `MOST_SEEN` + `MOST_OTHERS` every two seconds: 25 a second, 18 % of a core at the very most, and
3.5 % when nobody looks. With more containers than that, each has its turn less often, those read longest ago first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis.asyncio
from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from containers_app.history import History
from containers_app.models import Container
from engine.base import EngineStreams
from engine.cgroups import Cgroups, Refused
from engine.errors import EngineError
from engine.stats import rate
from engine.types import StatsSample
from streams import stats
from streams.connection import LOST

log = logging.getLogger(__name__)

SEEN, OTHERS, UNWATCHED, UNWATCHED_ASKED = 2.0, 15.0, 30.0, 60.0
"""Seconds between readings: of rows that somebody sees, of others, and when nobody looks at any."""

MOST_SEEN, MOST_OTHERS = 40, 10
"""Asked of the engine in one sweep. Together never more than it is asked for at once."""

EARLY = 0.25
"""A reading that is due this soon goes along."""

FLUSH_EVERY, PRUNE_EVERY, TOTAL_EVERY = 60.0, 600.0, 15.0
BACK_OFF = 5.0
FLUSH_WITHIN = 1.5


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be read in one sweep, by the engine's ids."""

    cheap: list[str]
    asked: list[str]
    again: float
    """Seconds until something else is due."""


def due(
    last: Mapping[str, float], seen: Collection[str], cheap: Collection[str], now: float, *, watched: bool
) -> Due:
    """Pure. ``last``: when each running container was read last; ``seen`` and ``cheap`` are some of them."""
    mine: list[str] = []
    asked: dict[bool, list[str]] = {True: [], False: []}
    again = UNWATCHED_ASKED
    for id_, at in sorted(last.items(), key=lambda pair: pair[1]):
        idle = UNWATCHED if id_ in cheap else UNWATCHED_ASKED
        every = SEEN if id_ in seen else OTHERS if watched else idle
        if at + every - now > EARLY:
            again = min(again, at + every - now)
            continue
        again = min(again, every)
        (mine if id_ in cheap else asked[id_ in seen]).append(id_)
    chosen = asked[True][:MOST_SEEN] + asked[False][:MOST_OTHERS]
    if len(chosen) < len(asked[True]) + len(asked[False]):
        again = SEEN
    return Due(mine, chosen, max(SEEN if chosen else EARLY, again))


def _running(engine_id: UUID) -> dict[str, str]:
    """Native id → our id of those that run. Blocking."""
    rows = Container.objects.filter(engine_id=engine_id, state__in=("running", "paused", "restarting"))
    return {native: str(pk) for native, pk in rows.values_list("native_id", "pk")}


class Collector:
    """`run` it for as long as this process looks after the engine; tell it what is seen and what has started."""

    def __init__(
        self, engine_id: UUID, streams: EngineStreams, connection: redis.asyncio.Redis, cgroups: Cgroups
    ) -> None:
        self._engine_id = engine_id
        self._streams = streams
        self._redis = connection
        self._cgroups = cgroups
        self.history = History(engine_id)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._wanted: set[str] = set()
        self._woken = asyncio.Event()
        self._running: dict[str, str] = {}
        self._last: dict[str, float] = {}
        self._before: dict[str, StatsSample] = {}
        self._rows: dict[str, stats.Row] = {}
        self._refused: dict[str, str] = {}
        self._changed: set[str] = set()
        self._totalled = 0.0
        self._quiet_until = 0.0

    def want(self, ids: set[str]) -> None:
        """Somebody sees these containers, of whatever engine."""
        fresh = ids - self._wanted
        self._wanted = ids
        if fresh:
            self._woken.set()

    def started(self, native_ids: Collection[str] | None) -> None:
        """These (``None``: any) may have been started: whose they are is to be proven again."""
        self._changed |= set(native_ids if native_ids is not None else self._refused)
        self._woken.set()

    def ended(self) -> None:
        """Something may not run any more: looked at at once, so that whoever watches is told."""
        self._woken.set()

    async def run(self) -> None:
        """For ever."""
        flushed = pruned = time.monotonic()
        while True:
            try:
                pause = await self._sweep()
                now = time.monotonic()
                if now - flushed >= FLUSH_EVERY:
                    flushed = now
                    await self._flush()
                if now - pruned >= PRUNE_EVERY:
                    pruned = now
                    await database_sync_to_async(self.history.prune)()
            except DatabaseError as error:
                log.warning("No figures are kept: %s", error)
                pause = BACK_OFF
            except Exception:
                log.exception("the figures broke")
                pause = BACK_OFF
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, FLUSH_EVERY)):
                    await self._woken.wait()
            self._woken.clear()

    async def close(self) -> None:
        """Writes what is not written yet, for a moment, and closes all files. After `run` was cancelled."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FLUSH_WITHIN):
                await self._flush(everything=True)
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._cgroups.close()

    async def _sweep(self) -> float:
        """Reads what is due, and returns the seconds until something else is."""
        running = await database_sync_to_async(_running)(self._engine_id)
        await self._gone({native: id_ for native, id_ in self._running.items() if native not in running})
        self._running = running
        seen = {native for native, id_ in running.items() if id_ in self._wanted}
        watched, now = bool(seen), time.monotonic()
        last = {native: self._last.get(native, -math.inf) for native in running}
        await self._prove([native for native in running if native not in self._cgroups])
        cheap = {native for native in running if native in self._cgroups}
        chosen = due(last, seen | self._rateless(cheap), cheap, now, watched=watched)
        self._last = last | dict.fromkeys((*chosen.cheap, *chosen.asked), now)
        await self._take(await self._in_thread(self._cgroups.read, chosen.cheap))
        await self._take(await self._ask(chosen.asked))
        await self._total()
        again = min(chosen.again, SEEN) if self._rateless(cheap) else chosen.again
        return max(0.1, again - (time.monotonic() - now))

    def _rateless(self, native_ids: Collection[str]) -> set[str]:
        """Those read once: a rate takes two readings, and the beginning of a container is worth one."""
        rows = {native_id: self._rows.get(self._running[native_id]) for native_id in native_ids}
        return {native_id for native_id, row in rows.items() if row and row[1] is None}

    async def _prove(self, unknown: list[str]) -> None:
        """Finds out which of these can be read from here."""
        self._refused = {n: why for n, why in self._refused.items() if n in self._running}
        changed, self._changed = self._changed, set()
        for native_id in changed:
            self._refused.pop(native_id, None)
        fresh = [native_id for native_id in unknown if native_id not in self._refused]
        if not fresh or not self._cgroups.possible or time.monotonic() < self._quiet_until:
            return
        try:
            processes = await self._streams.first_processes(fresh)
        except EngineError as error:
            self._quiet(error)
            return
        for first in processes:
            try:
                if first.pid:
                    await self._in_thread(self._cgroups.adopt, first)
            except Refused as error:
                if str(error) not in self._refused.values():
                    log.info("figures of %s are asked of its engine: %s", first.native_id[:12], error)
                self._refused[first.native_id] = str(error)

    async def _ask(self, native_ids: list[str]) -> list[StatsSample]:
        if not native_ids or time.monotonic() < self._quiet_until:
            return []
        try:
            return await self._streams.stats(native_ids)
        except EngineError as error:
            self._quiet(error)
            return []

    def _quiet(self, error: EngineError) -> None:
        log.debug("no figures: %s", error)
        self._quiet_until = time.monotonic() + BACK_OFF

    async def _take(self, samples: list[StatsSample]) -> None:
        """Rates from these and those before; tells whoever looks, and remembers."""
        rows = []
        for sample in samples:
            rows.append(_row(self._running[sample.native_id], self._before.get(sample.native_id), sample))
            self._before[sample.native_id] = sample
        if not rows:
            return
        self._rows |= {row[0]: row for row in rows}
        await self._tell(rows)
        if unknown := self.history.unknown([str(self._engine_id), *(row[0] for row in rows)]):
            self.history.begin(await database_sync_to_async(self.history.load)(unknown))
        self.history.add(rows)

    async def _gone(self, ended: Mapping[str, str]) -> None:
        if not ended:
            return
        await self._in_thread(self._cgroups.forget, list(ended))
        rows = []
        for native_id, id_ in ended.items():
            self._before.pop(native_id, None)
            last = self._rows.pop(id_, None)
            at = last[9] if last else int(time.time() * 1000)
            self.history.end([id_], at / 1000)
            rows.append(stats.ended(id_, at + 1))
        await self._tell(rows)

    async def _tell(self, rows: list[stats.Row]) -> None:
        with contextlib.suppress(*LOST):
            await stats.publish(self._redis, rows)

    async def _total(self) -> None:
        """What all containers use together, from the newest reading of each: kept and told under the engine's id."""
        now = time.time()
        if now - self._totalled < TOTAL_EVERY:
            return
        rows = [row for row in self._rows.values() if now - row[9] / 1000 < stats.LIFE and row[1] is not None]
        if rows or not self._running:
            self._totalled = now
            sums = [sum(row[index] for row in rows) for index in (1, 2, 4, 5, 6, 7, 8)]
            id_ = str(self._engine_id)
            self.history.add_values(id_, now, sums)
            await self._tell([[id_, round(sums[0], 4), sums[1], 0, *sums[2:], int(now * 1000)]])

    async def _flush(self, *, everything: bool = False) -> None:
        taken = self.history.take(everything=everything)
        if not taken:
            return
        try:
            await database_sync_to_async(self.history.write)(taken)
        except DatabaseError:
            self.history.put_back(taken)
            raise
        self.history.written(taken)

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        """Reading files of the kernel blocks for a moment: not the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


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
