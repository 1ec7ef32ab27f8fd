"""Answers in pieces: they arrive whole and in order, wait for a slow caller, and end with one who has gone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine import errors
from operations import longreads
from streams.connection import client, key
from tests.machine import wait_for

REPLY = key("read", "a-test")


class Source:
    """Pieces that count how many were asked for, and whether it was closed."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = threading.Event()
        self.most, self.error = most, error

    def pieces(self) -> Iterator[dict[str, Any]]:
        """One number each."""
        try:
            while self.given < self.most:
                self.given += 1
                yield {"n": self.given}
            if self.error:
                raise self.error
        finally:
            self.closed.set()


def flow_of(source: Source) -> longreads.Flow:
    """What the web holds while the worker reads that source."""
    flow = longreads.Flow(REPLY, 10)
    threading.Timer(0.05, longreads.pour, (REPLY, source.pieces())).start()
    flow.begin()
    return flow


def test_pieces_arrive_in_their_order_and_wait_for_a_slow_caller() -> None:
    source = Source(200)
    flow = flow_of(source)
    time.sleep(0.3)
    assert source.given <= longreads.AHEAD + 2
    assert [piece["n"] for piece in flow] == list(range(1, 201))
    assert source.closed.wait(5)


async def test_whoever_leaves_ends_the_read() -> None:
    source = Source(10**9)
    flow = await asyncio.to_thread(flow_of, source)
    pieces = flow.pieces()
    assert [(await anext(pieces))["n"] for _ in range(40)] == list(range(1, 41))
    await pieces.aclose()
    assert await asyncio.to_thread(source.closed.wait, 5)
    assert source.given < 100


def test_an_error_after_some_pieces_is_raised_where_they_are_read() -> None:
    flow = flow_of(Source(3, errors.NotFound("It was removed.")))
    got = []
    with pytest.raises(errors.NotFound, match="removed"):
        got += [got.append(piece["n"]) for piece in flow]  # type: ignore[func-returns-value]
    assert got == [1, 2, 3]


def test_a_worker_reads_a_few_at_a_time_and_says_so() -> None:
    sources = [Source(10**9) for _ in range(longreads.MOST)]
    replies = [f"{REPLY}:{i}" for i, _ in enumerate(sources)]
    for reply, source in zip(replies, sources, strict=True):
        client().set(f"{reply}:listening", "1", ex=5)
        longreads.pour(reply, source.pieces())
    with pytest.raises(errors.Unreachable, match="Other long reads"):
        flow_of(Source(1))
    for reply in replies:
        client().delete(f"{reply}:listening")
        client().delete(reply)
    for source in sources:
        wait_for(source.closed.is_set, 10, "it goes on for nobody")
