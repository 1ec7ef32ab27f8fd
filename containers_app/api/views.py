"""REST of containers: lists, one container, and the changes that can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Denied, actor_of
from accounts.api.base import Body, Listing, Nothing, View, body, flag
from accounts.api.versions import Versioned
from accounts.querysets import visible_to
from containers_app import many, operations
from containers_app.api.figures import newest
from containers_app.api.rows import BODIES, Bulk, ContainerFullRow, ContainerRow, Removal
from containers_app.api.schema import RUN, UPDATE
from containers_app.filters import ContainerFilter
from containers_app.models import Container
from engine.errors import EngineError
from operations import plans
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import PlanAnswer, Previews
from operations.api.rows import OperationRow
from operations.api.schema import ACCEPTED, CHANGE, DRY_RUN, FOREVER, KEY, option
from operations.api.team import team_of
from operations.models import Operation
from operations.previews import is_preview
from operations.services import Refused


def visible_containers(request: Request) -> QuerySet[Container]:
    """With what a row shows of others, in a number of queries that does not grow with the rows."""
    rows = visible_to(actor_of(request), Container.objects.select_related("team"))
    return rows.prefetch_related("mounts").defer("inspect", "health_log")


class ContainerList(Previews, Listing):
    """Containers. ``POST`` makes one and starts it."""

    permission = {"GET": "container.read", "POST": "container.run"}
    serializer_class = ContainerRow
    filterset_class = ContainerFilter
    ordering_fields: ClassVar = {
        name: name
        for name in (
            "name",
            "state",
            "health",
            "created_at",
            "started_at",
            "finished_at",
            "restart_count",
            "image_ref",
        )
    }
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Container]:
        return visible_containers(self.request)

    @extend_schema(request={"application/json": RUN}, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = request.data
        if not isinstance(wish, dict):
            raise ValidationError({"": [_("A JSON object is expected.")]})
        engine, team = engine_of(wish), team_of(self.actor, wish)
        spec = {key: value for key, value in wish.items() if key not in ("engine", "team")}
        operation = operations.request_run(
            spec, actor=self.actor, engine=engine, team=team, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class ContainerDetail(Versioned, Previews):
    """One container. ``DELETE`` removes it, with ``?force=1`` while it runs, ``?volumes=1`` with anonymous volumes.

    ``PATCH`` changes its limits or its restart policy while it runs.
    """

    measured = frozenset({"stats", "status"})
    permission = {"GET": "container.read", "PATCH": "container.update", "DELETE": "container.remove"}
    http_method_names = ["get", "patch", "delete", "head"]
    removal_takes: ClassVar = frozenset({"force", "volumes", "forever"})

    @property
    def writes_take(self) -> frozenset[str]:  # type: ignore[override]
        return self.removal_takes if self.request.method == "DELETE" else frozenset()

    @extend_schema(responses=ContainerFullRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request), pk)
        return Response(ContainerFullRow(found, context={"request": request, "stats": newest(found)}).data)

    @extend_schema(request={"application/json": UPDATE}, responses=ACCEPTED, parameters=CHANGE)
    def patch(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request).select_related("engine"), pk)
        if not isinstance(request.data, dict):
            raise ValidationError({"": [_("A JSON object is expected.")]})
        return accepted(request, _ask(self, found, "update", dict(request.data)))

    @extend_schema(
        responses=ACCEPTED,
        parameters=[option("force"), option("volumes"), FOREVER, *CHANGE],
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request), pk)
        body(request, Nothing)
        params = {name: flag(request, name) for name in ("force", "volumes", "forever")}
        return accepted(request, _ask(self, found, "remove", params))


class ContainerAction(Previews):
    """One verb on one container; which one is the address's business."""

    action: ClassVar[str] = ""
    permission: ClassVar[str] = ""

    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request), pk)
        params = body(request, BODIES.get(self.action, Nothing))
        return accepted(request, _ask(self, found, self.action, params))


def action_view(verb: str) -> type[ContainerAction]:
    """The address of one verb: a class of its own, so that each declares its own permission and its own body."""
    kind = BODIES.get(verb, Nothing)
    view = type(
        f"Container{verb.title()}",
        (ContainerAction,),
        {
            "action": verb,
            "permission": f"container.{verb}",
            "__doc__": f"{verb.capitalize()}s the container.",
        },
    )
    return extend_schema(request=kind, responses=ACCEPTED, parameters=CHANGE)(view)


