"""Long answers that go out as they are read, under ASGI too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

PIECE = 64 * 1024


class TextStream(StreamingHttpResponse):
    """An answer of a plain iterator, which is read in a thread: Django alone would first gather everything of it.

    Small parts go together, since each change of threads costs more than a line does.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = _pieces(iter(self.streaming_content))  # type: ignore[arg-type]

        @sync_to_async
        def following() -> bytes:
            return next(whole, b"")

        while piece := await following():
            yield piece


def _pieces(parts: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
