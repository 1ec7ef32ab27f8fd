import asyncio
import contextlib
import time

import orjson
import pytest

from streams import bell, feed, hub, ring, want
from streams.connection import aclient
from streams.hub import Listener, StatsListener
from streams.ring import Cursor, Writer


@pytest.fixture
async def the_hub(own_redis):
    yield hub.get()
    await hub.close()


@pytest.fixture
async def connection(own_redis):
    found = aclient()
    yield found
    await found.aclose()


async def soon(awaitable, seconds=3):
    return await asyncio.wait_for(awaitable, seconds)


async def nothing(awaitable):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(awaitable, 0.3)


async def test_listeners_hear_their_topics_only(the_hub):
    mine, other = Listener(), Listener()
    await the_hub.listen(mine, ["containers"], {})
    await the_hub.listen(other, ["images"], {})
    bell.ring("containers")
    heard = await soon(mine.next())
    assert list(heard) == ["containers"]
    await nothing(other.next())
    the_hub.unlisten(mine)
    bell.ring("containers")
    await nothing(mine.next())


async def test_many_rings_are_one_for_a_slow_listener(the_hub):
    listener = Listener()
    await the_hub.listen(listener, ["containers"], {})
    for _ in range(100):
        bell.ring("containers")
    await asyncio.sleep(0.3)
    assert len(await soon(listener.next())) == 1
    await nothing(listener.next())


async def test_what_rang_since_the_page_was_made_is_told_at_once(the_hub):
    await the_hub.listen(Listener(), ["x"], {})
    made = int(time.time() * 1000)
    await asyncio.sleep(0.01)
    late, early, neither = Listener(), Listener(), Listener()
    await the_hub.listen(neither, ["containers", "images"], {"containers": made, "images": made})
    await nothing(neither.next())
    bell.ring("containers")
    numbers = await the_hub.listen(late, ["containers", "images"], {"containers": made, "images": made})
    assert list(await soon(late.next())) == ["containers"]
    await the_hub.listen(early, ["containers"], {"containers": numbers["containers"]})
    await nothing(early.next())


async def test_after_redis_came_back_empty_everybody_reads_again(the_hub, own_redis):
    listener = Listener()
    await the_hub.listen(listener, ["containers", "operation:1"], {})
    own_redis.restart()
    assert set(await soon(listener.next(), 5)) == {"containers", "operation:1"}
    bell.ring("containers")
    assert list(await soon(listener.next())) == ["containers"]


async def test_a_page_from_before_the_loss_reads_again(the_hub, own_redis):
    bell.ring("containers")
    seen = int(time.time() * 1000)
    own_redis.restart()
    listener = Listener()
    await asyncio.sleep(0.5)
    await the_hub.listen(listener, ["containers"], {"containers": seen})
    assert list(await soon(listener.next())) == ["containers"]


async def opened(connection, name="logs:1"):
    writer = Writer(connection, name)
    await writer.open()
    await writer.say("following")
    return writer


async def lines(follower):
    """The next step that has lines: frames and how many were missed before them."""
    while not (step := await soon(follower.next(), 5)).entries:
        pass
    return [e.frame for e in step.entries], step.missed


async def until(follower, number):
    """All frames until that line, and how many were missed."""
    frames, lost = [], 0
    while follower.at is None or follower.at.seq < number:
        found, missed = await lines(follower)
        frames += found
        lost += missed
    return frames, lost


async def test_followers_get_what_is_there_and_what_comes(the_hub, connection):
    writer = await opened(connection)
    await writer.append(b"one", 10)
    early = await the_hub.follow("logs:1")
    frames, lost = await until(early, 10)
    assert frames == ["one"]
    await writer.append(b"two", 10)
    assert (await lines(early)) == (["two"], 0)
    late = await the_hub.follow("logs:1")
    frames, lost = await until(late, 20)
    assert frames == ["one", "two"]
    some = await the_hub.follow("logs:1", tail=5)
    frames, lost = await until(some, 20)
    assert frames == ["two"]
    again = await the_hub.follow("logs:1", Cursor(writer.epoch, 10))
    frames, lost = await until(again, 20)
    assert frames == ["two"]
    assert lost == 0
    assert len(the_hub._feeds) == 1
    for one in (early, late, some, again):
        await the_hub.unfollow(one)
    assert not the_hub._feeds


async def test_who_is_slow_loses_the_oldest_and_is_told_how_many(the_hub, connection, monkeypatch):
    monkeypatch.setattr(feed, "MOST_LINES", 100)
    writer = await opened(connection)
    await writer.append(b"0", 10)
    slow = await the_hub.follow("logs:1")
    await until(slow, 10)
    for n in range(1, 51):
        await writer.append(b"%d" % n, 10)
    await asyncio.sleep(0.3)
    frames, missed = await lines(slow)
    assert frames == [str(n) for n in range(41, 51)]
    assert missed == 400


