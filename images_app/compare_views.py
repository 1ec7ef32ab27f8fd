"""Pages that compare two images, and that choose what to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import actor_of, can, require, requires
from accounts.querysets import visible_to
from images_app import compare, layer_reads, queries
from images_app.layer_reads import One
from images_app.layer_verb import request_index
from images_app.layer_views import drawn
from images_app.models import Image
from images_app.views import framed, image_of
from operations import present
from operations.models import Operation
from operations.web import answers, leaves_when_gone

PAGE = 200
"""Paths that are sent at a time."""
CHOICES = 200


@require_safe
@requires("image.read")
def image_choose(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What to compare this image with: its other versions first."""
    actor, image = actor_of(request), image_of(request, pk)
    q = request.GET.get("q", "").strip()
    near = queries.siblings(image, actor, CHOICES)
    listed = queries.listing(actor, queries.Wanted(q=q))
    others = [row for group in listed.groups for row in group.rows if row.image.pk != image.pk]
    names = {row.reference for row in near}
    others = [row for row in others if q or row.reference not in names][:CHOICES]
    groups = [
        (_("Other versions of it"), [] if q else near),
        (_("Other images") if near else _("Images"), others),
    ]
    context = {
        **framed(request, image, "overview"), "q": q,
        "groups": [(title, [(row, _address(image, row.image)) for row in rows]) for title, rows in groups if rows],
    }  # fmt: skip
    return render(request, "images/choose.html", context)


def _address(image: Image, other: Image) -> str:
    """The older one first."""
    pair = sorted((image, other), key=lambda one: one.created_at or queries.NEVER)
    return reverse("images:compare", args=[one.pk for one in pair])


@require_safe
@requires("image.read")
def image_two(request: HttpRequest) -> HttpResponse:
    """Goes to the comparison of those that are selected in the list, the older one first."""
    ids = []
    for text in request.GET.getlist("image")[:50]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    found = list(queries.images(actor_of(request)).filter(pk__in=ids).order_by("created_at")[:2])
    if not found:
        return redirect("images:list")
    if len(found) == 1:
        return redirect("images:choose", found[0].pk)
    return redirect("images:compare", found[0].pk, found[1].pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.read")
@answers
@leaves_when_gone
def image_compare(request: HttpRequest, pk: UUID, other: UUID) -> HttpResponse:
    """Two images: layers, settings, packages, files. A POST has what is not read of them read."""
    before, after = image_of(request, pk), image_of(request, other)
    sides = [layer_reads.stack_of(image) for image in (before, after)]
    if request.method == "POST":
        for image, layers in zip((before, after), sides, strict=True):
            if not layer_reads.is_read(layers):
                require(actor_of(request), "image.index", image)
                request_index(image, actor=actor_of(request))
        here = reverse("images:compare", args=[pk, other])
        return (
            HttpResponse(status=204, headers={"HX-Redirect": here})
            if request.headers.get("HX-Request")
            else redirect(here)
        )
    context = {**_about(before, after), **_layers(*sides), **_files(request, (before, after), sides)}
    if request.headers.get("HX-Request"):
        part = "images/_compare_rows.html" if request.GET.get("rows") else "images/compare.html#body"
        return render(request, part, context)
    return render(request, "images/compare.html", context)


def _about(before: Image, after: Image) -> dict[str, Any]:
    found, secrets = compare.settings(before, after)
    return {
        "before": before, "after": after, "settings": found, "secrets": secrets,
        "names": [queries.named(before), queries.named(after)],
    }  # fmt: skip


def _layers(before: Sequence[One], after: Sequence[One]) -> dict[str, Any]:
    common = compare.shared(before, after)
    most = max(sum(layer.size for layer in side) for side in (before, after))
    return {
        "common": common, "sizes": compare.both_sizes(before, after, common),
        "sides": [drawn(side, most, lambda layer: "l2" if layer.n <= common else "l4") for side in (before, after)],
        "alone": [list(side[common:]) for side in (before, after)],
    }  # fmt: skip


def _files(request: HttpRequest, images: Sequence[Image], sides: Sequence[Sequence[One]]) -> dict[str, Any]:
    actor = actor_of(request)
    unread = [image for image, side in zip(images, sides, strict=True) if not layer_reads.is_read(side)]
    if unread:
        about = Operation.objects.filter(
            kind="image.index", target_type="image", target_id__in=[str(image.pk) for image in unread]
        )
        latest: dict[str, Operation] = {}
        for operation in visible_to(actor, about.select_related("engine", "team", "actor")).order_by(
            "created_at"
        ):
            latest[operation.target_id] = operation
        lines = [present.line(one, actor) for one in latest.values() if one.state != "succeeded"]
        return {
            "unread": [queries.named(image) for image in unread], "lines": lines,
            "active": any(line.active for line in lines),
            "may_index": all(can(actor, "image.index", image) for image in unread),
        }  # fmt: skip
    q, kind = request.GET.get("q", "").strip()[:200], request.GET.get("change", "")
    kind = kind if kind in compare.KINDS else ""
    found = compare.difference(*sides, whole=not q)
    changes = compare.matching(found.changes, q)
    shown = [change for change in changes if not kind or change.kind == kind]
    if request.GET.get("by") == "size":
        shown.sort(key=lambda change: -abs(change.grown))
    text = request.GET.get("after", "")
    at = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return {
        "packages": found.packages, "q": q, "change": kind, "by": request.GET.get("by", ""),
        "kinds": [(name, sum(change.kind == name for change in changes)) for name in compare.KINDS],
        "count": len(changes), "grown": sum(change.grown for change in changes),
        "changes": shown[at : at + PAGE], "more": at + PAGE if len(shown) > at + PAGE else 0,
        "left": len(shown) - at - PAGE,
    }  # fmt: skip
