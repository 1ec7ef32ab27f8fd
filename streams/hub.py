"""Fan-out inside one web process: one subscription to Redis, one reader a ring, however many people look.

A viewer of bells has a mailbox of topic → newest number, so a slow one costs nothing. A viewer of a ring has a
place in the process's own copy of the ring: who falls behind its beginning has missed lines, and is told how many.
When Redis comes back after it was away, every viewer of bells is told to read everything again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import orjson
import redis.asyncio

from streams import bell, want
from streams.connection import LOST, aclient, key
from streams.feed import Feed, Follower
from streams.ring import Cursor, announcement, ring_key

log = logging.getLogger(__name__)

BORN = key("born")
"""When this Redis was first seen (ms): numbers older than that tell nothing about what happened since."""

STATS = key("stats")
"""Channel of figures: a JSON list of the rows of `streams.stats`."""

_PING_AFTER = 5.0
_POLL = 2.0
_BACK_OFF = (0.1, 0.2, 0.5, 1.0, 2.0)


class Listener:
    """A viewer of bells. Change ``topics`` through `Hub.listen` alone."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self._pending: dict[str, int] = {}
        self._woken = asyncio.Event()

    def put(self, topic: str, number: int) -> None:
        """Called by the hub."""
        self._pending[topic] = max(number, self._pending.get(topic, 0))
        self._woken.set()

    async def next(self) -> dict[str, int]:
        """Waits for a change and returns all topics that changed, with their newest numbers."""
        await self._woken.wait()
        self._woken.clear()
        found, self._pending = self._pending, {}
        return found


class StatsListener:
    """A viewer of figures: only of the containers in ``ids``; the newest figure of each is kept."""

    def __init__(self, ids: Collection[str]) -> None:
        self.ids = set(ids)
        self._pending: dict[str, list[Any]] = {}
        self._woken = asyncio.Event()

    def put(self, rows: Iterable[list[Any]]) -> None:
        """Called by the hub."""
        fresh = {row[0]: row for row in rows if row[0] in self.ids}
        if fresh:
            self._pending |= fresh
            self._woken.set()

    async def next(self) -> list[list[Any]]:
        """Waits for figures and returns the rows of `streams.stats`."""
        await self._woken.wait()
        self._woken.clear()
        found, self._pending = self._pending, {}
        return list(found.values())


