"""Pages of operations: the list, one operation with its log, and the two things a person can do about one."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from accounts.access import actor_of, requires
from operations import present, queries, registry, services
from operations.models import Operation, OperationEvent
from operations.web import answers, submitted, toast

VIEWS = ("all", "running", "queued", "failed", "mine")


@require_safe
@requires("operation.read")
def operation_list(request: HttpRequest) -> HttpResponse:
    """Running, queued and finished, by what the address asks for."""
    actor, wanted = actor_of(request), _wanted(request)
    groups, older = queries.groups(actor, wanted)
    context = {"groups": groups, "older": older, "wanted": wanted, "counts": queries.counts(actor)}
    if request.headers.get("HX-Request"):
        return render(request, "operations/list.html#rows", context)
    return render(
        request, "operations/list.html", {**context, "kinds": _kinds(), "people": queries.people(actor)}
    )


@require_safe
@requires("operation.read")
def operation_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One operation: how far, what it said, what became of it."""
    operation = _get(request, pk)
    line = queries.lines([operation], actor_of(request))[0]
    context = {"op": operation, "line": line, "facts": present.facts(operation)}
    if request.headers.get("HX-Request"):
        return render(request, "operations/detail.html#state", context)
    log, seq = queries.log(operation)
    return render(request, "operations/detail.html", {**context, "log": log, "seq": seq})


@require_safe
@requires("operation.read")
def operation_events(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What happened after number ``?after=``, for a page that missed some: ``{"state", "events": [...]}``."""
    operation = _get(request, pk)
    after = request.GET.get("after", "0")
    events = queries.events_after(operation, int(after) if after.isdecimal() else 0)
    return JsonResponse({"state": operation.state, "events": [queries.event_dict(e) for e in events]})


@require_safe
@requires("operation.read")
def operation_log(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """The whole log as a text file."""
    operation = _get(request, pk)
    headers = {"Content-Disposition": f'attachment; filename="{operation.kind}-{str(operation.pk)[:8]}.log"'}
    return StreamingHttpResponse(_lines(operation), content_type="text/plain; charset=utf-8", headers=headers)


@require_POST
@requires("operation.cancel")
@answers
def operation_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks it to stop."""
    operation = services.cancel(_get(request, pk), actor=actor_of(request))
    return toast(request, f"Asked to cancel: {present.title(operation)}")


@require_POST
@requires("operation.cancel")
@answers
def operation_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks for the same change again."""
    return submitted(request, services.retry(_get(request, pk), actor=actor_of(request)))


def _get(request: HttpRequest, pk: UUID) -> Operation:
    return get_object_or_404(queries.operations(actor_of(request)), pk=pk)


def _wanted(request: HttpRequest) -> queries.Wanted:
    ask = request.GET
    view = ask.get("view", "all")
    try:
        before = parse_datetime(ask.get("before", ""))
    except ValueError:
        before = None
    return queries.Wanted(
        view=view if view in VIEWS else "all",
        kind=ask.get("kind", ""),
        who=ask.get("who", ""),
        q=ask.get("q", "").strip(),
        before=before if before and before.tzinfo else None,
    )


def _kinds() -> dict[str, list[tuple[str, str]]]:
    """Kinds by what they change: ``{"Container": [("container.stop", "Stop"), …]}``."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, kind in sorted(registry.all_kinds().items()):
        found.setdefault(name.partition(".")[0].capitalize(), []).append((name, kind.label))
    return found


def _lines(operation: Operation) -> Iterator[str]:
    events = OperationEvent.objects.filter(operation=operation, kind="log").order_by("seq")
    for data in events.values_list("data", flat=True).iterator(chunk_size=2000):
        yield f"{present.plain(data.get('text', ''))}\n"
