"""REST of where an image comes from: what it stands on, what stands on it, and who runs it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View
from accounts.querysets import visible_to
from images_app import queries
from images_app.lineage import lineage


class Names(serializers.Serializer):
    """An image, by its id and its tags."""

    id = serializers.UUIDField(source="pk")
    engine_id = serializers.CharField(source="native_id")
    tags = serializers.SerializerMethodField()

    def get_tags(self, row: Any) -> list[str]:
        tags = row["tags"] if isinstance(row, dict) else row.tags
        return sorted(tag.name for tag in tags.all())


class Child(Names):
    """``used`` counts containers made from it, ``running`` those that run."""

    used = serializers.IntegerField()
    running = serializers.IntegerField()


class LineagePart(serializers.Serializer):
    """What one image of the line added. ``image`` null: the base is not here, or not the reader's.

    ``own``: of the image itself; ``shared``: how many other images have these layers too; ``layers``: lines of its
    history.
    """

    name = serializers.CharField()
    image = Names(allow_null=True)
    own = serializers.BooleanField()
    size = serializers.IntegerField()
    shared = serializers.IntegerField()
    layers = serializers.SerializerMethodField()

    def get_layers(self, part: Any) -> int:
        return len(part.pieces)


class User(serializers.Serializer):
    """A container made from it."""

    id = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    state = serializers.CharField()


class LineageAnswer(Child):
    """The line from the lowest base on: ``parts``; ``bases`` of these are images of their own, the nearest last.

    ``children`` are images that stand on it, ``containers`` those made from it that the reader may see. ``own`` bytes
    are in no other image here, ``shared`` are; ``layers`` hold files, ``empty`` do not.
    """

    parts = LineagePart(many=True)
    bases = Names(many=True)
    children = Child(many=True)
    containers = User(many=True)
    own = serializers.IntegerField()
    shared = serializers.IntegerField()
    layers = serializers.IntegerField()
    empty = serializers.IntegerField()


class ImageLineage(View):
    """What an image stands on and what stands on it, as its page shows it."""

    permission = "image.read"

    @extend_schema(responses=LineageAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        image = self.object(queries.images(self.actor).prefetch_related("tags"), pk)
        line = lineage(image, self.actor)
        told = {
            "parts": line.parts, "children": line.children, "own": line.own, "shared": line.shared,
            "layers": line.layers, "empty": line.empty,
            "bases": [part.image for part in line.parts if part.image and not part.own],
            "containers": visible_to(self.actor, image.containers.order_by("name")),
        }  # fmt: skip
        for name in ("pk", "native_id", "tags", "used", "running"):
            told[name] = getattr(image, name)
        return Response(LineageAnswer(told).data)
