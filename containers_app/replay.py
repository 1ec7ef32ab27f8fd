"""Reads the past of one container's log for one viewer: what is older than the lines that are kept for everybody."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import redis.asyncio

from containers_app.log_reader import FLUSH_BYTES, Target, encode, short
from engine.base import EngineStreams
from engine.errors import EngineError
from engine.types import LogLine
from streams.connection import LOST
from streams.pipe import Broken, Sender

KIND = "past"
MOST_LINES = 500_000
MOST_AT_ONCE = 4
"""Pasts read at a time from one engine; the others wait."""


@dataclass(frozen=True, slots=True)
class Past:
    """The last ``tail`` lines, or all since ``since_ns``, up to the line of that time and stream, without it."""

    container: str
    tail: int
    since_ns: int
    until_ns: int
    stream: int
    nonce: str

    @classmethod
    def of(cls, container: str, *, tail: int, since_ns: int, first: Sequence[Any]) -> Past:
        """Before ``first``, a row of the container's ring."""
        return cls(container, tail, since_ns, int(first[2]), int(first[3]), uuid4().hex)

    @classmethod
    def parse(cls, name: str) -> Past:
        """Raises `ValueError` where this is no name of one."""
        kind, container, tail, since, until, stream, nonce = name.split(":")
        if kind != KIND or not nonce.isalnum() or len(nonce) > 32:
            raise ValueError("not a past")
        return cls(container, min(int(tail), MOST_LINES), int(since), int(until), int(stream), nonce)

    def __str__(self) -> str:
        numbers = (self.tail, self.since_ns, self.until_ns, self.stream)
        return ":".join((KIND, self.container, *map(str, numbers), self.nonce))


async def replay(streams: EngineStreams, connection: redis.asyncio.Redis, target: Target, past: Past) -> None:
    """Engine → pipe, from the oldest line on. Leaves the engine alone as soon as nobody takes what comes."""
    sender = Sender(connection, str(past))
    with contextlib.suppress(Broken, *LOST):
        try:
            await _send(streams, sender, target, past)
        except EngineError:
            await sender.fail()
        else:
            await sender.end()


async def _send(streams: EngineStreams, sender: Sender, target: Target, past: Past) -> None:
    cursor = dict.fromkeys((1, 2), (past.since_ns, 0)) if past.since_ns else None
    rows: list[list[Any]] = []
    size = 0
    async with streams.logs(
        target.native_id, tty=target.tty, tail=past.tail, cursor=cursor, follow=False
    ) as batches:
        async for lines in batches:
            wanted = _before(lines, past)
            for line in wanted:
                text = short(line.text)
                rows.append([0, target.id, str(line.ts_ns), line.stream, text])
                size += len(text) + 80
            if size >= FLUSH_BYTES:
                await sender.send(encode(rows))
                rows, size = [], 0
            if len(wanted) < len(lines):
                break
    if rows:
        await sender.send(encode(rows))


def _before(lines: Sequence[LogLine], past: Past) -> Sequence[LogLine]:
    """Those that come before the line at which the past ends. Lines of the other stream may be younger by a moment."""
    if lines[-1].ts_ns < past.until_ns:
        return lines
    end = next((i for i, line in enumerate(lines) if _is_end(line, past)), len(lines))
    return lines[:end]


def _is_end(line: LogLine, past: Past) -> bool:
    """That line, or one so much younger that it cannot be found any more."""
    return (line.ts_ns == past.until_ns and line.stream == past.stream) or line.ts_ns > past.until_ns + 10**9
