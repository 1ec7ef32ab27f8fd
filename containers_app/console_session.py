"""One console in the gateway: bytes from the engine into a ring, bytes from an inlet to the engine, until it is over.

The engine's side is read all the time, however slow or absent the browsers are. Output goes out at once after a quiet
moment, then every few milliseconds; what comes faster than 3 MB a second is taken more slowly.

A ring's frames are text: bytes are kept as the characters of the same numbers (Latin-1). What is numbered is frames.
A note ``{"size": [columns, rows]}`` stands where the terminal's size changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import redis.asyncio
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext_noop

from containers_app import consoles
from containers_app.models import ConsoleSession
from containers_app.recording import Recorder
from engine.base import EngineStreams
from engine.errors import EngineError, Unreachable
from engine.terminal import Console, Program, size
from streams import inlet
from streams.connection import LOST, aclient, heed
from streams.credit import Credit
from streams.ring import Overtaken, Writer

log = logging.getLogger(__name__)

FLUSH = 0.004
"""Seconds between two frames of output; the first after a quiet moment waits for nothing."""

FRAME = 32 * 1024
MOST_WAITING = 256 * 1024
RATE = 3_000_000
BURST = 6_000_000
MOST_TYPED = 1024 * 1024
"""Bytes that wait for a program that does not read; what is typed beyond that is lost, and said to be."""

RESIZE_EVERY = 0.05
LOOK_EVERY = 0.25
KEEP_EVERY = 5.0
PUT_AWAY = 3.0
"""Seconds that parts of a session have for their end. What is to be ended in the container does not wait for more."""

WARN_BEFORE = 60.0
"""Seconds before an idle console is closed."""

WRITE_AGAIN = (0.5, 2, 5, 15, 30)
"""Seconds between tries to write down its end. After the last one it is found as one that nobody holds."""

NO_SUCH_PROGRAM = (126, 127)


def ring_name(session_id: object) -> str:
    """Its ring, its inlet, and the name under which it is wanted."""
    return f"console:{session_id}"


class Session:
    """`run` it once. ``end`` asks for its end, with a sentence."""

    def __init__(
        self,
        streams: EngineStreams,
        connection: redis.asyncio.Redis,
        row: ConsoleSession,
        command: list[str],
    ) -> None:
        self.row = row
        self._streams = streams
        self._command = command
        self._writer = Writer(connection, ring_name(row.pk))
        self._recorder = Recorder(row.pk, row.columns, row.rows) if row.recorded else None
        self._size = (row.columns, row.rows)
        self._state = "opening"
        self._detail = ""
        self._reason, self._refused = "", False
        self._over = asyncio.Event()
        self._waiting, self._fresh, self._room = bytearray(), asyncio.Event(), asyncio.Event()
        self._typed, self._to_type = bytearray(), asyncio.Event()
        self._drained, self._resized = asyncio.Event(), asyncio.Event()
        self._heard = self._last_typed = time.monotonic()
        self._in = self._out = 0

    def end(self, reason: str) -> None:
        """Asks for the end; the first sentence stays."""
        self._reason = self._reason or reason
        self._over.set()

    async def run(self) -> None:
        """From the start to the last line of the trail."""
        await self._say()
        leader, code = 0, None
        try:
            async with self._opened() as console:
                self._state = "open"
                await self._say()
                try:
                    await self._talk(console)
                finally:
                    leader = console.leader
                if not self._reason:
                    code = await self._how_it_ended(console)
        except EngineError as error:
            self._reason, self._refused = self._reason or error.message, self._state == "opening"
        except asyncio.CancelledError:
            self._reason = self._reason or gettext_noop("Slipway was stopped.")
            raise
        finally:
            # Also on the way out of the process: what was started is ended, and written down.
            await asyncio.shield(self._put_away(leader, code))

    def _opened(self) -> AbstractAsyncContextManager[Console]:
        columns, rows = self._size
        if self.row.kind == ConsoleSession.Kind.ATTACH:
            return self._streams.attach(
                self.row.native_id, tty=self.row.tty, stdin=self.row.stdin, columns=columns, rows=rows
            )
        mark, user, folder = str(self.row.pk), self.row.user, self.row.folder
        program = Program.of(self._command, mark, user=user, folder=folder, columns=columns, rows=rows)
        return self._streams.exec(self.row.native_id, program)

    async def _talk(self, console: Console) -> None:
        """Until the program has ended, or its end is asked for."""
        works = (
            self._read(console),
            self._hear(),
            self._type(console),
            self._resize(console),
            self._look(),
            self._over.wait(),
        )
        flusher = asyncio.create_task(self._flush_for_ever())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait([*tasks, flusher], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Overtaken:
            self._reason = gettext_noop("Another gateway has taken over.")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=PUT_AWAY)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while self._waiting:
                        self._drained.clear()
                        await self._drained.wait()
            flusher.cancel()
            await asyncio.wait([flusher], timeout=PUT_AWAY)

    # --- Out -----------------------------------------------------------------------------------------------

    async def _read(self, console: Console) -> None:
        while data := await console.read():
            self._out += len(data)
            self._waiting += data
            self._fresh.set()
            while len(self._waiting) > MOST_WAITING:
                self._room.clear()
                await self._room.wait()

    async def _flush_for_ever(self) -> None:
        credit, flushed = Credit(RATE, BURST), 0.0
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            early = flushed + FLUSH - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            while self._waiting:
                data = bytes(self._waiting[:FRAME])
                del self._waiting[: len(data)]
                if len(self._waiting) <= MOST_WAITING:
                    self._room.set()
                if self._recorder:
                    self._recorder.output(data)
                await self._writer.append(data.decode("latin-1").encode(), 1)
                await credit.spend(len(data))
            flushed = time.monotonic()
            self._drained.set()

    async def _say(self) -> None:
        said: dict[str, Any] = {"state": self._state, "detail": self._detail}
        if self._state == "ended":
            said |= {"exit_code": self._code, "hint": self._hint}
        with contextlib.suppress(Overtaken):
            await self._writer.say(orjson.dumps(said).decode())

    _code: int | None = None

    @property
    def _hint(self) -> str:
        """What to do where the image has no such program: the engine's own words stand in the terminal."""
        if self._code in NO_SUCH_PROGRAM and not self._in and self._out < 2000:
            word = self._command[0] if self._command else ""
            return f"This image may have no {word}. Try sh, or another program that it has."
        return ""

    # --- In ------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Never waits for the program, so that who is there and who wants the end is heard in any case."""
        connection = aclient(socket_timeout=None)
        outlet = inlet.Outlet(connection, ring_name(self.row.pk))
        try:
            while True:
                try:
                    entries = await outlet.take()
                except LOST:
                    heed()
                    # Nobody can be heard now: that is not their absence.
                    self._heard = time.monotonic()
                    await asyncio.sleep(0.3)
                    continue
                for kind, data in entries:
                    await self._take(kind, data)
        finally:
            with contextlib.suppress(*LOST):
                await outlet.forget()
                await connection.aclose()

    async def _take(self, kind: bytes, data: bytes) -> None:
        self._heard = time.monotonic()
        if kind == inlet.DATA:
            await self._take_typed(data)
        elif kind == inlet.SIZE:
            columns, _, rows = data.partition(b"x")
            fresh = size(int(columns), int(rows))
            if fresh != self._size:
                self._size = fresh
                self._resized.set()
        elif kind == inlet.END:
            self.end(data.decode())

    async def _take_typed(self, data: bytes) -> None:
        self._last_typed = time.monotonic()
        if not self.row.stdin:
            return
        if len(self._typed) + len(data) > MOST_TYPED:
            self._detail = "The program does not read what is typed: some of it was lost."
            await self._say()
            return
        if self._detail:
            self._detail = ""
            await self._say()
        self._in += len(data)
        self._typed += data
        self._to_type.set()

    async def _type(self, console: Console) -> None:
        while True:
            await self._to_type.wait()
            self._to_type.clear()
            while self._typed:
                data = bytes(self._typed[: inlet.PIECE])
                del self._typed[: len(data)]
                await console.write(data)

    async def _resize(self, console: Console) -> None:
        """The latest size, and not more often than a program can draw itself anew."""
        while True:
            await self._resized.wait()
            self._resized.clear()
            columns, rows = self._size
            if self._recorder:
                self._recorder.resize(columns, rows)
            await self._writer.note(orjson.dumps({"size": [columns, rows]}).decode())
            with contextlib.suppress(EngineError):
                await console.resize(columns, rows)
            await asyncio.sleep(RESIZE_EVERY)

    # --- Around --------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Whether anybody is there who may type, and does; and keeps the ring alive."""
        kept, idle = time.monotonic(), settings.CONSOLE_IDLE_MINUTES * 60
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = time.monotonic()
            if now - self._heard > settings.CONSOLE_GRACE:
                self.end(gettext_noop("Its browser went away."))
            elif now - self._last_typed > idle:
                self.end(f"Nothing was typed for {settings.CONSOLE_IDLE_MINUTES:g} minutes.")
            elif not self._detail and now - self._last_typed > max(idle - WARN_BEFORE, idle * 0.8):
                self._detail = "Nothing was typed for a while: it closes within a minute."
                await self._say()
            if self._recorder:
                await self._record()
            if now - kept > KEEP_EVERY:
                kept = now
                await self._writer.flush()

    async def _record(self) -> None:
        """Away from the event loop. A recording that cannot be written ends; the console goes on."""
        recorder = self._recorder
        if recorder is None:
            return
        try:
            await asyncio.to_thread(recorder.flush)
        except OSError as error:
            log.warning("a console's recording cannot be written: %s", error)
            self._recorder = None

    async def _how_it_ended(self, console: Console) -> int | None:
        """The exit code, and the sentence for where it did not end by itself."""
        try:
            code = await console.exit_code()
        except Unreachable:
            self._reason = gettext_noop("The engine went away.")
            return None
        except EngineError:
            code = None
        if self.row.kind == ConsoleSession.Kind.ATTACH:
            self._reason = (
                gettext_noop("The container stopped.")
                if code is not None
                else gettext_noop("The engine ended the connection.")
            )
            return code
        # Killed from outside, or with its container, which is said to run for a moment longer.
        for _ in range(10 if code is None or code >= 128 else 2):
            if not await _is_up(console):
                self._reason = gettext_noop("The container stopped.")
                break
            await asyncio.sleep(0.05)
        return code

    async def _put_away(self, leader: int, code: int | None) -> None:
        """Ends what is left of it, then says and writes down how it ended."""
        left = await self._end_processes(leader)
        await self._record()
        self._state, self._code = "ended", code
        reason = self._detail = self._reason or gettext_noop("The program ended.")
        outcome = "failed" if self._refused else "succeeded"
        written = await self._write_down(outcome, reason, left)
        await self._say()
        for seconds in () if written else WRITE_AGAIN:
            await asyncio.sleep(seconds)
            if await self._write_down(outcome, reason, left):
                break

    async def _write_down(self, outcome: str, reason: str, left: int | None) -> bool:
        """False where the database does not take it now."""
        try:
            await database_sync_to_async(consoles.finish)(
                self.row.pk, outcome=outcome, reason=reason, exit_code=self._code, left=left,
                bytes_in=self._in, bytes_out=self._out,
            )  # fmt: skip
        except DatabaseError as error:
            log.warning("the end of console %s is not written yet: %s", self.row.pk, error)
            return False
        return True

    async def _end_processes(self, leader: int) -> int | None:
        if self.row.kind == ConsoleSession.Kind.ATTACH:
            return 0
        return await end_processes(self._streams, self.row, leader)


async def _is_up(console: Console) -> bool:
    try:
        return await console.is_up()
    except EngineError:
        return True


async def end_processes(streams: EngineStreams, row: ConsoleSession, leader: int = 0) -> int | None:
    """How many are left; ``None`` where nobody could look: the engine is away, or the container is paused."""
    try:
        return await streams.end_marked(row.native_id, str(row.pk), user=row.user, leader=leader)
    except EngineError as error:
        log.info("the processes of console %s: %s", row.pk, error.message)
        return None
