"""S-79: who sends slowly, or too large headers, is cut off; on uvicorn itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from dashboard import bodies, patience
from dashboard.bodies import Bodies
from dashboard.management.commands.up import web_options
from operations import sockets


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"%02d" % size})


async def _refusing(scope: Any, receive: Any, send: Any) -> None:
    """Django swallows what its reading of a body raises, and answers nothing."""
    try:
        await _app(scope, receive, send)
    except bodies.RequestAborted:
        return


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(patience, "WITHIN", 0.3)
    monkeypatch.setattr(bodies, "WITHIN", 0.3)
    pages = Bodies(_refusing)

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (pages if scope["type"] == "http" else _app)(scope, receive, send)

    config = uvicorn.Config(
        both, port=0, http=patience.Patient, ws=patience.PatientSocket, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    server.config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await server.shutdown()


async def _said(port: int, *parts: bytes) -> bytes:
    """What comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


async def test_slow_and_large_requests_are_cut_off(port: int) -> None:
    """S-79: no headers, half of them, a body that stands still; large headers, in one piece and without an end."""
    start = b"POST / HTTP/1.1\r\nhost: x\r\n"
    close = b"connection: close\r\n"
    fine = await _said(port, start + close + b"content-length: 3\r\n\r\nabc")
    assert (fine.startswith(b"HTTP/1.1 200"), fine.endswith(b"03")) == (True, True)
    assert await _said(port) == b""
    assert await _said(port, start) == b""
    again = await _said(port, start + b"content-length: 0\r\n\r\n", start)
    assert again.count(b"HTTP/1.1") == 1, "the further request on the same connection has its own time"
    assert (await _said(port, start + b"content-length: 30\r\n\r\nabc")).startswith(b"HTTP/1.1 408")
    large = b"x-much: " + b"a" * patience.MOST_HEADERS + b"\r\n"
    assert (await _said(port, start + close + large + b"\r\n")).startswith(b"HTTP/1.1 431")
    assert (await _said(port, start + large)).startswith(b"HTTP/1.1 400")


async def test_what_is_left_of_a_body_holds_no_connection(port: int) -> None:
    """S-79: the answer came before the body was read, and what comes of it afterwards ends the idle time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /early HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.write(b"a")
    async with asyncio.timeout(3):  # uvicorn alone waits for ever
        await reader.read()
    writer.close()


async def test_large_headers_open_no_socket(port: int) -> None:
    """S-79."""
    start = b"GET /ws/ HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    key = b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    large = b"".join(b"x-%d: " % n + b"a" * 4000 + b"\r\n" for n in range(5))
    assert (await _said(port, start + key + large + b"\r\n")).startswith(b"HTTP/1.1 431")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start + key + b"\r\n")
    assert b" 101 " in await reader.readline()
    writer.close()


async def test_a_body_that_trickles_is_cut_off(port: int) -> None:
    """S-79: each piece comes in time, and the whole would take for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n")
    answer = asyncio.create_task(reader.readline())  # not to the end: a byte too late resets the connection
    for _ in range(200):
        if answer.done():
            break
        writer.write(b"a")
        await asyncio.sleep(0.05)
    assert (await answer).startswith(b"HTTP/1.1 408")
    writer.close()


def test_the_product_serves_with_these_bounds() -> None:
    """S-79."""
    options = web_options("127.0.0.1", 1)
    assert options[options.index("--http") + 1] == "dashboard.patience:Patient"
    assert (
        sockets.LONGEST_FRAME < int(options[options.index("--ws-max-size") + 1]) <= 2 * sockets.LONGEST_FRAME
    )
