"""Operations and engines as REST shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from accounts.access import actor_of
from accounts.api.base import Row, TeamSlug
from operations import remains, undoable
from operations.models import Engine, Operation, TrashItem

UNITS = ("layers", "bytes", "steps")

_target = inline_serializer(
    "Target",
    {
        "type": serializers.CharField(),
        "id": serializers.UUIDField(allow_null=True),
        "name": serializers.CharField(),
    },
)
_progress = inline_serializer(
    "Progress",
    {
        "current": serializers.IntegerField(allow_null=True),
        "total": serializers.IntegerField(allow_null=True),
        "unit": serializers.ChoiceField(UNITS, allow_null=True),
        "message": serializers.CharField(),
    },
)
_error = inline_serializer(
    "OperationError", {"code": serializers.CharField(), "message": serializers.CharField()}, allow_null=True
)


_check = inline_serializer(
    "DiscardedCheck",
    {
        "start": serializers.CharField(), "end": serializers.CharField(), "exit_code": serializers.IntegerField(),
        "output": serializers.CharField(),
    },
    many=True,
)  # fmt: skip
_discarded = inline_serializer(
    "Discarded",
    {
        "name": serializers.CharField(), "native_id": serializers.CharField(), "state": serializers.CharField(),
        "exit_code": serializers.IntegerField(allow_null=True), "oom_killed": serializers.BooleanField(),
        "error": serializers.CharField(), "restart_count": serializers.IntegerField(),
        "health": serializers.CharField(), "failing_streak": serializers.IntegerField(),
        "started_at": serializers.DateTimeField(allow_null=True),
        "finished_at": serializers.DateTimeField(allow_null=True), "checks": _check,
        "inspect": serializers.DictField(), "log_after": serializers.IntegerField(),
        "log_lines": serializers.IntegerField(),
    },
    allow_null=True,
)  # fmt: skip


class OperationRow(Row):
    """One operation. ``undoable_until`` is null where it cannot be undone; a ``batch`` was asked for at once."""

    address = "operations"
    target = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    result = serializers.DictField(read_only=True, allow_null=True)
    team = TeamSlug()
    actor = serializers.CharField(source="actor_name", read_only=True)
    undoable_until = serializers.SerializerMethodField()

    class Meta:
        model = Operation
        fields: tuple[str, ...] = (
            "id", "kind", "state", "target", "engine", "team", "progress", "error", "result", "actor", "source",
            "attempt", "batch", "undoable_until", "created_at", "started_at", "finished_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_target)
    def get_target(self, row: Operation) -> dict[str, Any]:
        return {"type": row.target_type, "id": row.target_id or None, "name": row.target_name}

    @extend_schema_field(_progress)
    def get_progress(self, row: Operation) -> dict[str, Any]:
        found = row.progress
        return {
            "current": found.get("current"),
            "total": found.get("total"),
            "unit": found.get("unit") or None,
            "message": found.get("message") or "",
        }

    @extend_schema_field(_error)
    def get_error(self, row: Operation) -> dict[str, str] | None:
        return {"code": row.error_code, "message": row.error_message} if row.error_code else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_undoable_until(self, row: Operation) -> datetime | None:
        return undoable.until(row)


class OperationInfoRow(OperationRow):
    """The same with the container that it has taken out again, where one did not stay (`gate_failed`, cancelled)."""

    discarded = serializers.SerializerMethodField()

    class Meta(OperationRow.Meta):
        fields: tuple[str, ...] = (*OperationRow.Meta.fields, "discarded")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_discarded)
    def get_discarded(self, row: Operation) -> dict[str, Any] | None:
        found = remains.of(row)
        return found.to_dict() if found else None


class TrashRow(Row):
    """What was removed and can be taken back. ``size`` in bytes: what is kept, or what a purge frees; null: unknown."""

    address = "trash"
    team = TeamSlug()
    removed_by = serializers.CharField(source="operation.actor_name", read_only=True)

    class Meta:
        model = TrashItem
        fields: tuple[str, ...] = (
            "id", "kind", "name", "engine", "team", "target_id", "operation", "removed_by", "size", "created_at",
            "expires_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class EngineRow(Row):
    """A container engine. Its address is for site administrators alone, its certificates for nobody.

    ``tls``: it is reached with certificates. ``configured``: it is the one of the server's configuration.
    """

    address = "engines"
    engine_id = serializers.CharField(source="native_id", read_only=True)
    endpoint = serializers.SerializerMethodField()
    tls = serializers.SerializerMethodField()

    class Meta:
        model = Engine
        fields: tuple[str, ...] = (
            "id", "engine_id", "name", "status", "status_since", "status_detail", "seen_at", "synced_at", "version",
            "endpoint", "tls", "configured", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def get_endpoint(self, row: Engine) -> str | None:
        return row.endpoint if actor_of(self.context["request"]).is_site_admin else None

    def get_tls(self, row: Engine) -> bool:
        return row.keys_at is not None


class EngineInfoRow(EngineRow):
    """The same with what the engine says of its machine; memory in bytes."""

    class Meta(EngineRow.Meta):
        fields: tuple[str, ...] = (
            *EngineRow.Meta.fields, "api_version", "os", "architecture", "cpus", "memory", "storage_driver",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields
