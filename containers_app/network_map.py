"""The picture of networks: a lane for each, a line for each container, and a stop where a container is on one.

Lines are grouped by network; a container on several stands with the first, and its bar reaches to the lanes of the
others. So the picture grows by one line a container, and lanes that do not meet share a column. The page draws it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from containers_app.attachments import Attachment
from containers_app.listing import Port
from containers_app.models import Container, Network
from engine import names

STEP, FIRST = 16, 10
"""Pixels between two lanes, and to the middle of the first one."""
COLOURS = 6
_LAST = ("bridge", "host", "none")
"""The engine's own networks come after those of people."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A container as it is drawn: its state's shape, and the ports that lead to it from outside."""

    row: Container
    glyph: str = "running"
    ports: Sequence[Port] = ()


@dataclass(slots=True)
class Lane:
    """One network in the picture. ``row`` is ``None`` where the reader may not know more of it than its name."""

    name: str
    row: Network | None = None
    members: list[tuple[Shown, Attachment]] = field(default_factory=list)
    column: int = 0
    colour: int = 1
    top: int = 0
    bottom: int = 0

    @property
    def x(self) -> int:
        """The middle of its lane, in pixels."""
        return FIRST + STEP * self.column


@dataclass(slots=True)
class Piece:
    """A part of a lane within one line: from its top, its middle, or to them. ``stop``: somebody is on it here."""

    x: int
    colour: int
    above: bool
    below: bool
    stop: bool = False


@dataclass(slots=True)
class Line:
    """One line: a network's head, or a container. ``bar`` reaches over all lanes that the container is on."""

    lane: Lane | None
    shown: Shown | None = None
    here: Attachment | None = None
    others: list[Lane] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    bar: tuple[int, int] | None = None
    stop: int = 0

    @property
    def is_head(self) -> bool:
        """Whether it is a network's."""
        return self.shown is None


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is drawn; ``width`` of the lanes in pixels. ``empty``: networks that nobody is on."""

    lines: Sequence[Line]
    lanes: Sequence[Lane]
    empty: Sequence[Network]
    width: int


def picture(networks: Sequence[Network], containers: Iterable[Shown]) -> Picture:
    """The picture of one engine. Containers are those that the reader may see, and so are the rows of networks."""
    lanes, alone = _lanes(networks, containers)
    lines: list[Line] = []
    placed: dict[Any, Line] = {}
    for lane in lanes:
        lane.top = len(lines)
        lines.append(Line(lane))
        for shown, here in lane.members:
            if line := placed.get(shown.row.pk):
                line.others.append(lane)
            else:
                placed[shown.row.pk] = line = Line(lane, shown, here)
                lines.append(line)
    where = {id(line): number for number, line in enumerate(lines)}
    for lane in lanes:
        rows = [where[id(placed[shown.row.pk])] for shown, _ in lane.members]
        lane.top, lane.bottom = min(lane.top, *rows), max(lane.top, *rows)
    columns = _columns(lanes)
    for number, line in enumerate(lines):
        _draw(line, number, lanes)
    if alone:
        lines += [Line(None), *(Line(None, shown) for shown in alone)]
    empty = [row for row in networks if not any(lane.row is row for lane in lanes)]
    return Picture(lines, lanes, empty, 2 * FIRST + STEP * max(0, columns - 1) + 6)


def _lanes(networks: Sequence[Network], containers: Iterable[Shown]) -> tuple[list[Lane], list[Shown]]:
    """Networks that somebody is on, and containers that are on none."""
    by_id = {row.native_id: row for row in networks}
    by_name = {row.name: row for row in networks}
    lanes: dict[str, Lane] = {}
    alone: list[Shown] = []
    for shown in containers:
        for here in shown.row.networks:
            key = here.get("native_id")
            row = by_id.get(key) if key else by_name.get(here.get("name", ""))
            name = row.native_id if row else key or f"name {here.get('name')}"
            lane = lanes.setdefault(name, Lane(row.name if row else str(here.get("name")), row))
            lane.members.append((shown, here))
        if not shown.row.networks:
            alone.append(shown)
    found = sorted(lanes.values(), key=lambda lane: (_rank(lane.name), lane.name))
    for number, lane in enumerate(found):
        lane.colour = number % COLOURS + 1
        lane.members.sort(key=lambda pair: (pair[0].row.stack, pair[0].row.name))
    return found, alone


def _rank(name: str) -> int:
    return _LAST.index(name) + 1 if name in _LAST else int(name in names.OWN_NETWORKS)


def _columns(lanes: Sequence[Lane]) -> int:
    """Gives each lane the first column that is free along all of it; how many columns there are."""
    free_from: list[int] = []
    for lane in sorted(lanes, key=lambda lane: (lane.top, lane.bottom)):
        lane.column = next((n for n, end in enumerate(free_from) if end <= lane.top), len(free_from))
        if lane.column == len(free_from):
            free_from.append(0)
        free_from[lane.column] = lane.bottom + 1
    return len(free_from)


def _draw(line: Line, number: int, lanes: Sequence[Lane]) -> None:
    on = [] if line.lane is None else [line.lane, *line.others]
    for lane in lanes:
        if lane.top <= number <= lane.bottom:
            stop = lane in on and not line.is_head
            line.pieces.append(Piece(lane.x, lane.colour, number > lane.top, number < lane.bottom, stop))
    if on:
        line.stop = on[0].x
        edges = [lane.x for lane in on]
        line.bar = (min(edges), max(edges)) if len(edges) > 1 else None
