"""What every socket does before and besides its own work: who is it, is it still, may it still, and how it ends.

Close codes: 4400 not understood, 4401 not signed in (any more), 4403 not allowed, 4404 no such object,
4408 rights were taken away, 4409 too slow, 4410 gone, 4429 too many frames.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar

import orjson
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import parse_cookie

from accounts import factors, sessions
from accounts.access import SIGNED_IN, Actor, person, why_not
from accounts.tokens import actor_from_bearer

log = logging.getLogger(__name__)

RECHECK = 4.0
"""Seconds between two looks at whether the people behind the sockets still may."""

LONGEST_FRAME = 64 * 1024
MOST_FRAMES = 100
"""Frames that a client may send in ten seconds."""

SEND_WITHIN = 60.0
"""Seconds that a browser may take to make room for one frame."""
TOLD_WITHIN = 1.0
"""Seconds that it may take for the word that something was taken away, which is in force before."""


class Malformed(Exception):
    """A frame that is not in the client's schema; the message is for whoever wrote the client."""


def credential_of(scope: Any) -> tuple[str, str]:
    """``("bearer", header)`` or ``("session", key)``; empty where there is neither. A token alone counts."""
    headers = {name.lower(): value.decode("latin1") for name, value in scope["headers"]}
    if header := headers.get(b"authorization", ""):
        return "bearer", header
    return "session", parse_cookie(headers.get(b"cookie", "")).get(settings.SESSION_COOKIE_NAME, "")


def actor_by(credential: tuple[str, str], ip: str | None) -> Actor | None:
    """Who that is now, with the rights of now; ``None`` where it opens nothing any more. Blocking."""
    kind, value = credential
    if kind == "bearer":
        return actor_from_bearer(value, ip=ip)
    if not value:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(value)
    if not sessions.alive(store):
        return None
    # Checks the account and the hash of the password in the session too.
    actor = person(get_user(SimpleNamespace(session=store)), source="ui", ip=ip)  # type: ignore[arg-type]
    if actor.user is None or not actor.user.is_active or factors.missing(actor.user):
        return None
    return actor


def _actors(asked: Iterable[tuple[tuple[str, str], str | None]]) -> dict[Any, Actor | None]:
    return {one: actor_by(*one) for one in asked}


