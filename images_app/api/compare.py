"""REST of two images side by side."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View, number
from images_app import compare, layer_reads
from images_app.api.layers import cursor, link, read_layers
from images_app.api.views import visible_images
from images_app.models import Image

_CHANGES = [*compare.KINDS]


class SettingRow(serializers.Serializer):
    """A setting that is not the same. ``hidden``: a secret; its values are masked."""

    group = serializers.CharField()
    name = serializers.CharField()
    change = serializers.ChoiceField(_CHANGES, source="kind")
    before = serializers.CharField()
    after = serializers.CharField()
    hidden = serializers.BooleanField()


class VersionRow(serializers.Serializer):
    """A package that is not the same; an empty version: it is not there."""

    name = serializers.CharField()
    manager = serializers.CharField()
    change = serializers.ChoiceField(_CHANGES, source="kind")
    before = serializers.CharField()
    after = serializers.CharField()


class ChangeRow(serializers.Serializer):
    """A path that is not the same in both, with its bytes; null where it is not there.

    A folder that is only in one stands for all ``entries`` that it is and holds, unless ``q`` asks for paths.
    ``same_content``: only owner, mode or target differ.
    """

    path = serializers.CharField()
    change = serializers.ChoiceField(_CHANGES, source="kind")
    type = serializers.CharField()
    before = serializers.IntegerField(allow_null=True)
    after = serializers.IntegerField(allow_null=True)
    entries = serializers.IntegerField()
    same_content = serializers.BooleanField(source="touched")


class ChangesAnswer(serializers.Serializer):
    """A page of them, by path."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = ChangeRow(many=True)


class FileCounts(serializers.Serializer):
    """How many paths differ, and by how many bytes the second is larger."""

    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    grown = serializers.IntegerField()


class CompareAnswer(serializers.Serializer):
    """``before`` is the image of the address. Layers that both begin with are shared; the others have their digests.

    ``secrets``: settings that both have and whose values are hidden, so that they may differ. ``files`` is null until
    the files of both are read, ``packages`` also where neither has a database of them that can be read.
    """

    before = serializers.UUIDField()
    after = serializers.UUIDField()
    shared_layers = serializers.IntegerField()
    shared_size = serializers.IntegerField()
    before_layers = serializers.ListField(child=serializers.CharField())
    after_layers = serializers.ListField(child=serializers.CharField())
    settings = SettingRow(many=True)
    secrets = serializers.IntegerField()
    packages = VersionRow(many=True, allow_null=True)
    files = FileCounts(allow_null=True)


class ImageCompare(View):
    """What differs between two images: layers, settings, packages, and how many files."""

    permission = "image.read"

    @extend_schema(responses=CompareAnswer)
    def get(self, request: Request, pk: UUID, other: UUID) -> Response:
        before, after = _both(self, pk, other)
        sides = [layer_reads.stack_of(image) for image in (before, after)]
        common = compare.shared(*sides)
        settings, secrets = compare.settings(before, after)
        found: dict[str, Any] = {
            "before": before.pk, "after": after.pk, "shared_layers": common,
            "shared_size": compare.both_sizes(sides[0], sides[1], common)["shared"],
            "before_layers": [layer.digest for layer in sides[0][common:]],
            "after_layers": [layer.digest for layer in sides[1][common:]],
            "settings": SettingRow(settings, many=True).data, "secrets": secrets, "packages": None, "files": None,
        }  # fmt: skip
        if all(map(layer_reads.is_read, sides)):
            changes, packages = compare.difference(*sides)
            found["files"] = {kind: sum(change.kind == kind for change in changes) for kind in compare.KINDS}
            found["files"]["grown"] = sum(change.grown for change in changes)
            if packages.known:
                found["packages"] = VersionRow(packages.found, many=True).data
        return Response(found)


class ImageCompareFiles(View):
    """The paths that are not the same in two images; 409 ``not_read`` until the files of both are read."""

    permission = "image.read"
    takes = frozenset({"q", "change", "limit", "cursor"})

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "q", OpenApiTypes.STR, description="Words in paths; each path then stands for itself."
            ),
            OpenApiParameter("change", OpenApiTypes.STR, enum=_CHANGES),
            OpenApiParameter("limit", OpenApiTypes.INT, description="50 where not given, at most 200."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of another page."),
        ],
        responses=ChangesAnswer,
    )
    def get(self, request: Request, pk: UUID, other: UUID) -> Response:
        sides = [read_layers(image) for image in _both(self, pk, other)]
        q, change = request.query_params.get("q", "").strip(), request.query_params.get("change", "")
        if change and change not in compare.KINDS:
            raise ValidationError(
                {"change": [gettext("One of %(names)s is expected.") % {"names": ", ".join(_CHANGES)}]}
            )
        limit, at = number(request, "limit", 50, least=1, most=200), cursor(request)[1]
        found = compare.matching(compare.difference(*sides, whole=not q).changes, q, change)
        after = (0, at + limit) if len(found) > at + limit else None
        rows = ChangeRow(found[at : at + limit], many=True).data
        return Response({"next": link(request, after), "previous": None, "results": rows})


def _both(view: View, pk: UUID, other: UUID) -> tuple[Image, Image]:
    images = visible_images(view.actor)
    return view.object(images, pk), view.object(images, other)
