"""Keeps what engines say has happened. The gateway's: it alone writes events.

Streams repeat themselves after a connection is lost, so each event is kept once; and they have holes, so each hole gets
a row that says from when to when nobody listened. What is kept is bounded by age and by count.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from containers_app import causes, incidents
from containers_app.causes import Thing
from containers_app.models import Container, EngineEvent, Network, Volume
from engine.types import Event
from images_app.models import Image
from operations.models import Engine
from streams import bell

log = logging.getLogger(__name__)

MOST = 200_000
"""Events that are kept of one engine, however young they are."""

AT_ONCE = 5000
"""Events that are kept of one burst: the newest. What is left out gets a row like any other hole."""

ROWS = 500
Things = Mapping[tuple[str, str], Thing]
"""``(type, native id)`` → what our rows know of it."""

_CONTAINER = ("pk", "name", "team_id", "labels", "stop_signal", "stop_timeout", "restart_policy")


def known(engine: Engine, events: Iterable[Event]) -> Things:
    """What our rows know of the things that these events are about, by now. A query for each type at most.

    Ask before the events are applied, for what they take away; `keep` asks again, for what they bring.
    """
    ids: dict[str, set[str]] = {}
    for event in events:
        ids.setdefault(event.type, set()).add(event.native_id)
    found: dict[tuple[str, str], Thing] = {}
    for kind, model in (("image", Image), ("volume", Volume), ("network", Network)):
        if wanted := ids.get(kind):
            manager: Any = getattr(model, "everything", model._default_manager)
            rows = manager.filter(engine=engine, native_id__in=wanted)
            for native_id, pk, team in rows.values_list("native_id", "pk", "team_id"):
                found[kind, native_id] = Thing(pk, native_id, team)
    if wanted := ids.get("container"):
        columns = Container.everything.filter(engine=engine, native_id__in=wanted).values(
            "native_id", *_CONTAINER
        )
        for row in columns:
            native_id = row.pop("native_id")
            found["container", native_id] = Thing(**row)
    return found


def keep(engine: Engine, events: Sequence[Event], before: Things, heard: datetime) -> list[EngineEvent]:
    """Writes those of the events that are not kept yet, and returns their rows in the order of their times.

    ``heard`` is when they were taken, by our clock: before anything was asked of the engine for them.
    """
    if len(events) > AT_ONCE:
        missing(engine, heard, f"{len(events) - AT_ONCE} events came too fast to be kept.")
        events = events[-AT_ONCE:]
    fresh = _fresh(engine, events)
    if not fresh:
        return []
    things = {**before, **known(engine, fresh)}
    rows = [_row(engine, event, things.get((event.type, event.native_id)), heard) for event in fresh]
    rows.sort(key=lambda row: row.time_ns)
    causes.explain(engine, rows, {thing.pk: thing for thing in things.values()})
    with transaction.atomic():
        EngineEvent.objects.bulk_create(rows, batch_size=ROWS, ignore_conflicts=True)
        touched = {row.container_id for row in rows if row.container_id}
        topics = ["events", *(f"container:{pk}" for pk in touched)]
        transaction.on_commit(lambda: bell.ring(*topics), robust=True)
    return rows


def missing(engine: Engine, until: datetime, why: str, *, since: datetime | None = None) -> EngineEvent:
    """Notes that nobody heard what happened between two times, by our clock. ``since`` ``None``: ever before."""
    row = EngineEvent(
        engine=engine,
        type=EngineEvent.OWN,
        action="reconciled",
        name=engine.name,
        time_ns=int(until.timestamp() * 10**6) * 1000,
        at=until,
        heard_at=until,
        blind_since=since,
        detail=why[:200],
        origin="",
    )
    EngineEvent.objects.bulk_create([row], ignore_conflicts=True)
    bell.ring("events")
    return row


def last_heard(engine: Engine) -> datetime | None:
    """Until when this engine was listened to, by our clock; ``None`` where it never was."""
    newest = (
        EngineEvent.objects.filter(engine=engine)
        .order_by("-heard_at")
        .values_list("heard_at", flat=True)
        .first()
    )
    synced = Engine.objects.filter(pk=engine.pk).values_list("synced_at", flat=True).first()
    return max(filter(None, (newest, synced)), default=None)


def forgotten(containers: Collection[Any]) -> None:
    """These containers' rows are about to go: their last owner goes on owning what happened to them."""
    owner = Container.everything.filter(pk=OuterRef("container_id")).values("team")[:1]
    EngineEvent.objects.filter(container_id__in=list(containers)).update(team=Subquery(owner))
    incidents.forgotten(containers)


def prune(engine: Engine) -> int:
    """Takes away what is too old or too much, and returns how many rows that were."""
    mine = EngineEvent.objects.filter(engine=engine)
    old = timezone.now() - timedelta(days=settings.EVENT_DAYS)
    gone = _delete(mine.filter(heard_at__lt=old))
    last = mine.order_by("-id").values_list("id", flat=True)[MOST : MOST + 1].first()
    return gone + (_delete(mine.filter(id__lte=last)) if last else 0) + incidents.prune(engine)


def _delete(rows: Any) -> int:
    """In small transactions, since others write meanwhile; and some now, the rest the next time."""
    gone = 0
    for _ in range(20):
        ids = list(rows.order_by("id").values_list("id", flat=True)[:ROWS])
        if ids:
            rows.model.objects.filter(id__in=ids).delete()
            gone += len(ids)
    return gone


def _key(row: Any) -> tuple[int, str, str, str]:
    return row.time_ns, row.type, row.action, row.native_id[:255]


def _fresh(engine: Engine, events: Sequence[Event]) -> list[Event]:
    """Those that are not there yet, each once."""
    found = {_key(event): event for event in events if 0 < event.time_ns < 2**62}
    if not found:
        return []
    times = [key[0] for key in found]
    there = EngineEvent.objects.filter(engine=engine, time_ns__gte=min(times), time_ns__lte=max(times))
    old = set(there.values_list("time_ns", "type", "action", "native_id"))
    return [event for key, event in found.items() if key not in old]


def _row(engine: Engine, event: Event, thing: Thing | None, heard: datetime) -> EngineEvent:
    labels = thing.labels if thing else {}
    container = event.type == "container"
    return EngineEvent(
        engine=engine,
        type=event.type,
        action=event.action,
        native_id=event.native_id[:255],
        name=(event.name or (thing.name if thing else ""))[:255],
        container_id=thing.pk if thing and container else None,
        object_id=thing.pk if thing and not container else None,
        team_id=thing.team_id if thing else None,
        time_ns=event.time_ns,
        at=datetime.fromtimestamp(event.time_ns / 10**9, UTC),
        heard_at=heard,
        # A label of that name takes the attribute's place on its way, and anybody writes labels.
        exit_code=None if {"exitCode", "containerExitCode"} & labels.keys() else event.exit_code,
        signal=None if "signal" in labels else event.signal,
        detail=event.health,
    )