class Socket(AsyncWebsocketConsumer):
    """A JSON socket of a known actor. Subclasses say which permission opens it, and what happens on it."""

    channel_layer_alias = "none"  # bytes and bells go through `streams`, never through a channel layer
    permission: ClassVar[str]

    actor: Actor

    async def opened(self) -> None:
        """The actor is known and may open this socket."""

    async def received(self, frame: dict[str, Any]) -> None:
        """A JSON object came. Raises `Malformed`."""
        raise Malformed("This socket takes no frames.")

    async def rechecked(self) -> None:
        """`actor` is up to date again: drop what it may no longer see, and then say so by `refuse`."""

    async def left(self) -> None:
        """It is over, however it ended. Called once, also where `opened` was never called."""

    def may(self, actor: Actor) -> bool:
        """Whether the actor may have this socket open at all."""
        return self.permission == SIGNED_IN or why_not(actor, self.permission) is None

    # --- The way of a socket ---------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._frames: list[float] = []
        self._main = asyncio.current_task()
        self._stuck = False
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self._stuck:
                raise
        finally:
            _crowd().leave(self)
            for task in self._tasks:
                task.cancel()
            await self.left()

    async def connect(self) -> None:
        # Accepted first: a browser is shown the close code of an open socket only.
        await self.accept()
        client = self.scope.get("client")
        self.credential = credential_of(self.scope), (client[0] if client else None)
        actor = await database_sync_to_async(actor_by)(*self.credential)
        if actor is None:
            await self.end(4401)
            return
        self.actor = actor
        if not self.may(actor):
            await self.end(4403)
        elif not _crowd().join(self):
            await self.end(4429)
        else:
            await self.opened()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closed:
            return
        now = time.monotonic()
        self._frames = [at for at in self._frames if now - at < 10] + [now]
        if len(self._frames) > MOST_FRAMES:
            await self.end(4429)
            return
        if text_data is not None and len(text_data) > LONGEST_FRAME:
            await self.end(4400)
            return
        try:
            frame = orjson.loads(text_data) if text_data is not None else None
            if not isinstance(frame, dict):
                raise Malformed("A frame is a JSON object, as text.")
            await self.received(frame)
        except (Malformed, orjson.JSONDecodeError) as error:
            detail = str(error) if isinstance(error, Malformed) else "A frame is JSON."
            await self.error("invalid", detail)

    def go(self, work: Any) -> asyncio.Task[None]:
        """Runs a coroutine for as long as the socket is open. What breaks is logged, and the socket closed."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            if not self._closed:
                log.exception("a socket broke")
                await self.end(1011)

    async def put(self, frame: str | bytes) -> None:
        """Sends one frame; a browser that takes none for a minute is cut off."""
        if self._closed:
            return
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await (self.send(text_data=frame) if isinstance(frame, str) else self.send(bytes_data=frame))
        except TimeoutError:
            await self.end(4409)
        except Exception as error:  # noqa: BLE001 - each server has its own for a browser that left between two frames
            log.debug("a socket has gone: %s", error)
            self._closed = True

    async def say(self, frame: Any) -> None:
        """Sends one object as JSON."""
        await self.put(orjson.dumps(frame).decode())

    async def error(self, code: str, detail: str, **more: str) -> None:
        """Says what was wrong with what the client asked; the socket stays as it was."""
        await self.say({"type": "error", "code": code, "detail": detail, **more})

    async def refuse(self, code: str, detail: str, **more: str) -> None:
        """The same of what was taken away; a browser that does not even take that is cut off."""
        try:
            async with asyncio.timeout(TOLD_WITHIN):
                await self.error(code, detail, **more)
        except TimeoutError:
            await self.end(4409)

    async def end(self, code: int) -> None:
        """Closes with that code, once."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(1):
                await self.close(code)
        except TimeoutError:
            # Not even the close frame goes out. Returning makes the server drop the connection.
            self._stuck = True
            if self._main:
                self._main.cancel()
        except (RuntimeError, OSError) as error:
            log.debug("a socket has gone: %s", error)


class _Crowd:
    """The open sockets of an event loop, asked again in one go whether they still may."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self._judging: dict[Socket, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, socket: Socket) -> bool:
        """False where this person has too many already, ``SLIPWAY_SOCKETS``."""
        assert socket.actor.user  # noqa: S101 - a socket without a person is never opened
        mine = sum(1 for one in self.sockets if one.actor.user == socket.actor.user)
        if mine >= settings.SOCKETS:
            return False
        self.sockets.add(socket)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        return True

    def leave(self, socket: Socket) -> None:
        self.sockets.discard(socket)

    async def _watch(self) -> None:
        while self.sockets:
            await asyncio.sleep(RECHECK)
            try:
                await self._recheck()
            except Exception:
                # A database that is away for a moment must not throw everybody out, nor end the looking.
                log.exception("could not look whether open sockets still may")

    async def _recheck(self) -> None:
        asked = {socket.credential for socket in self.sockets}
        actors = await database_sync_to_async(_actors)(asked)
        for socket in self.sockets:
            # Each by itself: one whose browser reads slowly, or not at all, delays the end of nobody else's rights.
            if socket.credential in actors and not (socket._closed or socket in self._judging):
                judging = self._judge(socket, actors[socket.credential])
                self._judging[socket] = asyncio.create_task(judging)

    async def _judge(self, socket: Socket, actor: Actor | None) -> None:
        try:
            if actor is None:
                await socket.end(4401)
            elif not socket.may(actor):
                await socket.end(4408)
            else:
                socket.actor = actor
                await socket.rechecked()
        except Exception:
            log.exception("could not look whether an open socket still may")
        finally:
            del self._judging[socket]


_crowds: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Crowd] = weakref.WeakKeyDictionary()


def _crowd() -> _Crowd:
    loop = asyncio.get_running_loop()
    if loop not in _crowds:
        _crowds[loop] = _Crowd()
    return _crowds[loop]
