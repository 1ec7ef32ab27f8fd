"""One container's past as a page: by day, newest first, and each incident with what led to it.

What ``containers/history.html`` gets besides the frame: days (`Day` each), view, views, older (an address or ""),
month (`Month`), kept (days that it is kept).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from accounts.access import Actor, actor_of, can, requires
from containers_app import cards, timeline
from containers_app.events import told
from containers_app.marks import DEPLOYS
from containers_app.models import Container, Incident
from containers_app.present import lineage
from containers_app.views import of_one, tab_of
from operations.queries import lines, operations
from operations.web import leaves_when_gone

PAGE = 50
WITH_LINES = 5
"""Incidents of a page that bring their last lines along; those of others are a link away."""

VIEWS = {
    "all": (_lazy("Everything"), timeline.KINDS),
    "incidents": (_lazy("Incidents"), ("incident",)),
    "people": (_lazy("People"), ("operation",)),
    "engine": (_lazy("Engine"), ("event",)),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; of ``card``, ``line`` and ``happened`` the one that ``kind`` names. ``open``: it is shown unfolded."""

    kind: str
    at: Any
    card: cards.Card | None = None
    line: Any = None
    happened: Any = None
    open: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day, newest first. By the reader's clock."""

    date: Any
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Month:
    """The last 30 days in numbers. ``unhealthy`` is a length of time."""

    deploys: int
    faults: int
    stops: int
    unhealthy: timedelta


@require_safe
@requires("container.read")
@leaves_when_gone
def history(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What was asked of it, by whom, what it did by itself, and how its runs ended."""
    actor, container = actor_of(request), of_one(request, pk)
    view = request.GET.get("view", "all")
    view = view if view in VIEWS else "all"
    found, older = timeline.moments(
        container, actor, limit=PAGE, after=_after(request), kinds=VIEWS[view][1], short=view != "engine"
    )
    context = {
        "days": _days(found, actor, request.GET.get("incident", "")),
        "view": view,
        "views": [(name, title) for name, (title, _) in VIEWS.items()],
        "older": _address(request, str(older)) if older else "",
        "month": month(container, actor),
        "kept": settings.EVENT_DAYS,
    }
    return tab_of(request, container, "history", context)


def month(container: Container, actor: Actor) -> Month:
    """The last 30 days in numbers, in two queries and those of `lineage`."""
    since, ids = timezone.now() - timedelta(days=30), lineage(container, actor)
    asked = operations(actor).filter(target_type="container", target_id__in=ids, created_at__gte=since)
    deploys = asked.filter(kind__in=DEPLOYS, state="succeeded").count()
    rows = timeline.incidents(actor, ids).filter(last_at__gte=since)
    exits, health = Q(kind=Incident.Kind.EXIT), Q(kind=Incident.Kind.HEALTH)
    sums = rows.order_by().aggregate(
        faults=Sum("count", filter=exits & Q(fault=True)), stops=Count("pk", filter=exits & Q(fault=False))
    )
    pairs = rows.filter(health, open=False).values_list("first_at", "last_at")[:500]
    return Month(
        deploys, sums["faults"] or 0, sums["stops"] or 0, sum((b - a for a, b in pairs), timedelta())
    )


def _days(found: list[timeline.Moment], actor: Actor, wanted: str) -> list[Day]:
    entries = _entries(found, actor, wanted)
    return [
        Day(date, list(group))
        for date, group in groupby(entries, key=lambda entry: timezone.localtime(entry.at).date())
    ]


def _entries(found: list[timeline.Moment], actor: Actor, wanted: str) -> list[Entry]:
    works = [moment.row for moment in found if moment.kind == "operation"]
    told_works = {line.operation.pk: line for line in lines(works, actor)} if works else {}
    incidents = [moment.row for moment in found if moment.kind == "incident"]
    faults = [one.pk for one in incidents if one.fault]
    with_lines = {one.pk for one in incidents[:WITH_LINES]} | {
        one.pk for one in incidents if str(one.pk) == wanted
    }
    # What it wrote is its log, which not everybody who sees the container may read.
    readable = {one.pk for one in incidents if can(actor, "container.logs", one)}
    with_lines &= readable
    texts = dict(Incident.objects.filter(pk__in=with_lines).values_list("pk", "lines")) if with_lines else {}
    entries = []
    for moment in found:
        row = moment.row
        if moment.kind == "operation":
            entries.append(Entry("operation", moment.at, line=told_works[row.pk]))
        elif moment.kind == "event":
            entries.append(Entry("event", moment.at, happened=told(row)))
        else:
            if row.pk in texts:
                row.lines = texts[row.pk]
            unfolded = str(row.pk) == wanted or (
                not wanted and row.pk in faults[:1] and row.pk == incidents[0].pk
            )
            made = cards.card(row, lines=row.pk in texts)
            if row.pk not in readable:
                made.why_no_lines = _("Whoever may read its log sees them.")
            entries.append(Entry("incident", moment.at, card=made, open=unfolded))
    return entries


def _after(request: HttpRequest) -> timeline.Cursor | None:
    text = request.GET.get("before", "")
    try:
        return timeline.Cursor.read(text) if text else None
    except ValueError:
        raise Http404(_("There is no such page.")) from None


def _address(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["before"] = cursor
    return f"?{query.urlencode()}"
