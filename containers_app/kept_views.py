"""Pages of the log history: the search, what is kept, the lines around one, and switching it on and off."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Actor, actor_of, can, requires
from accounts.models import Team
from accounts.querysets import visible_teams, visible_to
from containers_app import keep_rules, log_search
from containers_app.log_search import BadPattern, Hit, Wish
from containers_app.models import Container, KeptLog, LogGap
from operations.refused import SEARCH, Refused, spend
from operations.web import answers, toast

PAGE = 100
AGO = {"15m": 900, "1h": 3600, "6h": 6 * 3600, "1d": 86400, "3d": 3 * 86400}
AGO_WORDS = {
    "15m": _lazy("15 minutes"),
    "1h": _lazy("hour"),
    "6h": _lazy("6 hours"),
    "1d": _lazy("day"),
    "3d": _lazy("3 days"),
}


@require_safe
@requires("container.logs")
def search_page(request: HttpRequest) -> HttpResponse:
    """Lines of all kept logs, newest first."""
    actor, asked = actor_of(request), request.GET
    logs, error, found = keep_rules.logs(actor), "", None
    cut: Any = log_search.marker(Wish())
    if any(asked.get(name) for name in ("q", "of", "team", "since", "before")):
        wish = _wish(asked)
        try:
            spend(SEARCH, actor)
            found = log_search.search(_narrowed(logs, asked), wish)
            cut = log_search.marker(wish)
        except (BadPattern, Refused) as wrong:
            error = str(wrong)
    context = {
        "asked": asked, "error": error, "found": found, "teams": visible_teams(actor), "lengths": AGO_WORDS.items(),
        "rows": [_told(hit, cut) for hit in found.hits] if found else [], "any": logs.exists(),
        "reached": moment_of(found.reached_ns) if found and found.more else None,
        "older": _with(asked, before=found.more) if found and found.more else "", "days": settings.LOG_HISTORY_DAYS,
    }  # fmt: skip
    return render(request, "loghistory/search.html", context)


@require_safe
@requires("container.logs")
def kept_page(request: HttpRequest) -> HttpResponse:
    """Which logs are kept, how much of each, and what is switched on."""
    actor, q = actor_of(request), request.GET.get("q", "").strip()[:255]
    logs = keep_rules.logs(actor)
    size = logs.aggregate(size=Sum("size"))["size"] or 0
    page = Paginator(logs.filter(name__icontains=q) if q else logs, PAGE).get_page(request.GET.get("page"))
    rules = list(keep_rules.rules(actor))
    of_teams = {rule.team_id for rule in rules if rule.engine_id is None}
    context = {
        "page": page, "q": q, "size": size, "most": settings.LOG_HISTORY_MB * 1_000_000,
        "days": settings.LOG_HISTORY_DAYS,
        "rows": [(log, moment_of(log.first_ns), moment_of(log.last_ns)) for log in page.object_list],
        "rules": [(rule, can(actor, "logs.keep", rule)) for rule in rules if rule.engine_id],
        "teams": [
            (team, team.pk in of_teams, can(actor, "logs.keep_team", team)) for team in visible_teams(actor)
        ],
    }  # fmt: skip
    part = "loghistory/_kept.html" if "HX-Request" in request.headers else "loghistory/kept.html"
    return render(request, part, context)


@require_safe
@requires("container.logs")
def around_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The lines of one log around a moment; without one, its end."""
    log = get_object_or_404(keep_rules.logs(actor_of(request)), pk=pk)
    told = request.GET.get("at", "")
    if told and not (told.isascii() and told.isdigit() and len(told) < 20 and int(told) < 2**63):
        raise Http404
    at_ns = int(told) if told else log.last_ns + 1
    side = request.GET.get("side")
    before, after = (200, 0) if side == "older" else (0, 200) if side == "newer" else (100, 101)
    found = log_search.around(log, at_ns, before=before, after=after)
    cut = log_search.marker(Wish())
    lines = [row for row in found.rows if isinstance(row, Hit)]
    context = {
        "log": log, "at": int(told) if told else 0, "here": _here(log, actor_of(request)),
        "rows": [_gap(row) if isinstance(row, LogGap) else _told(row, cut) for row in found.rows],
        "older": f"?at={lines[0].ts_ns}&side=older" if lines and (found.older or side == "newer") else "",
        "newer": f"?at={lines[-1].ts_ns + 1}&side=newer" if lines and (found.newer or side == "older") else "",
    }  # fmt: skip
    return render(request, "loghistory/around.html", context)


@require_POST
@requires("container.logs")
@answers
def switch(request: HttpRequest) -> HttpResponse:
    """``what``: container, team or rule, ``id`` and ``on``."""
    actor, on = actor_of(request), request.POST.get("on") == "1"
    what, id_ = request.POST.get("what"), _uuid(request.POST.get("id", ""))
    back = reverse("loghistory:kept")
    if what == "rule":
        rule = get_object_or_404(keep_rules.rules(actor), pk=id_)
        keep_rules.remove(rule, actor=actor)
        return toast(request, _("New lines of %(name)s are not kept any more.") % {"name": rule}, to=back)
    if what == "team":
        target: Container | Team = get_object_or_404(visible_teams(actor), pk=id_)
        words = _("all containers of %(team)s") % {"team": target.name}
    elif what == "container":
        found = visible_to(actor, Container.objects.select_related("engine", "team"))
        target = get_object_or_404(found, pk=id_)
        words, back = target.name, reverse("containers:logs", args=[id_])
    else:
        raise Http404
    keep_rules.switch(target, on=on, actor=actor)
    said = _("New lines of %(name)s are not kept any more.")
    if on:
        many = what == "team"
        said = (
            _("What %(name)s write is kept from now on.") if many else _("What %(name)s writes is kept now.")
        )
    return toast(request, said % {"name": words}, to=back)


def moment_of(ns: int) -> datetime | None:
    """Nanoseconds as a time; ``None`` for 0."""
    return datetime.fromtimestamp(ns / 10**9, UTC) if ns else None


def _wish(asked: QueryDict) -> Wish:
    ago = AGO.get(asked.get("since", ""), 0)
    return Wish(
        text=asked.get("q", ""), regex=bool(asked.get("regex")), case=bool(asked.get("cased")),
        since_ns=time.time_ns() - ago * 10**9 if ago else 0, before=asked.get("before", ""),
    )  # fmt: skip


def _narrowed(logs: QuerySet[KeptLog], asked: QueryDict) -> QuerySet[KeptLog]:
    if of := asked.get("of", "").strip()[:255]:
        logs = logs.filter(name__icontains=of)
    if team := asked.get("team", "")[:100]:
        logs = logs.filter(team__slug=team)
    return logs


def _told(hit: Hit, cut: Any) -> dict[str, Any]:
    at = moment_of(hit.ts_ns)
    return {"log": hit.log, "ns": hit.ts_ns, "at": at, "stream": hit.stream, "pieces": cut(hit.text)}


def _gap(gap: LogGap) -> dict[str, Any]:
    return {"gap": gap, "from": moment_of(gap.from_ns), "to": moment_of(gap.to_ns)}


def _here(log: KeptLog, actor: Actor) -> Container | None:
    """The container itself, where it is still there."""
    found = visible_to(actor, Container.objects.only("pk", "name"))
    return found.filter(engine=log.engine_id, native_id=log.native_id).first()


def _with(asked: QueryDict, **changes: str) -> str:
    query = asked.copy()
    for name, value in changes.items():
        query[name] = value
    return f"?{query.urlencode()}"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
