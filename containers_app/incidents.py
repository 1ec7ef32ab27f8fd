"""Writes how each run of a container ended, and when its checks failed. The gateway's, after `chronicle`.

From events, as they come; and from the rows, for what ended while nobody listened. What ends alike again and again is
one incident that counts, so that a crash loop is one thing to look at and not ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from containers_app import exits, setups
from containers_app.causes import WRONG_CLOCK
from containers_app.models import Container, EngineEvent, Incident, Setup
from containers_app.queries import BY_STOP, span
from operations.models import Engine, Operation
from streams import bell

LOOP = timedelta(minutes=15)
"""Ends that are alike and nearer to each other than this are one incident."""

LOOPS = 3
"""So many of them are a loop."""

CRASH_LOOP = 5
"""So many are called a crash loop."""

LOOP_LASTS, OOM_LASTS = timedelta(minutes=10), timedelta(hours=24)
"""How long a person should look at a container that runs again after a loop, or after it ran out of memory."""

GOOD, GOOD_IF_ASKED = timedelta(minutes=10), timedelta(minutes=1)
"""A run that was longer than this went well, however it ended; or that was longer than this until it was stopped."""

SAME = timedelta(seconds=2)
"""An event and an inspection that are nearer than this tell of the same end."""

KILLED_BEFORE = timedelta(minutes=1)
OOM_BEFORE = timedelta(seconds=10)
LINES_AGAIN = timedelta(minutes=1)
MOST = 100
"""Incidents that are kept of one container; the newest `WITH_LINES` of them with their lines."""
WITH_LINES = 20
_OFF = ("exited", "dead", "restarting")
"""States in which the engine still knows how the last run ended."""
_ASKED = {"operation": "operation", "outside": "outside", "engine": "itself", "": "unknown"}
_ENDED = {"operation": "asked", "outside": "outside", "itself": "done", "unknown": ""}


def note(rows: Sequence[EngineEvent]) -> bool:
    """Writes what these new events, in the order of their times, tell of ends and checks; whether there was any."""
    told = [row for row in rows if row.container_id and row.action in _TELLERS]
    if not told:
        return False
    wanted = {row.container_id for row in told if row.container_id}
    found = Container.everything.filter(pk__in=wanted).prefetch_related("mounts").in_bulk()
    noted = False
    for row in told:
        container = found.get(row.container_id) if row.container_id else None
        with transaction.atomic():
            if container:
                noted |= _TELLERS[row.action](row, container)
            elif row.action == "die":
                _gone(row)
    return noted


def missed(engine: Engine) -> bool:
    """Writes the ends that no event has told of: those that rows show, and no incident. Whether there was any."""
    newest = Incident.objects.filter(container=OuterRef("pk"), kind=Incident.Kind.EXIT).order_by("-last_at")
    ended = Container.everything.filter(
        engine=engine, finished_at__gt=engine.created_at, finished_at__lt=timezone.now() - WRONG_CLOCK
    )
    pairs = ended.annotate(told=Subquery(newest.values("last_at")[:1])).values_list(
        "pk", "finished_at", "told"
    )
    wanted = [pk for pk, at, told in pairs if at and (told is None or told < at - SAME)]
    for container in Container.everything.filter(pk__in=wanted).prefetch_related("mounts"):
        with transaction.atomic():
            _unheard(container)
    return bool(wanted)


def forgotten(containers: Collection[Any]) -> None:
    """These containers' rows are about to go: their last owner goes on owning how they ended."""
    owner = Container.everything.filter(pk=OuterRef("container_id")).values("team")[:1]
    for model in (Incident, Setup):
        model._default_manager.filter(container_id__in=list(containers)).update(team=Subquery(owner))


def prune(engine: Engine) -> int:
    """Takes away what is as old as the events that are not kept any more."""
    old = timezone.now() - timedelta(days=settings.EVENT_DAYS)
    gone, _ = Incident.objects.filter(engine=engine, last_at__lt=old, open=False).delete()
    Setup.objects.filter(engine=engine, last_at__lt=old, container__native_id__isnull=True).delete()
    return gone


# --- Ends --------------------------------------------------------------------------------------------


def _died(event: EngineEvent, container: Container) -> bool:
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
    Incident.objects.filter(
        container=container, kind=Incident.Kind.OOM, last_at__gte=event.at - OOM_BEFORE
    ).delete()
    _checks_are_over(container, event.at)
    _write(ended, container)
    return True