class BulkItem(serializers.Serializer):
    """What became of one of them: an operation, a plan where that was asked for, or an error with its code."""

    id = serializers.UUIDField()
    status = serializers.IntegerField()
    operation = OperationRow(required=False)
    plan = PlanAnswer(required=False)
    error = serializers.DictField(required=False)


class BulkAnswer(serializers.Serializer):
    """In the order in which they were asked for."""

    results = BulkItem(many=True)


BULK = dict.fromkeys((202, 207), BulkAnswer) | {
    200: PolymorphicProxySerializer("BulkAnswerOrPlan", [BulkAnswer, PlanAnswer], None)
}
"""What the OpenAPI document says of such a change."""


class ContainerBulk(Previews):
    """The same verb for several containers: one operation each. 202 where all were accepted, else 207."""

    permission = "container.read"

    @extend_schema(request=Bulk, responses=BULK, parameters=[KEY, DRY_RUN])
    def post(self, request: Request) -> Response:
        wish = body(request, Bulk)
        if wish["action"] == "update":
            return self._answer(request, wish, dict(wish.get("params", {})))
        kind: type[Body] = Removal if wish["action"] == "remove" else BODIES.get(wish["action"], Nothing)
        parsed = kind(data=wish.get("params", {}))
        if not parsed.is_valid():
            raise ValidationError({"params": parsed.errors})
        return self._answer(request, wish, dict(parsed.validated_data))

    def _answer(self, request: Request, wish: dict[str, Any], params: dict[str, Any]) -> Response:
        ids = list(dict.fromkeys(wish["ids"]))
        rows = visible_containers(request).in_bulk(ids)
        key = idempotency_key(request)
        answers: list[many.Answer | UUID] = []
        for pk in ids:
            own = f"{key[:160]}:{pk}" if key else ""
            ask: dict[str, Any] = {"actor": self.actor, "params": params, "idempotency_key": own}
            answers.append(many.ask_one(rows[pk], wish["action"], **ask) if pk in rows else pk)
        return bulk_answer(self, answers)


def bulk_answer(view: View, answers: Sequence[many.Answer | UUID]) -> Response:
    """Each with its own status; an id alone is of what there is none. 202 where all were accepted, else 207."""
    results = [_item(view, one) for one in answers]
    wanted = 200 if is_preview() else 202
    status = wanted if all(item["status"] == wanted for item in results) else 207
    return Response({"results": results}, status)


def _item(view: View, answer: many.Answer | UUID) -> dict[str, Any]:
    if isinstance(answer, UUID):
        return _refusal(answer, Http404())
    pk = answer.container.pk
    if answer.refused is not None:
        return _refusal(pk, answer.refused)
    if answer.previewed is not None:
        return {"id": pk, "status": 200, "plan": plans.told(answer.previewed, view.actor).to_dict()}
    operation = answer.operation
    assert operation is not None  # noqa: S101 - one of the three is there
    if is_preview():
        plan = plans.planned(operation, view.actor)
        plan.joins = str(operation.pk)
        return {"id": pk, "status": 200, "plan": plan.to_dict()}
    row = OperationRow(operation, context={"request": view.request}).data
    return {"id": pk, "status": 202, "operation": row}


def _refusal(pk: UUID, error: many.Refusal) -> dict[str, Any]:
    if isinstance(error, Refused):
        status, code, message = error.status, error.code, error.message
    elif isinstance(error, EngineError):
        status = 403 if error.code == "policy_denied" else 400
        code, message = error.code, error.message
    elif isinstance(error, Denied):
        status, code, message = 403, "permission_denied", str(error)
    else:
        status, code, message = 404, "not_found", "No such object."
    return {"id": pk, "status": status, "error": {"code": code, "message": message}}


def _ask(view: View, row: Container, action: str, params: dict[str, Any]) -> Operation:
    key = idempotency_key(view.request)
    return operations.request(row, action, actor=view.actor, params=params, idempotency_key=key)
