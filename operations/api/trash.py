"""REST of the trash: what can be taken back, until when, and how."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Listing, Nothing, body
from accounts.api.versions import Versioned
from operations import trash, undoable
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.rows import TrashRow
from operations.api.schema import ACCEPTED, CHANGE
from operations.api.views import visible_operations
from operations.filters import TrashFilter
from operations.models import TrashItem


class TrashList(Listing):
    """What was removed and can be taken back, newest first."""

    permission = "operation.read"
    serializer_class = TrashRow
    filterset_class = TrashFilter
    ordering_fields: ClassVar = {name: name for name in ("created_at", "expires_at", "name", "size")}

    def get_queryset(self) -> QuerySet[TrashItem]:
        return undoable.kept(self.actor)


class TrashDetail(Versioned, Previews):
    """One thing in the trash. ``DELETE`` removes it for good; needs what its removal needed."""

    permission: ClassVar = {"GET": "operation.read", "DELETE": "operation.cancel"}

    @extend_schema(responses=TrashRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(undoable.kept(self.actor), pk)
        return Response(TrashRow(found, context={"request": request}).data)

    @extend_schema(responses=ACCEPTED, parameters=CHANGE)
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(undoable.kept(self.actor), pk)
        body(request, Nothing)
        return accepted(
            request, trash.purge(found, actor=self.actor, idempotency_key=idempotency_key(request))
        )


class TrashRestore(Previews):
    """Takes it back."""

    permission = "operation.cancel"

    @extend_schema(request=Nothing, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(undoable.kept(self.actor), pk)
        body(request, Nothing)
        return accepted(
            request, trash.restore(found, actor=self.actor, idempotency_key=idempotency_key(request))
        )


class OperationUndo(Previews):
    """Takes back what this operation removed or replaced, until its ``undoable_until``."""

    permission = "operation.cancel"

    @extend_schema(request=Nothing, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_operations(self.actor), pk)
        body(request, Nothing)
        return accepted(
            request, trash.undo(found, actor=self.actor, idempotency_key=idempotency_key(request))
        )