class Hub:
    """The one of this process: `get` it. Starts working with the first viewer."""

    def __init__(self) -> None:
        self._redis: redis.asyncio.Redis = aclient()
        self._pubsub: redis.asyncio.client.PubSub | None = None
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._stats: set[StatsListener] = set()
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self._broken = False

    # --- What consumers call ---------------------------------------------------------------------------

    async def listen(
        self, listener: Listener, topics: Collection[str], after: dict[str, int]
    ) -> dict[str, int]:
        """Adds topics to what this viewer hears, and returns their numbers now.

        A topic that may have changed since ``after`` is put into the mailbox at once; so is every topic with an
        ``after`` where Redis does not answer.
        """
        await self._start()
        for topic in topics:
            listener.topics.add(topic)
            self._listeners[topic].add(listener)
        names = list(topics)
        try:
            born, *raw = await self._redis.mget([BORN, *(bell.bell_key(t) for t in names)])
        except LOST:
            numbers, since = dict.fromkeys(names, 0), float("inf")
        else:
            numbers = {t: int(n) if n else 0 for t, n in zip(names, raw, strict=True)}
            since = float(born or "inf")
        kept = (time.time() - bell.KEEP) * 1000
        for topic, seen in after.items():
            now = numbers.get(topic)
            if now is None or now == seen:
                continue
            # No number: not rung within an hour, if this Redis is that old and the page that young.
            if now > seen or seen < since or seen < kept:
                listener.put(topic, max(now, int(time.time() * 1000)) if now < seen else now)
        return numbers

    def unlisten(self, listener: Listener, topics: Iterable[str] | None = None) -> None:
        """The viewer no longer hears these topics, or none at all."""
        for topic in list(listener.topics if topics is None else topics):
            listener.topics.discard(topic)
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]

    async def follow(self, name: str, after: Cursor | None = None, tail: int | None = None) -> Follower:
        """A viewer of the ring of that name, which is wanted from now on.

        Waits up to 3 s until the ring has said in what state it is, so that its first lines are there.
        """
        await self._start()
        if name not in self._feeds:
            feed = Feed(name)
            self._feeds[name] = feed, asyncio.create_task(self._read(feed))
        feed = self._feeds[name][0]
        follower = Follower(feed)
        feed.followers.add(follower)
        await _a_while(feed.loaded, 3)
        follower.begin(after, tail)
        return follower

    async def unfollow(self, follower: Follower) -> None:
        """The last one turns off the light."""
        feed = follower.feed
        feed.followers.discard(follower)
        if not feed.followers and feed.name in self._feeds and self._feeds[feed.name][0] is feed:
            _, task = self._feeds.pop(feed.name)
            task.cancel()
            if self._pubsub is not None:
                with contextlib.suppress(*LOST):
                    await self._pubsub.unsubscribe(ring_key(feed.name))

    async def want_on(self, name: str) -> None:
        """Keeps a name wanted until it is cancelled."""
        while True:
            await self._want([name])
            await asyncio.sleep(want.REFRESH)

    async def watch_stats(self, listener: StatsListener) -> None:
        """Figures of its containers come to this viewer, and are wanted from now on."""
        await self._start()
        self._stats.add(listener)
        await self._want([f"stats:{one}" for one in listener.ids])

    def unwatch_stats(self, listener: StatsListener) -> None:
        """And no longer."""
        self._stats.discard(listener)

    async def close(self) -> None:
        """Ends all of it."""
        tasks = [*self._tasks, *(task for _, task in self._feeds.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._feeds.clear()
        await self._redis.aclose()

    # --- What runs ---------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._keep_wanting())]
        await _a_while(self._ready, 1)

    async def _hear(self) -> None:
        """Stays subscribed, whatever happens to Redis."""
        failures = 0
        while True:
            connection = aclient(socket_timeout=None)
            pubsub = connection.pubsub(ignore_subscribe_messages=False)
            try:
                await pubsub.subscribe(bell.CHANNEL, STATS, *(ring_key(n) for n in self._feeds))
                await self._redis.set(BORN, int(time.time() * 1000), nx=True)
                self._pubsub, failures = pubsub, 0
                if self._broken:
                    self._everything()
                self._ready.set()
                await self._want_all()
                for feed, _ in self._feeds.values():
                    feed.wake.set()
                await self._messages(pubsub)
            except LOST as error:
                if not self._broken:
                    log.warning("Redis is away: %s", error)
                self._broken = True
                self._ready.clear()
            finally:
                self._pubsub = None
                with contextlib.suppress(*LOST):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
                    await connection.aclose()
            await asyncio.sleep(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
            failures += 1

    async def _messages(self, pubsub: redis.asyncio.client.PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_PING_AFTER)
            if message is None:
                if asked:
                    raise redis.ConnectionError("no answer to a ping")
                await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                self._deliver(message["channel"].decode(), message["data"])

    def _deliver(self, channel: str, data: bytes) -> None:
        if channel == bell.CHANNEL:
            topic, _, number = data.decode().partition(" ")
            if topic == bell.EVERYTHING:
                self._everything()
            for listener in self._listeners.get(topic, ()):
                listener.put(topic, int(number))
        elif channel == STATS:
            rows = orjson.loads(data)
            for viewer in self._stats:
                viewer.put(rows)
        elif found := self._feeds.get(channel.removeprefix(ring_key(""))):
            found[0].announced(*announcement(data))

    def _everything(self) -> None:
        """Bells may have been missed: every page reads again."""
        self._broken = False
        now = int(time.time() * 1000)
        for topic, listeners in self._listeners.items():
            for listener in listeners:
                listener.put(topic, now)

    async def _read(self, feed: Feed) -> None:
        """Keeps one copy of a ring up to date. Asks every two seconds unasked, should an announcement be lost."""
        if self._pubsub is not None:
            with contextlib.suppress(*LOST):
                await self._pubsub.subscribe(ring_key(feed.name))
        await self._want([feed.name])
        failing_since: float | None = None
        while True:
            try:
                await feed.catch_up(self._redis)
                failing_since = None
            except LOST:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > _POLL:
                    feed.away()
            await _a_while(feed.wake, _POLL)
            feed.wake.clear()

    async def _keep_wanting(self) -> None:
        while True:
            await asyncio.sleep(want.REFRESH)
            with contextlib.suppress(*LOST):
                await self._redis.set(BORN, int(time.time() * 1000), nx=True)
            await self._want_all()

    async def _want_all(self) -> None:
        await self._want({f"stats:{one}" for viewer in self._stats for one in viewer.ids} | set(self._feeds))

    async def _want(self, names: Collection[str]) -> None:
        with contextlib.suppress(*LOST):
            await want.refresh(self._redis, names)


async def _a_while(event: asyncio.Event, seconds: float) -> None:
    """Waits so long and no longer. Not `asyncio.wait_for`: before Python 3.12 it can swallow a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def get() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


async def close() -> None:
    """Ends the hub of the running event loop, if there is one."""
    found = _hubs.pop(asyncio.get_running_loop(), None)
    if found:
        await found.close()
