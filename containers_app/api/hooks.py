"""REST of webhooks that come in: naming them, and being called."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.access import PUBLIC, address_of
from accounts.api.base import Body, Problem, TeamSlug, Text, View, body
from accounts.api.bodies import TooLarge
from accounts.api.links import absolute
from accounts.querysets import visible_to
from containers_app import hooks, stacks
from containers_app.models import Container, DeployHook


class HookRow(serializers.ModelSerializer[DeployHook]):
    """``address`` is where to send to; its secret is shown once, to whoever makes it. ``branch``: pushes to these alone
    count; empty, everything new does. ``team``: whose containers it makes anew."""

    team = TeamSlug()
    address = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="actor_name")

    class Meta:
        model = DeployHook
        fields: tuple[str, ...] = ("id", "style", "branch", "team", "address", "created_by", "created_at")
        read_only_fields: tuple[str, ...] = fields

    def get_address(self, row: DeployHook) -> str:
        return absolute(self.context["request"], f"/api/v1/hooks/{row.pk}/")


class NewHookRow(HookRow):
    """With the secret, this once."""

    secret = serializers.SerializerMethodField()

    class Meta(HookRow.Meta):
        fields: tuple[str, ...] = (*HookRow.Meta.fields, "secret")
        read_only_fields: tuple[str, ...] = fields

    def get_secret(self, row: DeployHook) -> str:
        return str(self.context["secret"])


class HookAnswer(serializers.Serializer[Any]):
    """All hooks of a container or a stack."""

    results = HookRow(many=True)


class NewHook(Body):
    """How its messages are signed, and pushes to which branches count: ``main, release/*``."""

    style: Any = serializers.ChoiceField(DeployHook.Style.choices, required=False)
    branch = Text(max_length=200, required=False, allow_blank=True)


class NewStackHook(NewHook):
    """With the ``team`` whose containers of the stack are meant, null for nobody's; where there are several."""

    team = Text(max_length=100, required=False, allow_null=True)


class LeftAsItWas(serializers.Serializer[Any]):
    """A container of a stack that could not be made anew, and why."""

    container = serializers.CharField()
    message = serializers.CharField()


class HookCalled(serializers.Serializer[Any]):
    """What came of it; ``operation`` and ``batch`` are null where there was nothing to do. A stack's is a ``batch`` of
    operations, and ``refused`` are those of its containers that stay as they are."""

    operation = serializers.UUIDField(source="operation_id", allow_null=True)
    batch = serializers.UUIDField(allow_null=True)
    refused = LeftAsItWas(many=True)
    outcome = serializers.CharField()


class ContainerHooks(View):
    """Addresses that others call to have this container made anew with the newest image of its tag."""

    permission = {"GET": "hook.manage", "POST": "hook.manage"}

    @extend_schema(responses=HookAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        return _listed(request, _container(self, pk, "hook.manage"))

    @extend_schema(request=NewHook, responses={201: NewHookRow})
    def post(self, request: Request, pk: UUID) -> Response:
        return _made(self, _container(self, pk), body(request, NewHook))


class ContainerHook(View):
    """One of them; ``DELETE`` ends it."""

    permission = "hook.manage"
    http_method_names = ["delete"]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID, other: UUID) -> Response:
        return _ended(self, [_container(self, pk)], other)


class StackHooks(View):
    """Addresses that others call to have what a team has in this stack made anew, each with the newest image of its
    tag."""

    permission = {"GET": "hook.manage", "POST": "hook.manage"}

    @extend_schema(responses=HookAnswer)
    def get(self, request: Request, engine: UUID, name: str) -> Response:
        return _listed(request, *_parts(self, engine, name))

    @extend_schema(request=NewStackHook, responses={201: NewHookRow})
    def post(self, request: Request, engine: UUID, name: str) -> Response:
        wish = body(request, NewStackHook)
        return _made(self, hooks.part(_parts(self, engine, name), wish), wish)


class StackHook(View):
    """One of them; ``DELETE`` ends it."""

    permission = "hook.manage"
    http_method_names = ["delete"]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, engine: UUID, name: str, other: UUID) -> Response:
        return _ended(self, _parts(self, engine, name), other)


class HookReceiver(View):
    """Called by whoever has pushed; the permission is the signature over the body as it came."""

    permission = PUBLIC
    authentication_classes = ()
    http_method_names = ["post"]

    @extend_schema(request=OpenApiTypes.OBJECT, responses={202: HookCalled})
    def post(self, request: Request, pk: UUID) -> Response:
        plain = request._request
        length = plain.headers.get("Content-Length", "")
        if (length.isdecimal() and int(length) > hooks.LARGEST) or len(plain.body) > hooks.LARGEST:
            raise TooLarge(_("A message has 256 KiB at most."))
        try:
            call = hooks.receive(pk, plain.headers, plain.body, ip=address_of(plain))
        except hooks.Unsigned:
            raise Problem(401, "not_authenticated", _("The signature is not right.")) from None
        except limits.TooMany as error:
            raise Throttled(wait=error.retry_after) from None
        began = call.operation_id or call.batch
        return Response(HookCalled(call, context={"request": request}).data, 202 if began else 200)


def _container(view: View, pk: UUID, permission: str = "") -> hooks.Thing:
    rows = visible_to(view.actor, Container.objects.select_related("engine", "team"))
    return hooks.container(view.object(rows, pk, permission))


def _parts(view: View, engine: UUID, name: str) -> list[hooks.Thing]:
    return hooks.parts(stacks.one(view.actor, engine, name), view.actor)


def _listed(request: Request, *things: hooks.Thing) -> Response:
    return Response({"results": HookRow(hooks.of(*things), many=True, context={"request": request}).data})


def _made(view: View, thing: hooks.Thing, wish: dict[str, Any]) -> Response:
    row, secret = hooks.add(
        thing, wish.get("style", "slipway"), branch=wish.get("branch", ""), actor=view.actor
    )
    return Response(NewHookRow(row, context={"request": view.request, "secret": secret}).data, 201)


def _ended(view: View, things: list[hooks.Thing], pk: UUID) -> Response:
    hooks.drop(things, view.object(hooks.of(*things), pk), actor=view.actor)
    return Response(status=204)
