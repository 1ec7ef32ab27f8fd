"""Incidents as rows: what is alike is one that counts, few are kept of one container, and its own row says it too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from containers_app import alarms, exits, setups
from containers_app.models import Container, Incident
from containers_app.queries import span
from engine.words import kept
from streams import bell

LOOP = timedelta(minutes=15)
"""Ends that are alike and nearer to each other than this are one incident."""

LOOPS = 3
"""So many of them are a loop."""

LOOP_LASTS, OOM_LASTS = timedelta(minutes=10), timedelta(hours=24)
"""How long a person should look at a container that runs again after a loop, or after it ran out of memory."""

SAME = timedelta(seconds=2)
"""An event and an inspection that are nearer than this tell of the same end."""

LINES_AGAIN = timedelta(minutes=1)
MOST = 100
"""Incidents that are kept of one container; the newest `WITH_LINES` of them with their lines."""
WITH_LINES = 20
_ENDED = {"operation": "asked", "outside": "outside", "itself": "done", "unknown": ""}


def write(ended: Incident, container: Container, *, good: bool, told: bool = False) -> None:
    """As a row of its own, or as one more of those before. Then the container's own row says it too, and messages do.

    ``good``: the run went well. ``told``: that it ran out of memory was said already.
    """
    fault, at = ended.fault, ended.last_at
    setup = setups.note(container, at, good=good)
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
        keep_few(container)
    group = before if before is not None and (twice or again) else ended
    word = Container.Ended.FAULT if fault else _ENDED[ended.asked]
    tell(container, group, fresh=group is ended, ended=word)
    if fault and not twice:
        alarms.ended(group, container, told=told)


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


def keep_few(container: Container) -> None:
    """Of very many incidents of one container the newest."""
    ids = list(
        Incident.objects.filter(container=container)
        .order_by("-last_at")
        .values_list("pk", flat=True)[WITH_LINES:]
    )
    if ids:
        kept = Incident.objects.filter(pk__in=ids, lines_state=Incident.Lines.KEPT)
        kept.update(lines=[], lines_state=Incident.Lines.LEFT)
        Incident.objects.filter(pk__in=ids[MOST - WITH_LINES :]).delete()


def tell(container: Container, group: Incident, *, fresh: bool, ended: str) -> None:
    """Says on the container's own row what a list shows."""
    now = timezone.now()
    columns: dict[str, Any] = {"ended": ended}
    if group.fault:
        columns |= {"trouble_at": now} if fresh else {}
        until = now + OOM_LASTS if group.oom else now + LOOP_LASTS if group.count >= LOOPS else None
        if until and (container.trouble_until is None or until > container.trouble_until):
            words = (
                kept(f"crash loop: {in_brief(group)}")
                if group.count >= alarms.CRASH_LOOP
                else in_brief(group)
            )
            columns |= {"trouble": words[:120], "trouble_until": until}
    Container.everything.filter(pk=container.pk).update(**columns)
    for name, value in columns.items():
        setattr(container, name, value)
    ring(container)


def in_brief(group: Incident) -> str:
    """``exit 1, 4 times in 2 min``."""
    what = exits.briefly(group.exit_code, oom=group.oom) or kept(f"exit {group.exit_code}")
    if group.count > 1:
        return kept(f"{what}, {group.count} times in {span(group.last_at - group.first_at)}")
    return what


def ring(container: Container) -> None:
    """Tells the pages that show it."""
    topics = (f"container:{container.pk}", "containers")
    transaction.on_commit(lambda: bell.ring(*topics), robust=True)
