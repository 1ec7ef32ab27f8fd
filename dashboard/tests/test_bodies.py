"""A body ends where it is larger than anything that is taken at its address."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import RequestAborted

from dashboard.bodies import Bodies, most_bytes

PIECE = bytes(1024 * 1024)


def sent(path: str, pieces: int, headers: dict[str, str]) -> tuple[int, int]:
    """``(status, pieces that were taken)`` of a body that comes in pieces of 1 MB."""
    taken, status = 0, 0

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        try:
            while (await receive())["more_body"]:
                pass
        except RequestAborted:
            return
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> MutableMapping[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": PIECE, "more_body": taken < pieces}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Bodies(app)({"type": "http", "path": path, "headers": pairs}, receive, send))
    return status, taken


@pytest.mark.parametrize(
    ("path", "most"),
    [("/builds/new/", 17), ("/api/v1/images/build/", 17), ("/images/import/", 20), ("/volumes/new/", 20)],
)
def test_a_body_without_an_end_is_ended(path: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("CONTEXT_MB", 1), ("FILES_MB", 2), ("VOLUME_MB", 3), ("IMAGE_MB", 4)):
        monkeypatch.setattr(settings, name, size)
    known = {"authorization": "Bearer x"}
    assert sent(path, 1_000_000, known) == (413, most + 1)
    assert sent(path, most, known) == (200, most)


def test_a_length_that_is_too_large_is_refused_before_a_byte_is_read() -> None:
    known = {"cookie": f"{settings.SESSION_COOKIE_NAME}=x"}
    too_large = {**known, "content-length": str(most_bytes("/builds/new/", True) + 1)}
    assert sent("/builds/new/", 5, too_large) == (413, 0)
    assert sent("/builds/new/", 5, known) == (200, 5)


def test_who_shows_no_sign_of_who_it_is_sends_little() -> None:
    assert sent("/builds/new/", 1_000_000, {}) == (413, 5)
