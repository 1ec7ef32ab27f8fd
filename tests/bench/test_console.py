"""From a key to its echo, a paste to its checksum, and how fast a console opens."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.bench.conftest import Tell
from tests.bench.figures import Figure, percentile
from tests.bench.site import Site

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

KEYS = 300
MORE = 10.0
"""Milliseconds that the way through Slipway may take more."""
PASTE = 102_400

Send, Read = Callable[[bytes], Awaitable[Any]], Callable[[], Awaitable[bytes]]


async def echoes(send: Send, read: Read, keys: int = KEYS) -> list[float]:
    """Milliseconds from each key until it comes back."""
    took = []
    for n in range(keys):
        key = b"abcdefghij"[n % 10 : n % 10 + 1]
        began = time.perf_counter()
        await send(key)
        while key not in await read():
            pass
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)
        if n % 50 == 49:
            await send(b"\x15")  # the line is cleared, so that it does not fill up
            await asyncio.sleep(0.05)
    return took


async def _raw(client: docker.DockerClient, native_id: str) -> list[float]:
    """The engine's own connection, read as plainly as one can."""
    made = client.api.exec_create(native_id, ["cat"], tty=True, stdin=True)
    stream = client.api.exec_start(made["Id"], tty=True, socket=True)
    wire = stream._sock
    wire.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        return await echoes(lambda data: loop.sock_sendall(wire, data), lambda: loop.sock_recv(wire, 65536))
    finally:
        await loop.sock_sendall(wire, b"\x15\x04")
        stream._response.close()
        stream.close()
        wire.close()


async def _ours(site: Site, id_: str) -> tuple[list[float], float, float]:
    """Echoes; milliseconds from the wish to the first byte of a shell; seconds of a paste."""
    async with site.socket(f"/ws/console/{id_}/?cmd=cat") as socket:
        while b'"open"' not in _bytes(await socket.recv()):
            pass

        async def read() -> bytes:
            data = await socket.recv()
            return data if isinstance(data, bytes) else b""

        took = await echoes(socket.send, read)
        await socket.send('{"end": true}')
    began = time.perf_counter()
    async with site.socket(f"/ws/console/{id_}/?cmd=sh") as socket:
        while not isinstance(await socket.recv(), bytes):
            pass
        opened = (time.perf_counter() - began) * 1000
        return took, opened, await _paste(socket)


async def _paste(socket: Any) -> float:
    text = (b"0123456789abcdef" * (PASTE // 16))[:PASTE]
    await socket.send(f"stty raw -echo; echo ready; head -c {PASTE} | sha256sum; stty sane\r".encode())
    seen = b""
    while b"ready\n" not in seen:
        seen += _bytes(await socket.recv())
    began = time.perf_counter()
    for start in range(0, PASTE, 16384):
        await socket.send(text[start : start + 16384])
    while hashlib.sha256(text).hexdigest().encode() not in seen:
        seen += _bytes(await socket.recv())
    await socket.send('{"end": true}')
    return time.perf_counter() - began


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def figures(site: Site, client: docker.DockerClient, container: Container, id_: str) -> list[Figure]:
    """The rows of the table."""
    assert container.id
    raw = asyncio.run(_raw(client, container.id))
    ours, opened, pasted = asyncio.run(_ours(site, id_))
    p50, floor = percentile(ours, 0.5), percentile(raw, 0.5)
    shown = [f"{percentile(one, 0.5):.1f} / {percentile(one, 0.99):.1f} ms" for one in (ours, raw)]
    return [
        Figure("key to echo, p50 / p99", *shown, f"raw + {MORE:.0f} ms", p50 <= floor + MORE),
        Figure("a console opens, to the first byte", f"{opened:.0f} ms", "–", "1 s", opened < 1000),
        Figure("100 KB pasted, to the checksum", f"{pasted:.2f} s", "–", "5 s", pasted < 5),
    ]


def test_a_key_comes_back_at_once(
    site: Site, run: Callable[..., Container], tell: Tell, docker_client: docker.DockerClient
) -> None:
    container = run("console", "trap exit TERM; while :; do sleep 1; done")
    rows = figures(site, docker_client, container, site.row("console")["id"])
    for row in rows:
        tell(row.what, row.slipway, row.raw, row.target, row.met)
    assert rows[0].met
