"""One question over everything that the caller may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import View
from accounts.api.links import absolute
from accounts.querysets import visible_to
from containers_app.models import Container, Network, Volume
from images_app.models import Image, Tag
from operations.models import Operation

EACH = 20


class Hit(serializers.Serializer):
    """Something that was found; ``hint`` tells it from others of the same name."""

    type = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField()
    hint = serializers.CharField()
    url = serializers.URLField()


class Hits(serializers.Serializer):
    """At most 20 of each type."""

    results = Hit(many=True)


class Search(View):
    """Finds containers, images, tags, volumes, networks and operations by name, reference or id."""

    permission = "container.read"
    takes = frozenset({"q"})

    @extend_schema(parameters=[OpenApiParameter("q", OpenApiTypes.STR, required=True)], responses=Hits)
    def get(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        if not 1 <= len(text) <= 200:
            raise ValidationError({"q": ["1 to 200 characters are expected."]})
        results = [
            {
                "type": kind,
                "id": row.pk,
                "name": str(row),
                "hint": hint,
                "url": absolute(request, f"/api/v1/{kind}s/{row.pk}/"),
            }
            for kind, row, hint in found(self.actor, text)
        ]
        return Response({"results": results})


def found(actor: Actor, text: str) -> Iterator[tuple[str, Any, str]]:
    """``(type, row, hint)`` of everything that matches, one query a type."""
    ids = text.lower().removeprefix("sha256:")
    name = Q(name__icontains=text)
    for row in _some(
        actor, Container.objects.all(), name | Q(image_ref__icontains=text) | Q(native_id__startswith=ids)
    ):
        yield "container", row, row.image_ref
    for row in _some(actor, Image.objects.all(), name | Q(native_id__startswith=f"sha256:{ids}")):
        yield "image", row, row.short_id
    for row in _some(actor, Tag.objects.select_related("image"), name, "image__team"):
        yield "tag", row, row.image.short_id
    for row in _some(actor, Volume.objects.all(), Q(native_id__icontains=text)):
        yield "volume", row, row.driver
    for row in _some(actor, Network.objects.all(), name):
        yield "network", row, row.driver
    for row in _some(actor, Operation.objects.all(), Q(target_name__icontains=text), order="-created_at"):
        yield "operation", row, row.state


def _some(
    actor: Actor, rows: QuerySet[Any], wanted: Q, team: str = "team", order: str | None = None
) -> list[Any]:
    rows = visible_to(actor, rows, team).filter(wanted)
    return list((rows.order_by(order) if order else rows)[:EACH])
