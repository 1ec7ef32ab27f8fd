"""REST of networks, and of who is on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import Body, Boolean, Listing, Nothing, Text, body, flag
from accounts.api.versions import Versioned
from accounts.querysets import visible_to
from containers_app import attachments, operations
from containers_app.api.rows import NetworkRow
from containers_app.api.views import visible_containers
from containers_app.filters import NetworkFilter
from containers_app.models import Container, Network
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE, FOREVER, option
from operations.api.team import team_of


class NewNetwork(Body):
    """A network to be made. ``subnets`` and ``gateways`` go together by place; without, the engine chooses.

    ``options`` are the driver's; who may set them, and who may choose addresses, is a guard rail's business.
    """

    name = Text(max_length=63)
    driver = Text(required=False, max_length=128)
    subnets = serializers.ListField(child=Text(max_length=64), required=False)
    gateways = serializers.ListField(child=Text(max_length=64, allow_blank=True), required=False)
    internal = Boolean(required=False)
    ipv6 = Boolean(required=False)
    options = serializers.DictField(required=False)
    labels = serializers.DictField(required=False)
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)


class Connection(Body):
    """Which container, by what other names others find it there, and at which address; all but the first optional."""

    container = serializers.UUIDField()
    aliases = serializers.ListField(child=Text(max_length=63), required=False)
    ip = Text(required=False, max_length=64, allow_blank=True)
    ip6 = Text(required=False, max_length=64, allow_blank=True)


class Disconnection(Body):
    """Which container."""

    container = serializers.UUIDField()


def visible_networks(actor: Actor) -> QuerySet[Network]:
    """What the actor may know of."""
    return visible_to(actor, Network.objects.select_related("team"))


def _shown(rows: Sequence[Network], request: Request, actor: Actor) -> dict[str, Any]:
    """The context of rows: who is on each, of those that the actor may see. One query."""
    there = Container.objects.filter(engine__in={row.engine_id for row in rows}).exclude(networks=[])
    containers = visible_to(actor, there.order_by("name").only("name", "native_id", "networks", "engine_id"))
    return {"request": request, "attached": attachments.by_network(rows, containers)}


class NetworkList(Previews, Listing):
    """Networks. ``POST`` makes one."""

    permission = {"GET": "network.read", "POST": "network.create"}
    serializer_class = NetworkRow
    filterset_class = NetworkFilter
    ordering_fields = {"name": "name", "driver": "driver", "created_at": "created_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Network]:
        return visible_networks(self.actor)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        shown = NetworkRow(rows, many=True, context=_shown(rows, request, self.actor))
        return self.get_paginated_response(shown.data)

    @extend_schema(request=NewNetwork, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = request.data
        if not isinstance(wish, dict):
            raise ValidationError({"": [_("A JSON object is expected.")]})
        engine, team = engine_of(wish), team_of(self.actor, wish)
        spec = {key: value for key, value in wish.items() if key not in ("engine", "team")}
        operation = operations.request_network_create(
            spec, actor=self.actor, engine=engine, team=team, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class NetworkDetail(Versioned, Previews):
    """One network. ``DELETE`` removes it, with ``?force=1`` while containers are on it: they are disconnected first."""

    permission = {"GET": "network.read", "DELETE": "network.remove"}
    writes_take = frozenset({"force", "forever"})

    @extend_schema(responses=NetworkRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_networks(self.actor), pk)
        return Response(NetworkRow(found, context=_shown([found], request, self.actor)).data)

    @extend_schema(responses=ACCEPTED, parameters=[option("force"), FOREVER, *CHANGE])
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_networks(self.actor), pk)
        body(request, Nothing)
        operation = operations.request_network_remove(
            found,
            actor=self.actor,
            force=flag(request, "force"),
            forever=flag(request, "forever"),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


class NetworkConnect(Previews):
    """Puts a container on the network, running or not."""

    permission = "network.connect"

    @extend_schema(request=Connection, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_networks(self.actor), pk)
        wish = body(request, Connection)
        container = self.object(visible_containers(request).defer(None), wish.pop("container"))
        operation = operations.request_network_connect(
            found, container, wish, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class NetworkDisconnect(Previews):
    """Takes a container off the network. What it is doing goes on."""

    permission = "network.disconnect"

    @extend_schema(request=Disconnection, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_networks(self.actor), pk)
        container = self.object(visible_containers(request), body(request, Disconnection)["container"])
        operation = operations.request_network_disconnect(
            found, container, actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)
