"""A Docker engine's streams on asyncio: events, logs, readings. Implements `engine.base.EngineStreams`.

A client of its own for each call and no state but the agreed version, so that nothing leaks when a stream is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from engine import names
from engine.base import Missing
from engine.docker_calls import agree
from engine.docker_console import DockerConsoles
from engine.docker_events import EventReader
from engine.docker_events import query as events_query
from engine.docker_follow import LogFollower
from engine.docker_http import Answer, get, get_bytes, get_json, parsed
from engine.docker_map import mapping
from engine.docker_text import number
from engine.docker_transport import Endpoint
from engine.errors import EngineError, Unreachable
from engine.stats import sample
from engine.terminal import Console, Program
from engine.types import Event, FirstProcess, LogHole, LogLine, StatsSample

HEAD_WITHIN = 10.0
"""Seconds to connect and read a head. Engines send it at once, also where nothing follows (seen: 0.8 ms)."""

AT_ONCE = 50
LARGEST_STATS = 1024 * 1024
LARGEST_INSPECTION = 16 * 1024 * 1024

Found = TypeVar("Found")


class DockerStreams:
    """Cheap to make; belongs to the event loop that uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint.url
        self._endpoint = endpoint
        self._version = ""
        self._consoles = DockerConsoles(endpoint, self._agreed)

    def exec(self, native_id: str, program: Program) -> AbstractAsyncContextManager[Console]:
        return self._consoles.exec(native_id, program)

    def attach(
        self, native_id: str, *, tty: bool, stdin: bool, columns: int = 80, rows: int = 24
    ) -> AbstractAsyncContextManager[Console]:
        return self._consoles.attach(native_id, tty=tty, stdin=stdin, columns=columns, rows=rows)

    async def end_marked(
        self, native_id: str, mark: str, *, user: str = "", leader: int = 0, deadline: float = 20
    ) -> int:
        return await self._consoles.end_marked(native_id, mark, user=user, leader=leader, deadline=deadline)

    async def ping(self, *, deadline: float = 3) -> None:
        body = await get_bytes(self._endpoint, "/_ping", deadline=deadline, largest=1024)
        if body.strip() != b"OK":
            raise EngineError("This does not answer like a container engine.")

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Events from two seconds ago on; the iterator raises when the engine goes away, or `EventsLost`.

        Engines send the head of the answer before they subscribe, so an event in between would be lost: asking
        for the last two seconds covers that. Events are hints, and a repeated hint does no harm.
        """
        async with get(self._endpoint, "/_ping", deadline=HEAD_WITHIN) as answer:
            now = time.time() + answer.clock_offset_ns / 10**9
        async with self._get("/events", events_query(since=int(now) - 2)) as answer:
            reader = EventReader(answer)
            task = asyncio.create_task(reader.run())
            try:
                yield reader.events()
            finally:
                task.cancel()
                await asyncio.wait([task])

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
        """Batches of lines as they come; see `engine.docker_follow`."""
        names.container_id(native_id)
        follower = LogFollower(
            self._get,
            native_id,
            tty=tty,
            tail=tail,
            cursor=cursor or {},
            follow=follow,
            rotates_at=rotates_at,
            missing=missing or _nobody,
        )
        async with follower:
            batches = follower.batches()
            try:
                yield batches
            finally:
                await batches.aclose()

    async def stats(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[StatsSample]:
        """One reading of each running container; those that ended or do not answer in time are left out.

        `Unreachable` only where nothing at all could be read because the engine is not there.
        """
        return await self._of_each(native_ids, self._stats, deadline)

    async def first_processes(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[FirstProcess]:
        """The first process of each running container; left out and raised as in `stats`."""
        return await self._of_each(native_ids, self._first_process, deadline)

    async def _of_each(
        self, native_ids: Sequence[str], ask: Callable[[str], Awaitable[Found | None]], deadline: float
    ) -> list[Found]:
        """What ``ask`` finds out of each, all asked at once, `AT_ONCE` in flight."""
        for native_id in native_ids:
            names.container_id(native_id)
        if not native_ids:
            return []
        slots = asyncio.Semaphore(AT_ONCE)

        async def in_turn(native_id: str) -> Found | None:
            async with slots:
                return await ask(native_id)

        tasks = [asyncio.create_task(in_turn(native_id)) for native_id in native_ids]
        try:
            await asyncio.wait(tasks, timeout=deadline)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        ended = [task for task in tasks if not task.cancelled()]
        failures = [task.exception() for task in ended]
        for failure in failures:
            if failure is not None and not isinstance(failure, EngineError):
                raise failure
        gone = [failure for failure in failures if isinstance(failure, Unreachable)]
        if gone and len(gone) == len(tasks):
            raise gone[0]
        return [found for task in ended if task.exception() is None and (found := task.result()) is not None]

    async def _stats(self, native_id: str) -> StatsSample | None:
        query = {"stream": "0", "one-shot": "1"}
        async with self._get(f"/containers/{native_id}/stats", query) as answer:
            body = await answer.whole(LARGEST_STATS)
        return sample(native_id, mapping(parsed(body)))

    async def _first_process(self, native_id: str) -> FirstProcess | None:
        async with self._get(f"/containers/{native_id}/json", {}) as answer:
            told = mapping(parsed(await answer.whole(LARGEST_INSPECTION)))
        state, host = mapping(told.get("State")), mapping(told.get("HostConfig"))
        if not state.get("Running") or told.get("Id") != native_id:
            return None
        return FirstProcess(native_id, number(state.get("Pid")), str(host.get("NetworkMode")) == "host")

    @asynccontextmanager
    async def _get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        version = await self._agreed()
        try:
            async with get(self._endpoint, f"/v{version}{path}", query, deadline=HEAD_WITHIN) as answer:
                yield answer
        except EngineError as error:
            if "another version" in error.message:  # the engine was replaced by another: agree anew next time
                self._version = ""
            raise

    async def _agreed(self) -> str:
        if not self._version:
            told = await get_json(self._endpoint, "/version", deadline=HEAD_WITHIN, largest=LARGEST_STATS)
            self._version = agree(told)
        return self._version


def _nobody(_: LogHole) -> None:
    """Told of holes where no one asks."""
