"""Sockets for tests: a client that speaks to the whole of ``dashboard.sockets``, origin check included."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from channels.testing import WebsocketCommunicator
from django.conf import settings

HOST = "localhost:8000"
ORIGIN = f"http://{HOST}"


def cookie_of(client: Any) -> str:
    """The Cookie header of a signed-in test client."""
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """The same sockets by the real server, in this loop and with little room in the kernel; its port."""
    from dashboard.patience import PatientSocket
    from dashboard.sockets import application

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = uvicorn.Server(
            uvicorn.Config(application, ws=PatientSocket, lifespan="off", log_level="error")
        )
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with asyncio.timeout(5):
                while True:
                    await asyncio.sleep(0.01)
                    if server.started:
                        break
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = server.force_exit = True
            await task


@asynccontextmanager
async def deaf(port: int, path: str, client: Any) -> AsyncIterator[None]:
    """Somebody who opens a socket there and reads nothing of it any more."""
    loop = asyncio.get_running_loop()
    headers = {
        "Host": HOST, "Origin": ORIGIN, "Cookie": cookie_of(client), "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1Ng==",
    }  # fmt: skip
    lines = (f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", "")
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.setblocking(False)
        await loop.sock_connect(wire, ("127.0.0.1", port))
        await loop.sock_sendall(wire, "\r\n".join(lines).encode())
        assert (await loop.sock_recv(wire, 12)) == b"HTTP/1.1 101"
        yield


class Browser(WebsocketCommunicator):
    """One socket. `open` gives whether it was accepted, `frame` the next JSON, `closed` the close code.

    ``takes``: cleared, the server finds no room for a frame, nor for the end.
    """

    def __init__(self, path: str, client: Any = None, *, origin: str | None = ORIGIN, **headers: str) -> None:
        from dashboard.sockets import application

        sent = {"host": HOST, **headers}
        if origin is not None:
            sent["origin"] = origin
        if client is not None:
            sent["cookie"] = cookie_of(client)
        self.takes = asyncio.Event()
        self.takes.set()

        async def patient(scope: Any, receive: Any, send: Any) -> None:
            async def put(message: Any) -> None:
                await self.takes.wait()
                await send(message)

            await application(scope, receive, put)

        super().__init__(patient, path, [(k.encode(), v.encode()) for k, v in sent.items()])
        self.scope["scheme"] = "ws"
        self.scope["client"] = ("127.0.0.1", 50000)

    async def open(self) -> bool:
        return bool((await self.connect(timeout=5))[0])

    async def say(self, frame: Any) -> None:
        await self.send_to(text_data=frame if isinstance(frame, str) else json.dumps(frame))

    async def frame(self, seconds: float = 5) -> Any:
        message = await self.receive_output(seconds)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def frames(self, seconds: float = 0.4) -> list[Any]:
        """All that come until it is quiet for so long."""
        found = []
        while not await self.receive_nothing(seconds, 0.02):
            found.append(await self.frame())
        return found

    async def closed(self, seconds: float = 5) -> int:
        """Skips frames until it is closed, and returns the code."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.receive_output(seconds)
                if message["type"] == "websocket.close":
                    return int(message["code"])
