"""REST of volumes."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import Body, Listing, Nothing, Text, body, flag
from accounts.api.versions import Versioned
from accounts.querysets import visible_to
from containers_app import exports, operations
from containers_app.api.rows import VolumeRow
from containers_app.filters import VolumeFilter
from containers_app.models import Mount, Volume
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE, FOREVER, option
from operations.api.team import team_of


class NewVolume(Body):
    """A volume to be made. ``options`` are the driver's; who may set them is a guard rail's business."""

    name = Text(max_length=128)
    driver = Text(required=False, max_length=128)
    options = serializers.DictField(required=False)
    labels = serializers.DictField(required=False)
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)


def visible_volumes(actor: Actor) -> QuerySet[Volume]:
    """With the mounts of those containers that the actor may see, and of no others."""
    there = Mount.objects.filter(container__trashed_at=None).select_related("container")
    mounts = visible_to(actor, there, "container__team")
    rows = visible_to(actor, Volume.objects.select_related("team"))
    return rows.prefetch_related(Prefetch("mounts", queryset=mounts.order_by("container__name")))


class VolumeList(Previews, Listing):
    """Volumes. ``POST`` makes one."""

    permission = {"GET": "volume.read", "POST": "volume.create"}
    serializer_class = VolumeRow
    filterset_class = VolumeFilter
    ordering_fields = {"name": "native_id", "driver": "driver", "size": "size", "created_at": "created_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Volume]:
        return visible_volumes(self.actor)

    @extend_schema(request=NewVolume, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = request.data
        if not isinstance(wish, dict):
            raise ValidationError({"": [_("A JSON object is expected.")]})
        engine, team = engine_of(wish), team_of(self.actor, wish)
        spec = {key: value for key, value in wish.items() if key not in ("engine", "team")}
        operation = operations.request_volume_create(
            spec, actor=self.actor, engine=engine, team=team, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class VolumeDetail(Versioned, Previews):
    """One volume. ``DELETE`` removes it with what is in it."""

    measured = frozenset({"last_used_at", "sized_at"})
    permission = {"GET": "volume.read", "DELETE": "volume.remove"}
    writes_take = frozenset({"force", "forever"})

    @extend_schema(responses=VolumeRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_volumes(self.actor), pk)
        return Response(VolumeRow(found, context={"request": request}).data)

    @extend_schema(responses=ACCEPTED, parameters=[option("force"), FOREVER, *CHANGE])
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_volumes(self.actor), pk)
        body(request, Nothing)
        operation = operations.request_volume_remove(
            found,
            actor=self.actor,
            force=flag(request, "force"),
            forever=flag(request, "forever"),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


class Clone(Body):
    """What the copy is called."""

    name = Text(max_length=128)


class VolumeClone(Previews):
    """Copies all that is in the volume into a new one."""

    permission = "volume.clone"

    @extend_schema(request=Clone, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_volumes(self.actor), pk)
        operation = operations.request_volume_clone(
            found, body(request, Clone), actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class VolumeExport(Previews):
    """``POST`` makes a tar of all that is in the volume; ``GET`` is the newest one of the last day."""

    permission = "volume.export"

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        found = self.object(visible_volumes(self.actor), pk, "volume.export")
        return exports.newest(found, actor=self.actor)

    @extend_schema(request=None, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_volumes(self.actor), pk)
        body(request, Nothing)
        operation = operations.request_volume_export(
            found, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class Archive(Body):
    """``archive``: a tar, plain or compressed by gzip, bzip2 or xz; ``labels`` as JSON."""

    archive = serializers.FileField()
    name = Text(max_length=128)
    labels = serializers.JSONField(required=False)
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)


class VolumeImport(Previews):
    """Makes a volume of an archive. Its entries are checked and written anew before an engine sees them."""

    permission = "volume.import"
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": Archive}, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = body(request, Archive)
        archive = wish.pop("archive")
        operation = operations.request_volume_import(
            {"name": wish["name"], "labels": wish.get("labels") or {}}, archive.file, actor=self.actor,
            engine=engine_of(wish), team=team_of(self.actor, wish), idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return accepted(request, operation)
