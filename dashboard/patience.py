"""How long the web process waits for whoever asks: the headers of a request, how large they may be, and the end of a
socket.

uvicorn itself waits for ever. The body has its own bound in `dashboard.bodies`, as long as somebody reads it: what
comes of it after the answer has the time of headers again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WITHIN = 15.0
"""Seconds until the headers must be there, from the connection or the first byte of a further request on."""
MOST_HEADERS = 16 * 1024
LINGER = 15.0
"""Seconds that a socket which has ended may take to read what is left for it. uvicorn gives it 10 to say good-bye."""


class Patient(HttpToolsProtocol):
    """uvicorn's own protocol, which closes what sends its headers too slowly and answers 431 to large ones."""

    _timer: asyncio.TimerHandle | None = None
    _got = 0
    _reading = True
    _large = False

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
        elif self._timer is None and self._is_left_over():
            self._arm()

    def _is_left_over(self) -> bool:
        """What came belongs to a request that has its answer: it has ended the time that a connection may idle."""
        cycle: Any = self.cycle  # none before the first request, whatever its type says
        if cycle is None or not cycle.response_complete:
            return False
        return self.timeout_keep_alive_task is None and not self.transport.is_closing()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is None or not self._reading:
            self._await_headers()

    def on_headers_complete(self) -> None:
        self._stop()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        app, self._large = self.app, size > MOST_HEADERS
        if self._large:
            self.app = _too_large
        super().on_headers_complete()
        self.app = app

    def handle_websocket_upgrade(self) -> None:
        """No app is asked before the upgrade: where the headers are too large, the answer is written here."""
        if not self._large:
            super().handle_websocket_upgrade()
            return
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def _await_headers(self) -> None:
        self._stop()
        self._reading, self._got = True, 0
        self._arm()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(WITHIN, self.transport.close)

    def _stop(self) -> None:
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PatientSocket(WebSocketsSansIOProtocol):
    """uvicorn's own protocol for sockets, which cuts off who reads nothing: its connection counts as one no more."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(LINGER, self.transport.abort)


async def _too_large(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": b"The headers are too large.\n"})
