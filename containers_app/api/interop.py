"""REST of what containers have in common with other tools: a ``docker run`` line read."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Text, View, body
from containers_app.api.schema import PARSED
from engine import docker_run
from engine.errors import Invalid
from engine.specs import SpecError


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
