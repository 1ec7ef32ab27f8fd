"""How a run of a container ended: who asked for it, with which code, and whether it was a fault."""

from __future__ import annotations

from datetime import datetime, timedelta

from containers_app import alarms, setups
from containers_app.incident_rows import SAME, write
from containers_app.models import Container, EngineEvent, Incident
from containers_app.queries import BY_STOP
from operations.models import Operation

GOOD, GOOD_IF_ASKED = timedelta(minutes=10), timedelta(minutes=1)
"""A run that was longer than this went well, however it ended; or that was longer than this until it was stopped."""

KILLED_BEFORE = timedelta(minutes=1)
OOM_BEFORE = timedelta(seconds=10)
_OFF = ("exited", "dead", "restarting")
"""States in which the engine still knows how the last run ended."""
_ASKED = {"operation": "operation", "outside": "outside", "engine": "itself", "": "unknown"}


def died(event: EngineEvent, container: Container) -> bool:
    """The end that this event tells of."""
    own = container.finished_at is not None and abs(container.finished_at - event.at) < SAME
    off = own and container.state in _OFF
    code = event.exit_code if event.exit_code is not None or not off else container.exit_code
    recent = EngineEvent.objects.filter(container=container, at__lte=event.at + SAME)
    oom = bool(code) and (
        recent.filter(action="oom", at__gte=event.at - OOM_BEFORE).exists() or (off and container.oom_killed)
    )
    begun = recent.filter(action="start", at__lt=event.at).order_by("-at").first()
    ended = Incident(
        engine_id=event.engine_id,
        container=container,
        native_id=container.native_id,
        name=(event.name or container.name)[:255],
        team_id=container.team_id,
        first_at=event.at,
        last_at=event.at,
        exit_code=code,
        oom=oom,
        error=container.error if off else "",
        asked=_ASKED[event.origin],
        operation=event.operation,
        actor_name=event.operation.actor_name if event.operation else "",
        started_at=begun.at if begun else _begun(container, event.at),
        restart_count=container.restart_count,
    )
    ended.fault = ended.asked == "itself" and bool(code or oom or ended.error)
    killed, _ = Incident.objects.filter(
        container=container, kind=Incident.Kind.OOM, last_at__gte=event.at - OOM_BEFORE
    ).delete()
    checks_are_over(container, event.at)
    write(ended, container, good=_went_well(ended), told=bool(killed))
    return True


def gone(event: EngineEvent) -> None:
    """The end of a container that was removed at once, as a compose file does with what it makes anew."""
    starts = EngineEvent.objects.filter(container=event.container_id, action="start", at__lt=event.at)
    begun = starts.order_by("-at").first()
    ended = Incident(
        engine_id=event.engine_id, container_id=event.container_id, native_id=event.native_id[:64], name=event.name,
        team_id=event.team_id, first_at=event.at, last_at=event.at, exit_code=event.exit_code,
        asked=_ASKED[event.origin], operation=event.operation,
        actor_name=event.operation.actor_name if event.operation else "",
        started_at=begun.at if begun else None, lines_state=Incident.Lines.GONE,
    )  # fmt: skip
    ended.fault = ended.asked == "itself" and bool(ended.exit_code)
    ended.save(force_insert=True)
    if ended.fault:
        alarms.ended(ended, None)
    if _went_well(ended):
        setups.went_well(event.container_id, event.at)


def unheard(container: Container) -> None:
    """An end that the row alone tells of. Its code is the row's, unless it has been started again since."""
    at = container.finished_at
    assert at is not None  # noqa: S101 - the query has asked
    off = container.state in _OFF
    code = container.exit_code if off else None
    work = _work_on(container, at)
    asked = "operation" if work else "outside" if _was_killed(container, at) else "unknown"
    ended = Incident(
        engine_id=container.engine_id,
        container=container,
        native_id=container.native_id,
        name=container.name,
        team_id=container.team_id,
        first_at=at,
        last_at=at,
        exit_code=code,
        oom=off and container.oom_killed and bool(code),
        error=container.error if off else "",
        asked=asked,
        operation=work,
        actor_name=work.actor_name if work else "",
        started_at=_begun(container, at),
        restart_count=container.restart_count,
    )
    ended.fault = asked == "unknown" and bool(ended.oom or ended.error or code not in (*BY_STOP, None))
    checks_are_over(container, at)
    write(ended, container, good=_went_well(ended))


def checks_are_over(container: Container, at: datetime) -> None:
    """Checks that failed until now do so no more."""
    Incident.objects.filter(container=container, kind=Incident.Kind.HEALTH, open=True).update(
        open=False, last_at=at
    )


def _begun(container: Container, before: datetime) -> datetime | None:
    return container.started_at if container.started_at and container.started_at < before else None


def _was_killed(container: Container, at: datetime) -> bool:
    """Whether the last thing that was heard of it was somebody's kill: an engine that ends tells that, and no more."""
    near = EngineEvent.objects.filter(container=container, at__gt=at - KILLED_BEFORE, at__lte=at + SAME)
    last = near.filter(action__in=("kill", "start", "die")).order_by("-time_ns").first()
    return last is not None and last.action == "kill" and last.origin == EngineEvent.Origin.OUTSIDE


def _work_on(container: Container, at: datetime) -> Operation | None:
    """What was being done to it by an operation then."""
    works = Operation.objects.filter(
        target_id=str(container.pk), target_type="container", started_at__lte=at + SAME
    )
    work = works.order_by("-started_at").first()
    return work if work and (work.finished_at is None or work.finished_at >= at - SAME) else None


def _went_well(ended: Incident) -> bool:
    """Whether later faults can be held against this run: it was long, or ended as it should, and its checks passed."""
    checks = Incident.objects.filter(container=ended.container_id, kind=Incident.Kind.HEALTH)
    if checks.filter(last_at__gte=ended.last_at - SAME).exists():
        return False
    length = ended.last_at - ended.started_at if ended.started_at else timedelta()
    if ended.asked in ("operation", "outside"):
        return length >= GOOD_IF_ASKED
    return length >= GOOD or (ended.exit_code == 0 and not ended.fault)
