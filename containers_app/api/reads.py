"""REST of what a container is doing: its document, processes, changes, health, figures."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View
from containers_app.api.figures import NAMES, newest
from containers_app.api.views import visible_containers
from containers_app.blocks import FIELDS
from containers_app.plots import RANGES, columns, points
from containers_app.present import lineage
from engine.errors import EngineError
from operations import reads

SECONDS = 10.0


class ContainerInspect(View):
    """The engine's own document, as of the last change, with what looks secret masked."""

    permission = "container.read"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(self.object(visible_containers(request).defer(None), pk).inspect)


class Change(serializers.Serializer):
    """One path of the writable layer; ``size`` in bytes, null where it is not known.

    ``lost``: whether it goes with the container. Folders that only hold such files, what lies in mounts, and what is
    made anew at each start do not count.
    """

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "modified", "deleted"])
    size = serializers.IntegerField(allow_null=True)
    modified_at = serializers.DateTimeField(allow_null=True)
    lost = serializers.BooleanField()


class ContainerChanges(View):
    """What the container has written over its image. Asked of the engine now."""

    permission = "container.read"

    @extend_schema(responses=Change(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request), pk)
        found = reads.read("container.changes", row, actor=self.actor, deadline=SECONDS)
        return Response(found["changes"])


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
    """The healthcheck and its latest results, asked of the engine now; what was known before where it is away."""

    permission = "container.read"

    @extend_schema(responses=HealthAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request).defer(None), pk)
        with suppress(EngineError):
            reads.read("container.health", row, actor=self.actor, deadline=SECONDS)
            row = self.object(visible_containers(request).defer(None), pk)
        return Response(
            {
                "health": row.health,
                "failing_streak": row.failing_streak,
                "healthcheck": row.healthcheck,
                "log": row.health_log,
            }
        )


_ranges = sorted(RANGES, key=lambda name: RANGES[name].seconds)
_arrays: dict[str, serializers.Field] = {
    "t": serializers.ListField(child=serializers.DateTimeField()),
    **{
        name: serializers.ListField(child=serializers.FloatField(allow_null=True))
        for name in (*NAMES, *(f"{name}_max" for name in FIELDS))
    },
}


class ContainerStats(View):
    """Figures over time, as arrays of the same length; empty ones where none come in time.

    ``5m`` has readings as they were; the others the averages of slots of 15 s, 1 min, 15 min and 1 h, which begin at
    ``t``, and the most of each in ``…_max``. Where nothing was read for longer, one ``null`` says so. What is known of
    the containers that this one was recreated from comes before.
    """

    permission = "container.read"
    takes = frozenset({"range"})

    @extend_schema(
        parameters=[OpenApiParameter("range", OpenApiTypes.STR, enum=_ranges)],
        responses=inline_serializer("Stats", _arrays),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(visible_containers(request), pk)
        wanted = RANGES.get(request.query_params.get("range", _ranges[0]))
        if wanted is None:
            raise ValidationError(
                {"range": [_("One of %(names)s is expected.") % {"names": ", ".join(_ranges)}]}
            )
        found = points(lineage(row, self.actor), wanted)
        if found:
            arrays = {"t": [_time(point.at) for point in found], **columns(found)}
            limit = row.memory_limit or None
            return Response(arrays | {"memory_limit": [None if p.gap else limit for p in found]})
        figures = newest(row, wait=True)
        arrays = {name: [figures[name]] if figures else [] for name in ("t", *NAMES)}
        return Response(arrays | {f"{name}_max": arrays[name] for name in FIELDS})


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
