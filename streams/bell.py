"""The doorbell: "topic X changed, number n". A number, never data: pages read the rows again.

Topics: ``containers``, ``container:<uuid>``, ``images``, ``image:<uuid>``, ``volumes``, ``networks``,
``operations``, ``operation:<uuid>``, ``engines``, ``builds``. A thing rings before the list that
it is in: then a page can fetch its row alone.

Numbers of a topic only grow, even over an emptied Redis: each is the larger of "the last plus one" and the
clock in milliseconds. So a page that says what it has seen is never told "nothing new" by mistake.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

import redis.asyncio

from streams.connection import LOST, client, key

log = logging.getLogger(__name__)

CHANNEL = key("bell")
KEEP = 3600
"""Seconds that a number is remembered; longer than any page is away without reading everything again."""

EVERYTHING = "*"
"""Rung in place of topics when some may have been missed."""

_RING = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i, k in ipairs(KEYS) do
  local n = math.max(tonumber(redis.call('GET', k) or '0') + 1, now)
  n = string.format('%.0f', n)
  redis.call('SET', k, n, 'EX', ARGV[1])
  redis.call('PUBLISH', ARGV[2], ARGV[i + 2] .. ' ' .. n)
end
"""
_MOST_MISSED = 200
_missed: set[str] = set()
_lock = threading.Lock()


def bell_key(topic: str) -> str:
    """Where the topic's last number stands."""
    return key("bell", topic)


def _arguments(topics: Iterable[str]) -> list[str]:
    return [*(bell_key(t) for t in topics), str(KEEP), CHANNEL, *topics]


def _take(topics: Iterable[str]) -> list[str]:
    """These topics, and with them what an earlier failure has left."""
    with _lock:
        wanted = list(dict.fromkeys([*_missed, *topics]))
        _missed.clear()
    return wanted


def _put_back(topics: list[str]) -> None:
    with _lock:
        _missed.update(topics)
        if len(_missed) > _MOST_MISSED:
            _missed.clear()
            _missed.add(EVERYTHING)


def ring(*topics: str) -> None:
    """Rings each topic once: counts its number up and publishes it, in one round trip.

    Best effort: never raises, since rows are the truth. What could not be rung is rung with the next one.
    Call it after the commit. Blocking (0.5 s at most), for workers and requests.
    """
    wanted = _take(topics)
    if not wanted:
        return
    try:
        client().eval(_RING, len(wanted), *_arguments(wanted))
    except LOST as error:
        _put_back(wanted)
        log.debug("bell not rung: %s", error)


async def aring(topics: Iterable[str], connection: redis.asyncio.Redis) -> None:
    """The same on asyncio, for the gateway, over its connection."""
    wanted = _take(topics)
    if not wanted:
        return
    try:
        await connection.eval(_RING, len(wanted), *_arguments(wanted))
    except LOST as error:
        _put_back(wanted)
        log.debug("bell not rung: %s", error)
