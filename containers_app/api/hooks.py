"""REST of webhooks that come in: naming them, and being called."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.access import PUBLIC, address_of
from accounts.api.base import Body, Problem, Text, View, body
from accounts.api.bodies import TooLarge
from accounts.api.links import absolute
from accounts.querysets import visible_to
from containers_app import hooks
from containers_app.models import Container, DeployHook


class HookRow(serializers.ModelSerializer[DeployHook]):
    """``address`` is where to send to; its secret is shown once, to whoever makes it. ``branch``: pushes to these alone
    count; empty, everything new does."""

    address = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="actor_name")

    class Meta:
        model = DeployHook
        fields: tuple[str, ...] = ("id", "style", "branch", "address", "created_by", "created_at")
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
    """All hooks of a container."""

    results = HookRow(many=True)


class NewHook(Body):
    """How its messages are signed, and pushes to which branches count: ``main, release/*``."""

    style: Any = serializers.ChoiceField(DeployHook.Style.choices, required=False)
    branch = Text(max_length=200, required=False, allow_blank=True)


class HookCalled(serializers.Serializer[Any]):
    """What came of it; ``operation`` is null where there was nothing to do."""

    operation = serializers.UUIDField(allow_null=True)
    outcome = serializers.CharField()


class ContainerHooks(View):
    """Addresses that others call to have this container made anew with the newest image of its tag."""

    permission = {"GET": "hook.manage", "POST": "hook.manage"}

    @extend_schema(responses=HookAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        rows = hooks.of(self.object(_containers(self), pk, "hook.manage"))
        return Response({"results": HookRow(rows, many=True, context={"request": request}).data})

    @extend_schema(request=NewHook, responses={201: NewHookRow})
    def post(self, request: Request, pk: UUID) -> Response:
        wish = body(request, NewHook)
        row, secret = hooks.add(
            self.object(_containers(self), pk), wish.get("style", "slipway"), branch=wish.get("branch", ""),
            actor=self.actor,
        )  # fmt: skip
        return Response(NewHookRow(row, context={"request": request, "secret": secret}).data, 201)


class ContainerHook(View):
    """One of them; ``DELETE`` ends it."""

    permission = "hook.manage"
    http_method_names = ["delete"]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID, other: UUID) -> Response:
        container = self.object(_containers(self), pk)
        hooks.drop(container, self.object(hooks.of(container), other), actor=self.actor)
        return Response(status=204)


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
        operation = str(call.operation_id) if call.operation_id else None
        return Response({"operation": operation, "outcome": call.outcome}, 202 if operation else 200)


def _containers(view: View) -> QuerySet[Container]:
    return visible_to(view.actor, Container.objects.select_related("engine", "team"))
