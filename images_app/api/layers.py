"""REST of the layers of an image: what each does, its files, and what is wasted."""

from __future__ import annotations

import base64
import binascii
import json
from itertools import islice
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.utils.translation import gettext, gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Nothing, Problem, View, body, number
from accounts.api.links import absolute
from images_app import layer_reads
from images_app.api.rows import LayerRow
from images_app.api.views import visible_images
from images_app.layer_reads import Found, One
from images_app.layer_verb import request_index
from images_app.models import Image
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE

NOT_READ = gettext_lazy("The files of this image's layers are not read yet: POST to this address reads them.")


class LayerFullRow(LayerRow):
    """A layer that holds files, the lowest first. What follows ``read`` is null until its files are read.

    ``added``, ``changed`` and ``removed`` count entries; ``hidden`` is bytes of files in layers below that this one
    changes or removes; ``cut``: it has more entries than are kept; ``problem``: why it could not be read.
    """

    n = serializers.IntegerField()
    read = serializers.BooleanField()
    added = serializers.IntegerField(allow_null=True)
    changed = serializers.IntegerField(allow_null=True)
    removed = serializers.IntegerField(allow_null=True)
    hidden = serializers.IntegerField(allow_null=True)
    cut = serializers.BooleanField(allow_null=True)
    problem = serializers.CharField(allow_null=True)

    class Meta(LayerRow.Meta):
        fields: tuple[str, ...] = (
            *LayerRow.Meta.fields, "n", "read", "added", "changed", "removed", "hidden", "cut", "problem",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class FileRow(serializers.Serializer):
    """An entry of a layer. ``layer`` counts from 1 at the bottom.

    ``change`` is added, changed, removed, or empty for a folder that is only on the way. ``size`` of a folder is that
    of this layer's files below it, of what is removed that of what goes (``entries`` of them); ``before`` is the size
    that a changed file had. Owner, mode and time are null where the layer does not tell them.
    """

    layer = serializers.IntegerField()
    path = serializers.CharField()
    type = serializers.ChoiceField(["file", "folder", "link", "hardlink", "other", "removal"])
    change = serializers.ChoiceField(["added", "changed", "removed", ""])
    size = serializers.IntegerField()
    before = serializers.IntegerField(allow_null=True)
    same_content = serializers.BooleanField()
    entries = serializers.IntegerField()
    mode = serializers.CharField(allow_null=True)
    uid = serializers.IntegerField(allow_null=True)
    gid = serializers.IntegerField(allow_null=True)
    modified_at = serializers.DateTimeField(allow_null=True)
    target = serializers.CharField(allow_null=True)


class FilesAnswer(serializers.Serializer):
    """A page of them."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = FileRow(many=True)


class WasterRow(serializers.Serializer):
    """A path that later layers (``layers``) change or remove: ``size`` bytes of it are in the image for nobody."""

    path = serializers.CharField()
    size = serializers.IntegerField()
    removed = serializers.BooleanField()
    layers = serializers.ListField(child=serializers.IntegerField())


class WasteAnswer(serializers.Serializer):
    """``hidden`` of ``total`` bytes of files nobody sees; ``efficiency`` is the rest in per cent."""

    hidden = serializers.IntegerField()
    total = serializers.IntegerField()
    efficiency = serializers.FloatField()
    wasters = WasterRow(many=True)


class ImageLayers(View):
    """The layers that hold files, oldest first, and what each does to those below it."""

    permission = "image.read"

    @extend_schema(responses=LayerFullRow(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        image = self.object(visible_images(self.actor), pk)
        layers = layer_reads.stack_of(image)
        if not layers:  # the engine tells no digests
            rows = image.layers.filter(empty=False).order_by("index")
            layers = [One(n, row.digest, row, None, None) for n, row in enumerate(rows, 1)]
        return Response([_layer(layer) for layer in layers])


class ImageFiles(Previews):
    """The files of an image's layers. ``GET``: with ``q`` those of all layers that have these words in their path,
    else what ``layer`` has in the folder ``path``. ``POST`` reads them from the engine, once."""

    permission = {"GET": "image.read", "POST": "image.index"}
    takes = frozenset({"layer", "path", "change", "q", "limit", "cursor"})

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "layer", OpenApiTypes.INT, description="From 1 at the bottom; the top where not given."
            ),
            OpenApiParameter("path", OpenApiTypes.STR, description="A folder, `/` where not given."),
            OpenApiParameter("change", OpenApiTypes.STR, enum=[*layer_reads.KINDS]),
            OpenApiParameter("q", OpenApiTypes.STR, description="Words in paths, in `layer` or in all."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="50 where not given, at most 200."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of another page."),
        ],
        responses=FilesAnswer,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        layers = read_layers(self.object(visible_images(self.actor), pk))
        change, q = request.query_params.get("change", ""), request.query_params.get("q", "").strip()
        if change and change not in layer_reads.KINDS:
            raise ValidationError(
                {
                    "change": [
                        gettext("One of %(names)s is expected.") % {"names": ", ".join(layer_reads.KINDS)}
                    ]
                }
            )
        limit = number(request, "limit", 50, least=1, most=200)
        n = number(request, "layer", 0, least=1, most=len(layers))
        at = cursor(request)
        if q:
            some = layers[n - 1 : n] if n else layers
            hits = list(islice(layer_reads.search(some, q, change, at), limit + 1))
            found, after = [hit for _, hit in hits[:limit]], hits[limit - 1][0] if len(hits) > limit else None
        else:
            path = _path(request.query_params.get("path", "/"))
            rows = layer_reads.folder(layers[(n or len(layers)) - 1], path, change)
            found = rows[at[1] : at[1] + limit]
            after = (0, at[1] + limit) if len(rows) > at[1] + limit else None
        return Response(
            {"next": link(request, after), "previous": None, "results": [_file(one) for one in found]}
        )

    @extend_schema(request=Nothing, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        body(request, Nothing)
        operation = request_index(found, actor=self.actor, idempotency_key=idempotency_key(request))
        return accepted(request, operation)


class ImageWaste(View):
    """Bytes of files that a later layer changes or removes, and the largest of them."""

    permission = "image.read"
    takes = frozenset({"limit"})

    @extend_schema(parameters=[OpenApiParameter("limit", OpenApiTypes.INT)], responses=WasteAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        layers = read_layers(self.object(visible_images(self.actor), pk))
        waste = layer_reads.waste(layers, number(request, "limit", 50, least=1, most=200))
        return Response(
            {
                "hidden": waste.hidden, "total": waste.total, "efficiency": round(waste.efficiency, 2),
                "wasters": WasterRow(waste.wasters, many=True).data,
            }
        )  # fmt: skip


def read_layers(image: Image) -> list[One]:
    """The layers of an image whose files are read; else 409 ``not_read``."""
    layers = layer_reads.stack_of(image)
    if not layer_reads.is_read(layers):
        raise Problem(409, "not_read", str(NOT_READ))
    return layers


def _layer(layer: One) -> dict[str, Any]:
    step, index, stack = layer.step, layer.index, layer.stack
    return {
        "index": step.index if step else layer.n - 1, "digest": layer.digest, "command": step.command if step else "",
        "size": layer.size, "created_at": step.created_at if step else None, "empty": False, "n": layer.n,
        "read": stack is not None, **{name: getattr(stack, name, None) for name in ("added", "changed", "removed")},
        "hidden": stack.hidden if stack else None, "cut": index.cut if index else None,
        "problem": index.problem if index else None,
    }  # fmt: skip


def _file(one: Found) -> dict[str, Any]:
    return {
        "layer": one.layer, "path": one.path, "type": one.type, "change": one.change, "size": one.size,
        "before": one.before, "same_content": one.same_content, "entries": one.entries,
        "mode": one.permissions, "uid": one.uid, "gid": one.gid,
        "modified_at": one.modified_at, "target": one.target or None,
    }  # fmt: skip


def _path(text: str) -> str:
    """A folder of an index, never one of a disk: whatever it is, it is only compared."""
    return "/" + text.strip("/")


def cursor(request: Request) -> tuple[int, int]:
    """Where to go on in a list that is no table: two numbers, the list's own."""
    text = request.query_params.get("cursor", "")
    if not text:
        return (0, 0)
    try:
        layer, n = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not all(isinstance(part, int) and 0 <= part < 2**31 for part in (layer, n)):
            raise ValueError("no place in a list")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError({"cursor": [gettext("Not a cursor of this list.")]}) from None
    return (layer, n)


def link(request: Request, after: tuple[int, int] | None) -> str | None:
    """The address of the next page, where there is one."""
    if after is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = (
        base64.urlsafe_b64encode(json.dumps(after, separators=(",", ":")).encode()).decode().rstrip("=")
    )
    return absolute(request, f"{request.path}?{urlencode(list(query.lists()), doseq=True)}")
