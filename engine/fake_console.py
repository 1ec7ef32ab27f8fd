"""A program at a terminal of the fake engine: a shell that echoes, and knows ``stty size`` beside `fake_program`."""

from __future__ import annotations

import asyncio
import shlex

from engine import fake_program
from engine.errors import Unreachable
from engine.fake_world import World
from engine.terminal import Program, size

PROMPT = b"$ "


class FakeConsole:
    """`engine.terminal.Console` of one shell, or of what is no program at all."""

    def __init__(self, world: World, native_id: str, program: Program) -> None:
        self.leader = 0
        self._world, self._native_id = world, native_id
        self._size = (program.columns, program.rows)
        self._output: asyncio.Queue[bytes] = asyncio.Queue()
        self._line = b""
        self._code: int | None = None
        if program.command[0].rpartition("/")[2] in ("sh", "bash"):
            world.marks[program.mark] = native_id
            self._output.put_nowait(PROMPT)
        else:
            said = f'exec: "{program.command[0]}": executable file not found in $PATH: unknown\r\n'
            self._output.put_nowait(said.encode())
            self._end(126)
        self._mark = program.mark

    async def read(self) -> bytes:
        while self._output.empty():
            if not self._runs():
                return b""
            await asyncio.sleep(0.002)
        return self._output.get_nowait()

    async def write(self, data: bytes) -> None:
        for char in data.replace(b"\r", b"\n"):
            if char == 10:
                self._output.put_nowait(b"\r\n")
                self._run(self._line.decode("utf-8", "replace"))
                self._line = b""
            else:
                self._line += bytes([char])
                self._output.put_nowait(bytes([char]))

    async def resize(self, columns: int, rows: int) -> None:
        self._size = size(columns, rows)

    async def exit_code(self) -> int | None:
        if not self._world.up:
            raise Unreachable("The engine does not answer.")
        return self._code if self._code is not None or self._runs() else 137

    async def is_up(self) -> bool:
        container = self._world.containers.get(self._native_id)
        return container is not None and container.alive

    def _runs(self) -> bool:
        container = self._world.containers.get(self._native_id)
        there = self._world.up and container is not None and container.alive
        return there and self._code is None and self._mark in self._world.marks

    def _run(self, line: str) -> None:
        said: list[str] = []
        for command in line.split(";"):
            words = shlex.split(command)
            if words[:1] == ["exit"]:
                self._end(int(words[1]) if words[1:] else 0)
                return
            if words == ["stty", "size"]:
                said.append(f"{self._size[1]} {self._size[0]}")
            elif words:
                said += [one.text for one in fake_program.plan(words).output]
        self._output.put_nowait("".join(f"{one}\r\n" for one in said).encode() + PROMPT)

    def _end(self, code: int) -> None:
        self._code = code


class FakeAttached:
    """A container's own first process: nothing is heard of what it is told."""

    leader = 0

    def __init__(self, world: World, native_id: str) -> None:
        self._world, self._native_id = world, native_id
        self._position = len(world.containers[native_id].log)

    async def read(self) -> bytes:
        container = self._world.containers[self._native_id]
        while True:
            self._world.tick()
            lines = container.log[self._position :]
            self._position += len(lines)
            if lines or not container.alive or not self._world.up:
                return "".join(f"{line.text}\r\n" for line in lines).encode()
            await asyncio.sleep(0.002)

    async def write(self, data: bytes) -> None:
        """Told, and not heard."""

    async def resize(self, columns: int, rows: int) -> None:
        """Nobody looks."""

    async def exit_code(self) -> int | None:
        return self._world.containers[self._native_id].exit_code

    async def is_up(self) -> bool:
        return self._world.containers[self._native_id].alive
