"""Pulling and pushing an image, with progress by layer.

Neither ever fails by its HTTP status once it began: the error is the last object of the stream.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

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
_STARTED = (
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
)
_FINISHED = ("Pull complete", "Already exists")
_OFTEN = ("Waiting", "Downloading", "Extracting", "Preparing", "Pushing")
_SENDING = ("Preparing", "Waiting", "Pushing")
_SENT = ("Pushed", "Layer already exists")
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64}) size: (\d{1,12})")


class Layers:
    """How far each layer is, from the objects of the stream."""

    def __init__(self, started: tuple[str, ...] = _STARTED, finished: tuple[str, ...] = _FINISHED) -> None:
        self.started, self.finished = started, finished
        self.digest = ""
        self.found: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []
        self.message = ""

    def take(self, event: Json) -> None:
        """Raises our error for an error in the stream."""
        error = mapping(event.get("errorDetail")).get("message") or event.get("error")
        if error:
            raise from_text(text(error, 4096))
        layer, status = text(event.get("id"), 64), one_line(text(event.get("status"), 512))
        if told := _DIGEST.search(status):
            self.digest = told[1]
        done = status in self.finished or status.startswith("Mounted from ")
        if (
            (done or status in self.started)
            and layer
            and (layer in self.found or len(self.found) < MOST_LAYERS)
        ):
            known = self.found.setdefault(layer, {"status": "", "current": 0, "total": 0})
            if known["status"] != status and status not in _OFTEN:
                self.lines.append(f"{layer}: {status}")
            known["status"] = status
            detail = mapping(event.get("progressDetail"))
            if status in ("Downloading", "Pushing"):
                known["current"], known["total"] = number(detail.get("current")), number(detail.get("total"))
            elif done or status == "Download complete":
                known["current"] = known["total"]
        elif status:
            self.message = status
            self.lines.append(f"{layer}: {status}" if layer else status)

    def progress(self) -> Progress:
        """``extra``: ``layers`` (id → status, current and total bytes), ``bytes`` and ``bytes_total`` downloaded."""
        done = sum(
            layer["status"] in self.finished or layer["status"].startswith("Mounted from ")
            for layer in self.found.values()
        )
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


@dataclass(frozen=True, slots=True)
class Way:
    """How an image travels: over which connection, who hears of it, until when, and with whose credentials."""

    calls: Calls
    emit: Emit
    should_stop: ShouldStop
    deadline: float
    auth: Mapping[str, str] | None
    """``username``, ``password`` and ``serveraddress``; ``None``: nobody's, never those of our own account."""


def pull(way: Way, reference: ImageReference) -> None:
    """Leaving before the end cuts the connection, and the engine then gives the pull up."""
    query = {"fromImage": reference.name, "tag": reference.digest or reference.tag}
    _follow(way, "/images/create", query, Layers())


def push(way: Way, reference: ImageReference) -> str:
    """Sends a tag to its registry, and returns the digest that it has there; empty where the engine did not say."""
    layers = Layers(_SENDING, _SENT)
    _follow(way, f"/images/{quote(reference.name)}/push", {"tag": reference.tag}, layers)
    return layers.digest


def _follow(way: Way, path: str, query: Mapping[str, str], layers: Layers) -> None:
    said = base64.urlsafe_b64encode(json.dumps(dict(way.auth or {})).encode()).decode()

    def work(client: Client) -> Iterator[Json]:
        yield from json_objects(client.open_stream("POST", path, query, headers={"X-Registry-Auth": said}))

    next_emit = 0.0
    with way.calls.stream(work, deadline=way.deadline, writes=True, should_stop=way.should_stop) as events:
        for event in events:
            if event is not None:
                layers.take(event)
            if time.monotonic() >= next_emit and (event is not None or layers.lines):
                way.emit(layers.progress())
                next_emit = time.monotonic() + EMIT_EVERY
    way.emit(layers.progress())
