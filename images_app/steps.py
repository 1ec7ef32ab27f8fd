"""The steps of a build as a gantt: what each did, when it began, how long it took, in per cent of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from images_app.dockerfile import Instruction, instructions
from images_app.models import Build

THINNEST = 0.8
"""Per cent: a step of no length is still to be seen."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row. ``x`` and ``width`` are per cent of the time so far; ``took`` is empty for steps not begun."""

    n: int
    stage: str
    instruction: str
    glyph: str
    look: str
    x: float
    width: float
    took: str
    started_at: str = ""


def steps(build: Build, now: datetime | None = None) -> list[Step]:
    """The steps known so far, then those of the Dockerfile that are still to come."""
    operation = build.operation
    known = [s for s in build.steps if isinstance(s, Mapping)]
    plan = instructions(build.dockerfile)
    total = operation.progress.get("total") if operation else None
    plan = plan[:total] if isinstance(total, int) else plan
    plan = plan if len(plan) >= len(known) else []
    begun = operation.started_at if operation else None
    end = (operation.finished_at if operation else None) or now or timezone.now()
    first = _moment(known[0]) if known else None
    begin = first or begun or end
    span = max(0.001, (end - begin).total_seconds())
    found = [
        _step(build, step, i + 1, plan[i] if plan else None, (begin, span)) for i, step in enumerate(known)
    ]
    if operation is None or not operation.ended:
        found += [_coming(plan[i], i + 1) for i in range(len(known), len(plan))]
    return found


def summary(found: Sequence[Step]) -> str:
    """``10 of 13, 4 from cache``."""
    done = sum(step.glyph == "done" for step in found)
    cached = sum(step.look == "cache" for step in found)
    text = f"{done} of {len(found)}" if found else ""
    return f"{text}, {cached} from cache" if cached else text


def _step(
    build: Build, step: Mapping[str, Any], n: int, planned: Instruction | None, window: tuple[datetime, float]
) -> Step:
    begin, span = window
    state, cached = str(step.get("state") or ""), bool(step.get("cached"))
    started = _moment(step)
    offset = max(0.0, (started - begin).total_seconds()) if started else 0.0
    running = state == "running" and build.operation is not None and not build.operation.ended
    seconds = span - offset if running else float(step.get("seconds") or 0)
    x = min(100 - THINNEST, 100 * offset / span)
    width = max(THINNEST, min(100 - x, 100 * seconds / span))
    failed = state == "failed"
    cancelled = state == "cancelled" or (state == "running" and not running)
    return Step(
        n=int(step.get("n") or n),
        stage=planned.stage if planned else "",
        instruction=str(step.get("instruction") or ""),
        glyph="failed" if failed else "cancelled" if cancelled else "busy" if running else "done",
        look="failed" if failed else "now" if running else "cache" if cached else "ran",
        x=round(x, 2),
        width=round(width, 2),
        took="cached" if cached else seconds_text(seconds),
        started_at=started.isoformat() if running and started else "",
    )


def _coming(instruction: Instruction, n: int) -> Step:
    return Step(n, instruction.stage, str(instruction), "queued", "", 0, 0, "")


def seconds_text(seconds: float) -> str:
    """``0.4 s``, ``22.1 s``, ``4:20``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)}:{int(seconds % 60):02}"


def _moment(step: Mapping[str, Any]) -> datetime | None:
    try:
        return parse_datetime(str(step.get("started_at") or ""))
    except ValueError:
        return None
