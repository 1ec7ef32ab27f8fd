"""REST of drift: what differs, since when and by whom; and taking it for what was asked for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Nothing, View, body
from containers_app import drift, drift_page
from containers_app.api.rows import ContainerRow
from containers_app.api.views import visible_containers


class DriftImage(serializers.Serializer):
    """``tag`` points at ``points`` since ``at``, and the container runs ``has``; both are engine ids, cut to 12."""

    tag = serializers.CharField()
    has = serializers.CharField()
    points = serializers.CharField()
    image = serializers.UUIDField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)
    by = serializers.CharField()


class DriftSetting(serializers.Serializer):
    """A setting by its path in the run body, as it was asked for and as it is."""

    path = serializers.CharField()
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)


class DriftAnswer(serializers.Serializer):
    """What is not as it was asked for. ``by`` is empty where nobody knows; ``asked_by`` the operation that asked;
    ``newer`` the digest of a newer image at the registry of its tag."""

    image = DriftImage(allow_null=True)
    newer = serializers.CharField()
    settings = DriftSetting(many=True)
    since = serializers.DateTimeField(allow_null=True)
    by = serializers.CharField()
    event = serializers.CharField()
    asked_by = serializers.UUIDField(allow_null=True)


class ContainerDrift(View):
    """What a container is against what it was asked to be, and against what its tag points at."""

    permission = "container.read"

    @extend_schema(responses=DriftAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        container = self.object(visible_containers(request), pk)
        found = drift_page.of(container, self.actor)
        moved = found.image
        image: dict[str, Any] | None = None
        if moved:
            image = {
                "tag": moved.tag,
                "has": moved.has,
                "points": moved.points,
                "at": moved.at,
                "by": moved.by,
            }
            image["image"] = moved.image.pk if moved.image else None
        answer = {
            "image": image, "newer": found.remote,
            "settings": container.drift, "since": found.since, "by": found.by, "event": found.event,
            "asked_by": found.asked_by.pk if found.asked_by else None,
        }  # fmt: skip
        return Response(DriftAnswer(answer).data)


class ContainerAccept(View):
    """Takes the settings of now for what was asked for."""

    permission = "container.update"

    @extend_schema(request=Nothing, responses=ContainerRow)
    def post(self, request: Request, pk: UUID) -> Response:
        container = self.object(visible_containers(request), pk)
        body(request, Nothing)
        drift.accept(container, actor=self.actor)
        return Response(ContainerRow(container, context={"request": request}).data)
