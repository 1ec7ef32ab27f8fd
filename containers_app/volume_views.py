"""Pages of volumes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import actor_of, require, requires
from accounts.querysets import visible_to
from containers_app import operations, queries
from containers_app.filters import VolumeFilter
from containers_app.forms import VolumeForm
from containers_app.listing import rows_of
from engine.errors import EngineError, PolicyDenied
from engine.specs import SpecError
from operations.models import Engine
from operations.plans import listed, preview
from operations.reads import read
from operations.services import Refused
from operations.web import answers, leaves_when_gone, submitted, toast

PAGE = 100
COUNT = 5.0
"""Seconds that a page waits for an engine to count; it goes on counting without."""
ORDERINGS = {
    "name": "native_id",
    "driver": "driver",
    "size": "size",
    "used": "used",
    "last": "last_used_at",
    "created": "created_at",
    "engine": "engine__name",
}


@require_safe
@requires("volume.read")
def volume_list(request: HttpRequest) -> HttpResponse:
    """Volumes, and how many containers mount each."""
    view, views = request.GET.get("view", "all"), _views(queries.volumes(actor_of(request)))
    view = view if view in views else "all"
    asked = {key: value for key, value in request.GET.items() if key not in ("used", "anonymous")}
    rows = VolumeFilter(asked, views[view]).qs.order_by(_order(request), "native_id")
    context = {
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")), "view": view, "q": asked.get("q", ""),
        "counts": {name: found.count() for name, found in views.items()},
        "ordering": request.GET.get("ordering", "name"), "oob": "HX-Request" in request.headers,
    }  # fmt: skip
    return render(request, "volumes/_listing.html" if context["oob"] else "volumes/list.html", context)


@require_POST
@requires("engine.sync")
@answers
def volume_count(request: HttpRequest) -> HttpResponse:
    """Has the engines count what is in volumes; the list tells by itself once one has."""
    actor, late = actor_of(request), []
    for engine in Engine.objects.filter(status=Engine.Status.ONLINE):
        try:
            read("volume.sizes", engine, actor=actor, deadline=COUNT)
        except EngineError:
            late.append(engine.name)
    text = (
        _("%(names)s still counts: sizes come when that is done") % {"names": listed(late)}
        if late
        else _("Sizes are counted")
    )
    return toast(request, text, "busy" if late else "ok", to=reverse("volumes:list"))


@require_safe
@requires("volume.read")
@leaves_when_gone
def volume_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One volume and who mounts it where."""
    actor = actor_of(request)
    volume = get_object_or_404(queries.volumes(actor), pk=pk)
    there = volume.mounts.filter(container__trashed_at=None).order_by("container__name")
    mounts = list(visible_to(actor, there, "container__team"))
    found = queries.containers(actor).filter(pk__in=[mount.container_id for mount in mounts])
    rows = {row.container.pk: row for row in rows_of(list(found), actor, host="")}
    context = {
        "volume": volume, "used_by": [(rows[m.container_id], m) for m in mounts if m.container_id in rows],
        "hidden": max(0, volume.used - len({m.container_id for m in mounts})),
        "tab": "overview", **queries.volume_rights(actor, volume),
    }  # fmt: skip
    template = "volumes/_detail.html" if "HX-Request" in request.headers else "volumes/detail.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.create")
@answers
def volume_create(request: HttpRequest) -> HttpResponse:
    """Asks for a name, then makes it."""
    actor = actor_of(request)
    form = VolumeForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        wish = form.cleaned_data
        try:
            operation = operations.request_volume_create(
                form.wish(), actor=actor, engine=wish["engine"], team=wish["team"]
            )
            return submitted(request, operation, to=reverse("volumes:list"))
        except SpecError as error:
            form.refuse(error.errors)
        except PolicyDenied as error:
            form.refuse(error.details.get("errors") or {"name": [str(error)]})
        except Refused as error:
            form.refuse({"name": [str(error)]})
    template = "volumes/create.html#dialog" if "HX-Request" in request.headers else "volumes/create.html"
    return render(request, template, {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.remove")
@answers
def volume_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what would go, then asks for it."""
    actor = actor_of(request)
    volume = get_object_or_404(queries.volumes(actor), pk=pk)
    require(actor, "volume.remove", volume)
    if request.method == "POST":
        forever = bool(request.POST.get("forever"))
        operation = operations.request_volume_remove(volume, actor=actor, forever=forever)
        return submitted(request, operation, to=reverse("volumes:list"))
    plan = preview(lambda: operations.request_volume_remove(volume, actor=actor), actor=actor)
    context = {"volume": volume, "plan": plan, "title": _("Remove %(volume)s?") % {"volume": volume}}
    template = "volumes/remove.html#dialog" if "HX-Request" in request.headers else "volumes/remove.html"
    return render(request, template, context)


def _views(everything: QuerySet[Any]) -> dict[str, QuerySet[Any]]:
    return {
        "all": everything,
        "used": everything.filter(used__gt=0),
        "unused": everything.filter(used=0),
        "anonymous": everything.filter(anonymous=True),
    }


def _order(request: HttpRequest) -> F | object:
    """What the address sorts by; sizes and dates that are not known come last."""
    asked = request.GET.get("ordering", "name")
    column = F(ORDERINGS.get(asked.removeprefix("-"), "native_id"))
    return column.desc(nulls_last=True) if asked.startswith("-") else column.asc(nulls_last=True)
