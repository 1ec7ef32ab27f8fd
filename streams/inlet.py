"""A ring the other way: what people type, from any web process to the gateway that holds the program.

A Redis Stream of bounded length, read without polling. An entry has a kind of one letter and bytes: `DATA` for the
program, `SIZE` (``80x24``), `HERE` (somebody is still there who may type), `END` (who wants it ended).
"""

from __future__ import annotations

from typing import Any

import redis.asyncio

from streams.connection import LOST, client, heed, key

DATA, SIZE, HERE, END = b"d", b"s", b"h", b"e"

PIECE = 16 * 1024
"""Bytes of one entry."""

MOST = 256
"""Entries that wait: 4 MB. More is refused."""

LIFE = 60
_WAIT_MS = 2000

_PUT = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'k', ARGV[3], 'd', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


def inlet_key(name: str) -> str:
    """Where the inlet of that name stands."""
    return key("inlet", name)


async def put(connection: redis.asyncio.Redis, name: str, kind: bytes, data: bytes = b"") -> bool:
    """False where too much waits already. Raises `streams.connection.LOST`."""
    taken = await connection.eval(_PUT, 1, inlet_key(name), str(MOST), str(LIFE), kind, data)
    heed()
    return bool(taken)


def tell(name: str, kind: bytes, data: bytes = b"") -> bool:
    """The same for a request. False where Redis is away too. Blocking, 0.5 s at most."""
    try:
        return bool(client().eval(_PUT, 1, inlet_key(name), str(MOST), str(LIFE), kind, data))
    except LOST:
        return False


class Outlet:
    """The one reader. Its connection must be its own, without a time limit: it waits in Redis."""

    def __init__(self, connection: redis.asyncio.Redis, name: str) -> None:
        self._redis = connection
        self._key = inlet_key(name)
        self._had: list[bytes] = []
        self._after: bytes = b"0"

    async def take(self) -> list[tuple[bytes, bytes]]:
        """``(kind, data)`` of what has come, in order; empty after two quiet seconds. Raises `LOST`."""
        pipe = self._redis.pipeline(transaction=False)
        if self._had:
            pipe.xdel(self._key, *self._had)
        pipe.xread({self._key: self._after}, block=_WAIT_MS, count=MOST)
        answer: Any = (await pipe.execute())[-1]
        heed()
        if not answer:
            self._had = []
            return []
        entries = (answer.get(self._key.encode()) or [[]])[0] if isinstance(answer, dict) else answer[0][1]
        self._had = [id_ for id_, _ in entries]
        self._after = self._had[-1]
        return [(fields[b"k"], fields[b"d"]) for _, fields in entries]

    async def forget(self) -> None:
        """Nothing is waited for any more."""
        await self._redis.delete(self._key)
