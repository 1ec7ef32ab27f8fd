"""The newest figures of a container, by name."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from containers_app.models import Container
from streams import stats, want

NAMES = ("cpu", "memory", "memory_limit", "net_rx", "net_tx", "blk_read", "blk_write", "pids")
WAIT = 6.0
"""Seconds until two readings are there: the first one has no rates."""
_PAUSE = 0.25


def newest(row: Container, *, wait: bool = False) -> dict[str, Any] | None:
    """``{t, cpu, memory, …}``; CPU in cores, the rest in bytes, bytes a second and a count. ``None`` where not known.

    Figures are read while somebody looks: asking makes the gateway begin. With ``wait``, until they are there.
    """
    if row.state != Container.State.RUNNING:
        return None
    asked = want.ask(f"stats:{row.pk}")
    until = time.monotonic() + (WAIT if wait and asked else 0)
    while True:
        found = next(iter(stats.latest([row.pk])), None)
        if (found and found[1] is not None) or time.monotonic() >= until:
            return _named(found) if found else None
        time.sleep(_PAUSE)


def _named(figures: stats.Row) -> dict[str, Any]:
    at = (
        datetime.fromtimestamp(figures[9] / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
    return {"t": at, **dict(zip(NAMES, figures[1:9], strict=True))}
