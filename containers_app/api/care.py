"""REST of what Slipway does by itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Integer, Listing, TeamSlug, Text, View, body
from accounts.api.versions import Versioned
from accounts.querysets import visible_teams, visible_to
from containers_app import care, care_page
from containers_app.api.views import visible_containers
from containers_app.models import CareRule, Container
from operations import channels
from operations.channel import Mute


class CareRuleRow(serializers.ModelSerializer):
    """Of a container by its name, of a team, or (both null) of the site. Null leaves it to the rule behind."""

    team = TeamSlug()

    class Meta:
        model = CareRule
        fields: tuple[str, ...] = ("id", "team", "engine", "name", "heal", "end_loops", "created_at")
        read_only_fields: tuple[str, ...] = fields


class NewCareRule(Body):
    """A container's id or a team's slug; with neither it is the site's. What is left out stays as it is."""

    container = serializers.UUIDField(required=False)
    team = Text(required=False, max_length=100)
    heal = Boolean(required=False, allow_null=True)
    end_loops = Boolean(required=False, allow_null=True)


class CareRuleList(Listing):
    """What is done by itself. ``POST`` says it for a container, a team or the site."""

    permission = {"GET": "container.read", "POST": "care.container"}
    serializer_class = CareRuleRow
    ordering_fields = {"created_at": "created_at", "name": "name"}
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[CareRule]:
        found: QuerySet[CareRule] = care_page.rules(self.actor)
        return found

    @extend_schema(request=NewCareRule, responses=CareRuleRow)
    def post(self, request: Request) -> Response:
        wish = body(request, NewCareRule)
        if "container" in wish and "team" in wish:
            raise ValidationError({"": [_("Either container or team is expected.")]})
        what: Any = None
        if "team" in wish:
            what = get_object_or_404(visible_teams(self.actor), slug=wish["team"])
        elif "container" in wish:
            rows = visible_to(self.actor, Container.objects.select_related("engine", "team"))
            what = self.object(rows, wish["container"])
        said = {word: wish[word] for word in care.WORDS if word in wish}
        if not said:
            raise ValidationError({"": [_("heal or end_loops is expected.")]})
        return Response(CareRuleRow(care.switch(what, actor=self.actor, **said)).data)


class CareRuleDetail(Versioned, View):
    """One of them."""

    permission = "container.read"

    @extend_schema(responses=CareRuleRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(CareRuleRow(self.object(care_page.rules(self.actor), pk)).data)


class Muting(Body):
    """No messages about it for so many hours from now on, up to 720; 0 for no more."""

    hours = Integer()


class Muted(serializers.Serializer):
    """Until when, null: it is not."""

    muted_until = serializers.DateTimeField(allow_null=True, read_only=True)


class ContainerMute(View):
    """Keeps messages about one container from going out for a while."""

    permission = {"GET": "container.read", "POST": "webhook.mute"}

    @extend_schema(responses=Muted)
    def get(self, request: Request, pk: UUID) -> Response:
        return _muted(channels.muted(self.object(visible_containers(request), pk)))

    @extend_schema(request=Muting, responses=Muted)
    def post(self, request: Request, pk: UUID) -> Response:
        container = self.object(visible_containers(request), pk)
        return _muted(channels.mute(container, body(request, Muting)["hours"], actor=self.actor))


def _muted(row: Mute | None) -> Response:
    return Response(Muted({"muted_until": row and row.until}).data)
