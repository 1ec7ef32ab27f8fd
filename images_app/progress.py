"""What an engine says while it builds or pulls, as the steps of a build and the layers of a pull."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.utils import timezone

from engine.docker_text import MASK
from engine.errors import BuildFailed
from engine.types import Progress
from images_app.lines import Lines
from images_app.models import Build
from images_app.steps import order
from operations.registry import Context

EACH = 1.0
"""Seconds between two events of one layer whose status stays the same."""
SHORTEST = 3
"""Characters of a secret that is hidden in output: less is in every second line anyway."""


class BuildSteps:
    """Keeps ``Build.steps`` while the build goes on: each step with its seconds, and whether it came from the cache.

    What is in ``hide`` is in no line and no step.
    """

    def __init__(self, ctx: Context, build: Build, hide: Collection[str] = ()) -> None:
        self.ctx, self.build = ctx, build
        self.steps: list[dict[str, Any]] = []
        self.lines = Lines(build.dockerfile)
        self._hide = hiding(hide)
        self._at: dict[int, dict[str, Any]] = {}
        self._began = 0.0

    def emit(self, progress: Progress) -> None:
        """Passes it on; a step event goes out only when something about a step has changed."""
        progress = self._hidden(progress)
        number, extra = int(progress.extra.get("step") or 0), progress.extra
        changed = number and (self._told(number, extra) if "state" in extra else self._begins(number, extra))
        if changed:
            self._write()
            event = {**extra, "n": number, "line": self._at[number]["line"]}
            self.ctx.emit(replace(progress, extra=event))
        else:
            self.ctx.emit(replace(progress, extra={}))

    def end(self, state: str) -> None:
        """That of all: done, failed or cancelled. What was never begun is forgotten."""
        self._end(state)
        self.steps = ended(self.steps, state)
        self._write()

    def failed(self, error: BuildFailed) -> None:
        """Keeps the line that it failed at."""
        line = error.details.get("line") or self._at.get(error.details.get("step") or 0, {}).get("line")
        Build.objects.filter(pk=self.build.pk).update(error_line=line or None)

    def hidden(self, text: str) -> str:
        """The text without what is to be hidden."""
        return self._hide.sub(MASK, text) if self._hide else text

    def _hidden(self, progress: Progress) -> Progress:
        if not self._hide:
            return progress
        extra = {
            key: self.hidden(value) if isinstance(value, str) else value
            for key, value in progress.extra.items()
        }
        log = tuple(map(self.hidden, progress.log))
        return replace(progress, message=self.hidden(progress.message), log=log, extra=extra)

    def _told(self, number: int, extra: Mapping[str, Any]) -> bool:
        """A step of BuildKit's, which says itself how it is."""
        step = {
            "n": number, "instruction": str(extra.get("instruction", ""))[:4096], "stage": str(extra["stage"])[:128],
            "line": 0, "started_at": extra["started_at"], "seconds": extra["seconds"],
            "cached": bool(extra["cached"]), "state": str(extra["state"]),
        }  # fmt: skip
        step["line"] = self.lines.of_step(step["instruction"], step["stage"], str(extra["place"]))
        if number not in self._at:
            self.steps = sorted([*self.steps, step], key=order)
            self._at[number] = step
        else:
            self._at[number].update(step)
        return True

    def _begins(self, number: int, extra: Mapping[str, Any]) -> bool:
        """A step of the classic builder's: the next one ends the one before."""
        cached = bool(extra.get("cached"))
        if number not in self._at:
            self._end("done")
            self._began = time.monotonic()
            self._at[number] = {
                "n": number, "instruction": str(extra.get("instruction", ""))[:4096], "stage": "",
                "line": self.lines.of_number(number), "started_at": timezone.now().isoformat(), "seconds": 0,
                "cached": cached, "state": "running",
            }  # fmt: skip
            self.steps.append(self._at[number])
            return True
        known = cached and not self._at[number]["cached"]
        self._at[number]["cached"] |= cached
        return known

    def _end(self, state: str) -> None:
        if self._began and self.steps[-1]["state"] == "running":
            self.steps[-1]["state"] = state
            self.steps[-1]["seconds"] = round(time.monotonic() - self._began, 2)

    def _write(self) -> None:
        Build.objects.filter(pk=self.build.pk).update(steps=self.steps)


def ended(steps: Sequence[Mapping[str, Any]], state: str) -> list[dict[str, Any]]:
    """The steps of a build that is over, as ``state`` says: none runs, none waits, and one has failed at most."""
    if state == "failed" and any(step["state"] == "failed" for step in steps):
        state = "cancelled"
    return [
        {**step, "state": state if step["state"] == "running" else step["state"]}
        for step in steps
        if step["state"] != "queued"
    ]


def hiding(secrets: Collection[str]) -> re.Pattern[str] | None:
    """What finds these values in a line; of those with several lines each line of some length too."""
    pieces = {
        piece for value in secrets for piece in (value, *value.splitlines()) if len(piece.strip()) >= SHORTEST
    }
    return (
        re.compile("|".join(re.escape(one) for one in sorted(pieces, key=len, reverse=True)))
        if pieces
        else None
    )


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
