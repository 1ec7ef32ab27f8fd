"""How much anybody may send: a body is put on our disk before Django is asked, so that it has to end; and how
slowly it may come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestAborted

from dashboard.static_files import App, Receive, Send

WITHIN = 60.0
"""Seconds that a body may stand still, as an upload does over a poor line; and on the whole each second has to bring
some bytes."""
SLOWEST = 512
SLACK = 16
"""MB for the other fields of a form, and what stands around a file."""
CONTEXTS = ("/builds/new/", "/api/v1/images/build/")


def most_bytes(path: str, known: bool) -> int:
    """The largest body for that path; a small one for whoever shows no sign of who it is."""
    if not known:
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    largest = max(settings.CONTEXT_MB, settings.IMAGE_MB, settings.VOLUME_MB, settings.FILES_MB)
    return ((settings.CONTEXT_MB if path in CONTEXTS else largest) + SLACK) * 1024 * 1024


class Bodies:
    """ASGI wrapper that answers 413 where a body is too large, at once where its length is told, else when it is; and
    408 where it stands still or trickles."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        known = b"authorization" in headers or settings.SESSION_COOKIE_NAME.encode() in headers.get(
            b"cookie", b""
        )
        most, sent = most_bytes(scope["path"], known), 0
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            await _too_large(send, most)
            return
        over = slow = False
        more, waited = True, 0.0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal sent, over, slow, more, waited
            if not more:
                return await receive()  # until the other side leaves
            began = time.monotonic()
            try:
                async with asyncio.timeout(min(WITHIN, WITHIN + sent / SLOWEST - waited)):
                    message = await receive()
            except TimeoutError:
                slow = True
                raise RequestAborted from None
            waited += time.monotonic() - began
            sent, more = sent + len(message.get("body", b"")), bool(message.get("more_body"))
            if sent > most:
                over = True
                raise RequestAborted
            return message

        await self.app(scope, counted, send)
        if over:
            await _too_large(send, most)
        elif slow:
            await _plainly(send, 408, "The request came too slowly.")


async def _too_large(send: Send, most: int) -> None:
    await _plainly(
        send, 413, f"More than {most // 1024 // 1024} MB were sent, which is more than is taken here."
    )


async def _plainly(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
