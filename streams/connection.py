"""Connections to Redis that fail fast: whoever waits for Redis waits at most half a second."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX = "slipway:"
WAIT = 0.5
"""Seconds that a connect or a command may take. Without it a silent Redis would hold a request for ever."""

LOST = (redis.RedisError, OSError)
"""What a Redis that is away, restarting, full or confused raises."""


def key(*parts: str) -> str:
    """The key of that name. All of ours begin alike, so that one Redis may serve others too."""
    return PREFIX + ":".join(parts)


@functools.cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=WAIT,
        socket_connect_timeout=WAIT,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def client() -> redis.Redis:
    """The blocking client of this process; safe in threads and after a fork. Raises `LOST`."""
    return _client(settings.REDIS_URL)


def aclient(**options: Any) -> redis.asyncio.Redis:
    """A new client for the running event loop; the caller closes it. Raises `LOST`."""
    options = {"socket_timeout": WAIT, "socket_connect_timeout": WAIT, **options}
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, retry=AsyncRetry(NoBackoff(), 0), **options)


def heed() -> None:
    """Ends a task that was told to end while it waited for Redis: call it after that, in whatever goes on for ever.

    The client waits by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes together with
    the answer; and a loop that has not heard it goes on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
