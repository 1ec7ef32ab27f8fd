"""The fake engine's streams on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from engine import names
from engine.base import Missing
from engine.docker_logs import parameters
from engine.errors import Conflict, DeadlineExceeded, EngineError, NotFound, Unreachable
from engine.fake_console import FakeAttached, FakeConsole
from engine.fake_world import NANO, World
from engine.terminal import Console, Program, marked
from engine.types import ContainerState, Event, FirstProcess, LogLine, StatsSample

LOOK_EVERY = 0.005


class FakeStreams:
    """Implements `engine.base.EngineStreams` on a `World`."""

    def __init__(self, world: World, endpoint: str = "fake://fake") -> None:
        self.world = world
        self.endpoint = endpoint

    async def _fault(self, call: str, deadline: float = 10) -> None:
        self._require_up()
        self.world.tick()
        fault = self.world.take_fault(call)
        if fault is None:
            return
        if fault.kind == "error":
            raise fault.error or EngineError("The engine refused.")
        if fault.kind in ("hang", "late"):
            await asyncio.sleep(0 if self.world.instant else deadline)
            raise DeadlineExceeded(f"The engine did not answer within {deadline:g} seconds.")
        raise Unreachable("The engine does not answer: nothing listens at its address.")

    def _require_up(self) -> None:
        if not self.world.up:
            raise Unreachable("The connection to the engine broke.")

    async def ping(self, *, deadline: float = 3) -> None:
        await self._fault("streams.ping", deadline)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Event]]:
        await self._fault("streams.events")
        found = self._events(len(self.world.events))
        try:
            yield found
        finally:
            await found.aclose()

    async def _events(self, position: int) -> AsyncGenerator[Event]:
        while True:
            self.world.tick()
            while position < len(self.world.events):
                position += 1
                yield self.world.events[position - 1]
            await asyncio.sleep(LOOK_EVERY)
            self._require_up()

    @asynccontextmanager
    async def logs(
        self,
        native_id: str,
        *,
        tty: bool,
        tail: int = 1000,
        cursor: Mapping[int, tuple[int, int]] | None = None,
        follow: bool = True,
        rotates_at: int = 0,
        missing: Missing | None = None,
    ) -> AsyncIterator[AsyncIterator[Sequence[LogLine]]]:
        names.container_id(native_id)
        parameters(tail)
        await self._fault("streams.logs")
        if native_id not in self.world.containers:
            raise NotFound("This engine has no such container.")
        found = self._lines(native_id, tail, dict(cursor or {}), follow=follow)
        try:
            yield found
        finally:
            await found.aclose()

    async def _lines(
        self, native_id: str, tail: int, cursor: dict[int, tuple[int, int]], *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine]]:
        container = self.world.containers[native_id]
        position = 0 if cursor else max(0, len(container.log) - tail)
        while True:
            self.world.tick()
            ended = not container.alive or native_id not in self.world.containers
            lines = container.log[position:]
            position += len(lines)
            new = [line for line in lines if (line.ts_ns, line.n) > cursor.get(line.stream, (0, 0))]
            if new:
                yield new
            if ended or not follow:
                return
            await asyncio.sleep(LOOK_EVERY)
            self._require_up()

    async def first_processes(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[FirstProcess]:
        for native_id in native_ids:
            names.container_id(native_id)
        await self._fault("streams.first_processes", deadline)
        found = [self.world.containers.get(native_id) for native_id in native_ids]
        # They are no processes of any host: nothing here can be proven to be theirs.
        return [FirstProcess(one.native_id, 0) for one in found if one is not None and one.alive]

    async def stats(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[StatsSample]:
        for native_id in native_ids:
            names.container_id(native_id)
        await self._fault("streams.stats", deadline)
        found = [self.world.containers.get(native_id) for native_id in native_ids]
        now = self.world.now()
        return [
            StatsSample(
                native_id=one.native_id,
                time_ns=now,
                cpu_total=(now - one.started) / NANO * 0.01,
                memory=1_000_000,
                memory_limit=one.spec.memory or 2**31,
                net_rx_total=0,
                net_tx_total=0,
                blk_read_total=0,
                blk_write_total=0,
                pids=1,
            )
            for one in found
            if one is not None and one.state in (ContainerState.RUNNING, ContainerState.PAUSED)
        ]

    @asynccontextmanager
    async def exec(self, native_id: str, program: Program) -> AsyncIterator[Console]:
        await self._running(native_id, "streams.exec")
        yield FakeConsole(self.world, native_id, program)

    @asynccontextmanager
    async def attach(
        self, native_id: str, *, tty: bool, stdin: bool, columns: int = 80, rows: int = 24
    ) -> AsyncIterator[Console]:
        await self._running(native_id, "streams.attach")
        yield FakeAttached(self.world, native_id)

    async def end_marked(
        self, native_id: str, mark: str, *, user: str = "", leader: int = 0, deadline: float = 20
    ) -> int:
        names.container_id(native_id)
        await self._fault("streams.end_marked", deadline)
        container = self.world.containers.get(native_id)
        if container and container.state == ContainerState.PAUSED:
            raise Conflict("The container is paused: unpause it first.")
        self.world.marks.pop(marked(mark), None)
        return 0

    async def _running(self, native_id: str, call: str) -> None:
        names.container_id(native_id)
        await self._fault(call)
        container = self.world.containers.get(native_id)
        if container is None:
            raise NotFound("This engine has no such container.")
        if container.state != ContainerState.RUNNING:
            raise Conflict("The container is not running.")
