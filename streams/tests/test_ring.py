import asyncio
import contextlib

import pytest

from streams import ring
from streams.connection import aclient
from streams.ring import Cursor, Overtaken, Writer, read


@pytest.fixture
async def connection(own_redis):
    found = aclient()
    yield found
    await found.aclose()


async def filled(connection, batches=3, lines=10):
    writer = Writer(connection, "logs:1")
    await writer.open()
    for n in range(batches):
        await writer.append(b"frame %d" % n, lines, mark=f"m{n}")
    return writer


def numbers(page):
    return [(e.first, e.last) for e in page.entries]


async def test_readers_get_what_is_after_their_cursor(connection):
    writer = await filled(connection)
    page = await read(connection, "logs:1")
    assert numbers(page) == [(1, 10), (11, 20), (21, 30)]
    assert [e.frame for e in page.entries] == ["frame 0", "frame 1", "frame 2"]
    assert numbers(await read(connection, "logs:1", Cursor(writer.epoch, 20))) == [(21, 30)]
    assert numbers(await read(connection, "logs:1", Cursor(writer.epoch, 30))) == []


async def test_skipped_lines_leave_a_hole_in_the_numbers(connection):
    writer = await filled(connection, 1)
    await writer.append(b"late", 5, skipped=7)
    assert numbers(await read(connection, "logs:1")) == [(1, 10), (18, 22)]


async def test_a_note_has_a_place_and_a_number_of_its_own(connection):
    writer = await filled(connection, 1)
    await writer.note('{"lines": 3}', skipped=2)
    await writer.append(b"after", 1)
    page = await read(connection, "logs:1")
    assert numbers(page) == [(1, 10), (13, 13), (14, 14)]
    assert [(e.note, e.frame) for e in page.entries] == [("", "frame 0"), ('{"lines": 3}', ""), ("", "after")]


async def test_a_note_outlives_an_emptied_redis_and_its_writer(connection):
    writer = await filled(connection, 1)
    await writer.note("word")
    await connection.flushall()
    await writer.flush()
    following = Writer(connection, "logs:1")
    await following.open()
    await connection.flushall()
    await following.append(b"more", 1)
    assert [e.note for e in (await read(connection, "logs:1")).entries] == ["", "word", ""]


async def test_a_ring_is_bounded_by_lines_and_by_bytes(connection, monkeypatch):
    monkeypatch.setattr(ring, "MOST_LINES", 50)
    await filled(connection, 20)
    page = await read(connection, "logs:1")
    assert numbers(page) == [(151, 160), (161, 170), (171, 180), (181, 190), (191, 200)]
    monkeypatch.setattr(ring, "MOST_LINES", 10_000)
    monkeypatch.setattr(ring, "MOST_BYTES", 1000)
    writer = Writer(connection, "logs:2")
    await writer.open()
    for _ in range(10):
        await writer.append(b"x" * 300, 1)
    assert numbers(await read(connection, "logs:2")) == [(8, 8), (9, 9), (10, 10)]


async def test_the_next_writer_goes_on_with_numbers_and_mark(connection):
    first = await filled(connection)
    second = Writer(connection, "logs:1")
    await second.open()
    assert (second.epoch, second.last, second.mark) == (first.epoch, 30, "m2")
    await second.append(b"more", 1)
    assert numbers(await read(connection, "logs:1"))[-1] == (31, 31)


async def test_a_writer_that_was_overtaken_stops(connection):
    first = await filled(connection)
    second = Writer(connection, "logs:1")
    await second.open()
    await second.append(b"more", 5)
    await first.append(b"refused", 1)
    with pytest.raises(Overtaken):
        await first.flush()


async def test_an_emptied_redis_is_filled_again_under_the_same_numbers(connection, own_redis):
    writer = await filled(connection)
    await connection.flushall()
    await writer.flush()
    assert numbers(await read(connection, "logs:1")) == [(1, 10), (11, 20), (21, 30)]
    await connection.flushall()
    await writer.append(b"x", 1)
    assert numbers(await read(connection, "logs:1")) == [(1, 10), (11, 20), (21, 30), (31, 31)]
    own_redis.stop()
    await writer.append(b"y", 1)
    own_redis.start()
    await writer.append(b"z", 1)
    page = await read(connection, "logs:1")
    assert numbers(page)[-2:] == [(32, 32), (33, 33)]
    assert len(page.entries) == 6
    assert page.entries[0].epoch == writer.epoch


async def test_state_is_kept_with_the_ring(connection):
    writer = await filled(connection)
    await writer.say("ended")
    assert (await read(connection, "logs:1")).state == "ended"
    await connection.flushall()
    await writer.flush()
    assert (await read(connection, "logs:1")).state == "ended"


async def test_beginning_again_changes_the_epoch(connection):
    writer = await filled(connection)
    epoch = writer.epoch
    await writer.begin_again()
    await writer.append(b"new", 2)
    page = await read(connection, "logs:1", Cursor(epoch, 30))
    assert numbers(page) == [(1, 2)]
    assert page.entries[0].epoch > epoch


async def test_a_ring_ends_a_while_after_its_writer(connection):
    await filled(connection)
    assert 50 < await connection.ttl(ring.ring_key("logs:1")) <= ring.LIFE


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:b", "1:2:3", "-1:2", "1" * 16 + ":1", "١:٢"])
def test_cursors_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="cursor"):
        Cursor.parse(text)


def test_cursors_go_there_and_back():
    assert Cursor.parse(str(Cursor(1732400000000, 17))) == Cursor(1732400000000, 17)


async def test_writes_that_overlap_lose_nothing(connection):
    writer = Writer(connection, "logs:1")
    await writer.open()
    work = []
    for n in range(300):
        work.append(asyncio.create_task(writer.append(b"%d" % n, 1)))
        if n % 3 == 0:
            work.append(asyncio.create_task(writer.flush()))
        if n % 7 == 0:
            work.append(asyncio.create_task(writer.say(str(n))))
            await asyncio.sleep(0)
    await asyncio.gather(*work)
    assert numbers(await read(connection, "logs:1")) == [(n, n) for n in range(1, 301)]


async def test_a_cancellation_that_the_client_swallows_is_heeded(connection):
    """Before Python 3.12 `asyncio.wait_for`, by which the client waits, loses one that comes with the answer."""

    class Swallows:
        def __init__(self, pipe):
            self._pipe = pipe

        def __getattr__(self, name):
            return getattr(self._pipe, name)

        async def execute(self):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.2)
            return await self._pipe.execute()

    class Client:
        def __getattr__(self, name):
            return getattr(connection, name)

        def pipeline(self, **options):
            return Swallows(connection.pipeline(**options))

    writer = ring.Writer(Client(), "logs:9")

    async def for_ever():
        while True:
            await writer.append(b"x", 1)

    task = asyncio.create_task(for_ever())
    await asyncio.sleep(0.1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done
    assert task.cancelled()
