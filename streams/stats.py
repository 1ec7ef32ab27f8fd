"""The newest figures of containers: announced to whoever watches, and kept for a moment for the first paint.

A row is ``[container, cpu cores, memory, memory limit, net received, net sent, read, written, processes, time]``:
bytes, bytes a second, and milliseconds since 1970. CPU and what is a second are ``null`` after the first reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson
import redis.asyncio

from streams.connection import LOST, aclient, client, key
from streams.hub import STATS

LIFE = 15
"""Seconds that a figure counts as the newest."""

Row = list[Any]


def _key(container: str) -> str:
    return key("stat", container)


async def publish(connection: redis.asyncio.Redis, rows: Sequence[Row]) -> None:
    """Tells the web processes, in one small frame, and keeps each row. Raises `LOST`."""
    pipe = connection.pipeline(transaction=False)
    pipe.publish(STATS, orjson.dumps(rows))
    for row in rows:
        pipe.set(_key(row[0]), orjson.dumps(row), ex=LIFE)
    await pipe.execute()


def _rows(found: Iterable[Any]) -> list[Row]:
    return [orjson.loads(one) for one in found if one]


def latest(ids: Collection[object]) -> list[Row]:
    """The newest rows of those of which any is known. Blocking; empty where Redis is away."""
    if not ids:
        return []
    try:
        return _rows(client().mget([_key(str(one)) for one in ids]))
    except LOST:
        return []


def latest_stats(ids: Collection[object]) -> dict[str, tuple[float | None, int]]:
    """Container → ``(cpu cores or None, memory bytes)`` where it is known. Blocking; empty where Redis is away."""
    return {row[0]: (row[1], row[2]) for row in latest(ids)}


async def alatest(ids: Collection[str]) -> list[Row]:
    """The same as rows, on asyncio."""
    if not ids:
        return []
    connection = aclient()
    try:
        return _rows(await connection.mget([_key(one) for one in ids]))
    except LOST:
        return []
    finally:
        await connection.aclose()
