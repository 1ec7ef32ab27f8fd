"""REST of what a container is doing: its document, processes, changes, health, figures."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View
from containers_app.api.figures import NAMES, newest
from containers_app.api.views import visible_containers
from operations import reads

SECONDS = 10.0
RANGES = ["5m", "1h", "24h", "7d"]
_array = serializers.ListField(child=serializers.FloatField(allow_null=True))


class ContainerInspect(View):
    """The engine's own document, as of the last change, with what looks secret masked."""

    permission = "container.read"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(self.object(visible_containers(request).defer(None), pk).inspect)


class Change(serializers.Serializer):
    """One path of the writable layer; ``size`` in bytes, null where it is not known."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "modified", "deleted"])
    size = serializers.IntegerField(allow_null=True)


class ContainerChanges(View):
    """What the container has written over its image. Asked of the engine now."""

    permission = "container.read"

    @extend_schema(responses=Change(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request), pk)
        found = reads.read("container.changes", row, actor=self.actor, deadline=SECONDS)
        return Response([{"size": None, **change} for change in found["changes"]])


class Processes(serializers.Serializer):
    """The table that ``ps`` would print."""

    titles = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))


class ContainerProcesses(View):
    """What runs in the container. Asked of the engine now."""

    permission = "container.read"

    @extend_schema(responses=Processes)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request), pk)
        found = reads.read("container.processes", row, actor=self.actor, deadline=SECONDS)
        return Response({"titles": found["titles"], "rows": found["rows"]})


class HealthAnswer(serializers.Serializer):
    """The healthcheck, how it stands, and its latest results, oldest first."""

    health = serializers.CharField()
    failing_streak = serializers.IntegerField()
    healthcheck = serializers.DictField()
    log = serializers.ListField(child=serializers.DictField())


class ContainerHealth(View):
    """The healthcheck and its latest results."""

    permission = "container.read"

    @extend_schema(responses=HealthAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request).defer(None), pk)
        return Response(
            {
                "health": row.health,
                "failing_streak": row.failing_streak,
                "healthcheck": row.healthcheck,
                "log": row.health_log,
            }
        )


class ContainerStats(View):
    """The newest figures as arrays, empty ones where none come in time. Of the past nothing is kept yet."""

    permission = "container.read"
    takes = frozenset({"range"})

    @extend_schema(
        parameters=[OpenApiParameter("range", OpenApiTypes.STR, enum=RANGES)],
        responses=inline_serializer("Stats", dict.fromkeys(("t", *NAMES), _array)),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request), pk)
        if request.query_params.get("range", RANGES[0]) not in RANGES:
            raise ValidationError({"range": [f"One of {', '.join(RANGES)} is expected."]})
        figures = newest(row, wait=True)
        return Response({name: [figures[name]] if figures else [] for name in ("t", *NAMES)})
