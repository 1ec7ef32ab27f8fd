"""REST of letting a tag point at an earlier image again."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Text, body
from containers_app import rollback
from images_app.api.views import visible_tags
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class Rollback(Body):
    """``to``: the ``from_engine_id`` of one of the tag's movements; ``recreate``: its running containers follow."""

    to = Text(max_length=80)
    recreate = Boolean(required=False)


class TagRollback(Previews):
    """Lets the tag point at an earlier image again; one that is gone is pulled by its digest."""

    permission = "image.tag"

    @extend_schema(request=Rollback, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_tags(self.actor).select_related("engine"), pk)
        wish = body(request, Rollback)
        operation = rollback.request(
            found, wish["to"], actor=self.actor, recreate=wish.get("recreate", False),
            idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return accepted(request, operation)
