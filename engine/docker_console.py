"""Programs at a terminal on a Docker engine: exec and attach over a connection that is taken over for bytes."""

from __future__ import annotations

import asyncio
import os
import signal as signals
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from engine import names
from engine.docker_http import get_json, hijacked, post_json
from engine.docker_map import mapping
from engine.docker_text import number
from engine.docker_transport import Endpoint
from engine.errors import Conflict, DeadlineExceeded, EngineError, NotFound
from engine.terminal import ENDER, LEFT, MARK, Console, Demultiplexer, Program, marked, size

START_WITHIN = 10.0
CALL_WITHIN = 5.0
LARGEST = 1024 * 1024
PIECE = 64 * 1024

DETACH_KEYS = "ctrl-@,ctrl-_,ctrl-@"
"""Something nobody types: the usual ones swallow ^P, and end the session at ^P^Q."""

SIZE_AT_START = (1, 42)
"""From this version on the size goes along with the start, and the program's first look at it is right."""

RESIZE_TRIES = 25
NO_SHELL = (126, 127)
POLITE = 0.2
"""Seconds between the hang-up, for which editors save and shells write their history, and the end."""

ROUNDS = 12


class HijackedConsole:
    """`engine.terminal.Console` over a connection of its own."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        resize: Callable[[int, int], Awaitable[None]],
        exit_code: Callable[[], Awaitable[int | None]],
        is_up: Callable[[], Awaitable[bool]],
        *,
        demultiplexer: Demultiplexer | None = None,
    ) -> None:
        self.leader = 0
        self.size: tuple[int, int] | None = None
        self._reader, self._writer = reader, writer
        self._resize, self._exit_code, self._is_up = resize, exit_code, is_up
        self._demultiplexer = demultiplexer

    async def read(self) -> bytes:
        while True:
            try:
                data = await self._reader.read(PIECE)
            except OSError:
                return b""
            if not data or self._demultiplexer is None:
                return data
            if found := self._demultiplexer.feed(data):
                return found

    async def write(self, data: bytes) -> None:
        with suppress(OSError):  # its end is told by `read`
            self._writer.write(data)
            await self._writer.drain()

    async def resize(self, columns: int, rows: int) -> None:
        self.size = size(columns, rows)
        await self._resize(*self.size)

    async def exit_code(self) -> int | None:
        return await self._exit_code()

    async def is_up(self) -> bool:
        return await self._is_up()


class DockerConsoles:
    """What `engine.docker_streams` knows of consoles. ``version`` gives the agreed one."""

    def __init__(self, endpoint: Endpoint, version: Callable[[], Awaitable[str]]) -> None:
        self._endpoint = endpoint
        self._version = version

    @asynccontextmanager
    async def exec(self, native_id: str, program: Program) -> AsyncIterator[Console]:
        """See `engine.base.EngineStreams.exec`."""
        names.container_id(native_id)
        version = await self._version()
        exec_id = await self._create(native_id, program)
        start: dict[str, Any] = {"Detach": False, "Tty": True}
        if tuple(map(int, version.split("."))) >= SIZE_AT_START:
            start["ConsoleSize"] = [program.rows, program.columns]
        path = f"/v{version}/exec/{exec_id}/start"
        async with hijacked(self._endpoint, path, {}, start, deadline=START_WITHIN) as (reader, writer):
            console = HijackedConsole(
                reader,
                writer,
                lambda columns, rows: self._resize_exec(exec_id, columns, rows),
                lambda: self._exec_code(exec_id),
                lambda: self._is_up(native_id),
            )
            # Beside the reading: what it writes first waits for nothing.
            begin = asyncio.create_task(self._begin(console, exec_id, program))
            try:
                yield console
            finally:
                begin.cancel()
                await asyncio.gather(begin, return_exceptions=True)

    @asynccontextmanager
    async def attach(
        self, native_id: str, *, tty: bool, stdin: bool, columns: int, rows: int
    ) -> AsyncIterator[Console]:
        """See `engine.base.EngineStreams.attach`."""
        names.container_id(native_id)
        version = await self._version()
        query = {"stream": "1", "stdout": "1", "stderr": "1", "stdin": "1" if stdin else "0"}
        query["detachKeys"] = DETACH_KEYS
        path = f"/v{version}/containers/{native_id}"

        async def resize(columns: int, rows: int) -> None:
            if tty:
                with suppress(Conflict, NotFound):
                    await self._post(f"/containers/{native_id}/resize", {"h": str(rows), "w": str(columns)})

        async def exit_code() -> int | None:
            state = mapping(mapping(await self._get(f"/containers/{native_id}/json")).get("State"))
            return None if state.get("Running") else number(state.get("ExitCode"))

        connection = hijacked(self._endpoint, f"{path}/attach", query, {}, deadline=START_WITHIN)
        async with connection as (reader, writer):
            await resize(*size(columns, rows))
            yield HijackedConsole(
                reader,
                writer,
                resize,
                exit_code,
                lambda: self._is_up(native_id),
                demultiplexer=None if tty else Demultiplexer(),
            )

    async def end_marked(
        self, native_id: str, mark: str, *, user: str = "", leader: int = 0, deadline: float = 20
    ) -> int:
        """See `engine.base.EngineStreams.end_marked`."""
        names.container_id(native_id)
        marked(mark)
        try:
            async with asyncio.timeout(deadline):
                return await self._end_marked(native_id, mark, user, leader)
        except TimeoutError:
            raise DeadlineExceeded(f"The processes did not end within {deadline:g} seconds.") from None

    async def _end_marked(self, native_id: str, mark: str, user: str, leader: int) -> int:
        # Root of a container may not look into others' processes: whoever has started them may.
        users = list(dict.fromkeys((user, "0:0")))
        left = 0
        for attempt in range(ROUNDS):
            signal = "KILL" if attempt else "HUP"
            told = [await self._ender(native_id, mark, one, signal) for one in users]
            left = sum(filter(None, told))
            if None in told:
                left += _end_from_outside(await self._listed(native_id), mark)
            if not left and not (left := _with_leader(await self._listed(native_id), leader)):
                return 0
            await asyncio.sleep(POLITE if not attempt else 0.05)
        return left

    async def _ender(self, native_id: str, mark: str, user: str, signal: str) -> int | None:
        """How many the ender has found last; ``None`` where there is no shell to run it."""
        body = {
            "Cmd": ["sh", "-c", ENDER, "sh", signal, mark],
            "AttachStdout": True,
            "User": user,
            "WorkingDir": "/",
        }
        try:
            created = mapping(await self._post(f"/containers/{native_id}/exec", {}, body))
        except (NotFound, Conflict) as error:
            if await self._is_up(native_id):  # paused: nothing can end there until it goes on
                raise error
            return 0
        exec_id = names.container_id(created.get("Id"))
        path = f"/v{await self._version()}/exec/{exec_id}/start"
        demultiplexer, said = Demultiplexer(), b""
        async with hijacked(
            self._endpoint, path, {}, {"Detach": False, "Tty": False}, deadline=START_WITHIN
        ) as (reader, _):
            with suppress(OSError):
                while len(said) < LARGEST and (data := await reader.read(PIECE)):
                    said += demultiplexer.feed(data)
        match = LEFT.search(said)
        if match:
            return int(match[1])
        return None if await self._is_up(native_id) else 0

    async def _is_up(self, native_id: str) -> bool:
        try:
            state = mapping(mapping(await self._get(f"/containers/{native_id}/json")).get("State"))
        except NotFound:
            return False
        return bool(state.get("Running"))

    async def _listed(self, native_id: str) -> list[tuple[int, int, int]]:
        """``(process, parent, session)`` as the engine's host numbers them; empty where it does not tell."""
        try:
            answer = mapping(await self._get(f"/containers/{native_id}/top", {"ps_args": "-eo pid,ppid,sid"}))
            return [(int(a), int(b), int(c)) for a, b, c in answer.get("Processes") or ()]
        except (EngineError, ValueError, TypeError, AttributeError, IndexError):
            return []

    async def _create(self, native_id: str, program: Program) -> str:
        body = {
            "Cmd": list(program.command),
            "Tty": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Env": [f"{MARK}={program.mark}", "TERM=xterm-256color"],
            "User": program.user,
            "WorkingDir": program.folder,
            "DetachKeys": DETACH_KEYS,
        }
        created = mapping(await self._post(f"/containers/{native_id}/exec", {}, body))
        return names.container_id(created.get("Id"))

    async def _begin(self, console: HijackedConsole, exec_id: str, program: Program) -> None:
        """Gives the size to what may not run yet, and notes its process."""
        for attempt in range(RESIZE_TRIES):
            found = mapping(await self._get(f"/exec/{exec_id}/json"))
            if found.get("Pid") or found.get("ExitCode") is not None:  # it says that it runs before it does
                break
            await asyncio.sleep(min(0.005 * (attempt + 1), 0.05))
        await console.resize(*(console.size or (program.columns, program.rows)))
        console.leader = number(found.get("Pid"))

    async def _resize_exec(self, exec_id: str, columns: int, rows: int) -> None:
        # It may have ended, or not have begun: neither is worth an error.
        with suppress(EngineError):
            await self._post(f"/exec/{exec_id}/resize", {"h": str(rows), "w": str(columns)})

    async def _exec_code(self, exec_id: str) -> int | None:
        for _ in range(25):
            found = mapping(await self._get(f"/exec/{exec_id}/json"))
            if not found.get("Running"):
                code = found.get("ExitCode")
                return None if code is None else number(code)
            await asyncio.sleep(0.02)
        return None

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        path = f"/v{await self._version()}{path}"
        return await get_json(self._endpoint, path, query, deadline=CALL_WITHIN, largest=LARGEST)

    async def _post(self, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Any:
        path = f"/v{await self._version()}{path}"
        return await post_json(self._endpoint, path, query, body or {}, deadline=CALL_WITHIN, largest=LARGEST)


def _with_leader(listed: list[tuple[int, int, int]], leader: int) -> int:
    """How many processes are of the leader's session, or were started by it."""
    if not leader:
        return 0
    family, grown = {leader}, True
    while grown:
        more = {pid for pid, parent, session in listed if parent in family or session == leader} - family
        family, grown = family | more, bool(more)
    return len(family & {pid for pid, _, _ in listed})


def _end_from_outside(listed: list[tuple[int, int, int]], mark: str) -> int:
    """An image without a shell: on our own host its processes can be looked at, and the mark says which they are.

    An engine elsewhere numbers its own: what wears no mark here is left alone, and counted as left there.
    """
    left = 0
    needle = f"{MARK}={mark}".encode()
    for pid, _, _ in listed:
        try:
            if needle not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                continue
            os.kill(pid, signals.SIGKILL)
        except OSError:
            continue
        left += 1
    return left
