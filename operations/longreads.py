"""Reads whose answer comes in pieces: a search that tells how far it is, a log that is downloaded whole.

A reader (`operations.reads.reader`) that gives an iterator is one of these. Its pieces go through a list in Redis that
holds few of them: a caller who takes them slowly slows the worker down, and one who has gone ends it within seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from accounts.access import Actor
from engine import errors
from operations import reads
from streams.connection import LOST, aclient, client

log = logging.getLogger(__name__)

MOST = 2
"""Long reads that one worker carries out at a time, beside everything else that it does."""
AHEAD = 16
"""Pieces that wait to be fetched."""
LISTENING = 10
"""Seconds after its last look within which a caller counts as there."""
LOOK = 1.0
SLOW = 30.0
"""Seconds that a caller may leave pieces lying."""

_free = threading.BoundedSemaphore(MOST)


def pour(reply: str, pieces: Iterator[Mapping[str, Any]]) -> None:
    """Sends pieces until they end or nobody listens, on a thread of its own. In the worker."""
    if not _free.acquire(blocking=False):
        _push(
            reply,
            reads.problem(errors.Unreachable(_("Other long reads are running: try again in a moment."))),
        )
        return
    threading.Thread(target=_poured, args=(reply, pieces), name="long-read", daemon=True).start()


def _poured(reply: str, pieces: Iterator[Mapping[str, Any]]) -> None:
    try:
        for piece in pieces:
            if not _push(reply, {"answer": piece}) or not _has_room(reply):
                return
        _push(reply, {"end": True})
    except errors.EngineError as error:
        _push(reply, reads.problem(error))
    except Exception:
        log.exception("a long read broke")
        _push(reply, reads.problem(errors.EngineError("Slipway made a mistake; its log has the details.")))
    finally:
        if close := getattr(pieces, "close", None):
            close()
        connection.close()
        _free.release()


def _push(reply: str, body: Mapping[str, Any]) -> bool:
    """False where nobody listens."""
    try:
        with client().pipeline() as pipe:
            pipe.exists(_ear(reply))
            pipe.lpush(reply, json.dumps(body, separators=(",", ":")))
            pipe.expire(reply, reads.KEEP)
            return bool(pipe.execute()[0])
    except LOST as error:
        log.warning("a piece of an answer was lost: %s", error)
        return False


def _has_room(reply: str) -> bool:
    until = time.monotonic() + SLOW
    while time.monotonic() < until:
        try:
            waiting: Any = client().llen(reply)
            if waiting < AHEAD:
                return True
            if not client().exists(_ear(reply)):
                return False
        except LOST:
            return False
        time.sleep(0.05)
    return False


def _ear(reply: str) -> str:
    return f"{reply}:listening"


class Flow:
    """An answer on its way. Made by `begin`; then taken by one of the two iterators."""

    def __init__(self, reply: str, deadline: float) -> None:
        self._reply = reply
        self._until = time.monotonic() + deadline
        self._first: dict[str, Any] | None = None
        self._over = False

    def begin(self, first: float = math.inf) -> None:
        """Waits for the first piece, ``first`` seconds at most. Raises what `reads.read` does. Blocking."""
        until = time.monotonic() + first
        client().set(_ear(self._reply), "1", ex=LISTENING)
        while self._first is None and not self._over:
            self._first = self._taken(client().rpop(self._reply))
            if self._first is None and not self._over:
                client().set(_ear(self._reply), "1", ex=LISTENING)
                self._in_time()
                if time.monotonic() > until:
                    raise errors.DeadlineExceeded(_("No answer from the engine in time."))
                time.sleep(0.02)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The pieces. Blocking."""
        while (piece := self._held()) is not None:
            yield piece
        while not self._over:
            client().set(_ear(self._reply), "1", ex=LISTENING)
            piece = self._taken(client().rpop(self._reply))
            if piece is not None:
                yield piece
            elif not self._over:
                self._in_time()
                time.sleep(0.02)

    async def pieces(self) -> AsyncGenerator[dict[str, Any]]:
        """The pieces. Who leaves it ends the read."""
        redis = aclient(socket_timeout=LOOK + 1)
        try:
            while (piece := self._held()) is not None:
                yield piece
            while not self._over:
                await redis.set(_ear(self._reply), "1", ex=LISTENING)
                found: Any = await redis.brpop([self._reply], timeout=LOOK)
                piece = self._taken(found[1] if found else None)
                if piece is not None:
                    yield piece
                elif not self._over:
                    self._in_time()
        finally:
            await asyncio.shield(redis.delete(_ear(self._reply), self._reply))
            await redis.aclose()

    def _held(self) -> dict[str, Any] | None:
        piece, self._first = self._first, None
        return piece

    def _taken(self, body: Any) -> dict[str, Any] | None:
        if body is None:
            return None
        found = json.loads(body)
        if "end" in found:
            self._over = True
            return None
        return reads.unpacked(body)

    def _in_time(self) -> None:
        if time.monotonic() > self._until:
            raise errors.DeadlineExceeded(_("No answer from the engine in time."))


def begin(
    kind: str,
    obj: Any,
    *,
    actor: Actor,
    params: Mapping[str, Any],
    deadline: float,
    first: float | None = None,
) -> Flow:
    """Asks a reader that answers in pieces, and waits for the first: ``first`` seconds where all of it takes longer.

    Raises what `reads.read` does; blocking.
    """
    first = deadline if first is None else first
    flow = Flow(reads.ask(kind, obj, actor=actor, params=params, deadline=first), deadline + LISTENING)
    try:
        flow.begin(first + LISTENING)
    except LOST as error:
        raise errors.Unreachable(_("Slipway's own queue is away; it is back by itself soon.")) from error
    return flow
