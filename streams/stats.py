"""The newest figures of containers: announced to whoever watches, and kept for some minutes.

A row is ``[container, cpu cores, memory, memory limit, net received, net sent, read, written, processes, time]``:
bytes, bytes a second, and milliseconds since 1970. CPU and what is a second are ``null`` after the first reading. Where
everything but the time is ``null``, the container has ended.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson
import redis.asyncio

from streams.connection import LOST, aclient, client, key
from streams.hub import STATS

LIFE = 75
"""Seconds that a figure counts as the newest: what nobody looks at is read once a minute at worst."""

RECENT = 330
"""Seconds for which each reading is kept as it was."""
MOST_RECENT = 170

Row = list[Any]
Reading = tuple[int, float, float, float, float, float, float, float]
"""``(milliseconds, cpu, memory, received, sent, read, written, processes)``; `nan` where not known."""

_READING = struct.Struct("<q7f")
_PUBLISH = """
redis.call('PUBLISH', KEYS[1], ARGV[1])
for i = 2, #KEYS, 2 do
  local row = ARGV[i]
  if row == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], row, 'EX', ARGV[#ARGV - 2]) end
  redis.call('RPUSH', KEYS[i + 1], ARGV[i + 1])
  redis.call('LTRIM', KEYS[i + 1], -ARGV[#ARGV], -1)
  redis.call('EXPIRE', KEYS[i + 1], ARGV[#ARGV - 1])
end
"""


def _key(container: str) -> str:
    return key("stat", container)


def _recent_key(container: str) -> str:
    return key("stat", "recent", container)


def ended(container: str, time_ms: int) -> Row:
    """The last row of a container that does not run any more."""
    return [container, *[None] * 8, time_ms]


def is_end(row: Row) -> bool:
    """Whether it says that the container has ended."""
    return row[2] is None


async def publish(connection: redis.asyncio.Redis, rows: Sequence[Row]) -> None:
    """Tells the web processes, in one small frame, and keeps each row. Raises `LOST`."""
    keys: list[str] = [STATS]
    values: list[Any] = [orjson.dumps(rows)]
    for row in rows:
        keys += [_key(row[0]), _recent_key(row[0])]
        figures = (row[1], row[2], *row[4:9])
        packed = _READING.pack(row[9], *(math.nan if value is None else value for value in figures))
        values += [b"" if is_end(row) else orjson.dumps(row), packed]
    await connection.eval(_PUBLISH, len(keys), *keys, *values, LIFE, RECENT, MOST_RECENT)


def recent(container: object) -> list[Reading]:
    """The readings of the last minutes, oldest first. Blocking; empty where Redis is away."""
    try:
        found = client().lrange(_recent_key(str(container)), 0, -1)
    except LOST:
        return []
    return [_READING.unpack(one) for one in found if isinstance(one, bytes) and len(one) == _READING.size]


def recent_sparks(containers: Collection[object], most: int) -> dict[str, tuple[list[float], list[float]]]:
    """Container → its last readings of CPU (cores) and of memory (bytes), oldest first. Blocking; see `recent`."""
    pipe = client().pipeline(transaction=False)
    for one in containers:
        pipe.lrange(_recent_key(str(one)), -most, -1)
    try:
        answers = pipe.execute() if containers else []
    except LOST:
        return {}
    found = {}
    for one, packed in zip(containers, answers, strict=True):
        readings = [_READING.unpack(each) for each in packed if len(each) == _READING.size]
        columns = ([reading[index] for reading in readings] for index in (1, 2))
        cpu, memory = ([value for value in column if not math.isnan(value)] for column in columns)
        found[str(one)] = cpu, memory
    return found


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