async def test_the_state_comes_after_the_last_line(the_hub, connection):
    writer = await opened(connection)
    follower = await the_hub.follow("logs:1")
    await writer.append(b"last", 1)
    await writer.say("ended")
    steps = []
    while not steps or steps[-1].state != "ended":
        steps.append(await soon(follower.next()))
    told = [s.entries[0].frame if s.entries else s.state for s in steps]
    assert told.count("last") == 1
    assert told[-1] == "ended"
    late = await the_hub.follow("logs:1")
    assert (await lines(late))[0] == ["last"]
    assert (await soon(late.next())).state == "ended"


async def test_a_restarted_redis_costs_followers_nothing(the_hub, connection, own_redis):
    writer = await opened(connection)
    follower = await the_hub.follow("logs:1")
    for n in range(20):
        if n == 10:
            own_redis.restart()
        await writer.append(b"%d" % n, 1)
    frames, lost = await until(follower, 20)
    assert frames == [str(n) for n in range(20)]
    assert lost == 0


async def test_a_new_epoch_is_told(the_hub, connection):
    writer = await opened(connection)
    await writer.append(b"old", 3)
    follower = await the_hub.follow("logs:1")
    await until(follower, 3)
    await writer.begin_again()
    await writer.append(b"new", 1)
    step = await soon(follower.next())
    while not step.entries:
        step = await soon(follower.next())
    assert (step.entries[0].frame, step.missed, step.anew) == ("new", 0, True)


async def test_an_epoch_from_a_clock_set_back_is_found(the_hub, connection):
    writer = await opened(connection)
    await writer.append(b"old", 3)
    follower = await the_hub.follow("logs:1")
    await until(follower, 3)
    await connection.delete(ring.ring_key("logs:1"))
    other = Writer(connection, "logs:1")
    other.epoch = writer.epoch - 1000
    await other.append(b"new", 1)
    step = await soon(follower.next())
    while not step.entries:
        step = await soon(follower.next())
    assert (step.entries[0].frame, step.anew) == ("new", True)


async def test_followed_rings_and_watched_figures_are_wanted_while_somebody_looks(
    the_hub, connection, monkeypatch
):
    monkeypatch.setattr(want, "LIFE", 1)
    monkeypatch.setattr(want, "REFRESH", 0.2)
    follower = await the_hub.follow("logs:1")
    listener = StatsListener(["7"])
    await the_hub.watch_stats(listener)
    await asyncio.sleep(1.5)
    assert await want.wanted(connection) == {"logs:1", "stats:7"}
    await the_hub.unfollow(follower)
    the_hub.unwatch_stats(listener)
    await asyncio.sleep(2.2)
    assert await want.wanted(connection) == set()


async def test_a_name_is_wanted_for_its_whole_life_whatever_the_fraction_of_the_second(
    connection, monkeypatch
):
    monkeypatch.setattr(want, "LIFE", 1)
    _, micros = await connection.time()
    await asyncio.sleep((1_900_000 - micros) % 1_000_000 / 1_000_000)
    await want.refresh(connection, ["logs:1"])
    await asyncio.sleep(0.3)
    assert await want.wanted(connection) == {"logs:1"}
    await asyncio.sleep(0.9)
    assert await want.wanted(connection) == set()


async def test_figures_reach_those_who_watch_them(the_hub, connection):
    listener = StatsListener(["7", "8"])
    await the_hub.watch_stats(listener)
    await connection.publish(hub.STATS, orjson.dumps([["7", 0.5, 100], ["9", 1.0, 5]]))
    await connection.publish(hub.STATS, orjson.dumps([["7", 0.7, 101], ["8", 0.1, 7]]))
    await asyncio.sleep(0.2)
    assert sorted(await soon(listener.next())) == [["7", 0.7, 101], ["8", 0.1, 7]]


async def test_without_redis_nothing_waits_for_long(the_hub, own_redis):
    own_redis.stop()
    began = time.monotonic()
    listener = Listener()
    await the_hub.listen(listener, ["containers"], {"containers": 5})
    assert list(await soon(listener.next())) == ["containers"]
    follower = await the_hub.follow("logs:1")
    assert time.monotonic() - began < 5
    own_redis.start()
    writer = Writer(aclient(), "logs:1")
    await writer.open()
    await writer.append(b"hello", 1)
    assert (await lines(follower))[0] == ["hello"]
    with contextlib.suppress(Exception):
        await writer._redis.aclose()
