"""A container's last 24 hours as one line: when it was up, when it was not, and what happened on it.

Geometry only, in percent of the width, for a drawing that the server makes. Time is cut into cells, and each shows the
worst that was in it, so that a crash loop draws no more than a quiet day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext, pgettext_lazy

from accounts.access import Actor
from containers_app import exits
from containers_app.events import events
from containers_app.incident_rows import LOOPS
from containers_app.models import Container, EngineEvent, Incident
from containers_app.present import lineage
from containers_app.queries import span
from containers_app.timeline import incidents
from operations.models import Operation
from operations.queries import operations

HOURS = 24
CELLS = 480
"""Three minutes each: what was shorter is drawn that wide, or nobody would see it."""

MOST, EARLIER = 5000, 20
LABEL = 17.0
"""Percent of the width that a label needs."""

_TELLS = ("start", "die", "destroy", "pause", "unpause", "health_status")
_WORST = ("bad", "off", "blind", "start", "paused", "up", "none")
_LIVE = ("bad", "start", "up", "paused")
_NEAR = timedelta(seconds=2)
_DEPLOYS = {
    "container.run": pgettext_lazy("what was done", "Run"),
    "container.duplicate": pgettext_lazy("what was done", "Run"),
    "container.recreate": _lazy("Recreated"),
    "container.update": _lazy("Limits changed"),
}


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of one kind: up, start, bad (failing checks, or crash after crash), paused, off, blind (nobody
    listened) or none (it was not there yet)."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: ``kind`` is deploy, change or bad. Without room for words ``side`` is empty."""

    at: datetime
    x: float
    kind: str
    label: str
    note: str
    side: str = ""


@dataclass(frozen=True, slots=True)
class Lifeline:
    """What the page draws. ``summary`` stands beside the title, ``sentence`` instead of the drawing."""

    bands: list[Band]
    marks: list[Mark]
    summary: str
    sentence: str

    @property
    def told(self) -> list[Mark]:
        """The newest marks, for a list."""
        return self.marks[::-1][:6]


@dataclass(frozen=True, slots=True)
class _Fact:
    at: datetime
    pk: Any
    action: str
    detail: str = ""
    heard: bool = True


def lifeline(container: Container, actor: Actor, now: datetime | None = None) -> Lifeline | None:
    """The last 24 hours; ``None`` for a container that never ran. A few queries, however much has happened."""
    now = now or timezone.now()
    if container.started_at is None:
        return None
    start = now - timedelta(hours=HOURS)
    ids = lineage(container, actor)
    facts = _facts(container, actor, ids, start, now)
    cells = _cells(container, facts, start, now)
    _blind(cells, container, [fact for fact in facts if not fact.heard], start, now)
    faults = [one for one in incidents(actor, ids).filter(last_at__gte=start)[:50] if one.fault]
    for one in faults:
        if one.count >= LOOPS and one.kind == Incident.Kind.EXIT:
            _fill(cells, "bad", max(one.first_at, start), one.last_at, start)
    marks = _placed([*_deploys(actor, ids, start), *map(_fault, faults)], start, now)
    ends = sum(one.kind != Incident.Kind.HEALTH for one in faults)
    summary = _summary(marks, cells, ends)
    return Lifeline(_bands(cells), marks, summary, _told(cells, summary or _("no trouble")))


# --- What was when -----------------------------------------------------------------------------------


def _facts(
    container: Container, actor: Actor, ids: Sequence[str], start: datetime, now: datetime
) -> list[_Fact]:
    """What began and ended what, in order; what no event has told of is taken from the container's own row."""
    rows = events(actor).filter(container_id__in=ids, action__in=_TELLS).order_by("-at", "-pk")
    told = [*rows.filter(at__gte=start, at__lte=now)[:MOST], *rows.filter(at__lt=start)[:EARLIER]]
    found = [_Fact(row.at, row.container_id, row.action, row.detail) for row in told]

    def unheard(action: str, at: datetime | None) -> Iterator[_Fact]:
        mine = (fact.at for fact in found if fact.action == action and fact.pk == container.pk)
        if at and not any(abs(other - at) < _NEAR for other in mine):
            yield _Fact(at, container.pk, action, heard=False)

    own = [*unheard("start", container.started_at), *unheard("die", container.finished_at)]
    return sorted([*found, *own], key=lambda fact: fact.at)


def _cells(container: Container, facts: Sequence[_Fact], start: datetime, now: datetime) -> list[str]:
    """The worst of each cell of time, from the oldest to the newest."""
    live: dict[Any, str] = {}
    cells = ["none"] * CELLS
    state, since = _first(container, facts, start), start
    for fact in facts:
        if fact.at > start:
            _fill(cells, state, since, fact.at, start)
        _take(live, fact, checked=bool(container.healthcheck))
        state = next((one for one in _LIVE if one in live.values()), "off")
        since = max(fact.at, start)
    _fill(cells, state, since, now, start)
    return cells


def _first(container: Container, facts: Sequence[_Fact], start: datetime) -> str:
    """What was before the first fact."""
    if facts and facts[0].action not in ("start", "destroy"):
        return "up"
    return "none" if container.created_at is None or container.created_at > start else "off"


def _take(live: dict[Any, str], fact: _Fact, *, checked: bool) -> None:
    if fact.action == "start":
        live[fact.pk] = "start" if checked else "up"
    elif fact.action in ("die", "destroy"):
        live.pop(fact.pk, None)
    elif fact.action == "pause":
        live[fact.pk] = "paused"
    elif fact.action == "unpause":
        live[fact.pk] = "up"
    else:
        live[fact.pk] = {"healthy": "up", "unhealthy": "bad"}.get(fact.detail, "start")


