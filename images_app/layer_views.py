"""The page of an image's layers: what each added, changed and removed, a search over all, and what is wasted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import actor_of, can, requires
from accounts.querysets import visible_to
from engine.files import shown
from images_app import layer_reads
from images_app.layer_reads import KINDS, One
from images_app.layer_verb import request_index
from images_app.lineage import lineage, readable
from images_app.models import Image
from images_app.views import framed, image_of
from operations import present
from operations.models import Operation
from operations.web import answers, leaves_when_gone, submitted

PAGE = 200
"""Entries of a folder, or hits of a search, that are sent at a time."""


@require_safe
@requires("image.read")
@leaves_when_gone
def image_layers(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole tab; for htmx the part that it names: entries of a folder, or what is under way."""
    image = image_of(request, pk)
    layers = layer_reads.stack_of(image)
    if request.GET.get("rows") and layer_reads.is_read(layers):
        return render(request, "images/_layer_rows.html", {"image": image, **_listing(request, layers)})
    context = {**framed(request, image, "layers"), **_tab(request, image, layers)}
    if request.headers.get("HX-Request"):
        wanted = "head" if request.headers.get("HX-Target") == "image-head" else "tab"
        return render(request, f"images/layers.html#{wanted}", context)
    return render(request, "images/layers.html", context)


@require_POST
@requires("image.index")
@answers
def image_index(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks for the files to be read; the page shows how far that is."""
    operation = request_index(image_of(request, pk), actor=actor_of(request))
    return submitted(request, operation, to=reverse("images:layers", args=[pk]))


def _tab(request: HttpRequest, image: Image, layers: list[One]) -> dict[str, Any]:
    actor = actor_of(request)
    read = layer_reads.is_read(layers)
    total = sum(layer.size for layer in layers)
    shades = {piece.layer.index: part.shade for part in lineage(image, actor).parts for piece in part.pieces}
    context: dict[str, Any] = {
        "read": read, "total": total,
        "bars": drawn(layers, total, lambda one: shades.get(one.step.index, "l4") if one.step else "l4"),
        "may_index": can(actor, "image.index", image),
    }  # fmt: skip
    if read:
        return {**context, **_listing(request, layers), "waste": layer_reads.waste(layers)}
    about = Operation.objects.filter(kind="image.index", target_type="image", target_id=str(image.pk))
    latest = (
        visible_to(actor, about.select_related("engine", "team", "actor")).order_by("-created_at").first()
    )
    line = present.line(latest, actor) if latest and latest.state != "succeeded" else None
    return {**context, "line": line, "op": latest}


def drawn(layers: Sequence[One], total: int, shade: Callable[[One], str]) -> list[dict[str, Any]]:
    """Each layer with its place on a bar of ``total`` bytes, in per cent; the smallest are a hair wide."""
    found, x = [], 0.0
    largest = max((layer.size for layer in layers), default=0)
    for layer in layers:
        width = 100 * layer.size / total if total else 0
        word, command = readable(layer.step.command) if layer.step else ("", "")
        seen = max(0.3, width - (0.2 if width > 0.6 else 0))
        found.append(
            {
                "layer": layer, "word": word, "command": shown(" ".join(command.split())),
                "x": round(min(x, 100 - seen), 2), "width": round(seen, 2), "shade": shade(layer),
                "pct": round(100 * layer.size / largest) if largest else 0,
            }
        )  # fmt: skip
        x += width
    return found


def _listing(request: HttpRequest, layers: list[One]) -> dict[str, Any]:
    """What the address asks for: a folder of a layer, or what a search finds in all of them."""
    kind, q = request.GET.get("change", ""), request.GET.get("q", "").strip()[:200]
    kind = kind if kind in KINDS else ""
    layer = layers[_number(request, "layer", len(layers), most=len(layers)) - 1]
    context: dict[str, Any] = {"layer": layer, "change": kind, "q": q, "kinds": _counts(layer)}
    if q:
        start = (
            _number(request, "from", 0, most=len(layers), least=0),
            _number(request, "after", 0, least=0),
        )
        hits = list(islice(layer_reads.search(layers, q, kind, start), PAGE + 1))
        more = hits[PAGE - 1][0] if len(hits) > PAGE else None
        return {**context, "entries": [hit for _, hit in hits[:PAGE]], "more": more}
    path = "/" + request.GET.get("path", "").strip("/")
    at = _number(request, "after", 0, least=0)
    rows = layer_reads.folder(layer, path, kind)
    parts = path.strip("/").split("/") if path != "/" else []
    return {
        **context, "path": path, "entries": rows[at : at + PAGE],
        "crumbs": [(part, "/" + "/".join(parts[: n + 1])) for n, part in enumerate(parts)],
        "more": (layer.n, at + PAGE) if len(rows) > at + PAGE else None, "left": len(rows) - at - PAGE,
    }  # fmt: skip


def _counts(layer: One) -> list[tuple[str, int]]:
    return [(kind, getattr(layer.stack, kind)) for kind in KINDS]


def _number(request: HttpRequest, name: str, usual: int, *, least: int = 1, most: int = 2**31) -> int:
    text = request.GET.get(name, "")
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else usual
    return found if least <= found <= most else usual
