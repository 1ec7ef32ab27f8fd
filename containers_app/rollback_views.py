"""Letting a tag point at an earlier image again: the question with its plan, and the wish."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.access import actor_of, require, requires
from accounts.querysets import visible_to
from containers_app import rollback
from engine.specs import SpecError
from images_app.models import Tag
from operations.plans import preview
from operations.web import answers, submitted


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.tag")
@answers
def tag_rollback(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``to``: the engine's id of the image that it is to point at; ``recreate``: its containers follow."""
    actor = actor_of(request)
    tags = Tag.objects.select_related("image", "engine", "image__team")
    tag = get_object_or_404(visible_to(actor, tags, "image__team"), pk=pk)
    require(actor, "image.tag", tag.image)
    asked = request.POST if request.method == "POST" else request.GET
    to, recreate = asked.get("to", ""), bool(asked.get("recreate"))
    if request.method == "POST":
        operation = rollback.request(tag, to, actor=actor, recreate=recreate)
        return submitted(request, operation, to=reverse("operations:detail", args=[operation.pk]))
    try:
        plan = preview(lambda: rollback.request(tag, to, actor=actor, recreate=recreate), actor=actor)
    except SpecError:
        raise Http404("The tag never pointed at such an image.") from None
    running = [
        row for row in rollback.made_from(tag) if row.state in rollback.UP and row.image_native_id != to
    ]
    context = {"tag": tag, "to": to, "recreate": recreate, "plan": plan, "running": running}
    part = {"rollback-plan": "#plan", "": ""}.get(request.headers.get("HX-Target", ""), "#dialog")
    return render(request, f"images/rollback.html{part if 'HX-Request' in request.headers else ''}", context)
