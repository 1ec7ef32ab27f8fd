"""Pulling an image, with progress by layer.

A pull never fails by its HTTP status once it began: the error is the last object of the stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from engine.base import Emit, ShouldStop
from engine.docker_calls import Calls
from engine.docker_errors import from_text, one_line
from engine.docker_map import Json, mapping
from engine.docker_text import number, text
from engine.docker_transport import Client, json_objects
from engine.names import ImageReference
from engine.types import Progress

EMIT_EVERY = 0.2
MOST_LAYERS = 512
_ANONYMOUS = {"X-Registry-Auth": "e30="}  # {}: nobody's credentials, never those of the account we run under
_STARTED = (
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
)
_FINISHED = ("Pull complete", "Already exists")


class Layers:
    """How far each layer is, from the objects of the stream."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []
        self.message = ""

    def take(self, event: Json) -> None:
        """Raises our error for an error in the stream."""
        error = mapping(event.get("errorDetail")).get("message") or event.get("error")
        if error:
            raise from_text(text(error, 4096))
        layer, status = text(event.get("id"), 64), one_line(text(event.get("status"), 512))
        if (
            status in _FINISHED + _STARTED
            and layer
            and (layer in self.found or len(self.found) < MOST_LAYERS)
        ):
            known = self.found.setdefault(layer, {"status": "", "current": 0, "total": 0})
            if known["status"] != status and status not in ("Waiting", "Downloading", "Extracting"):
                self.lines.append(f"{layer}: {status}")
            known["status"] = status
            detail = mapping(event.get("progressDetail"))
            if status == "Downloading":
                known["current"], known["total"] = number(detail.get("current")), number(detail.get("total"))
            elif status in (*_FINISHED, "Download complete"):
                known["current"] = known["total"]
        elif status:
            self.message = status
            self.lines.append(f"{layer}: {status}" if layer else status)

    def progress(self) -> Progress:
        """``extra``: ``layers`` (id → status, current and total bytes), ``bytes`` and ``bytes_total`` downloaded."""
        done = sum(layer["status"] in _FINISHED for layer in self.found.values())
        lines, self.lines = tuple(self.lines), []
        message = f"{done} of {len(self.found)} layers" if self.found else self.message
        return Progress(
            current=done if self.found else None,
            total=len(self.found) or None,
            unit="layers",
            message=message,
            log=lines,
            extra={
                "layers": {layer: dict(known) for layer, known in self.found.items()},
                "bytes": sum(layer["current"] for layer in self.found.values()),
                "bytes_total": sum(layer["total"] for layer in self.found.values()),
            },
        )


def pull(
    calls: Calls, reference: ImageReference, emit: Emit, should_stop: ShouldStop, deadline: float
) -> None:
    """Leaving before the end cuts the connection, and the engine then gives the pull up."""
    query = {"fromImage": reference.name, "tag": reference.digest or reference.tag}

    def work(client: Client) -> Iterator[Json]:
        yield from json_objects(client.open_stream("POST", "/images/create", query, headers=_ANONYMOUS))

    layers, next_emit = Layers(), 0.0
    with calls.stream(work, deadline=deadline, writes=True, should_stop=should_stop) as events:
        for event in events:
            if event is not None:
                layers.take(event)
            if time.monotonic() >= next_emit and (event is not None or layers.lines):
                emit(layers.progress())
                next_emit = time.monotonic() + EMIT_EVERY
    emit(layers.progress())