def _gone(event: EngineEvent) -> None:
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
    if _went_well(ended):
        setups.went_well(event.container_id, event.at)


def _unheard(container: Container) -> None:
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
    _checks_are_over(container, at)
    _write(ended, container)


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


def _write(ended: Incident, container: Container) -> None:
    """As a row of its own, or as one more of those before. Then the container's own row says it too."""
    fault, at = ended.fault, ended.last_at
    setup = setups.note(container, at, good=_went_well(ended))
    if fault:
        ended.changed, ended.good_at = setups.since_good(setup)
    before = (
        Incident.objects.filter(container=container, kind=ended.kind)
        .defer("lines")
        .order_by("-last_at")
        .first()
    )
    twice = before is not None and before.asked == "unknown" and abs(before.last_at - at) < SAME
    again = before is not None and _alike(before, ended)
    if before is not None and (twice or again):
        _once_more(before, ended, counts=not twice)
    else:
        ended.save(force_insert=True)
        _keep_few(container)
    group = before if before is not None and (twice or again) else ended
    word = Container.Ended.FAULT if fault else _ENDED[ended.asked]
    _tell(container, group, fresh=group is ended, ended=word)


def _went_well(ended: Incident) -> bool:
    """Whether later faults can be held against this run: it was long, or ended as it should, and its checks passed."""
    checks = Incident.objects.filter(container=ended.container_id, kind=Incident.Kind.HEALTH)
    if checks.filter(last_at__gte=ended.last_at - SAME).exists():
        return False
    length = ended.last_at - ended.started_at if ended.started_at else timedelta()
    if ended.asked in ("operation", "outside"):
        return length >= GOOD_IF_ASKED
    return length >= GOOD or (ended.exit_code == 0 and not ended.fault)


def _alike(before: Incident, now: Incident) -> bool:
    same = all(getattr(before, name) == getattr(now, name) for name in ("exit_code", "oom", "fault"))
    nobody = ("itself", "unknown")
    return same and before.asked in nobody and now.asked in nobody and now.last_at - before.last_at < LOOP


def _once_more(before: Incident, now: Incident, *, counts: bool) -> None:
    """What is new of the last of them; its lines are read again, though not for each end of a quick loop."""
    for name in ("exit_code", "oom", "error", "operation", "actor_name", "started_at", "last_at"):
        setattr(before, name, getattr(now, name))
    before.asked = before.asked if now.asked == "unknown" else now.asked
    before.fault, before.restart_count = now.fault, now.restart_count
    before.changed, before.good_at = now.changed, now.good_at
    before.count += counts
    if before.lines_at is None or timezone.now() - before.lines_at > LINES_AGAIN:
        before.lines_state = Incident.Lines.WAITING
    before.save(update_fields=[
        "exit_code", "oom", "error", "asked", "operation", "actor_name", "started_at", "last_at", "fault",
        "restart_count", "changed", "good_at", "count", "lines_state",
    ])  # fmt: skip


def _keep_few(container: Container) -> None:
    ids = list(
        Incident.objects.filter(container=container)
        .order_by("-last_at")
        .values_list("pk", flat=True)[WITH_LINES:]
    )
    if ids:
        kept = Incident.objects.filter(pk__in=ids, lines_state=Incident.Lines.KEPT)
        kept.update(lines=[], lines_state=Incident.Lines.LEFT)
        Incident.objects.filter(pk__in=ids[MOST - WITH_LINES :]).delete()


def _tell(container: Container, group: Incident, *, fresh: bool, ended: str) -> None:
    """Says on the container's own row what a list shows."""
    now = timezone.now()
    columns: dict[str, Any] = {"ended": ended}
    if group.fault:
        columns |= {"trouble_at": now} if fresh else {}
        until = now + OOM_LASTS if group.oom else now + LOOP_LASTS if group.count >= LOOPS else None
        if until and (container.trouble_until is None or until > container.trouble_until):
            words = f"crash loop: {in_brief(group)}" if group.count >= CRASH_LOOP else in_brief(group)
            columns |= {"trouble": words[:120], "trouble_until": until}
    Container.everything.filter(pk=container.pk).update(**columns)
    for name, value in columns.items():
        setattr(container, name, value)
    _ring(container)


