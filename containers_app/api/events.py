"""REST of what has happened: events of engines, a container's past, and its incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import require
from accounts.api.base import Listing, Nothing, TeamSlug, View, body, flag, number
from accounts.api.links import absolute
from containers_app import timeline
from containers_app.api.lines import Line
from containers_app.api.rows import ContainerRow
from containers_app.api.views import visible_containers
from containers_app.events import events
from containers_app.exits import in_words
from containers_app.filters import EventFilter
from containers_app.notice import seen
from containers_app.past import EngineEvent, Incident
from containers_app.timeline import KINDS
from operations.api.rows import OperationRow

WITH_LINES = 20
"""Moments of a page that brings lines along."""


class EventRow(serializers.ModelSerializer):
    """Something that happened. ``at`` is by the engine's clock, ``heard_at`` by ours.

    ``origin`` is operation, engine (by itself), outside (of Slipway) or empty. Of ``type`` slipway are the times when
    nobody listened: from ``blind_since`` (null: ever before) to ``at``.
    """

    engine_id = serializers.CharField(source="native_id", read_only=True)
    object = serializers.UUIDField(source="object_id", read_only=True, allow_null=True)
    container = serializers.UUIDField(source="container_id", read_only=True, allow_null=True)
    operation = serializers.UUIDField(source="operation_id", read_only=True, allow_null=True)
    team = TeamSlug()

    class Meta:
        model = EngineEvent
        fields: tuple[str, ...] = (
            "id", "engine", "at", "heard_at", "type", "action", "name", "engine_id", "container", "object", "team",
            "exit_code", "signal", "detail", "blind_since", "origin", "operation",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class EventList(Listing):
    """What engines said has happened, newest first, for as long as it is kept."""

    permission = "engine.read"
    serializer_class = EventRow
    filterset_class = EventFilter
    ordering_fields = {"at": "time_ns"}
    ordering = ("-at",)

    def get_queryset(self) -> QuerySet[EngineEvent]:
        return events(self.actor)


class IncidentRow(serializers.ModelSerializer):
    """How a run ended, or a time of failing checks. Several alike in a row are one with a ``count``.

    ``asked`` is operation, outside, itself or unknown; ``words`` the exit code in words. ``changed`` (null: no good run
    is known) lists what differs from the last good run, until ``good_at``. ``lines`` only where they were asked for:
    ``{seq, ts, stream, line}``; ``lines_state`` is kept, gone, unreadable, left, or empty while they are being read.
    """

    operation = serializers.UUIDField(source="operation_id", read_only=True, allow_null=True)
    container = serializers.UUIDField(source="container_id", read_only=True, allow_null=True)
    actor = serializers.CharField(source="actor_name", read_only=True)
    seconds = serializers.FloatField(read_only=True, allow_null=True)
    words = serializers.SerializerMethodField()
    changed = serializers.SerializerMethodField()
    lines = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields: tuple[str, ...] = (
            "id", "kind", "container", "name", "first_at", "last_at", "count", "open", "fault", "exit_code", "words",
            "oom", "error", "asked", "operation", "actor", "started_at", "seconds", "restart_count", "changed",
            "good_at", "lines_state", "lines",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def get_words(self, row: Incident) -> str:
        return "" if row.kind == Incident.Kind.HEALTH else in_words(row.exit_code, oom=row.oom)

    @extend_schema_field(serializers.ListField(child=serializers.DictField(), allow_null=True))
    def get_changed(self, row: Incident) -> Any:
        return row.changed

    @extend_schema_field(serializers.ListField(child=serializers.DictField(), allow_null=True))
    def get_lines(self, row: Incident) -> list[dict[str, Any]] | None:
        if not self.context.get("lines"):
            return None
        return [Line(seq, raw[1], int(raw[0]), raw[2]).row() for seq, raw in enumerate(row.lines, 1)]


class MomentRow(serializers.Serializer):
    """One thing of a container's past: of ``event``, ``incident`` and ``operation`` the one that ``kind`` names."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(KINDS)
    event = EventRow(allow_null=True)
    incident = IncidentRow(allow_null=True)
    operation = OperationRow(allow_null=True)


class TimelineAnswer(serializers.Serializer):
    """A page, newest first."""

    next = serializers.URLField(allow_null=True)
    results = MomentRow(many=True)


class ContainerTimeline(View):
    """Events, operations and incidents of a container and of those whose place it took, newest first."""

    permission = "container.read"
    takes = frozenset({"limit", "cursor", "kind", "lines"})

    @extend_schema(
        parameters=[
            OpenApiParameter("limit", OpenApiTypes.INT, description="50 where not given, at most 200."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of another page."),
            OpenApiParameter("kind", OpenApiTypes.STR, description=f"Some of {', '.join(KINDS)}, by commas."),
            OpenApiParameter(
                "lines",
                OpenApiTypes.BOOL,
                description="With the last lines before incidents; 20 a page at most.",
            ),
        ],
        responses=TimelineAnswer,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        container = self.object(visible_containers(request), pk)
        lines = flag(request, "lines")
        if lines:
            require(self.actor, "container.logs", container)
        most = WITH_LINES if lines else 200
        limit = number(request, "limit", min(50, most), least=1, most=most)
        found, after = timeline.moments(
            container, self.actor, limit=limit, after=_cursor(request), kinds=_kinds(request), lines=lines
        )
        context = {"request": request, "lines": lines}
        rows = {"event": EventRow, "incident": IncidentRow, "operation": OperationRow}
        results = [
            {
                "at": moment.at,
                "kind": moment.kind,
                **{
                    kind: rows[kind](moment.row, context=context).data if kind == moment.kind else None
                    for kind in KINDS
                },
            }
            for moment in found
        ]
        return Response({"next": _link(request, after), "results": results})


def _cursor(request: Request) -> timeline.Cursor | None:
    text = request.query_params.get("cursor", "")
    try:
        return timeline.Cursor.read(text) if text else None
    except ValueError:
        raise ValidationError({"cursor": [_("Not a cursor of this list.")]}) from None


def _kinds(request: Request) -> Sequence[str]:
    words = [word for word in request.query_params.get("kind", "").split(",") if word]
    if unknown := [word for word in words if word not in KINDS]:
        raise ValidationError({"kind": [f"{unknown[0][:40]!r} is none of {', '.join(KINDS)}."]})
    return words or KINDS


def _link(request: Request, after: timeline.Cursor | None) -> str | None:
    if after is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = str(after)
    return absolute(request, f"{request.path}?{urlencode(list(query.lists()), doseq=True)}")


class ContainerSeen(View):
    """Takes note that somebody has seen what is wrong: no attention is needed until the next incident."""

    permission = "container.seen"

    @extend_schema(request=Nothing, responses=ContainerRow)
    def post(self, request: Request, pk: UUID) -> Response:
        container = self.object(visible_containers(request), pk)
        body(request, Nothing)
        seen([container], actor=self.actor)
        return Response(ContainerRow(container, context={"request": request}).data)
