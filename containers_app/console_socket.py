"""/ws/console/<container>/: a program at a terminal, or the container's own first process.

``?cmd=`` is what to run (a line, split as a shell would), with ``user``, ``folder``, ``cols``, ``rows``, ``record=1``;
``?attach=1`` is the container's first process; ``?session=`` joins one that is there: whoever opened it types too,
others watch. The server says first ``{"type": "session", "id", "kind", "writable", …}``. Binary frames are bytes of the
terminal, both ways. Text frames are JSON; from the client ``{"resize": [columns, rows]}`` and ``{"end": true}``, from
the server::

    {"type": "size", "size": [columns, rows]}      at its place among the bytes
    {"type": "replayed"}                           what came before was said before you came
    {"type": "gap", "cause": "load" | "restart"}   bytes are missing here
    {"type": "state", "state": "opening" | "open" | "ended" | "away", "detail", "exit_code", "hint"}

After ``ended`` it is closed with 1000. A console whose opener has no socket open is ended after SLIPWAY_CONSOLE_GRACE.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from channels.db import database_sync_to_async

from accounts.access import Actor, Denied
from containers_app import consoles
from containers_app.console_session import ring_name
from containers_app.consumers import refusal
from containers_app.models import ConsoleSession, Container
from engine.errors import EngineError, Invalid
from operations.sockets import Malformed, Socket
from streams import hub, inlet
from streams.connection import LOST, aclient, heed
from streams.credit import Credit
from streams.feed import AWAY, Step

KNOWN = {"session", "cmd", "user", "folder", "cols", "rows", "record", "attach"}
BEAT = 2.0
"""Seconds between two words of somebody who may type."""

RESIZE_EVERY = 0.1
RATE = 1_000_000
BURST = 4_000_000
TYPED_RATE = 500_000
TYPED_BURST = 2_000_000
MOST_TYPED_FRAMES = 5000
"""Binary frames that a client may send in ten seconds: a key that is held down makes some three hundred."""

TAKE_WITHIN = 5.0
RIGHTS_ENDED = (4401, 4408)


class ConsoleConsumer(Socket):
    """One terminal."""

    permission = consoles.PERMISSION
    _row: ConsoleSession
    _joined = _writable = _answered = False
    _size: tuple[int, int] | None = None
    _typed_frames, _typed_since = 0, 0.0

    async def opened(self) -> None:
        self._redis = aclient()
        self._sized = asyncio.Event()
        self._typed = Credit(TYPED_RATE, TYPED_BURST)
        self._container = str(self.scope["url_route"]["kwargs"]["pk"])
        refused = await database_sync_to_async(refusal)(self.actor, self._container, self.permission)
        if refused:
            await self.error(*refused)
            await self.end(4404 if refused[0] == "not_found" else 4403)
            return
        try:
            query = parse_qs(
                self.scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=20
            )
            session = await database_sync_to_async(self._session)(_once(query))
        except (Malformed, Invalid, Denied, ValueError) as error:
            known = isinstance(error, Malformed | Invalid | Denied)
            await self.error("invalid", str(error) if known else "This address is malformed.")
            await self.end(4400)
        except EngineError as error:
            await self.error(error.code, error.message)
            await self.end(4410)
        else:
            await self._join(session)

    def _session(self, query: dict[str, str]) -> ConsoleSession | None:
        """The session that is asked for: one that is there, or a new one. Blocking."""
        if "session" in query:
            rows = consoles.sessions(self.actor).filter(container_id=self._container)
            found = rows.filter(pk=UUID(query["session"])).first()
            if found and not consoles.is_owner(found, self.actor):
                consoles.note(found, self.actor, "console.watch")
            return found
        container = Container.objects.select_related("engine").get(pk=self._container)
        size = {
            name: _number(query.get(key, ""), key) for key, name in (("cols", "columns"), ("rows", "rows"))
        }
        return consoles.start(
            container,
            self.actor,
            command=consoles.words_of(query.get("cmd", "sh")),
            user=query.get("user", ""),
            folder=query.get("folder", ""),
            record=query.get("record") == "1",
            attach=query.get("attach") == "1",
            **{name: number for name, number in size.items() if number},
        )

    async def _join(self, session: ConsoleSession | None) -> None:
        if session is None:
            await self.error("not_found", "No such console.")
            await self.end(4404)
            return
        self._row, self._joined = session, True
        self._writable = consoles.is_owner(session, self.actor)
        await self.say(about(session, writable=self._writable))
        if session.state == ConsoleSession.State.ENDED:
            await self._say_state(
                {"state": "ended", "detail": session.reason, "exit_code": session.exit_code}
            )
            return
        if self._writable:
            self.go(self._beat())
            self.go(self._size_for_ever())
        self.go(self._follow())
        self.go(self._impatient())

    # --- From the program ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        follower = await hub.get().follow(ring_name(self._row.pk))
        entries = follower.feed.entries
        old = entries[-1].last if entries else 0
        if not old:
            await self.say({"type": "replayed"})
        credit = Credit(RATE, BURST)
        try:
            while True:
                step = await follower.next()
                if step.state is not None:
                    await self._state(step.state)
                    continue
                size = await self._step(step)
                if old and step.entries[-1].last >= old:
                    old = 0
                    await self.say({"type": "replayed"})
                await credit.spend(size)
        finally:
            await hub.get().unfollow(follower)

    async def _step(self, step: Step) -> int:
        if step.anew or step.missed:
            await self.say({"type": "gap", "cause": "restart" if step.anew else "load"})
        if note := step.entries[0].note:
            await self.put(f'{{"type":"size",{note[1:]}')
            return 0
        data = "".join(entry.frame for entry in step.entries).encode("latin-1")
        await self.put(data)
        return len(data)

    async def _state(self, state: str) -> None:
        if state == AWAY:
            detail = "Slipway's own Redis does not answer; it goes on by itself."
            await self._say_state({"state": "away", "detail": detail})
        elif state:
            self._answered = True
            await self._say_state(orjson.loads(state))

    async def _say_state(self, said: dict[str, Any]) -> None:
        await self.say({"type": "state", **said})
        if said["state"] == "ended":
            await self.end(1000)

    async def _impatient(self) -> None:
        """A gateway takes a session up within a moment, or there is none."""
        await asyncio.sleep(consoles.ANSWER_WITHIN)
        if self._answered:
            return
        reason = "Slipway's gateway does not answer: nothing was started."
        finish = database_sync_to_async(consoles.finish)
        if await finish(self._row.pk, outcome="failed", reason=reason, only_asked=True):
            await self._say_state({"state": "ended", "detail": reason})

    # --- To the program ------------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is None:
            await super().receive(text_data=text_data)
        elif not self._closed and self._joined:
            await self._type(bytes_data)

    async def _type(self, data: bytes) -> None:
        if not self._writable:
            await self.error("forbidden", "You watch: only who has opened this console types.")
            return
        now = time.monotonic()
        if now - self._typed_since > 10:
            self._typed_since, self._typed_frames = now, 0
        self._typed_frames += 1
        if self._typed_frames > MOST_TYPED_FRAMES:
            await self.end(4429)
            return
        await self._typed.spend(len(data))  # not read meanwhile, which slows the sender
        for start in range(0, len(data), inlet.PIECE):
            if not await self._tell(inlet.DATA, data[start : start + inlet.PIECE]):
                await self.error("lost", "What was typed did not arrive.")
                return

    async def _tell(self, kind: bytes, data: bytes = b"") -> bool:
        """False where it did not get through within some seconds."""
        ends = time.monotonic() + TAKE_WITHIN
        while True:
            try:
                if await inlet.put(self._redis, ring_name(self._row.pk), kind, data):
                    return True
            except LOST:
                heed()
                return False
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(0.02)

    async def received(self, frame: dict[str, Any]) -> None:
        if not self._joined or frame.keys() - {"resize", "end"} or not frame:
            raise Malformed('This socket takes {"resize": [columns, rows]} and {"end": true}.')
        if not self._writable:
            raise Malformed("You watch: only who has opened this console may change it.")
        if "resize" in frame:
            found = frame["resize"]
            if not isinstance(found, list) or len(found) != 2 or not all(type(n) is int for n in found):
                raise Malformed("resize is [columns, rows].")
            self._size = (max(1, min(found[0], 9999)), max(1, min(found[1], 9999)))
            self._sized.set()
        if frame.get("end") is True:
            await self._tell(inlet.END, f"{self.actor.name} ended it.".encode())

    async def _size_for_ever(self) -> None:
        """The latest one, ten times a second at most."""
        while True:
            await self._sized.wait()
            self._sized.clear()
            if self._size:
                await self._tell(inlet.SIZE, f"{self._size[0]}x{self._size[1]}".encode())
            await asyncio.sleep(RESIZE_EVERY)

    async def _beat(self) -> None:
        while not self._closed:
            await self._tell(inlet.HERE)
            await asyncio.sleep(BEAT)

    # --- Rights --------------------------------------------------------------------------------------------

    def may(self, actor: Actor) -> bool:
        """Asked of the container itself, in `opened` and `rechecked`: a refusal leaves its line in the trail."""
        return True

    async def rechecked(self) -> None:
        refused = await database_sync_to_async(refusal)(self.actor, self._container, self.permission)
        if refused:
            await self._take_along()  # first: whoever reads nothing must not keep the program by that
            await self.refuse(*refused)
            await self.end(4408)

    async def end(self, code: int) -> None:
        if code in RIGHTS_ENDED and not self._closed:
            await self._take_along()
        await super().end(code)

    async def _take_along(self) -> None:
        """Who may not any more types nothing from now on, and takes the program along."""
        if self._writable:
            self._writable = False
            await self._tell(
                inlet.END, f"{self._row.actor_name} may not have a console here any more.".encode()
            )

    async def left(self) -> None:
        self._closed = True
        if connection := getattr(self, "_redis", None):
            with contextlib.suppress(*LOST):
                await connection.aclose()


def about(session: ConsoleSession, *, writable: bool) -> dict[str, Any]:
    """The first frame."""
    return {
        "type": "session",
        "id": str(session.pk),
        "kind": session.kind,
        "writable": writable and session.stdin,
        "owner": writable,
        "by": session.actor_name,
        "command": session.command,
        "user": session.user,
        "folder": session.folder,
        "size": [session.columns, session.rows],
        "tty": session.tty,
        "stdin": session.stdin,
        "recorded": session.recorded,
        "seconds": consoles.seconds(session),
    }


def _once(query: dict[str, list[str]]) -> dict[str, str]:
    if query.keys() - KNOWN or any(len(values) > 1 for values in query.values()):
        raise Malformed(f"The address takes {', '.join(sorted(KNOWN))}, each once.")
    return {name: values[0] for name, values in query.items()}


def _number(text: str, name: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise Malformed(f"{name} is a number.")
    return int(text or 0)
