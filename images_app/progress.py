"""What an engine says while it builds or pulls, as the steps of a build and the layers of a pull."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils import timezone

from engine.types import Progress
from images_app.models import Build
from operations.registry import Context

EACH = 1.0
"""Seconds between two events of one layer whose status stays the same."""


class BuildSteps:
    """Keeps ``Build.steps`` while the build goes on: each step with its seconds, and whether it came from the cache."""

    def __init__(self, ctx: Context, build: Build) -> None:
        self.ctx, self.build = ctx, build
        self.steps: list[dict[str, Any]] = []
        self._began = 0.0

    def emit(self, progress: Progress) -> None:
        """Passes it on; a step event goes out only when a step begins or turns out to be cached."""
        number, cached = progress.extra.get("step"), bool(progress.extra.get("cached"))
        new = bool(number) and (not self.steps or self.steps[-1]["n"] != number)
        if new:
            self._end("done")
            self._began = time.monotonic()
            self.steps.append(
                {
                    "n": number, "instruction": str(progress.extra.get("instruction", ""))[:4096],
                    "started_at": timezone.now().isoformat(), "seconds": 0, "cached": cached, "state": "running",
                }
            )  # fmt: skip
        known = bool(self.steps) and cached and not self.steps[-1]["cached"]
        if known:
            self.steps[-1]["cached"] = True
        if new or known:
            self._write()
            self.ctx.emit(replace(progress, extra={**progress.extra, "n": number}))
        else:
            self.ctx.emit(replace(progress, extra={}))

    def end(self, state: str) -> None:
        """The last step's end: done, failed or cancelled."""
        self._end(state)
        self._write()

    def _end(self, state: str) -> None:
        if self.steps and self.steps[-1]["state"] == "running":
            self.steps[-1]["state"] = state
            self.steps[-1]["seconds"] = round(time.monotonic() - self._began, 2)

    def _write(self) -> None:
        Build.objects.filter(pk=self.build.pk).update(steps=self.steps)


class PullLayers:
    """Passes on the layers of a pull, one step event a layer, and only as often as a person can follow."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._said: dict[str, tuple[str, float]] = {}

    def emit(self, progress: Progress) -> None:
        """Passes it on."""
        layers: Mapping[str, Mapping[str, Any]] = progress.extra.get("layers", {})
        self.ctx.emit(replace(progress, extra={}))
        now = time.monotonic()
        for layer, known in layers.items():
            status, at = self._said.get(layer, ("", 0.0))
            if known["status"] != status or (
                now - at > EACH and known["status"] in ("Downloading", "Extracting")
            ):
                self._said[layer] = (known["status"], now)
                self.ctx.emit(Progress(extra={"layer": layer, **known}))
