"""REST of the guard rails: which hold, how much there may be, who breaks them, and what is allowed all the same."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import Body, Boolean, Listing, TeamSlug, Text, View, body, flag
from accounts.api.versions import Versioned
from accounts.models import Team
from accounts.querysets import teams_where
from containers_app import findings
from engine import guard
from operations import policies, quotas
from operations.policies import Said
from operations.policy import Policy, PolicyException

_TEAM = OpenApiParameter("team", str, description="A team's slug; without it the site.")


class PolicyRow(serializers.Serializer):
    """``rules`` are those that hold, ``said`` what this row itself says of them; ``team`` null is the site."""

    team = serializers.CharField(allow_null=True)
    rules = serializers.DictField()
    said = serializers.DictField()
    quota = serializers.DictField()
    binds_site = serializers.BooleanField()
    changed_at = serializers.DateTimeField(allow_null=True)
    changed_by = serializers.CharField()


class Usage(serializers.Serializer):
    """How much a team has and may have, by name; a null limit is none. Bytes for memory, cores for cpus."""

    used = serializers.FloatField()
    limit = serializers.FloatField(allow_null=True)


class PolicyAnswer(serializers.Serializer):
    """All that the reader may see."""

    results = PolicyRow(many=True)


class NewPolicy(Body):
    """Of a team, or without one of the site. What is left out stays; ``rules`` and ``quota`` replace what was said."""

    team = Text(required=False, max_length=100)
    rules = serializers.DictField(required=False)
    quota = serializers.DictField(required=False)
    binds_site = Boolean(required=False)


class PolicyList(View):
    """The site's guard rails and those of each team of the reader's. ``POST`` says what holds."""

    permission = {"GET": "policy.read", "POST": "policy.manage"}

    @extend_schema(responses=PolicyAnswer)
    def get(self, request: Request) -> Response:
        teams: list[Team | None] = [None, *teams_where(self.actor, Policy.read_permission)]
        told = policies.of_teams([team.pk if team else None for team in teams])
        return Response({"results": [_row(team, told[team.pk if team else None]) for team in teams]})

    @extend_schema(request=NewPolicy, responses=PolicyRow)
    def post(self, request: Request) -> Response:
        wish = body(request, NewPolicy)
        team = _team(self.actor, wish.pop("team", ""))
        if not wish:
            raise ValidationError({"": [_("rules, quota or binds_site is expected.")]})
        policies.change(team, actor=self.actor, **wish)
        return Response(_row(team, policies.said(team.pk if team else None)))


class PolicyUsage(View):
    """What a team has of its quotas."""

    permission = "policy.read"
    takes = frozenset({"team"})

    @extend_schema(parameters=[OpenApiParameter("team", str, required=True)], responses={200: dict[str, Any]})
    def get(self, request: Request) -> Response:
        team = _team(self.actor, request.query_params.get("team", ""))
        if team is None:
            raise ValidationError({"team": [_("The slug of a team is expected.")]})
        have, may = quotas.used(team.pk), quotas.limits(team.pk)
        return Response({name: {"used": have[name], "limit": may.get(name)} for name in quotas.KINDS})


class FindingRow(serializers.Serializer):
    """A container and a rule that it breaks. ``by``: ``site``, a team's slug, or empty for advice."""

    container = serializers.UUIDField()
    name = serializers.CharField()
    team = serializers.CharField(allow_null=True)
    engine = serializers.CharField()
    rule = serializers.CharField()
    title = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())
    by = serializers.CharField()
    excepted = serializers.CharField()
    advice = serializers.BooleanField()


class FindingAnswer(serializers.Serializer):
    """``counts`` by rule, whatever is filtered; ``looked_at`` containers."""

    results = FindingRow(many=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    looked_at = serializers.IntegerField()


class Findings(View):
    """Which containers break which rule. ``?team=``, ``?rule=``, ``?advice=0`` leaves out what no rule forbids."""

    permission = "policy.read"
    takes = frozenset({"team", "rule", "advice"})

    @extend_schema(
        parameters=[_TEAM, OpenApiParameter("rule", str), OpenApiParameter("advice", str)],
        responses=FindingAnswer,
    )
    def get(self, request: Request) -> Response:
        rule = request.query_params.get("rule", "")
        if rule and rule not in guard.RULES and rule not in findings.ADVICE:
            raise ValidationError({"rule": [_("Not a rule.")]})
        found = findings.found(
            self.actor, team=_team(self.actor, request.query_params.get("team", "")), rule=rule,
            advice="advice" not in request.query_params or flag(request, "advice"),
        )  # fmt: skip
        rows = [
            {
                "container": str(one.container.pk), "name": one.container.name, "engine": one.container.engine.name,
                "team": one.container.team.slug if one.container.team else None, "rule": one.rule,
                "title": one.title, "reasons": list(one.messages), "by": one.by, "excepted": one.excepted,
                "advice": one.advice,
            }
            for one in found.findings
        ]  # fmt: skip
        return Response({"results": rows, "counts": found.counts, "looked_at": found.looked_at})


class ExceptionRow(serializers.ModelSerializer):
    """What may break a rule until then; ``actor_name`` allowed it."""

    team = TeamSlug()

    class Meta:
        model = PolicyException
        fields: tuple[str, ...] = (
            "id", "team", "rule", "name", "reason", "expires_at", "created_at", "actor_name",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class NewException(Body):
    """``name`` of a container, volume, network or image; ``team`` left out: of what nobody owns."""

    team = Text(required=False, max_length=100)
    rule = Text(max_length=40)
    name = Text(max_length=255)
    reason = Text(max_length=500)
    expires_at = serializers.DateTimeField()


class ExceptionList(Listing):
    """Exceptions, those that have ended too. ``POST`` makes one."""

    permission = {"GET": "policy.read", "POST": "policy.except"}
    serializer_class = ExceptionRow

    def get_queryset(self) -> QuerySet[PolicyException]:
        return policies.visible_exceptions(self.actor)

    @extend_schema(request=NewException, responses={201: ExceptionRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewException)
        team = _team(self.actor, wish.pop("team", ""))
        return Response(ExceptionRow(policies.allow(team, actor=self.actor, **wish)).data, 201)


class ExceptionDetail(Versioned, View):
    """One of them; ``DELETE`` ends it now, and its line stays."""

    permission = {"GET": "policy.read", "DELETE": "policy.except"}

    @extend_schema(responses=ExceptionRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(ExceptionRow(self.object(policies.visible_exceptions(self.actor), pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        policies.end(self.object(policies.visible_exceptions(self.actor), pk), actor=self.actor)
        return Response(status=204)


def _team(actor: Actor, slug: str) -> Team | None:
    return get_object_or_404(teams_where(actor, Policy.read_permission), slug=slug) if slug else None


def _row(team: Team | None, told: Said) -> dict[str, Any]:
    row = told.team if team else told.site
    quota = {**(told.site.quota if told.site else {}), **(told.team.quota if told.team else {})}
    return {
        "team": team.slug if team else None,
        "rules": policies.shown(told.rails),
        "said": row.rules if row else {},
        "quota": quota,
        "binds_site": bool(told.site and told.site.binds_site),
        "changed_at": row.changed_at if row else None,
        "changed_by": row.changed_by if row else "",
    }
