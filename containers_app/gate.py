"""The gate that a new container has to pass: healthy, or running for a while without a restart.

Whoever waits here sees how long already; what does not pass is asked for its last words before it goes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from containers_app import sync
from engine.errors import Cancelled, EngineError, GateFailed, NotFound
from engine.types import ContainerInfo, ContainerState, Health, Progress
from engine.words import kept
from operations import remains
from operations.registry import Context

TIMEOUT, STEADY = 60, 10
LONGEST = 600
LOOK = 0.5
"""Seconds between two looks: an inspection costs an engine 1.4 ms."""
TRIES = 3
"""Restarts of one that has a health check: it may have to wait for another one, but not so often."""
LAST_LINES = 200
_SAID = 200
"""Characters of what a check said that go into a sentence."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Seconds: ``timeout`` until a health check must have passed; ``steady`` running where there is none."""

    timeout: int = TIMEOUT
    steady: int = STEADY


def wait(ctx: Context, native_id: str, gate: Gate) -> None:
    """Returns once it does well. Raises `GateFailed` with what it did instead, or `Cancelled`."""
    began = time.monotonic()
    while True:
        try:
            info = ctx.engine.container(native_id)
        except NotFound:
            raise GateFailed("The new container was removed while Slipway waited for it") from None
        ran = time.monotonic() - began
        if does_well(info, ran, gate):
            return
        if ctx.should_stop():
            raise Cancelled("Cancelled while Slipway waited for the new container")
        ctx.emit(_progress(info, ran, gate))
        time.sleep(LOOK)


def does_well(info: ContainerInfo, ran: float, gate: Gate) -> bool:
    """Whether it passes after ``ran`` seconds. Raises `GateFailed` where it cannot any more. Pure."""
    name = info.name
    if info.state not in sync.LIVE:
        memory = kept(": it ran out of memory") if info.oom_killed else ""
        raise GateFailed(f"{name} ended with exit code {info.exit_code} after {ran:.0f} s{memory}")
    if not info.healthcheck:
        if info.restart_count or info.state is ContainerState.RESTARTING:
            code = "" if info.exit_code is None else kept(f" with exit code {info.exit_code}")
            raise GateFailed(f"{name} ended{code} within {gate.steady} s and had to be started again")
        return ran >= gate.steady
    if info.restart_count >= TRIES:
        raise GateFailed(f"{name} ended again and again: {info.restart_count} restarts within {ran:.0f} s")
    if info.state is not ContainerState.RUNNING:
        pass  # what ends counts as unhealthy, and may still do well when it is up again
    elif info.health is Health.HEALTHY:
        return True
    elif info.health is Health.UNHEALTHY and info.failing_streak:
        raise GateFailed(f"{name} is unhealthy after {ran:.0f} s{said(info)}")
    if ran >= gate.timeout:
        raise GateFailed(f"{name} did not get healthy within {gate.timeout} s{said(info)}")
    return False


def last_words(ctx: Context, info: ContainerInfo) -> None:
    """Puts the end of its log and what the engine says of it, masked, to those of the operation."""
    try:
        lines = [line.text for line in ctx.engine.logs(info.native_id, tail=LAST_LINES)]
    except EngineError as error:
        lines = [f"Its log cannot be read: {error.message}"]
    title = (
        f"The last lines of {info.name}, which is taken out again:" if lines else f"{info.name} said nothing."
    )
    ctx.emit(Progress(log=(title, *lines), extra={remains.KEY: _seen(info, len(lines))}))


def _seen(info: ContainerInfo, lines: int) -> dict[str, Any]:
    """How it was when it was given up, for `operations.remains`."""
    return {
        "name": info.name, "native_id": info.native_id, "state": info.state.value, "exit_code": info.exit_code,
        "oom_killed": info.oom_killed, "error": info.error, "restart_count": info.restart_count,
        "health": info.health.value if info.healthcheck else "", "failing_streak": info.failing_streak,
        "started_at": info.started_at.isoformat() if info.started_at else None,
        "finished_at": info.finished_at.isoformat() if info.finished_at else None,
        "checks": [dict(check) for check in info.health_log], "lines": lines, "inspect": dict(info.inspect),
    }  # fmt: skip


def _progress(info: ContainerInfo, ran: float, gate: Gate) -> Progress:
    most = gate.timeout if info.healthcheck else gate.steady
    words = "Waiting for a healthy answer" if info.healthcheck else "Running without a restart"
    at = min(int(ran), most)
    return Progress(current=at, total=most, message=f"{words}: {at} of {most} s")


def said(info: ContainerInfo) -> str:
    """What the last check that failed said, as the end of a sentence."""
    failed = [entry for entry in info.health_log if entry.get("exit_code")]
    if not failed:
        return ""
    text, code = " ".join(str(failed[-1].get("output", "")).split())[:_SAID], failed[-1]["exit_code"]
    if not text:
        return kept(f": its last check said nothing (exit code {code})")
    return kept(f': its last check said "{text}" (exit code {code})')
