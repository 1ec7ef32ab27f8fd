"""REST of what engines have said."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.api.base import Listing, TeamSlug
from containers_app.events import events
from containers_app.filters import EventFilter
from containers_app.past import EngineEvent


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
