"""Who watches what. A name (``logs:<uuid>``, ``stats:<uuid>``) is wanted until its time is up, and web processes
keep lengthening it while anybody looks; the gateway starts and stops its readers by it.

Times are those of Redis, so that clocks of machines need not agree.
"""

from __future__ import annotations

from collections.abc import Collection

import redis.asyncio

from streams.connection import LOST, client, key

LIFE = 5
"""Seconds that a name stays wanted after the last refresh."""

REFRESH = 2.0
"""Seconds between refreshes by whoever watches."""

WANTED = key("want")
CHANNEL = key("want", "new")
"""Where names are announced that were not wanted before."""

SYNC = key("want", "sync")
"""Where somebody asks that an engine be compared with its rows now."""

_NOW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
"""
# With its fraction: in whole seconds a name would be wanted for up to a second less than it should.
_REFRESH = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do
  if redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) == 1 then
    redis.call('PUBLISH', KEYS[2], ARGV[i])
  end
end
"""
)
_WANTED = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""
)


async def refresh(connection: redis.asyncio.Redis, names: Collection[str]) -> None:
    """These names are wanted for another `LIFE` seconds. Raises `streams.connection.LOST`."""
    if names:
        await connection.eval(_REFRESH, 2, WANTED, CHANNEL, str(LIFE), *names)


def ask(*names: str) -> bool:
    """The same for a request that looks once. False where Redis is away. Blocking, 0.5 s at most."""
    try:
        client().eval(_REFRESH, 2, WANTED, CHANNEL, str(LIFE), *names)
    except LOST:
        return False
    return True


async def wanted(connection: redis.asyncio.Redis) -> set[str]:
    """Every name that somebody wants now. Raises `streams.connection.LOST`."""
    return {name.decode() for name in await connection.eval(_WANTED, 1, WANTED)}


def request_sync(engine_id: object) -> bool:
    """Asks the gateway to compare an engine with its rows now. False where no gateway listens; never raises."""
    try:
        return bool(client().publish(SYNC, str(engine_id)))
    except LOST:
        return False
