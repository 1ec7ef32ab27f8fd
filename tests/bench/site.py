"""A running Slipway as a measurement sees it: its processes, its sockets, its containers."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.figures import cpu, memory, named
from tests.machine import LiveApp, wait_for

_TIME = re.compile(rb'"(\d{19})"')


class Site:
    """One `LiveApp` and its parts."""

    def __init__(self, app: LiveApp) -> None:
        self.app = app
        assert app.process is not None
        below = app.process.pid
        (self.web,), (self.gateway,) = named(below, "uvicorn"), named(below, "manage.py gateway")
        self.token = app.token("admin", "read", "operate", "write")
        self.engine = urlparse(app.environment["DOCKER_HOST"]).path

    def row(self, name: str) -> dict[str, Any]:
        """What REST says of the container of that name, once it is known."""

        def find() -> dict[str, Any] | None:
            _, found = self.app.api(self.token, "GET", f"/api/v1/containers/?q={name}")
            rows = [row for row in found["results"] if row["name"] == name]
            return rows[0] if rows else None

        return wait_for(find, 20, f"no {name}", every=0.1)

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[ClientConnection]:
        """A socket as a program opens it. Nothing is compressed."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"ws://127.0.0.1:{self.app.port}{path}"
        async with connect(
            url, additional_headers=headers, compression=None, max_size=None, max_queue=64, origin=None
        ) as socket:
            yield socket

    def cpu(self) -> float:
        """Seconds that web and gateway have used."""
        return cpu(self.web) + cpu(self.gateway)

    def memory(self) -> tuple[int, int]:
        """Bytes of web and gateway."""
        return memory(self.web), memory(self.gateway)

    def upstreams(self) -> int:
        """Connections that the engine has open now."""
        lines = Path("/proc/net/unix").read_text().splitlines()
        return sum(1 for line in lines if line.endswith(self.engine) and line.split()[5] == "03")


class Raw:
    """The engine's own socket, read as plainly as one can: the floor."""

    def __init__(self, engine: str, native_id: str) -> None:
        self.engine, self.native_id = engine, native_id

    @asynccontextmanager
    async def follow(self, tail: int) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_unix_connection(self.engine, limit=1 << 20)
        query = f"stdout=1&stderr=1&timestamps=1&follow=1&tail={tail}"
        writer.write(
            f"GET /v1.40/containers/{self.native_id}/logs?{query} HTTP/1.1\r\nHost: e\r\n\r\n".encode()
        )
        try:
            await reader.readuntil(b"\r\n\r\n")
            yield reader
        finally:
            writer.transport.abort()

    async def delays(self, seconds: float) -> list[float]:
        """Milliseconds from the engine's time in each line to here."""
        stamp = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z ")
        found = []
        until = time.monotonic() + seconds
        async with self.follow(0) as reader:
            while time.monotonic() < until:
                piece = await reader.read(1 << 18)
                now = time.time()
                for day, nano in stamp.findall(piece):
                    at = time.mktime(time.strptime(day.decode(), "%Y-%m-%dT%H:%M:%S")) - time.timezone
                    found.append((now - at - int(nano) / 1e9) * 1000)
        return found


async def delays(socket: ClientConnection, seconds: float, since_ns: int = 0) -> list[float]:
    """Milliseconds from the engine's time in each line of the present to here."""
    found: list[float] = []
    until = time.monotonic() + seconds
    began = since_ns or time.time_ns()
    while time.monotonic() < until:
        try:
            async with asyncio.timeout(max(0.01, until - time.monotonic())):
                frame = await socket.recv(decode=False)
        except TimeoutError:
            break
        now = time.time_ns()
        if not frame.startswith(b'{"type":"lines"'):
            continue
        found += [(now - at) / 1e6 for at in map(int, _TIME.findall(frame)) if at >= began]
    return found


def curl(engine: str, path: str) -> tuple[float, float]:
    """Seconds, and seconds of CPU, that `curl` takes to read an answer to nowhere."""
    command = ["curl", "-s", "--unix-socket", engine, "-o", "/dev/null", f"http://engine{path}"]
    began = time.monotonic()
    pid = os.posix_spawnp("curl", command, os.environ)
    _, _, used = os.wait4(pid, 0)
    return time.monotonic() - began, used.ru_utime + used.ru_stime
