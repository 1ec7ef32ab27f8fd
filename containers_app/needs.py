"""What a service waits for before it is started with its stack: that others are healthy, or have done their work.

Compose writes it into a label, ``db:service_healthy:true,init:service_completed_successfully:false``; who is waited for
stands in the parameters of the start. Whoever waits here is asked to stop like anybody else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from containers_app import gate
from containers_app.models import Container
from containers_app.sync import LIVE
from engine.errors import Cancelled, GateFailed, NotFound
from engine.types import ContainerInfo, ContainerState, Health, Progress
from engine.words import kept
from operations.registry import Context

LABEL = "com.docker.compose.depends_on"
HEALTHY, DONE = "service_healthy", "service_completed_successfully"
WORDS = {HEALTHY: "is healthy", DONE: "has ended well"}
"""Conditions that are waited for; to be started is what the order of the steps sees to."""
LONGEST = 120
"""Seconds for all that one container waits for."""
Need = dict[str, str]
"""``{container, name, condition}``: the engine's id of who is waited for, its name, and for what."""


def parsed(rows: Iterable[Container]) -> dict[str, str]:
    """Service → condition, of all that these rows need; labels are anybody's, so no more than that is believed."""
    texts = [str(row.labels.get(LABEL, ""))[:4000] for row in rows]
    parts = [part.split(":") for text in texts for part in text.split(",")]
    return {part[0].strip(): part[1].strip() if len(part) > 1 else "" for part in parts if part[0].strip()}


def wait(ctx: Context) -> None:
    """Returns once all is as it is needed. Raises `GateFailed` where that cannot come any more, or does not in time."""
    began = time.monotonic()
    for need in ctx.params.get("needs") or ():
        while not is_met(ctx, need, ran := time.monotonic() - began):
            if ctx.should_stop():
                raise Cancelled(f"Cancelled while it waited for {need['name']}: it was not started.")
            words = f"Waiting until {need['name']} {WORDS[need['condition']]}"
            ctx.emit(Progress(current=int(ran), total=LONGEST, message=f"{words}: {ran:.0f} of {LONGEST} s"))
            time.sleep(gate.LOOK)


def is_met(ctx: Context, need: Mapping[str, str], ran: float) -> bool:
    """Whether it is so by now, after ``ran`` seconds."""
    try:
        info = ctx.engine.container(need["container"])
    except NotFound:
        raise GateFailed(f"It was not started: {need['name']}, which it needs, is gone.") from None
    for why in _never(info, need["condition"]):
        raise GateFailed(f"It was not started: {info.name}, which it needs, {why}.")
    met = info.health is Health.HEALTHY if need["condition"] == HEALTHY else info.state not in LIVE
    if not met and ran >= LONGEST:
        late = kept("did not get healthy") if need["condition"] == HEALTHY else kept("did not end")
        raise GateFailed(
            f"It was not started: {info.name}, which it needs, {late} within {LONGEST} s{gate.said(info)}."
        )
    return met


def _never(info: ContainerInfo, condition: str) -> Iterator[str]:
    """Why it will not come, if so."""
    if condition == DONE:
        if info.state is ContainerState.CREATED:
            yield "was never started"
        elif info.state not in LIVE and info.exit_code:
            yield f"ended with exit code {info.exit_code}"
    elif info.state not in LIVE:
        yield "does not run" if info.exit_code is None else f"ended with exit code {info.exit_code}"
    elif not info.healthcheck:
        yield "has no health check, so nobody can tell that it is healthy"
    elif info.health is Health.UNHEALTHY and info.failing_streak and info.state is ContainerState.RUNNING:
        yield f"is unhealthy{gate.said(info)}"
