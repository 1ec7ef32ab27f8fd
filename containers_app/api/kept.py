"""REST of the log history."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django_filters as filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Listing, Problem, TeamSlug, Text, View, body, flag, number
from accounts.api.versions import Versioned
from accounts.filters import OwnerFilter
from accounts.querysets import visible_teams, visible_to
from containers_app import keep_rules, log_search
from containers_app.api.logs import moment
from containers_app.log_search import BadPattern, Hit, Wish
from containers_app.models import Container, KeptLog, LogGap, LogRule
from operations.refused import SEARCH, spend

STREAMS = {1: "stdout", 2: "stderr"}
_TIMES = [
    OpenApiParameter("since", OpenApiTypes.STR, description="RFC 3339, seconds since 1970, or ago: `10m`."),
    OpenApiParameter("until", OpenApiTypes.STR, description="As `since`."),
]
_SEARCH = [
    OpenApiParameter("q", OpenApiTypes.STR, description="What is looked for; without it, every line."),
    OpenApiParameter("regex", OpenApiTypes.BOOL, description="`q` is a regular expression (RE2)."),
    OpenApiParameter("cased", OpenApiTypes.BOOL, description="Upper and lower case differ."),
    OpenApiParameter("log", OpenApiTypes.UUID, description="This kept log alone."),
    OpenApiParameter("container", OpenApiTypes.STR, description="Logs of containers of this name."),
    OpenApiParameter("team", OpenApiTypes.STR, description="Logs of this team, by slug."),
    *_TIMES,
    OpenApiParameter("limit", OpenApiTypes.INT, description="At most so many lines, 200 where not given."),
    OpenApiParameter("before", OpenApiTypes.STR, description="`next` of the answer before: go on there."),
]


class KeptLogRow(serializers.ModelSerializer):
    """What is kept of one container's log. ``first_ns`` and ``last_ns`` as text: nanoseconds since 1970.

    ``size`` in bytes on disk. ``open``: there may be more to come.
    """

    first_ns = serializers.CharField(read_only=True)
    last_ns = serializers.CharField(read_only=True)
    engine_id = serializers.CharField(source="native_id", read_only=True)
    team = TeamSlug()

    class Meta:
        model = KeptLog
        fields: tuple[str, ...] = (
            "id", "engine", "engine_id", "name", "image_ref", "team", "first_ns", "last_ns", "lines", "size",
            "open", "created_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class KeptLogFilter(filters.FilterSet):
    """The filters of ``/log-history/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = OwnerFilter()
    name = filters.CharFilter(help_text="The whole name.")
    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = KeptLog
        fields: tuple[str, ...] = ()


class KeptLogList(Listing):
    """Kept logs, also of containers that are gone."""

    permission = "container.logs"
    serializer_class = KeptLogRow
    filterset_class = KeptLogFilter
    ordering_fields = {"last_ns": "last_ns", "name": "name", "size": "size", "created_at": "created_at"}
    ordering = ("-last_ns",)

    def get_queryset(self) -> QuerySet[KeptLog]:
        return keep_rules.logs(self.actor)


def _line_fields(**options: Any) -> dict[str, Any]:
    return {
        "log": serializers.UUIDField(**options), "container": serializers.CharField(**options),
        "ts_ns": serializers.CharField(**options), "line": serializers.CharField(**options),
        "stream": serializers.ChoiceField(["stdout", "stderr"], **options),
    }  # fmt: skip


def _gap_fields(**options: Any) -> dict[str, Any]:
    return {
        "gap": serializers.IntegerField(allow_null=True, **options), "cause": serializers.CharField(**options),
        "from_ns": serializers.CharField(**options), "to_ns": serializers.CharField(**options),
    }  # fmt: skip


