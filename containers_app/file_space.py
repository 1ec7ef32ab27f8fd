"""Whose files are looked at, by whom: what pages and REST ask of the worker, and how a file comes to a browser."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote, urlencode

from django.http import StreamingHttpResponse
from django.urls import reverse

from accounts import audit
from accounts.access import Actor
from containers_app import files
from containers_app.models import Container, Volume
from engine.files import clean, shown
from operations import longreads, reads

WAIT = 12.0
"""Seconds that one waits for an engine."""
PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Space:
    """Whose files a page shows: a ``row``, the ``kind`` of its target, and what the reader may there."""

    row: Container | Volume
    kind: str
    actor: Actor

    def url(self, name: str, path: str = "") -> str:
        """An address of these files: browse, view, download …"""
        found = reverse(f"{self.kind}s:{name}", args=[self.row.pk])
        return f"{found}?{urlencode({'path': path})}" if path else found

    def read(self, what: str, path: str) -> dict[str, Any]:
        """Has the engine asked. Raises `engine.errors.EngineError`."""
        params = files.params_of(self.row, self.actor, clean(path))
        return reads.read(f"{self.kind}.{what}", self.row, actor=self.actor, params=params, deadline=WAIT)

    def record(self, path: str, **detail: Any) -> None:
        """A line in the audit trail: somebody has seen what is in a file."""
        audit.record(
            f"{self.kind}.files", self.actor, target_type=self.kind, target_id=self.row.pk,
            target_name=self.row.name, team_id=self.row.team_id, detail={"path": shown(path), **detail},
        )  # fmt: skip


def fetched(space: Space, path: str) -> StreamingHttpResponse:
    """The file, from our own disk: the engine is done with it. Raises `engine.errors.EngineError`."""
    params = files.params_of(space.row, space.actor, clean(path))
    last: dict[str, Any] = {}
    flow = longreads.begin(
        f"{space.kind}.fetch", space.row, actor=space.actor, params=params, deadline=files.LONGEST, first=WAIT
    )
    for piece in flow:
        last = piece
    at = files.spooled(str(last.get("file", "")))
    file = at.open("rb")  # read by who answers, and closed there
    at.unlink()
    space.record(path, bytes=last["bytes"])
    folder = last["kind"] == "folder"
    name = (posixpath.basename(path) or space.row.name) + (".tar" if folder else "")
    return StreamingHttpResponse(
        _pieces(file), content_type="application/x-tar" if folder else "application/octet-stream",
        headers={
            "Content-Length": str(last["bytes"]), "X-Content-Type-Options": "nosniff",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(_safe(name), safe='')}",
            "X-Accel-Buffering": "no",
        },
    )  # fmt: skip


def _safe(name: str) -> str:
    """A name for a file on somebody's own disk."""
    return "".join(letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_" for letter in name)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
