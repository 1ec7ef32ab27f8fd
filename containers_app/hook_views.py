"""The page of a container's webhooks that come in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import actor_of, require, requires
from accounts.api.links import absolute
from containers_app import hooks, present
from containers_app.models import Container, DeployHook, HookCall
from operations.web import answers, toast

SHOWN = 5


@require_http_methods(["GET", "HEAD", "POST"])
@requires("hook.manage")
@answers
def container_hooks(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Those there are with their last calls; a POST (``style``, ``branch``) makes one, its secret shown this once."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor), pk=pk)
    require(actor, hooks.PERMISSION, container)
    more: dict[str, Any] = {}
    if request.method == "POST":
        said = request.POST
        branch = said.get("branch", "")
        made, secret = hooks.add(container, said.get("style", ""), branch=branch, actor=actor)
        more = {"made": made, "secret": secret}
    return render(request, "containers/hooks.html", _context(request, container) | more)


@require_POST
@requires("hook.manage")
@answers
def forget(request: HttpRequest, pk: UUID, other: UUID) -> HttpResponse:
    """One ends."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor), pk=pk)
    hooks.drop(container, get_object_or_404(hooks.of(container), pk=other), actor=actor)
    return toast(request, _("Its address is closed"), to=reverse("containers:hooks", args=[pk]))


def _context(request: HttpRequest, container: Container) -> dict[str, Any]:
    calls = HookCall.objects.select_related("operation").order_by("-id")
    rows = hooks.of(container).prefetch_related(Prefetch("calls", queryset=calls))
    return {
        "container": container, "styles": DeployHook.Style.choices, "base": absolute(request, "/api/v1/hooks/"),
        "rows": [(row, list(row.calls.all())[:SHOWN]) for row in rows], "fresh": hooks.FRESH // 60,
    }  # fmt: skip
