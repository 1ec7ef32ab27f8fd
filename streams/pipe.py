"""A pipe through Redis for one reader: what one viewer alone has asked for, from its beginning to its end, once.

A writer that is faster than its reader waits; one whose reader has gone gives up, and so does a reader that hears
nothing. About 1.5 MB are on their way at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import redis.asyncio

from streams.connection import aclient, key

LIFE = 60
"""Seconds that a pipe outlives both of its ends."""

MOST_WAITING = 24
"""Pieces in the pipe at which the writer waits until half of them are taken."""

STALLED = 10.0
"""Seconds that a reader may take nothing."""

SILENT = 20.0
"""Seconds that a writer may give nothing."""

_END, _BROKEN = b".", b"!"


class Broken(Exception):
    """The other end has gone, or could not go on."""


class Sender:
    """Gives pieces; `end` or `fail` close it. Raises `Broken` and `streams.connection.LOST`."""

    def __init__(self, connection: redis.asyncio.Redis, name: str) -> None:
        self._redis = connection
        self._key = key("pipe", name)

    async def send(self, piece: bytes) -> None:
        """Waits for room."""
        waiting = await self._push(piece)
        if waiting < MOST_WAITING:
            return
        given_up = time.monotonic() + STALLED
        while waiting > MOST_WAITING // 2:
            await asyncio.sleep(0.005)
            now = await self._redis.llen(self._key)
            if now < waiting:
                given_up = time.monotonic() + STALLED
            elif time.monotonic() > given_up:
                await self._redis.delete(self._key)
                raise Broken("Nobody reads it.")
            waiting = now

    async def end(self) -> None:
        """It was all."""
        await self._push(_END)

    async def fail(self) -> None:
        """There is more, and it cannot be had."""
        await self._push(_BROKEN)

    async def _push(self, piece: bytes) -> int:
        pipe = self._redis.pipeline(transaction=False)
        pipe.rpush(self._key, piece)
        pipe.expire(self._key, LIFE)
        return int((await pipe.execute())[0])


async def receive(name: str) -> AsyncGenerator[bytes]:
    """The pieces, until the end. Raises `Broken` and `streams.connection.LOST`."""
    connection = aclient(socket_timeout=SILENT + 5)
    try:
        while True:
            found: Any = await connection.lpop(key("pipe", name), MOST_WAITING)
            if not found:
                waited = await connection.blpop([key("pipe", name)], timeout=SILENT)
                if waited is None:
                    raise Broken("Nothing comes.")
                found = [waited[1]]
            for piece in found:
                if piece == _END:
                    return
                if piece == _BROKEN:
                    raise Broken("The writer could not go on.")
                yield piece
    finally:
        await connection.aclose()
