"""REST of images as files: export and import."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Text, body
from images_app import image_files, transfers
from images_app.api.views import visible_images
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE
from operations.api.team import team_of
from operations.previews import is_preview


class Export(Body):
    """``references``: tags and ids of images on the same engine; without, all names of this one."""

    references = serializers.ListField(child=Text(max_length=255), required=False, max_length=200)


class ImageExport(Previews):
    """``POST`` makes a tar of the image, as ``docker save`` does; ``GET`` is the newest one of the last day."""

    permission = "image.export"

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        found = self.object(visible_images(self.actor), pk, "image.export")
        return transfers.newest(found, actor=self.actor)

    @extend_schema(request=Export, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor).select_related("engine"), pk)
        operation = transfers.request_export(
            found, body(request, Export).get("references", ()), actor=self.actor,
            idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return accepted(request, operation)


class Upload(Body):
    """``archive``: what ``docker save`` gave, plain or compressed by gzip, bzip2 or xz."""

    archive = serializers.FileField()
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)


class ImageImport(Previews):
    """Takes in images, as ``docker load`` does. The plan tells which names would move: a load says nothing of it."""

    permission = "image.import"
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": Upload}, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = body(request, Upload)
        engine, team = engine_of(wish), team_of(self.actor, wish)
        transfers.may_import(self.actor, team)
        archive = image_files.spool(wish["archive"].file)
        try:
            operation = transfers.request_import(
                archive, actor=self.actor, engine=engine, team=team, idempotency_key=idempotency_key(request)
            )
        finally:
            if is_preview():
                image_files.file_of(archive.name).unlink(missing_ok=True)
        return accepted(request, operation)
