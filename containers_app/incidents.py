"""Writes how each run of a container ended, and when its checks failed. The gateway's, after `chronicle`.

From events, as they come; and from the rows, for what ended while nobody listened. What ends alike again and again is
one incident that counts, so that a crash loop is one thing to look at and not ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from containers_app import alarms, setups
from containers_app.causes import WRONG_CLOCK
from containers_app.incident_rows import LOOP, SAME, keep_few, ring, tell
from containers_app.models import Container, EngineEvent, Incident, Setup
from containers_app.run_ends import checks_are_over, died, gone, unheard
from operations.models import Engine


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
                gone(row)
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
            unheard(container)
    return bool(wanted)


def forgotten(containers: Collection[Any]) -> None:
    """These containers' rows are about to go: their last owner goes on owning how they ended."""
    owner = Container.everything.filter(pk=OuterRef("container_id")).values("team")[:1]
    for model in (Incident, Setup):
        model._default_manager.filter(container_id__in=list(containers)).update(team=Subquery(owner))


def prune(engine: Engine) -> int:
    """Takes away what is as old as the events that are not kept any more."""
    old = timezone.now() - timedelta(days=settings.EVENT_DAYS)
    number, _ = Incident.objects.filter(engine=engine, last_at__lt=old, open=False).delete()
    Setup.objects.filter(engine=engine, last_at__lt=old, container__native_id__isnull=True).delete()
    return number


def _health(event: EngineEvent, container: Container) -> bool:
    if event.detail != "unhealthy":
        checks_are_over(container, event.at)
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
        alarms.unhealthy(before, container)
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
    keep_few(container)
    Container.everything.filter(pk=container.pk).update(trouble_at=timezone.now())
    ring(container)
    alarms.unhealthy(failing, container)
    return True


def _last_check(container: Container) -> str:
    """What the newest check that failed wrote."""
    failed = [entry for entry in container.health_log if entry.get("exit_code")]
    return str(failed[-1].get("output", "")).strip()[:500] if failed else ""


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
        keep_few(container)
    tell(container, before, fresh=before.count == 1, ended=container.ended)
    alarms.out_of_memory(before, container)
    return True


def _started(event: EngineEvent, container: Container) -> bool:
    checks_are_over(container, event.at)
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
    "die": died, "oom": _oom, "health_status": _health, "start": _started, "update": _updated, "rename": _renamed,
}  # fmt: skip


def pending(engine: Engine) -> Iterable[Incident]:
    """Incidents whose last lines are still to be read, the newest first."""
    waiting = Incident.objects.filter(engine=engine, lines_state=Incident.Lines.WAITING)
    return list(waiting.defer("lines").order_by("-last_at")[:20])
