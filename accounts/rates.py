"""How often one person may ask for what is expensive: a bucket in Redis, the same for all processes.

All sessions and tokens of a person have one together; a token of one team has one of its own. It holds a minute's
requests and fills up steadily. While Redis is away each process counts alone.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from threading import Lock

from accounts.access import Actor
from streams.connection import LOST, client, key

log = logging.getLogger(__name__)

_MOST_CALLERS = 10_000
_TAKE = """
local most, clock = tonumber(ARGV[1]), redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local row = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = math.min(most, tonumber(row[1] or most) + (now - tonumber(row[2] or now)) * most / 60)
local wait = (1 - left) * 60 / most
local take = tonumber(ARGV[2])
if left >= take then left = math.min(most, left - take) end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 120)
return tostring(wait)
"""


class Buckets:
    """Buckets of this process alone, those of the last ten thousand callers."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, caller: str, most: int, number: int = 1) -> tuple[float, float]:
        """``(what is left, seconds to wait)``: where nothing has to be waited for, one was taken.

        ``number``: 0 only looks, -1 gives one back.
        """
        now = time.monotonic()
        with self._lock:
            left, since = self._rows.pop(caller, (float(most), now))
            left = min(float(most), left + (now - since) * most / 60)
            wait = max(0.0, (1 - left) * 60 / most)
            if left >= number:
                left = min(float(most), left - number)
            self._rows[caller] = (left, now)
            while len(self._rows) > _MOST_CALLERS:
                self._rows.popitem(last=False)
        return left, wait

    def clear(self) -> None:
        """Everybody may again."""
        self._rows.clear()


_here = Buckets()


def caller_of(actor: Actor) -> str:
    """Callers are told apart by token, then by person, then by address."""
    if actor.token_key:
        return f"token {actor.token_key}"
    return f"user {actor.user.pk}" if actor.user else f"address {actor.ip}"


def payer_of(actor: Actor) -> str:
    """Whose bucket it is: more tokens, or a browser beside them, give nobody more."""
    if actor.user is None or (actor.token_key and actor.token_team_id is not None):
        return caller_of(actor)
    return f"user {actor.user.pk}"


def wait_for(what: str, actor: Actor, most: int, *, number: int = 1) -> float:
    """Seconds until this caller may do so again; 0: now, and it counts. ``most`` a minute, 0 for no limit.

    ``number``: 0 only looks, -1 gives one back. What Slipway does by itself is never counted.
    """
    if not most or actor.source == "system":
        return 0.0
    name = f"{what} {payer_of(actor)}"
    try:
        return max(0.0, float(client().eval(_TAKE, 1, key("rate", name), str(most), str(number))))
    except LOST as error:
        log.info("rates are counted in this process alone: %s", error)
        return _here.take(name, most, number)[1]
