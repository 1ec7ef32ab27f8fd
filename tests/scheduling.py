"""Which file of tests a process takes next, with ``--browsers``: the longest first, few of them with a browser at once.

Several browsers at a time on few cores make each other late. One that is always at work beside tests that wait for
engines, and short files at the end, leave no process alone with what is long.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("live_app", "docker_client", "engine_row", "engine_backend", "engine_url")


def in_browser(scope: str) -> bool:
    return scope.startswith("tests/browser/")


@functools.cache
def _each(scope: str) -> tuple[float, float]:
    """Seconds for a file and for each of its tests, about: measured over all of a kind."""
    if in_browser(scope):
        return 20.0, 5.0
    text = (ROOT / scope).read_text() if (ROOT / scope).exists() else ""
    return (5.0, 2.0) if any(name in text for name in ENGINES) else (0.5, 0.15)


def seconds(scope: str, tests: int) -> float:
    start, each = _each(scope)
    return start + tests * each


class LongestFirst(LoadFileScheduling):
    """Files to processes, the longest of those that may be taken now; any at all where there is no other."""

    def __init__(self, config: pytest.Config, log: Any, browsers: int) -> None:
        super().__init__(config, log)
        self.browsers = browsers

    def _assign_work_unit(self, node: Any) -> None:
        others = [work for other, work in self.assigned_work.items() if other is not node]
        begun = sum(
            any(in_browser(scope) and not all(tests.values()) for scope, tests in work.items())
            for work in others
        )
        free = [scope for scope in self.workqueue if begun < self.browsers or not in_browser(scope)]
        longest = max(free or self.workqueue, key=lambda scope: seconds(scope, len(self.workqueue[scope])))
        self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)
