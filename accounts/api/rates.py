"""How many requests one caller may send."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.access import actor_of
from accounts.rates import Buckets, caller_of


class Sustained(BaseThrottle):
    """A bucket a caller that holds a minute's requests and fills up steadily; counted in this process alone.

    A token may have fewer than the usual number. What is left is told in the headers ``RateLimit`` and
    ``RateLimit-Policy`` of each answer.
    """

    buckets = Buckets()

    def allow_request(self, request: Request, view: Any) -> bool:
        actor = actor_of(request)
        most = min(filter(None, (settings.API_RATE, actor.token_rate)), default=0)
        if not most:
            return True
        left, self._wait = self.buckets.take(caller_of(actor), most)
        full = math.ceil((most - left) * 60 / most)
        request._request.slipway_rate = {  # type: ignore[attr-defined]
            "RateLimit-Policy": f'"caller";q={most};w=60',
            "RateLimit": f'"caller";r={math.floor(left)};t={full}',
        }
        return self._wait <= 0

    def wait(self) -> float:
        return self._wait
