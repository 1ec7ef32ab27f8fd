"""Sockets for tests: a client that speaks to the whole of ``dashboard.sockets``, origin check included."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from channels.testing import WebsocketCommunicator
from django.conf import settings

HOST = "localhost:8000"
ORIGIN = f"http://{HOST}"


def cookie_of(client: Any) -> str:
    """The Cookie header of a signed-in test client."""
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


class Browser(WebsocketCommunicator):
    """One socket. `open` gives whether it was accepted, `frame` the next JSON, `closed` the close code."""

    def __init__(self, path: str, client: Any = None, *, origin: str | None = ORIGIN, **headers: str) -> None:
        from dashboard.sockets import application

        sent = {"host": HOST, **headers}
        if origin is not None:
            sent["origin"] = origin
        if client is not None:
            sent["cookie"] = cookie_of(client)
        super().__init__(application, path, [(k.encode(), v.encode()) for k, v in sent.items()])
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
