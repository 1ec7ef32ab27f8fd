"""The steps of a build as a gantt: what each did, when it began, how long it took, in per cent of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from images_app.dockerfile import Instruction, instructions
from images_app.models import Build

THINNEST = 0.8
"""Per cent: a step of no length is still to be seen."""
SURROUNDING = 3
"""Lines of the Dockerfile that are shown before and after the one that failed."""


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
    line: int = 0


def steps(build: Build, now: datetime | None = None) -> list[Step]:
    """The steps known so far, in the order of the Dockerfile, then those that are still to come."""
    operation = build.operation
    known = [s for s in build.steps if isinstance(s, Mapping)]
    plan = instructions(build.dockerfile)
    total = operation.progress.get("total") if operation else None
    plan = plan[:total] if isinstance(total, int) and build.builder != "buildkit" else plan
    plan = plan if len(plan) >= len(known) or build.builder == "buildkit" else []
    by_line = {step.line: step for step in plan}
    begin, end = _window(build, known, now)
    span = max(0.001, (end - begin).total_seconds())
    found = []
    for i, step in enumerate(known):
        planned = by_line.get(step.get("line") or 0) or (plan[i] if plan and "line" not in step else None)
        found.append(_step(build, step, i + 1, planned, (begin, span)))
    if operation is None or not operation.ended:
        # BuildKit names all of them at once, and leaves out what the target does not need.
        coming = plan[len(known) :] if build.builder != "buildkit" or not known else []
        found += [_coming(one, len(known) + i + 1) for i, one in enumerate(coming)]
    return found


def summary(found: Sequence[Step]) -> str:
    """``10 of 13, 4 from cache``."""
    done = sum(step.glyph == "done" for step in found)
    cached = sum(step.look == "cache" for step in found)
    if not found:
        return ""
    text = _("%(done)s of %(all)s, %(cached)s from cache") if cached else _("%(done)s of %(all)s")
    return text % {"done": done, "all": len(found), "cached": cached}


def order(step: Mapping[str, Any]) -> tuple[int, int, int]:
    """By the lines of the Dockerfile. What none asks for stands at the beginning, or at the end."""
    line = int(step["line"])
    exports = not line and str(step["instruction"]).startswith("exporting")
    return (2 if exports else 1 if line else 0, line, int(step["n"]))


def around(build: Build) -> list[tuple[int, str]]:
    """The line that it failed at with some before and after, each with its number; empty where it is not known."""
    lines, at = build.dockerfile.splitlines(), build.error_line or 0
    if not 0 < at <= len(lines):
        return []
    first = max(1, at - SURROUNDING)
    return [(n, lines[n - 1]) for n in range(first, min(len(lines), at + SURROUNDING) + 1)]


def _window(
    build: Build, known: Sequence[Mapping[str, Any]], now: datetime | None
) -> tuple[datetime, datetime]:
    operation = build.operation
    end = (operation.finished_at if operation else None) or now or timezone.now()
    moments = [moment for step in known if (moment := _moment(step))]
    return (min(moments) if moments else (operation.started_at if operation else None) or end), end


def _step(
    build: Build, step: Mapping[str, Any], n: int, planned: Instruction | None, window: tuple[datetime, float]
) -> Step:
    begin, span = window
    state, cached = str(step.get("state") or ""), bool(step.get("cached"))
    stage = planned.stage if planned else str(step.get("stage") or "")
    if state == "queued":
        return Step(int(step.get("n") or n), stage, str(step.get("instruction") or ""), "queued", "", 0, 0, "",
                    line=int(step.get("line") or 0))  # fmt: skip
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
        stage=stage,
        instruction=str(step.get("instruction") or ""),
        glyph="failed" if failed else "cancelled" if cancelled else "busy" if running else "done",
        look="failed" if failed else "now" if running else "cache" if cached else "ran",
        x=round(x, 2),
        width=round(width, 2),
        took=_("cached") if cached else seconds_text(seconds),
        started_at=started.isoformat() if running and started else "",
        line=int(step.get("line") or 0),
    )


def _coming(instruction: Instruction, n: int) -> Step:
    return Step(n, instruction.stage, str(instruction), "queued", "", 0, 0, "", line=instruction.line)


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
