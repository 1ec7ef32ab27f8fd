"""REST of the files of containers and volumes: the same for both."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Nothing, Text, body, flag
from accounts.querysets import visible_to
from containers_app import file_changes
from containers_app.file_space import Space, fetched
from containers_app.models import Container, Volume
from engine.errors import Invalid
from engine.files import clean
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE, option

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
PATH = OpenApiParameter(
    "path", OpenApiTypes.STR, description="An absolute path, without `..`; `/` where it is left out."
)
IF_MATCH = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The SHA-256 of what the file holds, in hexadecimal digits: only that is written over, up to 256 KiB.",
)  # fmt: skip


class FileEntry(serializers.Serializer):
    """One entry. ``usable`` is false where its name is no text: then it comes with its folder alone."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(["file", "folder", "link", "other"])
    size = serializers.IntegerField()
    mode = serializers.CharField()
    modified_at = serializers.DateTimeField(allow_null=True)
    target = serializers.CharField()
    usable = serializers.BooleanField()


class FileListing(serializers.Serializer):
    """A folder; ``path`` is where it really is, links followed. Not ``complete``: there are more."""

    path = serializers.CharField()
    entries = FileEntry(many=True)
    complete = serializers.BooleanField()


class NewFileName(Body):
    """Another name for a file, in the folder where it is."""

    path = Text(max_length=4096)
    name = Text(max_length=255)


class Files(Previews):
    """A folder; ``?download=1`` a file as it is, or a folder as a tar.

    ``PUT`` writes a file: the body is what it holds. ``?replace=1`` may write over one that is there,
    ``?folders=1`` makes the folders above it. ``POST`` renames
    one. ``DELETE`` removes a file, or a folder with all that is in it, for good.
    """

    http_method_names = ["get", "head", "put", "post", "delete"]
    matches_object = False  # it is the digest of the file that is written over
    takes = frozenset({"path", "download"})
    model: ClassVar[type[Container | Volume]]
    kind: ClassVar[str]

    @property
    def writes_take(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"path", "replace", "folders"} if self.request.method == "PUT" else {"path"})

    def _row(self, request: Request, pk: UUID, permission: str) -> Any:
        rows: QuerySet[Any] = visible_to(
            self.actor, self.model._default_manager.select_related("engine", "team")
        )
        return self.object(rows, pk, f"{self.kind}.{permission}")

    def _path(self, request: Request) -> str:
        try:
            return clean(request.query_params.get("path") or "/")
        except Invalid as error:
            raise ValidationError({"path": [error.message]}) from None

    @extend_schema(
        parameters=[PATH, option("download", "The file, or the folder as a tar.")],
        responses={
            (200, "application/json"): FileListing,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (200, "application/x-tar"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        space = Space(self._row(request, pk, "files"), self.kind, self.actor)
        path = self._path(request)
        return fetched(space, path) if flag(request, "download") else Response(space.read("files", path))

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY}, responses=ACCEPTED,
        parameters=[
            PATH, option("replace", "One that is there may be written over."),
            option("folders", "Folders above it that are not there are made."), IF_MATCH, *CHANGE,
        ],
    )  # fmt: skip
    def put(self, request: Request, pk: UUID) -> Response:
        row = self._row(request, pk, "write")
        data: Any = (
            request._request
        )  # read piece by piece, and never looked into, whatever it says that it is
        digest = request.headers.get("If-Match", "").strip('"')
        if digest and not _DIGEST.fullmatch(digest):
            raise ValidationError({"If-Match": [_("A SHA-256 is expected, in hexadecimal digits.")]})
        return accepted(
            request,
            file_changes.request_write(
                row, self._path(request), data, actor=self.actor, digest=digest,
                replace=flag(request, "replace") or bool(digest), folders=flag(request, "folders"),
                idempotency_key=idempotency_key(request),
            ),
        )  # fmt: skip

    @extend_schema(request=NewFileName, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        row, wish = self._row(request, pk, "write"), body(request, NewFileName)
        return accepted(
            request,
            file_changes.request_rename(
                row, wish["path"], wish["name"], actor=self.actor, idempotency_key=idempotency_key(request)
            ),
        )

    @extend_schema(responses=ACCEPTED, parameters=[PATH, *CHANGE])
    def delete(self, request: Request, pk: UUID) -> Response:
        row = self._row(request, pk, "write")
        body(request, Nothing)
        return accepted(
            request,
            file_changes.request_erase(
                row, self._path(request), actor=self.actor, idempotency_key=idempotency_key(request)
            ),
        )


class ContainerFiles(Files):
    """The files of a container, running or not. See the other methods for changes."""

    model, kind = Container, "container"
    permission = {
        "GET": "container.files", "PUT": "container.write", "POST": "container.write", "DELETE": "container.write",
    }  # fmt: skip


class VolumeFiles(Files):
    """The files of a volume, whether a container mounts it or not."""

    model, kind = Volume, "volume"
    permission = {
        "GET": "volume.files", "PUT": "volume.write", "POST": "volume.write", "DELETE": "volume.write",
    }  # fmt: skip
