"""What a verb holds while it runs: its parameters, the engine, and the way to say how far it is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from engine.base import Engine as EngineBackend
from engine.types import Progress
from operations import events, leases
from operations.models import Operation
from operations.services import REMEMBERED

PAUSE = 0.04
"""Seconds between two batches of events: at most 25 a second reach the rows and the pages."""
BATCH = 64
"""Log lines that are written at once without waiting for the pause."""
MOST_LINES, MOST_BYTES = 20_000, 10_000_000
"""What the log of one operation may hold; a line says where it was cut."""
LONGEST = 8192
"""Characters of one log line."""
CUT = "Output cut here: the log of one operation holds 20,000 lines or 10 MB."


class LeaseLost(Exception):
    """Another worker has taken over: leave everything as it is."""


class RunContext:
    """`registry.Context` of a running operation. Used by one thread."""

    def __init__(
        self, operation: Operation, engine: EngineBackend, params: Mapping[str, Any], held: leases.Hold
    ) -> None:
        self.operation, self.engine, self.params, self.held = operation, engine, params, held
        # An attempt before this one may have changed something before its worker died.
        self.changes = 0 if operation.attempt <= 1 else 1
        self._left = time.monotonic() + _seconds_left(operation)
        self._pending: deque[tuple[str, dict[str, Any]]] = deque()
        self._progress: dict[str, Any] = {}
        self._changed = False
        self._flushed = 0.0
        self._lines = self._bytes = 0
        self._logged = 0

    def emit(self, progress: Progress) -> None:
        """See `registry.Context.emit`."""
        counts = {
            "current": progress.current,
            "total": progress.total,
            "unit": progress.unit,
            "message": progress.message,
        }
        if progress.extra:
            self._pending.append(("step", {**counts, **progress.extra}))
        # After the step: what a step says comes behind it.
        for line in progress.log:
            self._log(line, progress.step)
        if progress.message or progress.current is not None:
            known = {key: value for key, value in counts.items() if value not in (None, "")}
            if known != self._progress:
                self._progress, self._changed = known, True
        self._flush_if_due()

    def should_stop(self) -> bool:
        """See `registry.Context.should_stop`. Also the pulse that gets waiting lines out of a quiet call."""
        self._flush_if_due()
        return self.held.lost or self.held.cancelled or self.overdue

    @property
    def remembered(self) -> Mapping[str, Any]:
        """See `registry.Context.remembered`."""
        found: Mapping[str, Any] = self.operation.params.get(REMEMBERED, {})
        return found

    def remember(self, **facts: Any) -> None:
        """See `registry.Context.remember`. In the row's own parameters, never in the unsealed ones."""
        if self.remembered:
            return
        params = {**self.operation.params, REMEMBERED: facts}
        if not leases.mine(self.held).update(params=params):
            self.held.lost = True
            raise LeaseLost
        self.operation.params = params

    def check_fence(self) -> None:
        """See `registry.Context.check_fence`. Counts, so that the runner knows whether anything can have
        changed.
        """
        if self.held.lost or not leases.renew(self.held):
            self.held.lost = True
            raise LeaseLost
        self.changes += 1

    def sleep(self, seconds: float) -> None:
        """Waits, its lease kept alive meanwhile."""
        time.sleep(seconds)
        if self.held.lost:
            raise LeaseLost

    @property
    def overdue(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() > self._left

    def flush(self) -> None:
        """Writes what waits; raises `LeaseLost` where it is no longer ours to write."""
        story = [*self._pending]
        if self._changed:
            story.append(("progress", self._progress))
        if not story:
            return
        with transaction.atomic():
            if not leases.mine(self.held).update(progress=self._progress):
                self.held.lost = True
                raise LeaseLost
            events.append(self.operation, story)
            events.ring(self.operation)
        self._pending.clear()
        self._changed, self._logged, self._flushed = False, 0, time.monotonic()

    def _flush_if_due(self) -> None:
        if self._logged >= BATCH or time.monotonic() - self._flushed >= PAUSE:
            self.flush()

    def _log(self, line: str, step: int) -> None:
        if self._lines > MOST_LINES or self._bytes > MOST_BYTES:
            return
        self._lines += 1
        self._bytes += len(line)
        full = self._lines > MOST_LINES or self._bytes > MOST_BYTES
        # PostgreSQL holds no NUL in JSON
        text = CUT if full else line[:LONGEST].replace("\x00", "�")
        self._pending.append(("log", {"stream": 1, "text": text} | ({"step": step} if step else {})))
        self._logged += 1


def _seconds_left(operation: Operation) -> float:
    if operation.deadline_at is None:
        return 60
    return (operation.deadline_at - timezone.now()).total_seconds()
