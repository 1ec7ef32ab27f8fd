"""Figures over time, to read: what is kept of a container and of those whose place it took, as points of a range."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from containers_app.blocks import BREAK, FIELDS, NOTHING, RESOLUTIONS, WIDTH, Block, Slot, rolled_up
from containers_app.models import StatsBlock
from streams import stats

JOINED = 75
"""Seconds: readings this far apart are still one line. What nobody looks at is read once a minute at worst."""


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time that can be asked for. ``step``: seconds of a slot, 0 for readings as they were.

    ``drawn`` is the step of a plot, which needs no more points than it has pixels.
    """

    name: str
    title: str
    words: Any
    seconds: int
    step: int
    drawn: int


RANGES = {
    one.name: one
    for one in (
        Range("5m", "5 min", _("5 minutes"), 300, 0, 0),
        Range("1h", "1 h", _("hour"), 3600, 15, 15),
        Range("24h", "24 h", _("24 hours"), 86400, 60, 300),
        Range("7d", "7 d", _("7 days"), 7 * 86400, 900, 1800),
        Range("30d", "30 d", _("30 days"), 30 * 86400, 3600, 7200),
    )
}
_BY_STEP = {resolution.step: resolution for resolution in RESOLUTIONS}


@dataclass(frozen=True, slots=True)
class Point:
    """``at`` in seconds since 1970; numbers by `FIELDS`, ``None`` where not known, and all of them in a gap."""

    at: float
    average: tuple[float | None, ...]
    most: tuple[float | None, ...]

    @property
    def gap(self) -> bool:
        """Whether the line is broken here."""
        return all(value is None for value in self.average)


def points(
    subjects: Sequence[object], wanted: Range, *, now: float | None = None, step: int | None = None
) -> list[Point]:
    """Points of the range up to now, in order. ``subjects``: a container first, then those whose place it took.

    ``step``: fewer points than are kept. Blocking, one query and one look into Redis.
    """
    now = time.time() if now is None else now
    since = now - wanted.seconds
    recent = _recent(subjects[0]) if subjects else []
    finest = wanted.step or RESOLUTIONS[0].step
    kept = _kept(subjects, finest, since)
    begins = recent[0].at if recent else math.inf
    if not wanted.step:
        slots = [slot for slot in kept if slot.at + finest <= begins] + recent
    else:
        last = kept[-1].at if kept else -1
        slots = kept + [slot for slot in rolled_up(recent, finest) if slot.at > last]
    if (step or 0) > wanted.step:
        slots = rolled_up(slots, step or 0)
    join = max(JOINED, 2.5 * (step or finest))
    return list(_joined([slot for slot in slots if slot.at > since - (step or finest)], join))


def _kept(subjects: Sequence[object], step: int, since: float) -> list[Slot]:
    """Slots of the blocks; where two tell of the same time, the younger container's."""
    resolution = _BY_STEP[step]
    rank = {str(subject): index for index, subject in enumerate(subjects)}
    rows = StatsBlock.objects.filter(subject__in=list(rank), step=step, start__gt=since - resolution.length)
    found: dict[float, Slot] = {}
    read = list(rows.values_list("subject", "start", "data"))
    for _subject, start, data in sorted(read, key=lambda row: -rank[str(row[0])]):
        try:
            block = Block.unpack(start, resolution, bytes(data))
        except ValueError:
            continue
        for slot in block:
            # A break says nothing against what another knows of that time.
            if slot.average[0] != BREAK or slot.at not in found:
                found[slot.at] = slot
    return [found[at] for at in sorted(found)]


def _recent(subject: object) -> list[Slot]:
    """Readings as they were, as slots of no length."""
    found = []
    for ms, *values in stats.recent(subject):
        if all(math.isnan(value) for value in values):
            found.append(Slot(ms / 1000, [BREAK, *[NOTHING] * (WIDTH - 1)], [NOTHING] * WIDTH))
        else:
            found.append(Slot(ms / 1000, values, values))
    return found


def _joined(slots: Iterable[Slot], join: float) -> Iterable[Point]:
    nothing = (None,) * WIDTH
    before: float | None = None
    for slot in slots:
        if slot.average[0] == BREAK:
            if before is not None:
                yield Point(slot.at, nothing, nothing)
            before = None
            continue
        if before is not None and slot.at - before > join:
            yield Point(before + join / 2.5, nothing, nothing)
        before = slot.at
        yield Point(slot.at, _numbers(slot.average), _numbers(slot.most))


def _numbers(values: Sequence[float]) -> tuple[float | None, ...]:
    """Cores to a ten-thousandth, bytes and counts as they come."""
    return tuple(
        None if not math.isfinite(value) else round(value, 4) if index == 0 else round(value, 1)
        for index, value in enumerate(values)
    )


def columns(found: Sequence[Point]) -> dict[str, list[Any]]:
    """The points as arrays: `FIELDS`, and the most of each as ``<field>_max``."""
    arrays: dict[str, list[Any]] = {}
    for index, name in enumerate(FIELDS):
        arrays[name] = [point.average[index] for point in found]
        arrays[f"{name}_max"] = [point.most[index] for point in found]
    return arrays
