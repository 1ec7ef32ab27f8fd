"""Pages of the trash: what can be taken back, the question before something goes for good, and undo."""

from __future__ import annotations

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Denied, actor_of, can, requires
from engine.errors import EngineError
from operations import plans, queries, registry, trash, undoable
from operations.models import TrashItem
from operations.services import Refused
from operations.web import answers, submitted, toast, uuids, why

PAGE = 100


@require_safe
@requires("operation.read")
def trash_list(request: HttpRequest) -> HttpResponse:
    """What was removed and can be taken back."""
    actor, q = actor_of(request), request.GET.get("q", "").strip()
    found = undoable.kept(actor)
    if q:
        found = found.filter(name__icontains=q)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    rows = [(item, _may(request, item)) for item in page.object_list]
    context = {
        "page": page,
        "rows": rows,
        "q": q,
        "hours": trash.hours(),
        "may_empty": any(may for _, may in rows),
    }
    return render(
        request, "trash/_listing.html" if "HX-Request" in request.headers else "trash/list.html", context
    )


@require_POST
@requires("operation.read")
@answers
def trash_restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Takes one thing back."""
    item = get_object_or_404(undoable.kept(actor_of(request)), pk=pk)
    return submitted(request, trash.restore(item, actor=actor_of(request)), to=reverse("trash:list"))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("operation.read")
@answers
def trash_purge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks first, then removes one thing for good."""
    actor = actor_of(request)
    item = get_object_or_404(undoable.kept(actor), pk=pk)
    if request.method == "POST":
        return submitted(request, trash.purge(item, actor=actor), to=reverse("trash:list"))
    plan = plans.preview(lambda: trash.purge(item, actor=actor), actor=actor)
    context = {
        "plan": plan,
        "title": _("Remove %(name)s for good?") % {"name": item.name},
        "action": reverse("trash:purge", args=[pk]),
    }
    return _dialog(request, {**context, "button": _("Remove for good")})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("operation.read")
@answers
def trash_empty(request: HttpRequest) -> HttpResponse:
    """Asks first, then removes everything in the trash for good: what was shown, as far as one may."""
    actor = actor_of(request)
    if request.method == "POST":
        chosen = undoable.kept(actor).filter(pk__in=uuids(request.POST.getlist("ids"), PAGE))
        return _emptied(request, list(chosen))
    items = [item for item in undoable.kept(actor)[:PAGE] if _may(request, item)]
    plan = plans.Plan(button=_("Empty trash"), lead=_("Nothing brings these back."))
    plan.lost = [plans.Item(item.name, item.kind, size=item.size) for item in items]
    context = {
        "plan": plan,
        "title": _("Empty the trash?"),
        "action": reverse("trash:empty"),
        "ids": [i.pk for i in items],
    }
    return _dialog(
        request,
        {**context, "button": _("Remove %(count)s for good") % {"count": plans.count(len(items), "thing")}},
    )


@require_POST
@requires("operation.read")
@answers
def undo(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Takes back what an operation removed or replaced."""
    operation = get_object_or_404(queries.operations(actor_of(request)), pk=pk)
    return submitted(request, trash.undo(operation, actor=actor_of(request)))


def _emptied(request: HttpRequest, items: list[TrashItem]) -> HttpResponse:
    done, refusals = 0, []
    for item in items:
        try:
            trash.purge(item, actor=actor_of(request))
            done += 1
        except (Denied, Refused, EngineError) as error:
            refusals.append(f"{item.name}: {why(error)}")
    text = _("Removing %(done)s for good") % {"done": plans.count(done, "thing")}
    return toast(
        request, " ".join([text, *refusals[:3]]), "bad" if refusals else "ok", to=reverse("trash:list")
    )


def _may(request: HttpRequest, item: TrashItem) -> bool:
    """Whether this reader may take it back, which is whether they may remove such a thing."""
    return can(actor_of(request), registry.get(f"{item.kind}.restore").permission, item)


def _dialog(request: HttpRequest, context: dict[str, object]) -> HttpResponse:
    template = "trash/purge.html#dialog" if "HX-Request" in request.headers else "trash/purge.html"
    return render(request, template, context)
