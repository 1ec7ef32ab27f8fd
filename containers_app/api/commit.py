"""REST of a container as an image and as a tar."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Nothing, Text, body
from containers_app import commit_asks, commit_views
from containers_app.api.views import visible_containers
from containers_app.commit import MOST_MESSAGE
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class Commit(Body):
    """The image's name without its tag, its tag (``latest`` where it is left out), and a message for its history."""

    repository = Text(max_length=255)
    tag = Text(required=False, max_length=128)
    message = Text(required=False, max_length=MOST_MESSAGE, allow_blank=True)


class ContainerCommit(Previews):
    """Makes an image of the container's files and settings. What lies in volumes and host paths is not in it."""

    permission = "container.commit"

    @extend_schema(request=Commit, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request), pk)
        wish = body(request, Commit)
        operation = commit_asks.request_commit(
            found, wish, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class ContainerFilesystem(Previews):
    """``POST`` makes a tar of the container's whole file system; ``GET`` is the newest one of the last day."""

    permission = "container.export"

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        found = self.object(visible_containers(request), pk, "container.export")
        return commit_views.newest(found, actor=self.actor)

    @extend_schema(request=None, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request), pk)
        body(request, Nothing)
        operation = commit_asks.request_export(
            found, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)
