"""How many requests one caller may send."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from threading import Lock
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.access import actor_of

_MOST_CALLERS = 10_000


class Sustained(BaseThrottle):
    """A bucket a caller that holds a minute's requests and fills up steadily; counted in this process alone.

    Callers are told apart by token, then by person, then by address. A token may have fewer than the usual number. What
    is left is told in the headers ``RateLimit`` and ``RateLimit-Policy`` of each answer.
    """

    _buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
    _lock = Lock()

    def allow_request(self, request: Request, view: Any) -> bool:
        most = min(filter(None, (settings.API_RATE, actor_of(request).token_rate)), default=0)
        if not most:
            return True
        caller, now = _caller(request), time.monotonic()
        with self._lock:
            left, since = self._buckets.pop(caller, (float(most), now))
            left = min(float(most), left + (now - since) * most / 60)
            self._wait = (1 - left) * 60 / most
            allowed = left >= 1
            left -= allowed
            self._buckets[caller] = (left, now)
            while len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        full = math.ceil((most - left) * 60 / most)
        request._request.slipway_rate = {  # type: ignore[attr-defined]
            "RateLimit-Policy": f'"caller";q={most};w=60',
            "RateLimit": f'"caller";r={math.floor(left)};t={full}',
        }
        return allowed

    def wait(self) -> float:
        return self._wait


def _caller(request: Request) -> str:
    actor = actor_of(request)
    if actor.token_key:
        return f"token {actor.token_key}"
    return f"user {actor.user.pk}" if actor.user else f"address {actor.ip}"
