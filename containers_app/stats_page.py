"""The page of a container's figures: plots in words and numbers, a table of the same, and what happened."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.access import Actor
from containers_app.blocks import FIELDS
from containers_app.marks import Mark, marks
from containers_app.models import Container
from containers_app.plots import RANGES, Point, Range, columns, points
from containers_app.present import lineage
from streams import stats

USUAL = "1h"
ROWS = 60
"""A table of more is read by nobody."""
_INDEX = {name: index for index, name in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class Numbers:
    """One figure over a range; ``None`` where nothing is known."""

    now: float | None
    average: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. ``at`` is when it begins."""

    at: datetime
    average: dict[str, float | None]
    most: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Page:
    """``data`` is for the script that draws."""

    range: Range
    numbers: dict[str, Numbers]
    rows: list[Row]
    marks: list[Mark]
    data: dict[str, Any]
    live: bool
    known: bool

    @property
    def as_json(self) -> str:
        """`data` as text."""
        return json.dumps(self.data, separators=(",", ":"))


def page(container: Container, actor: Actor, name: str) -> Page:
    """What is drawn for this range, or for the usual one."""
    wanted, now = RANGES.get(name, RANGES[USUAL]), time.time()
    subjects = lineage(container, actor)
    since = datetime.fromtimestamp(now - wanted.seconds, UTC)
    found = points(subjects, wanted, now=now, step=wanted.drawn)
    moments = marks(subjects, actor, since)
    newest = next(iter(stats.latest([container.pk])), None)
    live = container.state in ("running", "paused")
    latest = dict(zip(FIELDS, (newest[1], newest[2], *newest[4:9]), strict=True)) if newest and live else {}
    return Page(
        wanted,
        {field: _numbers(found, field, latest.get(field)) for field in FIELDS},
        table(found, wanted),
        moments,
        {
            **_data(container, wanted, found),
            "live": live,
            "now": round(now, 3),
            "marks": [[round(mark.at.timestamp(), 3), mark.label, mark.kind, mark.bad] for mark in moments],
        },
        live,
        any(not point.gap for point in found),
    )


def table(found: Sequence[Point], wanted: Range) -> list[Row]:
    """The same as at most `ROWS` lines, the newest first; gaps are left out."""
    length = math.ceil(wanted.seconds / ROWS)
    lines: dict[int, list[Point]] = {}
    for point in found:
        if not point.gap:
            lines.setdefault(int(point.at // length * length), []).append(point)
    return [
        Row(
            datetime.fromtimestamp(at, UTC),
            {field: _mean(point.average[index] for point in some) for field, index in _INDEX.items()},
            {field: _most(point.most[index] for point in some) for field, index in _INDEX.items()},
        )
        for at, some in sorted(lines.items(), reverse=True)
    ]


def as_csv(container: Container, actor: Actor, name: str) -> str:
    """All that is kept of the range, a line a slot: CPU in cores, bytes, bytes a second."""
    wanted = RANGES.get(name, RANGES[USUAL])
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["time", *FIELDS, *(f"{field}_max" for field in FIELDS)])
    for point in points(lineage(container, actor), wanted):
        if not point.gap:
            at = datetime.fromtimestamp(point.at, UTC).isoformat(timespec="seconds")
            writer.writerow([at, *point.average, *point.most])
    return out.getvalue()


def _data(container: Container, wanted: Range, found: Sequence[Point]) -> dict[str, Any]:
    arrays = columns(found)
    if not wanted.step:
        arrays = {field: arrays[field] for field in FIELDS}
    return {
        "container": str(container.pk),
        "seconds": wanted.seconds,
        "words": str(wanted.words),
        "step": wanted.drawn,
        "cpuLimit": container.cpu_limit,
        "memoryLimit": container.memory_limit,
        "t": [round(point.at, 3) for point in found],
        **arrays,
    }


def _numbers(found: Sequence[Point], field: str, latest: float | None) -> Numbers:
    index = _INDEX[field]
    values = [value for point in found if (value := point.average[index]) is not None]
    return Numbers(latest, _mean(values), _most(point.most[index] for point in found))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
