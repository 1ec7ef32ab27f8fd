"""REST of the variables and secrets of a team."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Listing, Row, TeamSlug, Text, View, body
from accounts.api.versions import Versioned
from accounts.querysets import visible_teams
from containers_app import team_values
from engine.docker_text import MASK
from operations import variables
from operations.variable import Variable


class VariableRow(Row):
    """``value`` is ``********`` for a secret. A wish names it as ``${{ NAME }}``."""

    address = "variables"
    team = TeamSlug()
    value = serializers.SerializerMethodField(method_name="shown")

    class Meta:
        model = Variable
        fields: tuple[str, ...] = (
            "id", "team", "name", "secret", "value", "note", "changed_at", "changed_by", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def shown(self, row: Variable) -> str:
        return MASK if row.secret else row.value


class VariableUser(serializers.Serializer):
    """A container that was given it; ``older``: not the value of today."""

    container = serializers.UUIDField()
    name = serializers.CharField()
    into = serializers.ListField(child=serializers.CharField())
    older = serializers.BooleanField()


class VariableDetailRow(VariableRow):
    """With the containers that were given it."""

    used_by = serializers.SerializerMethodField()

    class Meta(VariableRow.Meta):
        fields: tuple[str, ...] = (*VariableRow.Meta.fields, "used_by")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(VariableUser(many=True))
    def get_used_by(self, row: Variable) -> list[dict[str, Any]]:
        users = team_values.users(row, self.context["actor"])
        return [
            {"container": str(one.container.pk), "name": one.container.name, "into": list(one.into), "older": one.older}
            for one in users
        ]  # fmt: skip


class NewVariable(Body):
    """``secret`` left out: what its name suggests."""

    team = Text(max_length=100)
    name = Text(max_length=64)
    value = Text(max_length=variables.LONGEST, trim_whitespace=False, allow_blank=True)
    secret = Boolean(required=False)
    note = Text(required=False, max_length=200, allow_blank=True)


class VariableChange(Body):
    """What is left out stays; so does a secret for ``********``."""

    value = Text(required=False, max_length=variables.LONGEST, trim_whitespace=False, allow_blank=True)
    secret = Boolean(required=False)
    note = Text(required=False, max_length=200, allow_blank=True)


class VariableList(Listing):
    """Those of the reader's teams. ``POST`` keeps a new one."""

    permission = {"GET": "variable.read", "POST": "variable.manage"}
    serializer_class = VariableRow
    ordering_fields = {"name": "name", "changed_at": "changed_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Variable]:
        return variables.visible(self.actor)

    @extend_schema(request=NewVariable, responses={201: VariableRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewVariable)
        team = get_object_or_404(visible_teams(self.actor), slug=wish.pop("team"))
        row = variables.put(team, wish.pop("name"), actor=self.actor, **wish)
        return Response(VariableRow(row, context={"request": request}).data, 201)


class VariableDetail(Versioned, View):
    """One of them. ``PATCH`` changes it, ``DELETE`` forgets it: what was given it before keeps it."""

    http_method_names = ["get", "patch", "delete", "head"]
    permission = {"GET": "variable.read", "PATCH": "variable.manage", "DELETE": "variable.manage"}

    @extend_schema(responses=VariableDetailRow)
    def get(self, request: Request, pk: UUID) -> Response:
        return self._answer(request, self.object(variables.visible(self.actor), pk))

    @extend_schema(request=VariableChange, responses=VariableDetailRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        row = self.object(variables.visible(self.actor), pk)
        wish = body(request, VariableChange)
        return self._answer(request, variables.put(row.team, row.name, actor=self.actor, row=row, **wish))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        variables.remove(self.object(variables.visible(self.actor), pk), actor=self.actor)
        return Response(status=204)

    def _answer(self, request: Request, row: Variable) -> Response:
        return Response(VariableDetailRow(row, context={"request": request, "actor": self.actor}).data)
