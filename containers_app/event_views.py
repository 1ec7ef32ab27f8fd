"""The page of engine events.

What ``events/list.html`` gets: found (`Happened` each), wanted (the query), errors (sentences), types, older (an
address or ""), counts (of the views of operations beside it), narrowed.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import actor_of, requires
from accounts.filters import complaints
from containers_app.events import ACTIONS, TYPES, events, happened
from containers_app.filters import EventFilter
from containers_app.past import EngineEvent
from operations.queries import counts

PAGE = 100
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,18})", re.ASCII)


@require_safe
@requires("engine.read")
def event_list(request: HttpRequest) -> HttpResponse:
    """What engines said has happened, newest first."""
    actor = actor_of(request)
    found = EventFilter(request.GET, events(actor))
    errors = complaints(found)
    rows, more = ([], False) if errors else _page(_told(request, found), request.GET.get("before", ""))
    context = {
        "found": happened(rows, actor),
        "wanted": request.GET,
        "clock": str(timezone.get_current_timezone()),
        "narrowed": any(request.GET.get(name) for name in EventFilter.base_filters),
        "errors": errors,
        "types": TYPES.items(),
        "actions": ACTIONS,
        "origins": [choice for choice in EngineEvent.Origin.choices if choice[0]],
        "at_events": True,
        "older": _address(request, rows[-1]) if more else "",
        "counts": counts(actor),
    }
    part = "#rows" if request.headers.get("HX-Request") else ""
    return render(request, f"events/list.html{part}", context)


def _told(request: HttpRequest, found: EventFilter) -> Any:
    """What was asked for. Each start connects a network and each end lets go of it: that is told to who asks for it."""
    asked = any(request.GET.get(name) for name in ("type", "action", "operation"))
    return found.qs if asked else found.qs.exclude(type="network", action__in=("connect", "disconnect"))


def _page(rows: Any, before: str) -> tuple[list[EngineEvent], bool]:
    asked = _CURSOR.fullmatch(before)
    if before and not (asked and int(asked[1]) < 2**63 and int(asked[2]) < 2**63):
        raise Http404
    if asked:
        time_ns, pk = int(asked[1]), int(asked[2])
        rows = rows.filter(time_ns__lte=time_ns).exclude(time_ns=time_ns, pk__gte=pk)
    found = list(rows.order_by("-time_ns", "-pk")[: PAGE + 1])
    return found[:PAGE], len(found) > PAGE


def _address(request: HttpRequest, row: EngineEvent) -> str:
    query = request.GET.copy()
    query["before"] = f"{row.time_ns}-{row.pk}"
    return f"?{query.urlencode()}"