def in_brief(group: Incident) -> str:
    """``exit 1, 4 times in 2 min``."""
    what = exits.briefly(group.exit_code, oom=group.oom) or f"exit {group.exit_code}"
    return (
        f"{what}, {group.count} times in {span(group.last_at - group.first_at)}" if group.count > 1 else what
    )


def _ring(container: Container) -> None:
    topics = (f"container:{container.pk}", "containers")
    transaction.on_commit(lambda: bell.ring(*topics), robust=True)


# --- Checks, memory, starts --------------------------------------------------------------------------


def _health(event: EngineEvent, container: Container) -> bool:
    if event.detail != "unhealthy":
        _checks_are_over(container, event.at)
        if event.detail == "healthy":
            setups.note(container, event.at, good=True)
        return False
    checks = Incident.objects.filter(container=container, kind=Incident.Kind.HEALTH).defer("lines")
    before = checks.order_by("-last_at").first()
    if before and before.open:
        return False
    if before and event.at - before.last_at < LOOP:
        before.open, before.count, before.lines_state = True, before.count + 1, Incident.Lines.WAITING
        before.save(update_fields=["open", "count", "lines_state"])
        return True
    setup = setups.note(container, event.at)
    changed, good_at = setups.since_good(setup)
    failing = Incident(
        kind=Incident.Kind.HEALTH, engine_id=event.engine_id, container=container, native_id=container.native_id,
        name=(event.name or container.name)[:255], team_id=container.team_id, first_at=event.at, last_at=event.at,
        open=True, fault=True, asked="itself", error=_last_check(container), started_at=container.started_at,
        restart_count=container.restart_count, changed=changed, good_at=good_at,
    )  # fmt: skip
    failing.save(force_insert=True)
    _keep_few(container)
    Container.everything.filter(pk=container.pk).update(trouble_at=timezone.now())
    _ring(container)
    return True


def _last_check(container: Container) -> str:
    """What the newest check that failed wrote."""
    failed = [entry for entry in container.health_log if entry.get("exit_code")]
    return str(failed[-1].get("output", "")).strip()[:500] if failed else ""


def _checks_are_over(container: Container, at: datetime) -> None:
    Incident.objects.filter(container=container, kind=Incident.Kind.HEALTH, open=True).update(
        open=False, last_at=at
    )


def _oom(event: EngineEvent, container: Container) -> bool:
    """The kernel has ended something for want of memory. Where that was all of it, its end takes this over."""
    if container.finished_at is not None and abs(container.finished_at - event.at) < SAME:
        return False
    killed = Incident.objects.filter(
        container=container, kind=Incident.Kind.OOM, last_at__gte=event.at - LOOP
    )
    before = killed.defer("lines").order_by("-last_at").first()
    if before:
        before.count, before.last_at = before.count + 1, event.at
        before.save(update_fields=["count", "last_at"])
    else:
        before = Incident(
            kind=Incident.Kind.OOM, engine_id=event.engine_id, container=container, native_id=container.native_id,
            name=(event.name or container.name)[:255], team_id=container.team_id, first_at=event.at, oom=True,
            last_at=event.at, fault=True, asked="itself", started_at=container.started_at,
        )  # fmt: skip
        before.save(force_insert=True)
        _keep_few(container)
    _tell(container, before, fresh=before.count == 1, ended=container.ended)
    return True


def _started(event: EngineEvent, container: Container) -> bool:
    _checks_are_over(container, event.at)
    setups.note(container, event.at, name=event.name)
    if container.trouble.endswith("stopped by Slipway"):  # somebody has started it knowingly
        Container.everything.filter(pk=container.pk).update(trouble_until=None)
    return False


def _updated(event: EngineEvent, container: Container) -> bool:
    setups.note(container, event.at)
    return False


def _renamed(event: EngineEvent, container: Container) -> bool:
    setups.renamed(container.pk, event.name)
    return False


_TELLERS = {
    "die": _died, "oom": _oom, "health_status": _health, "start": _started, "update": _updated, "rename": _renamed,
}  # fmt: skip


def pending(engine: Engine) -> Iterable[Incident]:
    """Incidents whose last lines are still to be read, the newest first."""
    waiting = Incident.objects.filter(engine=engine, lines_state=Incident.Lines.WAITING)
    return list(waiting.defer("lines").order_by("-last_at")[:20])
