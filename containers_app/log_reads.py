"""What is asked of an engine's logs: the last lines, those around a time, all that match, all. Runs in the worker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from containers_app.models import Container
from containers_app.patterns import Search
from engine.base import Engine as EngineBackend
from engine.errors import DeadlineExceeded
from engine.types import LogLine
from operations.reads import reader

MOST_LINES = 10_000
MOST_BYTES = 4_000_000
TAILS = (10_000, 100_000, None)
"""How many of the last lines are looked at for those before a time, one after another. An engine gives the last ones at
once, and reads a log from its beginning for all of them."""

WINDOW = 12 << 20
"""Bytes of the last lines that are surely there: what an engine's client gives of them at once is bounded."""

SLACK_NS = 10**8
"""Stdout and stderr may be out of order by less than this (seen: 3 ms)."""

SECONDS = 60.0
"""What one search or download may take; it says where it stopped."""
MOST_SEARCHED = 2 << 30
"""Bytes of lines that one search looks at, or a download takes."""
EVERY = 0.5
"""Seconds between two words about how far it is."""
PIECE = 256 * 1024
"""Bytes of lines that go together."""

Row = list[Any]
"""``[stream, ts_ns, text]``; the time is text, since JavaScript's numbers are too small for it."""


@reader("container.logs", target="container", permission="container.logs")
def logs(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lines, oldest first: ``{"lines": [[stream, ts_ns, text], …], "cut": bool}``.

    ``params``: ``tail`` (lines, at most 10,000), ``since_ns`` and ``until_ns`` (0 for none); or ``at_ns`` and
    ``context``: so many lines before that time and as many from it on. ``cut``: there was more than 10,000 lines or
    4 MB of it; the newest are kept.
    """
    if at := int(params.get("at_ns") or 0):
        context = min(int(params["context"]), MOST_LINES // 2)
        return {"lines": _around(engine, row, at, context, context), "cut": False}
    tail = min(int(params.get("tail") or MOST_LINES), MOST_LINES)
    since, until = int(params.get("since_ns") or 0), int(params.get("until_ns") or 0)
    if until:
        # The engine would count the last lines of all, and then find none of them before that time.
        found = [line for line in _around(engine, row, until + 1, tail, 0) if int(line[1]) >= since]
        return _bounded(found, tail)
    return _bounded(map(_row, engine.logs(row.native_id, tail=tail, since_ns=since)), tail)


def _bounded(rows: Iterator[Row] | list[Row], tail: int) -> Mapping[str, Any]:
    kept: deque[Row] = deque()
    size, cut = 0, False
    for line in rows:
        kept.append(line)
        size += _bytes(line[2])
        while size > MOST_BYTES or len(kept) > tail:
            size -= _bytes(kept.popleft()[2])
            cut = True
    return {"lines": list(kept), "cut": cut}


def _around(engine: EngineBackend, row: Container, at: int, before: int, after: int) -> list[Row]:
    """Lines before a time, and those from it on."""
    front: deque[Row] = deque(maxlen=before)
    back: list[Row] = []
    far = False
    for tail in TAILS:
        if tail and tail > TAILS[0] and far:
            continue
        front.clear()
        back.clear()
        left, size, first, last = MOST_BYTES, 0, 0, 0
        for line in engine.logs(row.native_id, tail=tail):
            size += len(line.text)
            first, last = first or line.ts_ns, line.ts_ns
            if line.ts_ns < at:
                front.append(_row(line))
            elif len(back) < after and left > 0:
                back.append(_row(line))
                left -= _bytes(line.text)
            elif line.ts_ns > at + SLACK_NS or len(back) < after:
                size = 0
                break
        if len(front) == before and size < WINDOW:
            break
        # Where so many lines lie behind that time, only a reading from the beginning finds it.
        far = last - at > (last - first) * 9
    found = list(_bounded(list(front), before or 1)["lines"])
    return found + back


@reader("container.search", target="container", permission="container.logs")
def search(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Looks at every line that the engine holds, oldest first, and gives the newest ``most`` that match.

    ``params``: those of `Search`, ``since_ns``, ``until_ns``, ``streams``, ``most``. First come words about how far it
    is, ``{"searched": n, "matches": m}``; then ``{"lines": […]}``; the last is ``{"searched", "matches", "stopped",
    "last_ns"}``: ``stopped`` is ``time`` or ``size`` where lines after ``last_ns`` were not looked at.
    """
    wanted, streams, most = Search.of(params).matcher(), set(params["streams"]), int(params["most"])
    reading = _Reading(engine, row, params)
    found: deque[Row] = deque(maxlen=most)
    matches = searched = 0
    told = time.monotonic()
    for line in reading:
        searched += 1
        if line.stream in streams and wanted(line.text):
            matches += 1
            found.append(_row(line))
        if not searched & 63 and time.monotonic() - told > EVERY:
            told = time.monotonic()
            yield {"searched": searched, "matches": matches}
    kept = _bounded(list(found), most)["lines"]
    yield from _pieces(iter(kept))
    yield {
        "searched": searched, "matches": matches, "kept": len(kept), "stopped": reading.stopped,
        "last_ns": str(reading.last_ns) if reading.stopped else "",
    }  # fmt: skip


@reader("container.log", target="container", permission="container.logs")
def everything(
    engine: EngineBackend, row: Container, params: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """All lines between two times that match, oldest first: ``{"lines": […]}``; the last piece is that of a search."""
    wanted, streams = Search.of(params).matcher(), set(params["streams"])
    reading = _Reading(engine, row, params)
    yield from _pieces(_row(line) for line in reading if line.stream in streams and wanted(line.text))
    yield {"stopped": reading.stopped, "last_ns": str(reading.last_ns) if reading.stopped else ""}


class _Reading:
    """The lines of a log from its beginning, as long as time and size allow; then ``stopped`` says which was up."""

    def __init__(self, engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> None:
        self.stopped = ""
        self.last_ns = 0
        self._until = time.monotonic() + SECONDS
        since, until = int(params.get("since_ns") or 0), int(params.get("until_ns") or 0)
        self._lines = engine.logs(
            row.native_id, tail=None, since_ns=since, until_ns=until, deadline=SECONDS + 5
        )

    def __iter__(self) -> Iterator[LogLine]:
        left, seen = MOST_SEARCHED, 0
        try:
            for line in self._lines:
                self.last_ns = max(self.last_ns, line.ts_ns)
                left -= len(line.text)
                seen += 1
                if left < 0 or (not seen & 255 and time.monotonic() > self._until):
                    self.stopped = "size" if left < 0 else "time"
                    return
                yield line
        except DeadlineExceeded:
            self.stopped = "time"


def _pieces(rows: Iterator[Row]) -> Iterator[Mapping[str, Any]]:
    piece: list[Row] = []
    size = 0
    for line in rows:
        piece.append(line)
        size += _bytes(line[2])
        if size > PIECE:
            yield {"lines": piece}
            piece, size = [], 0
    if piece:
        yield {"lines": piece}


def _row(line: LogLine) -> Row:
    return [line.stream, str(line.ts_ns), line.text]


def _bytes(text: str) -> int:
    """What a line costs in the answer, brackets and time included."""
    return len(text.encode("utf-8", "replace")) + 32
