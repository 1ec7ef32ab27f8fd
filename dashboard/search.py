"""One question over everything that the caller may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
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
MOST_WORDS = 6


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
            raise ValidationError({"q": [_("1 to 200 characters are expected.")]})
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


@dataclass(frozen=True, slots=True)
class Sort:
    """A type of things: its rows, what of them is looked at, and what tells one from others of the same name."""

    type: str
    rows: Callable[[], QuerySet[Any]]
    fields: tuple[str, ...]
    hint: Callable[[Any], str]
    id_prefix: str | None = None
    """What ids of the engine begin with; ``None``: they are not looked at."""
    team: str = "team"

    def found(self, actor: Actor, words: Iterable[str], most: int) -> Iterator[Any]:
        """Rows in which each of the words stands, or whose id begins with it."""
        wanted = Q()
        for word in words:
            one = Q(*((f"{field}__icontains", word) for field in self.fields), _connector=Q.OR)
            if self.id_prefix is not None:
                one |= Q(native_id__startswith=self.id_prefix + word.lower().removeprefix(self.id_prefix))
            wanted &= one
        yield from visible_to(actor, self.rows(), self.team).filter(wanted)[:most]


SORTS = (
    Sort(
        "container", Container.objects.all, ("name", "image_ref", "stack"), lambda row: row.image_ref, "",
    ),
    Sort("image", Image.objects.all, ("name",), lambda row: row.short_id, "sha256:"),
    Sort(
        "tag", lambda: Tag.objects.select_related("image"), ("name",), lambda row: row.image.short_id,
        team="image__team",
    ),
    Sort("volume", Volume.objects.all, ("native_id",), lambda row: row.driver),
    Sort("network", Network.objects.all, ("name",), lambda row: row.driver),
    Sort(
        "operation", lambda: Operation.objects.order_by("-created_at"), ("target_name",), lambda row: row.state
    ),
)  # fmt: skip


def found(actor: Actor, text: str, most: int = EACH) -> Iterator[tuple[str, Any, str]]:
    """``(type, row, hint)`` of everything in which each word stands, at most so many of a type; one query a type."""
    words = text.split()[:MOST_WORDS]
    for sort in SORTS:
        for row in sort.found(actor, words, most):
            yield sort.type, row, sort.hint(row)
