"""REST of messages to other systems: where they go, what came of each, and sending again."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Integer, Listing, Nothing, TeamSlug, Text, View, body
from accounts.api.links import absolute
from accounts.api.versions import Versioned
from operations import channels
from operations.api.team import team_of
from operations.filters import DeliveryFilter
from operations.models import Channel, Delivery


def _said() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField())


class WebhookRow(serializers.ModelSerializer[Channel]):
    """Where messages go. ``address`` is its host alone; neither the rest nor the secret is ever shown again.

    Empty ``kinds``, ``engines``, ``teams`` and ``pattern`` let everything through. ``state``: ``off``, ``muted``,
    ``failing``, ``ok``, or ``new`` before anything was sent; ``failures`` are those in a row.
    """

    address = serializers.CharField(source="shown")
    team = TeamSlug()
    state = serializers.CharField()
    events, kinds, engines, teams = _said(), _said(), _said(), _said()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Channel
        fields: tuple[str, ...] = (
            "id", "name", "kind", "team", "address", "enabled", "state", "events", "kinds", "engines", "teams",
            "pattern", "cooldown", "muted_until", "failures", "sent_at", "problem", "problem_at", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def get_url(self, row: Channel) -> str:
        return absolute(self.context["request"], f"/api/v1/webhooks/{row.pk}/")


class NewWebhookRow(WebhookRow):
    """With the ``secret`` that its messages are signed with, this once; empty where nothing is signed."""

    secret = serializers.SerializerMethodField()

    class Meta(WebhookRow.Meta):
        fields: tuple[str, ...] = (*WebhookRow.Meta.fields, "secret")
        read_only_fields: tuple[str, ...] = fields

    def get_secret(self, row: Channel) -> str:
        return str(self.context["secret"])


def _strings() -> serializers.ListField:
    return serializers.ListField(child=Text(max_length=200), required=False, max_length=200)


class WebhookWish(Body):
    """``address``: a URL, or up to ten mail addresses. ``mute_hours``: quiet from now on for so long, 0 for no more."""

    name = Text(required=False, max_length=60)
    address = Text(required=False, max_length=2000, write_only=True)
    secret = Text(required=False, max_length=200, write_only=True, trim_whitespace=False)
    enabled = Boolean(required=False)
    events = _strings()
    kinds = _strings()
    engines = _strings()
    teams = _strings()
    pattern = Text(required=False, max_length=200, allow_blank=True)
    cooldown = Integer(required=False)
    mute_hours = Integer(required=False)


class NewWebhook(WebhookWish):
    """With its kind, and the team whose things it tells of: null is the site's, and tells of everything."""

    kind = serializers.ChoiceField(Channel.Kind.choices, required=False)
    team = Text(required=False, max_length=100, allow_null=True)


class DeliveryRow(serializers.ModelSerializer[Delivery]):
    """One message. ``event_id`` is the same at each attempt; ``status`` is what the receiver answered last, if it did.

    ``count``: how often it happened since the message before.
    """

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = (
            "id", "event_id", "event", "title", "count", "state", "attempts", "status", "problem", "created_at",
            "due_at", "expires_at", "ended_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class WebhookList(Listing):
    """Channels of the teams that one administers; all of them for site administrators. ``POST`` names one."""

    permission = {"GET": "webhook.read", "POST": "webhook.manage"}
    serializer_class = WebhookRow
    ordering_fields = {"created_at": "created_at", "name": "name"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Channel]:
        return channels.visible(self.actor)

    @extend_schema(request=NewWebhook, responses={201: NewWebhookRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewWebhook)
        team = team_of(self.actor, wish)
        wish.pop("team", None)
        row, secret = channels.add(wish, actor=self.actor, team=team)
        shown = NewWebhookRow(row, context={"request": request, "secret": secret}).data
        return Response(shown, 201, headers={"Location": shown["url"]})


class WebhookDetail(Versioned, View):
    """One channel. ``PATCH`` changes what it says; ``DELETE`` forgets it, with what was not sent yet."""

    measured = frozenset({"state", "failures", "sent_at", "problem", "problem_at"})
    permission = {"GET": "webhook.read", "PATCH": "webhook.manage", "DELETE": "webhook.manage"}
    http_method_names = ["get", "patch", "delete", "head"]

    @extend_schema(responses=WebhookRow)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(channels.visible(self.actor), pk)
        return Response(WebhookRow(row, context={"request": request}).data)

    @extend_schema(request=WebhookWish, responses=WebhookRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        row = channels.change(
            self.object(channels.visible(self.actor), pk), body(request, WebhookWish), actor=self.actor
        )
        return Response(WebhookRow(row, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        channels.drop(self.object(channels.visible(self.actor), pk), actor=self.actor)
        return Response(status=204)


class WebhookTest(View):
    """Sends a real message, and answers with what came of it: still ``waiting`` where that takes longer than 14 s."""

    permission = "webhook.manage"
    http_method_names = ["post"]

    @extend_schema(request=Nothing, responses=DeliveryRow)
    def post(self, request: Request, pk: UUID) -> Response:
        body(request, Nothing)
        sent = channels.try_out(self.object(channels.visible(self.actor), pk), actor=self.actor)
        return Response(DeliveryRow(sent).data)


class WebhookDeliveries(Listing):
    """Its messages, newest first. ``?state=dead`` are those that were given up."""

    permission = "webhook.read"
    serializer_class = DeliveryRow
    filterset_class = DeliveryFilter

    def get_queryset(self) -> QuerySet[Delivery]:
        if "pk" not in self.kwargs:  # the schema is made
            return Delivery.objects.none()
        row = self.object(channels.visible(self.actor), self.kwargs["pk"])
        return Delivery.objects.filter(channel=row)


class DeliveryRetry(View):
    """Sends it again, with the same id: what was given up, or waits for its next attempt."""

    permission = "webhook.manage"
    http_method_names = ["post"]

    @extend_schema(request=Nothing, responses=DeliveryRow)
    def post(self, request: Request, pk: UUID, delivery: UUID) -> Response:
        body(request, Nothing)
        row = self.object(channels.visible(self.actor), pk)
        found = self.object(row.deliveries.select_related("channel"), delivery)
        return Response(DeliveryRow(channels.send_again(found, actor=self.actor)).data)
