"""REST of backups: of a volume, of when they are made, and of where they are kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import Body, Integer, Listing, Nothing, Row, TeamSlug, Text, View, body, number
from accounts.api.versions import Versioned
from accounts.querysets import visible_to
from containers_app import backup_asks, backup_lists, operations
from containers_app.api.things import visible_volumes
from containers_app.filters import BackupFilter
from containers_app.models import BackupSchedule, BackupStore, VolumeBackup
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class BackupRow(Row):
    """A backup. ``size`` of its file, ``held`` of the files in it, in bytes; ``store`` null: the folder of backups."""

    address = "backups"
    team = TeamSlug()
    volume = serializers.CharField(source="volume_name", read_only=True)
    sha256 = serializers.CharField(source="digest", read_only=True)

    class Meta:
        model = VolumeBackup
        fields: tuple[str, ...] = (
            "id", "engine", "volume", "team", "store", "key", "sha256", "size", "held", "entries", "scheduled",
            "operation", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class StoreRow(serializers.ModelSerializer):
    """A bucket. Its secret key goes in, and never out."""

    class Meta:
        model = BackupStore
        fields: tuple[str, ...] = (
            "id", "name", "endpoint", "region", "bucket", "prefix", "access_key", "created_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class ScheduleRow(serializers.ModelSerializer):
    """When a volume is backed up by itself. ``hour`` is UTC, and counts for day and week."""

    class Meta:
        model = BackupSchedule
        fields: tuple[str, ...] = ("every", "hour", "keep", "store", "next_at")
        read_only_fields: tuple[str, ...] = fields


class NewBackup(Body):
    """``store``: a bucket; without, the folder of backups."""

    store = serializers.UUIDField(required=False, allow_null=True)


class Schedule(Body):
    """``keep``: how many backups made so stay."""

    every = serializers.ChoiceField(BackupSchedule.Every.choices, required=False)
    hour = Integer(required=False, min_value=0, max_value=23)
    keep = Integer(required=False, min_value=1, max_value=365)
    store = serializers.UUIDField(required=False, allow_null=True)


class Recovery(Body):
    """``volume``: the name of one that is written into, or of one that is made; ``paths``: some of it."""

    volume = Text(required=False, max_length=128)
    paths = serializers.ListField(
        child=Text(max_length=4096), required=False, max_length=backup_asks.MOST_PATHS
    )


class NewStore(Body):
    """A bucket of an S3-compatible store, addressed by path."""

    name = Text(max_length=60)
    endpoint = Text(max_length=255)
    bucket = Text(max_length=63)
    access_key = Text(max_length=128)
    secret_key = Text(max_length=128, write_only=True)
    region = Text(required=False, max_length=60)
    prefix = Text(required=False, max_length=200, allow_blank=True)


class Entry(serializers.Serializer):
    """One entry: ``kind`` is file, folder, link or other; ``mtime`` in seconds since 1970."""

    name = serializers.CharField()
    kind = serializers.CharField()
    size = serializers.IntegerField()
    mtime = serializers.IntegerField()


class Entries(serializers.Serializer):
    """``listed``: of how many the names are known; ``total``: how many match."""

    results = Entry(many=True)
    total = serializers.IntegerField()
    listed = serializers.IntegerField()
    entries = serializers.IntegerField()


def visible_backups(actor: Actor) -> QuerySet[VolumeBackup]:
    """Without their indexes."""
    return visible_to(actor, VolumeBackup.objects.select_related("team", "store").defer("index"))


class BackupList(Listing):
    """Backups of all volumes that one may read, those of volumes that are gone too; newest first."""

    permission = "backup.read"
    serializer_class = BackupRow
    filterset_class = BackupFilter

    def get_queryset(self) -> QuerySet[VolumeBackup]:
        return backup_lists.backups(self.actor)


class VolumeBackups(Previews, Listing):
    """Backups of the volume, newest first, those of one of the same name before it too. ``POST`` makes one."""

    permission = {"GET": "backup.read", "POST": "volume.backup"}
    serializer_class = BackupRow

    def get_queryset(self) -> QuerySet[VolumeBackup]:
        rows = backup_lists.backups(self.actor)
        if "pk" not in self.kwargs:  # the document of REST is made of no volume in particular
            return rows.none()
        volume = self.object(visible_volumes(self.actor), self.kwargs["pk"], "backup.read")
        return rows.filter(engine_id=volume.engine_id, volume_name=volume.native_id)

    @extend_schema(request=NewBackup, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_volumes(self.actor).select_related("engine"), pk)
        wish = body(request, NewBackup)
        store = self.object(BackupStore.objects.all(), wish["store"]) if wish.get("store") else None
        operation = operations.request_volume_backup(
            found, actor=self.actor, store=store, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class BackupDetail(Versioned, Previews):
    """One backup. ``DELETE`` removes its file from the store."""

    permission = {"GET": "backup.read", "DELETE": "backup.remove"}

    @extend_schema(responses=BackupRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_backups(self.actor), pk, "backup.read")
        return Response(BackupRow(found, context={"request": request}).data)

    @extend_schema(responses=ACCEPTED, parameters=CHANGE)
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_backups(self.actor).select_related("engine"), pk)
        body(request, Nothing)
        operation = operations.request_backup_remove(
            found, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class BackupFiles(View):
    """What a backup holds, in the order of the archive: ``?q=`` in the name, ``?limit=`` at most 1,000."""

    permission = "backup.read"
    takes = frozenset({"q", "limit"})

    @extend_schema(responses=Entries, parameters=[OpenApiParameter("q", str), OpenApiParameter("limit", int)])
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_backups(self.actor).defer(None), pk, "backup.read")
        asked, most = request.query_params.get("q", ""), number(request, "limit", 200, least=1, most=1000)
        everything = found.listed
        rows = [row for row in everything if asked.lower() in row["name"].lower()]
        told = {"listed": len(everything), "entries": found.entries, "total": len(rows)}
        return Response({"results": rows[:most], **told})


class BackupRestore(Previews):
    """Puts all of a backup, or some files and folders of it, into a volume."""

    permission = "volume.recover"

    @extend_schema(request=Recovery, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_backups(self.actor).select_related("engine"), pk)
        operation = operations.request_backup_restore(
            found, body(request, Recovery), actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class VolumeSchedule(Versioned, View):
    """When the volume is backed up by itself: 404 where it is not."""

    permission = {"GET": "backup.read", "PUT": "backup.schedule", "DELETE": "backup.schedule"}
    http_method_names = ["get", "put", "delete", "head"]

    @extend_schema(responses=ScheduleRow)
    def get(self, request: Request, pk: UUID) -> Response:
        volume = self.object(visible_volumes(self.actor), pk, "backup.read")
        rows = BackupSchedule.objects.filter(engine_id=volume.engine_id, volume_name=volume.native_id)
        found = rows.first()
        return Response(ScheduleRow(self.object(rows, found.pk if found else None)).data)

    @extend_schema(request=Schedule, responses=ScheduleRow)
    def put(self, request: Request, pk: UUID) -> Response:
        volume = self.object(visible_volumes(self.actor), pk, "backup.schedule")
        wish: dict[str, Any] = body(request, Schedule)
        wish["store"] = str(wish["store"]) if wish.get("store") else None
        return Response(ScheduleRow(backup_asks.put_schedule(volume, wish, actor=self.actor)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        volume = self.object(visible_volumes(self.actor), pk, "backup.schedule")
        backup_asks.drop_schedule(volume, actor=self.actor)
        return Response(status=204)


class StoreList(View):
    """Buckets that backups may be kept in. ``POST`` names one; who manages the site may."""

    permission = {"GET": "backup.read", "POST": "store.manage"}

    @extend_schema(responses=StoreRow(many=True))
    def get(self, request: Request) -> Response:
        return Response(StoreRow(BackupStore.objects.all(), many=True).data)

    @extend_schema(request=NewStore, responses={201: StoreRow})
    def post(self, request: Request) -> Response:
        row = backup_asks.add_store(body(request, NewStore), actor=self.actor)
        return Response(StoreRow(row).data, 201)


class StoreDetail(Versioned, View):
    """One bucket. ``DELETE`` forgets it; what is in it stays there."""

    permission = {"GET": "backup.read", "DELETE": "store.manage"}

    @extend_schema(responses=StoreRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(StoreRow(self.object(BackupStore.objects.all(), pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        backup_asks.drop_store(self.object(BackupStore.objects.all(), pk), actor=self.actor)
        return Response(status=204)
