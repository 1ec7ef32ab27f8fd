"""Asking a registry now for what it has under a tag, and saying what is to be thought of it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import actor_of, require, requires
from accounts.querysets import visible_to
from engine.errors import EngineError
from images_app import newer, registries
from images_app.models import Tag, TagCheck
from operations import reads
from operations.web import answers, toast


@require_POST
@requires("image.pull")
@answers
def tag_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks now."""
    actor, tag = actor_of(request), _tag(request, pk)
    require(actor, "image.pull", tag.image)
    try:
        reads.read("tag.check", tag, actor=actor, deadline=registries.LOOK)
    except EngineError as error:
        return toast(request, error.message, "bad", to=_page(tag))
    row = TagCheck.objects.get(engine_id=tag.engine_id, name=tag.name)
    words = _("The registry has a newer image") if row.newer else _("This is the newest at its registry")
    return toast(request, row.problem or words, "bad" if row.problem else "ok", to=_page(tag))


@require_POST
@requires("image.tag")
@answers
def tag_say(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``skip`` this version or not, ``never`` ask or do: 1 or 0."""
    tag = _tag(request, pk)
    said = {name: request.POST[name] == "1" for name in ("skip", "never") if name in request.POST}
    newer.say(tag, actor=actor_of(request), **said)
    return toast(request, _("Saved"), to=_page(tag))


def _tag(request: HttpRequest, pk: UUID) -> Tag:
    rows = Tag.objects.select_related("image", "engine")
    return get_object_or_404(visible_to(actor_of(request), rows, "image__team"), pk=pk)


def _page(tag: Tag) -> str:
    return reverse("images:detail", args=[tag.image_id])
