"""Who caused what an engine said has happened: an operation of ours, the engine by itself, or somebody else.

An operation is found by what it changes, or by the label with its id that it left on what it made; and by the time,
since anybody can write that label. How a container ended is told by what came before: a kill since its last start was
somebody's, and without one nobody asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from containers_app.past import EngineEvent
from engine.names import OPERATION_LABEL
from operations.models import Engine, Operation

SLACK = timedelta(seconds=1)
WRONG_CLOCK = timedelta(seconds=5)
"""An engine's clock that is further off than this is no measure: then the time of hearing counts."""

GRACE = 60
"""Seconds beyond a container's own stop time-out in which its end still is the answer to a kill."""

SOON = timedelta(minutes=2)
"""A policy's next try comes at most a minute after an end."""

DEADLY = (2, 3, 9, 15)
_SIGNALS = {"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGKILL": 9, "SIGUSR1": 10, "SIGUSR2": 12, "SIGTERM": 15}
_STORY = ("create", "kill", "die", "start")
BY_ITSELF = ("oom", "health_status")
_CLEARS = ("destroy", "delete", "untag", "remove", "prune")
ENGINE, OUTSIDE, OPERATION = "engine", "outside", "operation"


@dataclass(frozen=True, slots=True)
class Thing:
    """What an event is about, as far as a row tells. ``labels`` are a container's."""

    pk: UUID
    name: str = ""
    team_id: Any = None
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    restart_policy: str = ""

    @property
    def stopped_by(self) -> tuple[int, ...]:
        """Signals that end it when somebody sends them."""
        own = _SIGNALS.get(self.stop_signal.upper()) or _SIGNALS.get(f"SIG{self.stop_signal.upper()}")
        return (*DEADLY, own) if own else DEADLY


def when(row: EngineEvent) -> datetime:
    """When it happened, by our clock as well as that can be told."""
    return row.at if abs(row.heard_at - row.at) < WRONG_CLOCK else row.heard_at


def explain(engine: Engine, rows: Sequence[EngineEvent], things: dict[UUID, Thing]) -> None:
    """Says of each of these new rows, which are in the order of their times, who caused it."""
    if not rows:
        return
    works = _at_work(engine, min(map(when, rows)), max(map(when, rows)))
    for row in rows:
        work = next((o for o in works if _is_of(o, row, things.get(row.container_id or row.object_id))), None)  # type: ignore[arg-type]
        if work:
            row.operation, row.origin = work, OPERATION
        elif row.action in BY_ITSELF:
            row.origin = ENGINE
        elif row.type in ("container", "image"):
            row.origin = OUTSIDE
    for pk, story in _stories(rows).items():
        _follow(story, things.get(pk))


def _at_work(engine: Engine, first: datetime, last: datetime) -> list[Operation]:
    """Operations that were being carried out at any time between the two, the latest first."""
    begun = Operation.objects.filter(engine=engine, started_at__lte=last + SLACK)
    open_ = Q(finished_at=None, state__in=Operation.ACTIVE) | Q(finished_at__gte=first - SLACK)
    columns = ("kind", "target_type", "target_id", "target_name", "started_at", "finished_at", "actor_name")
    return list(begun.filter(open_).only(*columns).order_by("-started_at")[:500])


def _is_of(work: Operation, row: EngineEvent, thing: Thing | None) -> bool:
    at = when(row)
    if work.started_at is None or not work.started_at - SLACK <= at <= (work.finished_at or at) + SLACK:
        return False
    if row.action in BY_ITSELF or row.action == "die":
        return False
    if thing and work.target_id == str(thing.pk):
        return True
    if thing and thing.labels.get(OPERATION_LABEL) == str(work.pk):
        return True
    if work.kind == "engine.prune":
        return row.action in _CLEARS
    kinds = ("image", "build") if row.type == "image" else (row.type,)
    names = set(work.target_name.split(", ")) - {""}
    return work.target_type in kinds and not names.isdisjoint((row.name, row.native_id))


def _stories(rows: Iterable[EngineEvent]) -> dict[UUID, list[EngineEvent]]:
    """The new rows of each container that has begun or ended, with those of the minutes before in front of them."""
    found: dict[UUID, list[EngineEvent]] = {}
    for row in rows:
        if row.container_id and row.action in _STORY:
            found.setdefault(row.container_id, []).append(row)
    told = {pk for pk, story in found.items() if any(row.action in ("die", "start") for row in story)}
    if not told:
        return {}
    first = min(story[0].at for story in found.values())
    before = EngineEvent.objects.filter(
        container_id__in=told, action__in=_STORY, at__gte=first - timedelta(minutes=10)
    ).order_by("time_ns")
    stories: dict[UUID, list[EngineEvent]] = {pk: [] for pk in told}
    for old in before:
        stories[old.container_id].append(old)  # type: ignore[index]
    return {pk: [*stories[pk], *found[pk]] for pk in told}


@dataclass(slots=True)
class _Before:
    """What stands before the next word of one container: a kill that may be the cause of its end, or an end."""

    kill: EngineEvent | None = None
    end: EngineEvent | None = None
    made: bool = False


def _follow(story: Sequence[EngineEvent], thing: Thing | None) -> None:
    """Goes along one container's kills, ends and starts, and says of those that are new who caused them."""
    own = thing.stop_timeout if thing and thing.stop_timeout is not None else 10
    patience, deadly = timedelta(seconds=GRACE + own), thing.stopped_by if thing else DEADLY
    before = _Before()
    for row in story:
        if row.action == "kill":
            if row.signal is None or row.signal in deadly:
                before.kill = row
        elif row.action == "create":
            before = _Before(made=True)
        elif row.action == "die":
            kill = before.kill if before.kill and row.at - before.kill.at < patience else None
            if row._state.adding:
                row.origin, row.operation = (kill.origin, kill.operation) if kill else (ENGINE, None)
            before = _Before(end=row)
        else:
            if row._state.adding and row.origin == OUTSIDE:
                row.origin = _starter(row, before, thing)
            before = _Before()


def _starter(start: EngineEvent, before: _Before, thing: Thing | None) -> str:
    """Who started it, where that was no operation: its policy, somebody, or one of them."""
    end = before.end
    if before.made or not thing or thing.restart_policy in ("", "no"):
        return OUTSIDE
    if end is None:
        return ""
    return ENGINE if end.origin == ENGINE and start.at - end.at < SOON else OUTSIDE
