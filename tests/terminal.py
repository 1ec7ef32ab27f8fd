"""A console for tests: a socket to /ws/console/, and what a person would read on its screen."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from tests.sockets import Browser


class Terminal(Browser):
    """``screen``: all bytes that came. ``said``: all text frames."""

    def __init__(self, container: object, client: Any = None, **query: Any) -> None:
        headers = {"authorization": query.pop("bearer")} if "bearer" in query else {}
        options = {"origin": None} if headers else {}
        super().__init__(f"/ws/console/{container}/?{urlencode(query)}", client, **options, **headers)
        self.screen = b""
        self.said: list[dict[str, Any]] = []
        self.code = 0

    async def start(self) -> dict[str, Any]:
        """Opens it, and returns its first frame."""
        assert await self.open()
        await self._next(5)
        return self.said[0]

    async def shows(self, text: bytes, seconds: float = 8) -> bytes:
        """Waits until that is on the screen."""
        try:
            async with asyncio.timeout(seconds):
                while text not in self.screen:
                    await self._next(seconds)
        except TimeoutError:
            raise AssertionError(f"{text!r} is not on the screen: {self.screen[-2000:]!r}") from None
        return self.screen

    async def hears(self, seconds: float = 8, **wanted: Any) -> dict[str, Any]:
        """Waits for a text frame with these values."""
        async with asyncio.timeout(seconds):
            while True:
                for frame in self.said:
                    if wanted.items() <= frame.items():
                        return frame
                await self._next(seconds)

    async def type(self, data: bytes) -> None:
        await self.send_to(bytes_data=data)

    async def is_closed(self, seconds: float = 8) -> int:
        """The close code."""
        async with asyncio.timeout(seconds):
            while not self.code:
                await self._next(seconds)
        return self.code

    async def _next(self, seconds: float) -> None:
        message = await self.receive_output(seconds)
        if message["type"] == "websocket.close":
            assert not self.code
            self.code = int(message["code"])
            if self.said and self.said[-1].get("state") != "ended":
                self.said.append({"type": "closed"})
        elif message.get("bytes") is not None:
            self.screen += message["bytes"]
        else:
            self.said.append(json.loads(message["text"]))
