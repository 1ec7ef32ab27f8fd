"""REST of what the registry of a tag has under its name."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import require
from accounts.api.base import Body, Boolean, Nothing, View, body
from images_app import newer, registries
from images_app.api.views import visible_tags
from images_app.models import Tag, TagCheck
from operations import reads


class CheckRow(serializers.ModelSerializer):
    """``digest`` is the registry's; ``newer``: another one than the engine's, and not ``skipped``."""

    class Meta:
        model = TagCheck
        fields: tuple[str, ...] = (
            "name",
            "digest",
            "newer",
            "problem",
            "skipped",
            "never",
            "checked_at",
            "next_at",
        )
        read_only_fields: tuple[str, ...] = fields


class CheckWish(Body):
    """``skip`` the version that is there now; ``never`` ask for this tag."""

    skip = Boolean(required=False)
    never = Boolean(required=False)


class TagAtRegistry(View):
    """What the registry has under this tag, as it was asked last: 404 before. ``POST`` asks now."""

    permission = {"GET": "image.read", "POST": "image.pull", "PATCH": "image.tag"}
    http_method_names = ["get", "post", "patch", "head"]

    @extend_schema(responses=CheckRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(CheckRow(self._check(self.object(visible_tags(self.actor), pk))).data)

    @extend_schema(request=Nothing, responses=CheckRow)
    def post(self, request: Request, pk: UUID) -> Response:
        tag = self.object(visible_tags(self.actor), pk)
        require(self.actor, "image.pull", tag.image)
        body(request, Nothing)
        reads.read("tag.check", tag, actor=self.actor, deadline=registries.LOOK)
        return Response(CheckRow(self._check(tag)).data)

    @extend_schema(request=CheckWish, responses=CheckRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        tag = self.object(visible_tags(self.actor), pk)
        return Response(CheckRow(newer.say(tag, actor=self.actor, **body(request, CheckWish))).data)

    def _check(self, tag: Tag) -> TagCheck:
        rows = TagCheck.objects.filter(engine_id=tag.engine_id, name=tag.name)
        first = rows.first()
        found: TagCheck = self.object(rows, first.pk if first else None)
        return found
