"""Heartbeats of the processes that nobody can ask: worker and gateway say that they live, /readyz reads it."""

from __future__ import annotations

import time

import redis.asyncio

from streams import bell
from streams.connection import LOST, client, key

EVERY = 5.0
"""Seconds between two beats."""

LATE = 15.0
"""Seconds without one after which a process counts as down."""


def _key(name: str) -> str:
    return key("beat", name)


def beat(name: str) -> bool:
    """``name`` ("worker", "gateway") is alive. False where Redis is away; never raises. Blocking, 0.5 s at most."""
    try:
        client().set(_key(name), repr(time.time()), ex=3600)
    except LOST:
        return False
    bell.ring()  # what could not be rung while Redis was away
    return True


async def abeat(name: str, connection: redis.asyncio.Redis) -> bool:
    """The same on asyncio."""
    try:
        await connection.set(_key(name), repr(time.time()), ex=3600)
    except LOST:
        return False
    await bell.aring((), connection)
    return True


def last_beat(name: str) -> float | None:
    """Seconds since the last beat, ``None`` where there was none within an hour. Raises `LOST`."""
    found = client().get(_key(name))
    return max(0.0, time.time() - float(found)) if isinstance(found, bytes) else None
