"""How long the web process waits for whoever asks: the headers of a request, and how large they may be.

uvicorn itself waits for ever. The body has its own bound in `dashboard.bodies`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WITHIN = 15.0
"""Seconds until the headers must be there, from the connection or the first byte of a further request on."""
MOST_HEADERS = 16 * 1024


class Patient(HttpToolsProtocol):
    """uvicorn's own protocol, which closes what sends its headers too slowly and answers 431 to large ones."""

    _timer: asyncio.TimerHandle | None = None
    _got = 0
    _reading = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reading:
            self._got += len(data)
        super().data_received(data)
        if self._reading and self._got > MOST_HEADERS and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        self._stop()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        app = self.app
        if size > MOST_HEADERS:
            self.app = _too_large
        super().on_headers_complete()
        self.app = app

    def _await_headers(self) -> None:
        self._reading, self._got = True, 0
        self._timer = self.loop.call_later(WITHIN, self.transport.close)

    def _stop(self) -> None:
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _too_large(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": b"The headers are too large.\n"})
