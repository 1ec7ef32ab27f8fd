"""Pages of operations: the list, one operation with its log, and the two things a person can do about one."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import translation
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SIGNED_IN, actor_of, requires
from accounts.streaming import TextStream
from operations import present, queries, registry, remains, services, story, tray
from operations.document import document
from operations.models import Operation, OperationEvent
from operations.web import answers, came_from, submitted, toast, uuids

VIEWS = ("all", "running", "queued", "failed", "mine")


@require_safe
@requires("operation.read")
def operation_list(request: HttpRequest) -> HttpResponse:
    """Running, queued and finished, by what the address asks for."""
    actor, wanted = actor_of(request), _wanted(request)
    groups, older = queries.groups(actor, wanted)
    names = (one.operation.target_name for group in groups for one in group.lines)
    context = {
        "groups": groups,
        "older": older,
        "wanted": wanted,
        "counts": queries.counts(actor),
        "target_name": next(names, ""),
    }
    if request.headers.get("HX-Request"):
        return render(request, "operations/list.html#rows", context)
    choices = {
        "kinds": _kinds(),
        "people": queries.people(actor),
        "states": Operation.State.choices,
        "spans": [(name, words) for name, (_, words) in queries.SPANS.items()],
    }
    return render(request, "operations/list.html", {**context, **choices})


@require_safe
@requires("operation.read")
def operation_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One operation: how far, what it said, what became of it."""
    operation, log, seq, part = _get(request, pk), None, 0, bool(request.headers.get("HX-Request"))
    if not part:
        log, seq = queries.log(operation)
        if not operation.ended:
            # What the page has read of its events it is not told again: its state may not be older than they are.
            operation = _get(request, pk)
    left = remains.of(operation)
    context = {
        "op": operation,
        "remains": left,
        "tree": document(left.inspect) if left else None,
        "line": queries.one(operation, actor_of(request)),
        "facts": present.facts(operation),
        "moments": story.timeline(operation, queries.states(operation)),
        "parameters": story.parameters(operation),
        "result": story.result(operation),
    }
    if part:
        return render(request, "operations/detail.html#state", context)
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
def operation_log(request: HttpRequest, pk: UUID) -> TextStream:
    """The whole log as a text file."""
    operation = _get(request, pk)
    headers = {"Content-Disposition": f'attachment; filename="{operation.kind}-{str(operation.pk)[:8]}.log"'}
    return TextStream(_lines(operation), content_type="text/plain; charset=utf-8", headers=headers)


@require_POST
@requires("operation.cancel")
@answers
def operation_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks it to stop."""
    operation = services.cancel(_get(request, pk), actor=actor_of(request))
    return toast(request, _("Asked to cancel: %(operation)s") % {"operation": present.title(operation)})


@require_POST
@requires("operation.cancel")
@answers
def operation_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks for the same change again; what failed has been dealt with."""
    again = services.retry(_get(request, pk), actor=actor_of(request))
    tray.dismiss(request, [pk])
    return submitted(request, again)


@require_safe
@requires(SIGNED_IN)
def operation_tray(request: HttpRequest) -> HttpResponse:
    """The tray of every page as it is now. ``?also=``: ids that the page has seen on their way."""
    also = uuids(request.GET.get("also", "").split(","), tray.READ_MOST)
    found = tray.read(actor_of(request), tray.dismissed(request), also)
    return render(request, "operations/_tray.html", {"tray": found})


@require_POST
@requires(SIGNED_IN)
def tray_dismiss(request: HttpRequest) -> HttpResponse:
    """Puts failures (``id``, several times) out of the tray, for this session."""
    tray.dismiss(request, uuids(request.POST.getlist("id"), tray.READ_MOST))
    if "HX-Request" in request.headers:
        return HttpResponse(status=204)
    return HttpResponseRedirect(came_from(request, default=reverse("operations:list")))


def _get(request: HttpRequest, pk: UUID) -> Operation:
    return get_object_or_404(queries.operations(actor_of(request)), pk=pk)


def _wanted(request: HttpRequest) -> queries.Wanted:
    ask = request.GET
    view = ask.get("view", "all")
    try:
        before = parse_datetime(ask.get("before", ""))
    except ValueError:
        before = None
    targets, engines = uuids([ask.get("target", "")], 1), uuids([ask.get("engine", "")], 1)
    return queries.Wanted(
        view=view if view in VIEWS else "all",
        state=ask.get("state", ""),
        kind=ask.get("kind", ""),
        who=ask.get("who", ""),
        q=ask.get("q", "").strip(),
        target=targets[0] if targets else None,
        engine=engines[0] if engines else None,
        since=ask.get("since", ""),
        before=before if before and before.tzinfo else None,
    )


def _kinds() -> dict[str, list[tuple[str, str]]]:
    """Kinds by what they change: ``{"Container": [("container.stop", "Stop"), …]}``."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, kind in sorted(registry.all_kinds().items()):
        found.setdefault(translation.gettext(name.partition(".")[0].capitalize()), []).append(
            (name, translation.gettext(kind.label))
        )
    return found


def _lines(operation: Operation) -> Iterator[str]:
    events = OperationEvent.objects.filter(operation=operation, kind="log").order_by("seq")
    for data in events.values_list("data", flat=True).iterator(chunk_size=2000):
        yield f"{present.plain(data.get('text', ''))}\n"
