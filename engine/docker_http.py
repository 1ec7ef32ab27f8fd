"""A small HTTP/1.1 reader on asyncio, for answers that go on for hours.

Reads big pieces and nothing that was not asked for: while the caller does not take the next piece, nothing is read, and
the engine waits (which is what paces a log). Against the usual clients it costs a third of the CPU and a few
kilobytes a stream, and closing it frees the engine's end at once.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from engine.certificates import words
from engine.docker_errors import from_text
from engine.docker_transport import Endpoint
from engine.errors import DeadlineExceeded, EngineError, Unreachable
from engine.logs import Dechunk

PIECE = 256 * 1024
LARGEST_HEAD = 32 * 1024
LARGEST_ERROR = 64 * 1024

Json = Mapping[str, Any]


class Answer:
    """An answer whose head was read. `pieces` is its body."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader
        self._dechunk = Dechunk() if "chunked" in headers.get("transfer-encoding", "").lower() else None
        length = headers.get("content-length", "")
        self._left = int(length) if length.isascii() and length.isdecimal() else None

    async def piece(self) -> bytes:
        """The next bytes of the body; empty at its proper end. `Unreachable` where it breaks off before."""
        while True:
            if self._left == 0 or (self._dechunk is not None and self._dechunk.ended):
                return b""
            try:
                data = await self._reader.read(PIECE)
                body = self._dechunk.feed(data) if self._dechunk is not None else data
            except (OSError, ValueError):
                data = body = b""
            if not data and (self._dechunk is not None or self._left is not None):
                raise Unreachable("The connection to the engine broke.")
            if self._left is not None:
                body = body[: self._left]
                self._left -= len(body)
            if body or self._dechunk is None:
                return body

    async def pieces(self) -> AsyncIterator[bytes]:
        while data := await self.piece():
            yield data

    async def whole(self, largest: int) -> bytes:
        body = bytearray()
        async for data in self.pieces():
            body += data
            if len(body) > largest:
                raise EngineError("The engine's answer is too large.")
        return bytes(body)

    @property
    def clock_offset_ns(self) -> int:
        """How far the engine's clock is ahead of ours, to the second; 0 for less than two."""
        try:
            told = parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            return 0
        offset = told - time.time()
        return int(offset * 10**9) if abs(offset) >= 2 else 0


@asynccontextmanager
async def get(
    endpoint: Endpoint, path: str, query: Mapping[str, str] | None = None, *, deadline: float
) -> AsyncIterator[Answer]:
    """Connects, asks and reads the head, within ``deadline`` seconds; raises our error for an error status.

    The body has no deadline: that is the caller's. Leaving the context closes the connection at once.
    """
    request = f"{_line('GET', path, query)}Connection: close\r\n\r\n"
    async with _asked(endpoint, request.encode("ascii"), (200,), deadline) as (answer, _):
        yield answer


@asynccontextmanager
async def hijacked(
    endpoint: Endpoint, path: str, query: Mapping[str, str], body: Json, *, deadline: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Posts, and takes the connection over for bytes both ways. Leaving the context closes it at once."""
    request = _post(path, query, body, "Connection: Upgrade\r\nUpgrade: tcp\r\n")
    async with _asked(endpoint, request, (101, 200), deadline) as (_, (reader, writer)):
        yield reader, writer


async def post_json(
    endpoint: Endpoint, path: str, query: Mapping[str, str], body: Json, *, deadline: float, largest: int
) -> Any:
    """A whole JSON answer to a POST within ``deadline`` seconds; ``None`` for an empty one."""
    request = _post(path, query, body, "Connection: close\r\n")
    try:
        async with asyncio.timeout(deadline), _asked(endpoint, request, (200, 201, 204), deadline) as found:
            said = await found[0].whole(largest) if found[0].status != 204 else b""
            return parsed(said) if said.strip() else None
    except TimeoutError:
        raise DeadlineExceeded(f"The engine did not answer within {deadline:g} seconds.") from None


def _line(method: str, path: str, query: Mapping[str, str] | None) -> str:
    target = f"{path}?{urlencode(query)}" if query else path
    return f"{method} {target} HTTP/1.1\r\nHost: engine\r\nUser-Agent: slipway\r\n"


def _post(path: str, query: Mapping[str, str], body: Json, headers: str) -> bytes:
    data = json.dumps(body).encode()
    head = f"{_line('POST', path, query)}{headers}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("ascii") + data


@asynccontextmanager
async def _asked(
    endpoint: Endpoint, request: bytes, good: tuple[int, ...], deadline: float
) -> AsyncIterator[tuple[Answer, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    transport: asyncio.WriteTransport | None = None
    try:
        async with asyncio.timeout(deadline):
            try:
                reader, writer = await _connect(endpoint)
            except ssl.SSLError as error:
                raise Unreachable(words(error)) from None
            except OSError:
                raise Unreachable(
                    "The engine does not answer: nothing listens at its address, or access is refused."
                ) from None
            transport = writer.transport
            writer.write(request)
            status, headers = await _head(reader)
            answer = Answer(reader, status, headers)
            if status not in good:
                raise _refusal(status, await answer.whole(LARGEST_ERROR))
    except TimeoutError:
        if transport:
            transport.abort()
        raise DeadlineExceeded(f"The engine did not answer within {deadline:g} seconds.") from None
    except BaseException:
        if transport:
            transport.abort()
        raise
    try:
        yield answer, (reader, writer)
    finally:
        transport.abort()


async def get_bytes(
    endpoint: Endpoint, path: str, query: Mapping[str, str] | None = None, *, deadline: float, largest: int
) -> bytes:
    """A whole answer within ``deadline`` seconds."""
    try:
        async with asyncio.timeout(deadline), get(endpoint, path, query, deadline=deadline) as answer:
            return await answer.whole(largest)
    except TimeoutError:
        raise DeadlineExceeded(f"The engine did not answer within {deadline:g} seconds.") from None


async def get_json(
    endpoint: Endpoint, path: str, query: Mapping[str, str] | None = None, *, deadline: float, largest: int
) -> Any:
    """A whole JSON answer within ``deadline`` seconds."""
    return parsed(await get_bytes(endpoint, path, query, deadline=deadline, largest=largest))


def parsed(body: bytes) -> Any:
    """The JSON of an answer."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise EngineError("The engine's answer makes no sense.") from None


async def _connect(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if endpoint.path:
        return await asyncio.open_unix_connection(endpoint.path, limit=PIECE)
    tls = endpoint.certificates.context() if endpoint.certificates else None
    return await asyncio.open_connection(endpoint.host, endpoint.port, limit=PIECE, ssl=tls)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except ssl.SSLError as error:
        raise Unreachable(words(error)) from None
    except (asyncio.IncompleteReadError, ConnectionError):
        raise Unreachable("The connection to the engine broke.") from None
    except asyncio.LimitOverrunError:
        head = b""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if (
        len(head) > LARGEST_HEAD
        or not first.startswith("HTTP/1.")
        or len(parts) < 2
        or not parts[1].isdecimal()
    ):
        raise EngineError("This does not answer like a container engine.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(parts[1]), headers


def _refusal(status: int, body: bytes) -> EngineError:
    said = body.decode("utf-8", "replace")
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        said = str(json.loads(body)["message"])
    return from_text(said, status)
