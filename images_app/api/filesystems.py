"""REST of an image made of a tar."""

from __future__ import annotations

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Text, body
from engine import names
from engine.errors import Invalid
from images_app import filesystems
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE
from operations.api.team import team_of


class Filesystem(Body):
    """``archive``: a tar, plain or compressed; ``command`` as a JSON list."""

    archive = serializers.FileField()
    reference = Text(max_length=255)
    command = serializers.JSONField(required=False)
    engine = serializers.UUIDField(required=False)
    team = Text(required=False, max_length=100)


class ImageFilesystem(Previews):
    """Makes an image of one layer out of a tar of a file system, as a container's export is."""

    permission = "image.build"
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": Filesystem}, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = body(request, Filesystem)
        command = wish.get("command") or []
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise ValidationError({"command": [gettext("A list of words is expected.")]})
        try:
            reference = str(names.tag_reference(wish["reference"]))
        except Invalid as error:
            raise ValidationError({"reference": [error.message]}) from None
        operation = filesystems.request_import(
            wish["archive"].file, reference, command=command, actor=self.actor, engine=engine_of(wish),
            team=team_of(self.actor, wish), idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return accepted(request, operation)
