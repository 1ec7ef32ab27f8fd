"""A pipe: in order, bounded, and nobody waits for ever."""

import asyncio

import pytest

from streams import pipe
from streams.connection import aclient, key
from streams.pipe import Broken, Sender, receive


@pytest.fixture
async def connection(own_redis):
    found = aclient()
    yield found
    await found.aclose()


async def sent(connection, pieces, *, fail=False):
    sender = Sender(connection, "1")
    for piece in pieces:
        await sender.send(piece)
    await (sender.fail() if fail else sender.end())


async def test_pieces_arrive_in_order_and_the_end_is_told(connection):
    pieces = [b"%d" % n for n in range(500)]
    writer = asyncio.create_task(sent(connection, pieces))
    assert [piece async for piece in receive("1")] == pieces
    await writer


async def test_a_writer_waits_for_its_reader(connection):
    writer = asyncio.create_task(sent(connection, [b"x"] * 200))
    await asyncio.sleep(0.3)
    assert await connection.llen(key("pipe", "1")) == pipe.MOST_WAITING
    assert not writer.done()
    assert len([piece async for piece in receive("1")]) == 200
    await writer


async def test_a_writer_whose_reader_has_gone_gives_up_and_leaves_nothing(connection, monkeypatch):
    monkeypatch.setattr(pipe, "STALLED", 0.2)
    with pytest.raises(Broken):
        await sent(connection, [b"x"] * 200)
    assert not await connection.exists(key("pipe", "1"))


async def test_a_reader_that_hears_nothing_gives_up(connection, monkeypatch):
    monkeypatch.setattr(pipe, "SILENT", 0.2)
    with pytest.raises(Broken):
        [piece async for piece in receive("1")]


async def test_a_writer_that_cannot_go_on_says_so(connection):
    await sent(connection, [b"one"], fail=True)
    pieces = receive("1")
    assert await anext(pieces) == b"one"
    with pytest.raises(Broken):
        await anext(pieces)