class LogSearch(View):
    """Lines of all kept logs that hold a text or match a pattern, newest first.

    Bounded in time and number: while ``next`` is not null there is more, from ``reached_ns`` on back.
    """

    permission = "container.logs"
    takes = frozenset(parameter.name for parameter in _SEARCH)

    @extend_schema(
        parameters=_SEARCH,
        responses=inline_serializer("LogSearchAnswer", {
            "lines": inline_serializer("FoundLine", _line_fields(), many=True),
            "next": serializers.CharField(allow_null=True),
            "reached_ns": serializers.CharField(allow_null=True),
        }),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        logs, asked = keep_rules.logs(self.actor), request.query_params
        if log := asked.get("log"):
            logs = logs.filter(pk=_uuid("log", log))
        if name := asked.get("container"):
            logs = logs.filter(name=name[:255])
        if team := asked.get("team"):
            logs = logs.filter(team__slug=team[:100])
        wish = Wish(
            asked.get("q", ""), flag(request, "regex"), flag(request, "cased"), moment(request, "since"),
            moment(request, "until"), asked.get("before", ""), number(request, "limit", 200, least=1, most=500),
        )  # fmt: skip
        spend(SEARCH, self.actor)
        try:
            found = log_search.search(logs, wish)
        except BadPattern as error:
            raise Problem(400, "invalid", str(error)) from None
        return Response({
            "lines": [_line(hit) for hit in found.hits],
            "next": found.more or None,
            "reached_ns": str(found.reached_ns) if found.more else None,
        })  # fmt: skip


class KeptLogLines(View):
    """The lines of one kept log around a moment (``at_ns``, or its end), oldest first, with gaps among them."""

    permission = "container.logs"
    takes = frozenset({"at_ns", "before", "after"})

    @extend_schema(
        parameters=[
            OpenApiParameter("at_ns", OpenApiTypes.STR, description="Nanoseconds since 1970."),
            OpenApiParameter("before", OpenApiTypes.INT, description="Lines before it, 100."),
            OpenApiParameter("after", OpenApiTypes.INT, description="Lines from it on, 100."),
        ],
        responses=inline_serializer("KeptLines", {
            "lines": inline_serializer(
                "KeptLine", _line_fields(required=False) | _gap_fields(required=False), many=True
            ),
            "older": serializers.BooleanField(), "newer": serializers.BooleanField(),
        }),
    )  # fmt: skip
    def get(self, request: Request, pk: UUID) -> Response:
        log = self.object(keep_rules.logs(self.actor), pk, "container.logs")
        at_ns = number(request, "at_ns", log.last_ns + 1, most=2**63 - 1)
        found = log_search.around(
            log, at_ns, before=number(request, "before", 100, most=1000),
            after=number(request, "after", 100, most=1000),
        )  # fmt: skip
        rows = [_gap(row) if isinstance(row, LogGap) else _line(row) for row in found.rows]
        return Response({"lines": rows, "older": found.older, "newer": found.newer})


class LogRuleRow(serializers.ModelSerializer):
    """What is kept: the log of a container by its name, or (``engine`` null) all logs of a team."""

    team = TeamSlug()

    class Meta:
        model = LogRule
        fields: tuple[str, ...] = ("id", "team", "engine", "name", "created_at")
        read_only_fields: tuple[str, ...] = fields


class NewLogRule(Body):
    """Either a container's id, or a team's slug."""

    container = serializers.UUIDField(required=False)
    team = Text(required=False, max_length=100)


class LogRuleList(Listing):
    """What is kept. ``POST`` switches it on for a container or a team; where it is on already, that is the answer."""

    permission = {"GET": "container.logs", "POST": "logs.keep"}
    serializer_class = LogRuleRow
    ordering_fields = {"created_at": "created_at", "name": "name"}
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[LogRule]:
        return keep_rules.rules(self.actor)

    @extend_schema(request=NewLogRule, responses={201: LogRuleRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewLogRule)
        if len(wish) != 1:
            raise ValidationError({"": [_("Either container or team is expected.")]})
        if "team" in wish:
            what: Any = get_object_or_404(visible_teams(self.actor), slug=wish["team"])
        else:
            rows = visible_to(self.actor, Container.objects.select_related("engine", "team"))
            what = self.object(rows, wish["container"])
        rule = keep_rules.switch(what, on=True, actor=self.actor)
        return Response(LogRuleRow(rule).data, 201)


class LogRuleDetail(Versioned, View):
    """One of them. ``DELETE`` switches it off; what is kept stays until its time is over."""

    permission = {"GET": "container.logs", "DELETE": "logs.keep"}

    @extend_schema(responses=LogRuleRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(LogRuleRow(self.object(keep_rules.rules(self.actor), pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        keep_rules.remove(self.object(keep_rules.rules(self.actor), pk), actor=self.actor)
        return Response(status=204)


def _line(hit: Hit) -> dict[str, Any]:
    return {
        "log": str(hit.log.pk), "container": hit.log.name, "ts_ns": str(hit.ts_ns),
        "stream": STREAMS.get(hit.stream, "stdout"), "line": hit.text,
    }  # fmt: skip


def _gap(gap: LogGap) -> dict[str, Any]:
    return {"gap": gap.lines, "cause": gap.cause, "from_ns": str(gap.from_ns), "to_ns": str(gap.to_ns)}


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValidationError({name: [_("The id of a kept log is expected.")]}) from None
