"""REST of stacks: the list, one of them, and the changes that can be asked of all of it at once."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Nothing, View, body, flag
from accounts.api.links import absolute
from accounts.api.versions import Versioned
from containers_app import many, stacks
from containers_app.api.views import BULK, bulk_answer
from containers_app.queries import Stack
from operations.api.answers import idempotency_key
from operations.api.previews import Previews
from operations.api.schema import DRY_RUN, FOREVER, KEY, option
from operations.services import Refused


class StackService(serializers.Serializer):
    """A service: the ids of its containers, and the services that it needs."""

    name = serializers.CharField()
    containers = serializers.ListField(child=serializers.UUIDField())
    needs = serializers.ListField(child=serializers.CharField())


class StackRow(serializers.Serializer):
    """A compose project on one engine. ``state`` is the worst of its containers', ``up`` how many of ``size`` run."""

    name = serializers.CharField()
    engine = serializers.UUIDField()
    state = serializers.CharField()
    up = serializers.IntegerField()
    size = serializers.IntegerField()
    summary = serializers.CharField()
    teams = serializers.ListField(child=serializers.CharField())
    services = StackService(many=True)
    compose_files = serializers.CharField()
    compose_folder = serializers.CharField()
    url = serializers.URLField()


class StackFullRow(StackRow):
    """The same with what it uses, by id."""

    volumes = serializers.ListField(child=serializers.UUIDField())
    networks = serializers.ListField(child=serializers.UUIDField())


class StackRows(serializers.Serializer):
    """All of them, by name."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = StackRow(many=True)


class StackList(View):
    """Compose projects, as far as their containers may be known."""

    permission = "container.read"
    takes = frozenset({"q", "engine"})

    @extend_schema(
        operation_id="stacks_list",
        parameters=[OpenApiParameter("q", OpenApiTypes.STR), OpenApiParameter("engine", OpenApiTypes.UUID)],
        responses=StackRows,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        try:
            engine = UUID(query["engine"]) if query.get("engine") else None
        except ValueError:
            raise ValidationError({"engine": [_("An id is expected.")]}) from None
        found = stacks.every(self.actor, q=query.get("q", "")[:200], engine=engine)
        return Response({"next": None, "previous": None, "results": [_row(request, one) for one in found]})


class StackDetail(Versioned, Previews):
    """One stack. ``DELETE`` removes all of its containers, those first that need others; volumes and networks stay."""

    permission = {"GET": "container.read", "DELETE": "container.remove"}
    writes_take = frozenset({"volumes", "forever"})

    @extend_schema(responses=StackFullRow)
    def get(self, request: Request, engine: UUID, name: str) -> Response:
        stack = stacks.one(self.actor, engine, name)
        used = {
            "volumes": [volume.pk for volume in stacks.volumes(stack, self.actor)],
            "networks": [network.pk for network in stacks.networks(stack, self.actor)],
        }
        return Response({**_row(request, stack), **used})

    @extend_schema(
        responses=BULK,
        parameters=[option("volumes", "Anonymous volumes too."), FOREVER, KEY, DRY_RUN],
    )
    def delete(self, request: Request, engine: UUID, name: str) -> Response:
        body(request, Nothing)
        params = {"force": True, **{word: flag(request, word) for word in ("volumes", "forever")}}
        return _ask(self, engine, name, "remove", params)


class StackAction(Previews):
    """One verb on all containers of a stack that it makes sense for, services after those that they need."""

    action: ClassVar[str] = ""
    permission: ClassVar[str] = ""

    def post(self, request: Request, engine: UUID, name: str) -> Response:
        body(request, Nothing)
        return _ask(self, engine, name, self.action, None)


def stack_verb(verb: str) -> Any:
    """The address of one verb."""
    details = {
        "action": verb,
        "permission": f"container.{verb}",
        "__doc__": f"{verb.capitalize()}s the stack.",
    }
    view = type(f"Stack{verb.title()}", (StackAction,), details)
    return extend_schema(request=Nothing, responses=BULK, parameters=[KEY, DRY_RUN])(view)


def _ask(view: View, engine: UUID, name: str, action: str, params: dict[str, Any] | None) -> Response:
    stack = stacks.one(view.actor, engine, name)
    order = stacks.wanted(stack, action)
    if not order:
        raise Refused("conflict", _("There is nothing to %(action)s in it now.") % {"action": action})
    key = idempotency_key(view.request)
    waits = stacks.conditions(stack, action)
    asked = many.ask_in_steps(order, action, actor=view.actor, params=params, needs=waits, key=key)
    return bulk_answer(view, asked)


def _row(request: Request, stack: Stack) -> dict[str, Any]:
    compose = stacks.compose(stack)
    return {
        "name": stack.name,
        "engine": stack.engine_id,
        "state": stack.glyph,
        "up": stack.up,
        "size": stack.size,
        "summary": stack.summary,
        "teams": [team.slug for team in stacks.teams(stack)],
        "services": [
            {"name": one.name, "containers": [row.pk for row in one.rows], "needs": one.needs}
            for one in stacks.services(stack.rows)
        ],
        "compose_files": compose["files"],
        "compose_folder": compose["folder"],
        "url": absolute(request, f"/api/v1{stack.url}"),
    }
