"""What goes on inside a container, asked of its engine while one looks: processes, health checks, changed files."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import actor_of, can, requires
from containers_app import layer, present
from containers_app.models import Container
from containers_app.views import of_one, tab_of
from engine.errors import EngineError
from operations import reads
from operations.web import leaves_when_gone

WAIT = 6.0
"""Seconds that a page waits for an engine."""
SIZES_WITHIN = 3.0
RUNS = ("running", "paused")


@require_safe
@requires("container.read")
@leaves_when_gone
def processes(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What runs in it now, as ``ps`` on the engine's host tells it."""
    container = of_one(request, pk)
    context: dict[str, Any] = {"runs": container.state in RUNS}
    if context["runs"]:
        try:
            found = reads.read("container.processes", container, actor=actor_of(request), deadline=WAIT)
            context |= {"titles": found["titles"], "processes": found["rows"]}
        except EngineError as error:
            context["problem"] = error.message
    return tab_of(request, container, "processes", context)


@require_safe
@requires("container.read")
def health(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Its latest health checks, looked at anew; without htmx the page that shows them."""
    container = of_one(request, pk)
    with suppress(EngineError):
        reads.read("container.health", container, actor=actor_of(request), deadline=WAIT)
    if "HX-Request" not in request.headers:
        return redirect("containers:detail", pk)
    container = of_one(request, pk)
    return render(request, "containers/_health.html", {"c": container, **checks_of(container)})


def checks_of(container: Container) -> dict[str, Any]:
    """What the section on health needs."""
    found = present.checks(container)
    return {"checks": found, "checks_are_old": present.checks_are_old(container, found)}


@require_safe
@requires("container.read")
@leaves_when_gone
def changed(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What it changed of its image, and what of it would go with it."""
    actor, container = actor_of(request), of_one(request, pk)
    view, find = request.GET.get("view", "all"), request.GET.get("find", "")[:200]
    view = view if view in layer.VIEWS else "all"
    context: dict[str, Any] = {
        "view": view,
        "find": find,
        "may_copy": can(actor, "container.copy", container),
    }
    try:
        params = {"within": SIZES_WITHIN}
        found = reads.read("container.written", container, actor=actor, params=params, deadline=WAIT)
        context["layer"] = layer.layer(found, view=view, find=find)
        context["views"] = [
            (name, title, context["layer"].counts[name]) for name, title in layer.VIEWS.items()
        ]
    except EngineError as error:
        context["problem"] = error.message
    return tab_of(request, container, "files", context)
