"""Pages of containers to read: the list, and one container in its tabs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.access import actor_of, can, require, requires
from containers_app import bounds, care_page, drift_page, keep_rules, listing, present, queries, stats_page
from containers_app.lifeline import lifeline
from containers_app.models import Container
from containers_app.plots import RANGES
from images_app import scans
from operations.document import document
from operations.web import leaves_when_gone


@require_safe
@requires("container.read")
def container_list(request: HttpRequest) -> HttpResponse:
    """Containers by stack, as the address asks for them."""
    actor, wanted = actor_of(request), listing.Wanted.of(request.GET)
    context = {
        "wanted": wanted,
        "listing": listing.listing(actor, wanted, host=host_of(request)),
        "counts": queries.view_counts(actor),
    }
    if request.headers.get("HX-Request"):
        return render(request, "containers/_listing.html", {**context, "oob": True})
    return render(request, "containers/list.html", {**context, "choices": listing.choices(actor)})


@require_safe
@requires("container.read")
def row(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One row of the list as it is now; nothing where it is gone, since the list says so itself."""
    actor = actor_of(request)
    found = next(
        listing.rows_of(list(queries.containers(actor).filter(pk=pk)), actor, host=host_of(request)), None
    )
    if found is None:
        return HttpResponse(status=204)
    context = {"row": found, "c": found.container, "status": found.status}
    return render(request, "containers/_row.html", context)


@require_safe
@requires("container.read")
@leaves_when_gone
def overview(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What one container is, and how it does."""
    actor, container = actor_of(request), of_one(request, pk)
    row = next(listing.rows_of([container], actor, host=host_of(request)))
    (shown, more), checks = present.labels(container), present.checks(container)
    context = {
        "row": row, "facts": present.facts(container), "variables": present.environment(container),
        "mounts": present.mounts(container, actor), "networks": present.networks(container, actor),
        "checks": checks, "checks_are_old": present.checks_are_old(container, checks),
        "more_limits": bounds.more(container), "limits_in_words": bounds.in_words(container),
        "life": lifeline(container, actor),
        "labels": shown, "more_labels": more, "made_by": present.made_by(container, actor),
        "drift": drift_page.of(container, actor), **care_page.of_one(container, actor),
    }  # fmt: skip
    return tab_of(request, container, "overview", context, row)


@require_safe
@requires("container.logs")
@leaves_when_gone
def logs(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What it writes. The lines come over the socket."""
    container = of_one(request, pk)
    require(actor_of(request), "container.logs", container)
    kept = keep_rules.kept_of(container, actor_of(request))
    return tab_of(request, container, "logs", {"files": [container], "kept": kept})


@require_safe
@requires("container.read")
@leaves_when_gone
def stats(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What it used over a time, and uses now; ``?format=csv`` as a file."""
    container, wanted = of_one(request, pk), request.GET.get("range", "")
    if request.GET.get("format") == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{container.short_id}-stats.csv"'}
        text = stats_page.as_csv(container, actor_of(request), wanted)
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)
    found = stats_page.page(container, actor_of(request), wanted)
    return tab_of(request, container, "stats", {"stats": found, "ranges": RANGES.values()})


@require_safe
@requires("container.read")
@leaves_when_gone
def inspect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the engine says of it, in its own words; ``?raw=1`` as a JSON file."""
    container = get_object_or_404(present.one(actor_of(request)).defer(None), pk=pk)
    if request.GET.get("raw"):
        headers = {"Content-Disposition": f'attachment; filename="{container.short_id}.json"'}
        return JsonResponse(container.inspect, json_dumps_params={"indent": 2}, headers=headers)
    section, find = request.GET.get("section", ""), request.GET.get("find", "")[:100]
    found = document(container.inspect, section=section, find=find)
    return tab_of(request, container, "inspect", {"document": found, "section": section, "find": find})


def tab_of(
    request: HttpRequest,
    container: Container,
    name: str,
    context: dict[str, Any],
    row: listing.Row | None = None,
    *,
    tab: str = "",
    part: str = "",
) -> HttpResponse:
    """One tab of a container's page; for htmx its head, or what the tab itself holds (``part``)."""
    actor = actor_of(request)
    row = row or next(listing.rows_of([container], actor, host=host_of(request)))
    context |= {
        "container": container,
        "row": row,
        "tab": tab or name,
        "may_console": can(actor, "container.console", container),
        "may_files": can(actor, "container.files", container),
        "may_image": present.may_image(container, actor),
        "neighbours": present.neighbours(container, actor),
        "scan_mark": scans.newest_of(container.image_native_id, container.team_id),
    }
    if "HX-Request" not in request.headers:
        return render(request, f"containers/{name}.html", context)
    if request.headers.get("HX-Target") == "head":
        part = "containers/_head.html"
    return render(request, part or f"containers/_{name}.html", context)


def of_one(request: HttpRequest, pk: UUID) -> Container:
    return get_object_or_404(present.one(actor_of(request)), pk=pk)


def host_of(request: HttpRequest) -> str:
    """The host that serves this page: ports of an engine beside us are found on it."""
    return urlsplit(f"//{request.get_host()}").hostname or "localhost"
