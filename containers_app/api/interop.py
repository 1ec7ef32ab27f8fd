"""REST of what containers have in common with other tools: ``docker run`` lines read and written, and other forms."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Text, View, body
from containers_app import bodies, interop, operations
from containers_app.api.rows import Duplicate
from containers_app.api.schema import PARSED
from containers_app.api.views import visible_containers
from engine import docker_run
from engine.errors import Invalid
from engine.specs import SpecError
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class Command(Body):
    """A ``docker run`` line."""

    command = Text(max_length=docker_run.LONGEST)


class ContainerParse(View):
    """A ``docker run`` line as the run body. What of it no body can say is listed in ``unmapped``; nothing runs."""

    permission = "container.run"

    @extend_schema(request=Command, responses={200: PARSED})
    def post(self, request: Request) -> Response:
        try:
            found, unmapped = docker_run.parse(body(request, Command)["command"])
        except Invalid as error:
            raise SpecError({"command": [error.message]}) from error
        return Response({**found, "unmapped": unmapped})


class ContainerExport(View):
    """The container as text for other tools: ``run`` (a docker run line), ``compose`` or ``kubernetes``."""

    permission = "container.read"
    takes = frozenset({"as"})

    @extend_schema(
        responses={(200, "text/plain"): OpenApiTypes.STR},
        parameters=[OpenApiParameter("as", OpenApiTypes.STR, enum=interop.KINDS, default="run")],
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        kind = request.query_params.get("as", "run")
        if kind not in interop.KINDS:
            raise ValidationError(
                {"as": [_("One of %(names)s is expected.") % {"names": ", ".join(interop.KINDS)}]}
            )
        found = self.object(visible_containers(request).defer(None).select_related("image"), pk)
        return HttpResponse(interop.text(bodies.of(found), kind), content_type="text/plain; charset=utf-8")


class ContainerDuplicate(Previews):
    """Another container with the settings of this one, beside it; its host ports are the engine's to choose."""

    permission = "container.duplicate"

    @extend_schema(request=Duplicate, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request).defer(None).select_related("engine", "image"), pk)
        params = body(request, Duplicate)
        key = idempotency_key(request)
        operation = operations.request_duplicate(found, actor=self.actor, params=params, idempotency_key=key)
        return accepted(request, operation)
