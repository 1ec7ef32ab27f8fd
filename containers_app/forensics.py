"""Reads what a container wrote last before an incident. In the gateway, beside everything else: an engine that answers
slowly holds up nothing but this.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from containers_app.blocks import RESOLUTIONS, Block, Resolution, Slot
from containers_app.models import EngineEvent, Incident, StatsBlock
from engine.base import Engine as EngineBackend
from engine.docker_text import text
from engine.errors import EngineError, NotFound
from operations.models import Engine
from streams import bell

BEFORE = timedelta(minutes=10)
FINE, SOON = timedelta(minutes=100), timedelta(seconds=90)
"""Figures are written within a minute or so, and get coarser after two hours."""

LINES = 100
LONGEST = 2000
ROOM = 32 * 1024
"""Characters of all lines of one incident."""

WITHIN = 5.0
AROUND, LATE = timedelta(milliseconds=100), timedelta(seconds=2)


def read(backend: EngineBackend, incident: Incident) -> None:
    """Keeps the last lines of its run, or why there are none."""
    rows = Incident.objects.filter(id=incident.id)
    try:
        lines = _bounded(_last_lines(backend, incident))
    except EngineError as error:
        # What was read of an earlier end of the same incident is better than nothing: it stays.
        gone = isinstance(error, NotFound)
        state = Incident.Lines.GONE if gone else Incident.Lines.UNREADABLE
        rows.update(lines_state=state, lines_at=timezone.now())
    else:
        rows.update(lines=lines, lines_state=Incident.Lines.KEPT, lines_at=timezone.now())
    bell.ring(f"container:{incident.container_id}")


def _last_lines(backend: EngineBackend, incident: Incident) -> list[list[Any]]:
    since = incident.started_at - AROUND if incident.started_at else None
    until = None if incident.open else _until(incident)
    found = backend.logs(
        incident.native_id,
        tail=LINES,
        since_ns=int(since.timestamp() * 1000) * 10**6 if since else 0,
        until_ns=int(until.timestamp() * 1000) * 10**6 if until else 0,
        deadline=WITHIN,
    )
    return [[str(line.ts_ns), line.stream, text(line.text, LONGEST)] for line in found]


def _until(incident: Incident) -> datetime:
    """A busy engine stamps the last lines after the end that they led to; the next run's are not asked for."""
    late = incident.last_at + LATE
    starts = EngineEvent.objects.filter(
        container=incident.container_id, action="start", at__gt=incident.last_at, at__lte=late
    )
    again = starts.order_by("at").values_list("at", flat=True).first()
    return again or late


def _bounded(lines: list[list[Any]]) -> list[list[Any]]:
    """The newest of them that fit."""
    room, found = ROOM, []
    for line in reversed(lines[-LINES:]):
        room -= len(line[2]) + 1
        if room < 0:
            break
        found.append(line)
    return found[::-1]


def remember_figures(engine: Engine) -> int:
    """Keeps the figures before incidents, once the collector has written them and before they get too coarse.

    Returns of how many incidents.
    """
    now = timezone.now()
    wanted = Incident.objects.filter(
        engine=engine,
        kind=Incident.Kind.EXIT,
        fault=True,
        figures__isnull=True,
        last_at__gt=now - FINE,
        last_at__lt=now - SOON,
    )
    found = 0
    for pk, container, at in wanted.values_list("pk", "container_id", "last_at")[:50]:
        found += Incident.objects.filter(pk=pk).update(figures=figures_before(container, at) or {})
    return found


def figures_before(container_id: Any, at: datetime) -> dict[str, list[float | None]] | None:
    """CPU (cores) and memory (bytes) of the ten minutes before, in the finest steps that are still there.

    ``{"t", "cpu", "memory"}``, ``t`` in seconds before the end; ``None`` where nothing was recorded.
    """
    end = at.timestamp()
    first = end - BEFORE.total_seconds()
    for resolution in RESOLUTIONS[:2]:
        starts = {resolution.start(first), resolution.start(end)}
        rows = StatsBlock.objects.filter(subject=container_id, step=resolution.step, start__in=starts)
        slots = [
            slot
            for start, data in rows.order_by("start").values_list("start", "data")
            for slot in _slots(start, resolution, bytes(data))
            if first <= slot.at <= end and math.isfinite(slot.average[1])
        ]
        if slots:
            return {
                "t": [round(slot.at - end) for slot in slots],
                "cpu": [_number(slot.average[0], 4) for slot in slots],
                "memory": [_number(slot.most[1], 0) for slot in slots],
            }
    return None


def _slots(start: int, resolution: Resolution, data: bytes) -> list[Slot]:
    try:
        return list(Block.unpack(start, resolution, data))
    except ValueError:
        return []


def _number(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