def _fill(cells: list[str], state: str, since: datetime, until: datetime, start: datetime) -> None:
    for n in _span(since, until, start):
        if _WORST.index(state) < _WORST.index(cells[n]):
            cells[n] = state


def _span(since: datetime, until: datetime, start: datetime) -> range:
    """The cells that these times touch."""
    cell = timedelta(hours=HOURS) / CELLS
    return range(max(0, (since - start) // cell), min(CELLS, (until - start) // cell + 1))


def _blind(
    cells: list[str], container: Container, unheard: Sequence[_Fact], start: datetime, now: datetime
) -> None:
    """Times when nobody listened and something happened that no event tells of."""
    holes = EngineEvent.objects.filter(
        engine_id=container.engine_id, type=EngineEvent.OWN, at__gte=start, at__lte=now
    )
    for since, until in holes.exclude(blind_since=None).values_list("blind_since", "at")[:200]:
        if since and any(since - _NEAR <= fact.at <= until for fact in unheard):
            for n in _span(max(since, start), until, start):
                cells[n] = "blind" if cells[n] in ("up", "off") else cells[n]


# --- Drawing -----------------------------------------------------------------------------------------


def _bands(cells: Sequence[str]) -> list[Band]:
    found, at, cell = [], 0, 100 / CELLS
    for kind, group in groupby(cells):
        count = len(list(group))
        # A sliver between neighbours, so that two kinds never seem to be one.
        found.append(Band(kind, round(at * cell, 2), round(count * cell - 0.12, 2)))
        at += count
    return found


def _deploys(actor: Actor, ids: Sequence[str], start: datetime) -> list[Mark]:
    rows = operations(actor).filter(
        target_type="container", target_id__in=ids, kind__in=_DEPLOYS, state="succeeded"
    )
    return [
        Mark(
            work.finished_at,
            0,
            _kind(work),
            _deploy(work),
            work.actor.display_name if work.actor else work.actor_name,
        )
        for work in rows.filter(finished_at__gte=start)[:50]
        if work.finished_at
    ]


def _kind(work: Operation) -> str:
    return "change" if work.kind == "container.update" else "deploy"


def _deploy(work: Operation) -> str:
    _name, colon, tag = str((work.params or {}).get("image") or "").rpartition(":")
    return _("Deploy %(tag)s") % {"tag": tag[:20]} if colon and "/" not in tag else str(_DEPLOYS[work.kind])


def _fault(incident: Incident) -> Mark:
    if incident.kind == Incident.Kind.HEALTH:
        seconds = incident.seconds or 0
        unwell = _("Unhealthy, %(span)s") % {"span": span(timedelta(seconds=seconds))}
        label = _("Unhealthy") if incident.open else unwell
        return Mark(incident.first_at, 0, "bad", label, "")
    word = exits.briefly(incident.exit_code, oom=incident.oom) or _("exit %(code)s") % {
        "code": incident.exit_code
    }
    word = f"{word[:1].upper()}{word[1:]}"
    if incident.count > 1:
        word = _("%(word)s, %(n)s times") % {"word": word, "n": incident.count}
    return Mark(incident.last_at, 0, "bad", word, "")


def _placed(marks: Sequence[Mark], start: datetime, now: datetime) -> list[Mark]:
    """In order, with words on as many as have room: the newest first, and trouble before anything else."""
    length = timedelta(hours=HOURS)
    within = sorted((mark for mark in marks if start <= mark.at <= now), key=lambda mark: mark.at)
    placed = {id(mark): round((mark.at - start) / length * 100, 2) for mark in within}
    taken: list[float] = []
    sides: dict[int, str] = {}
    for mark in sorted(within, key=lambda mark: (mark.kind != "bad", -mark.at.timestamp())):
        x = placed[id(mark)]
        side = "end" if x > 100 - LABEL else "start"
        left = x - LABEL if side == "end" else x
        if all(abs(left - other) >= LABEL for other in taken):
            taken.append(left)
            sides[id(mark)] = side
    return [
        Mark(mark.at, placed[id(mark)], mark.kind, mark.label, mark.note, sides.get(id(mark), ""))
        for mark in within
    ]


def _summary(marks: Sequence[Mark], cells: Sequence[str], faults: int) -> str:
    """``2 deploys, 1 fault, 6 min unhealthy``."""
    deploys = sum(mark.kind == "deploy" for mark in marks)
    bad = timedelta(hours=HOURS) / CELLS * cells.count("bad")
    words = [
        ngettext("%(n)s deploy", "%(n)s deploys", deploys) % {"n": deploys} if deploys else "",
        ngettext("%(n)s fault", "%(n)s faults", faults) % {"n": faults} if faults else "",
        _("about %(span)s of trouble") % {"span": span(bad)} if bad else "",
    ]
    return ", ".join(filter(None, words))


def _told(cells: Sequence[str], summary: str) -> str:
    """All of it in a sentence."""
    known = [cell for cell in cells if cell not in ("none", "blind")]
    up = sum(cell in ("up", "bad", "start") for cell in known)
    said: dict[str, object] = {"hours": HOURS, "summary": summary}
    if not known:
        return _("The last %(hours)s hours: %(summary)s.") % said
    said["share"] = f"{up / len(known):.0%}"
    return _("The last %(hours)s hours: up %(share)s of them, %(summary)s.") % said
