"""REST of permission sets: of a team, and those for all teams."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import members, permission_sets
from accounts.api.base import Body, Row, TeamSlug, Text, View, body
from accounts.api.links import absolute
from accounts.api.versions import Versioned
from accounts.models import PermissionSet, Role, Team
from accounts.permissions import FOR_TEAMS
from accounts.querysets import team_ids, visible_teams

ROLES = [choice for choice in Role.choices if choice[0] != Role.CUSTOM]


class PermissionSetRow(Row):
    """A role of one's own making. ``team`` null: every team can give it. ``members``: who of those whom the reader
    sees has it."""

    permissions = serializers.ListField(child=serializers.CharField(), read_only=True)
    team = TeamSlug()
    members = serializers.SerializerMethodField()

    class Meta:
        model = PermissionSet
        fields: tuple[str, ...] = ("id", "name", "team", "permissions", "members", "created_at", "url")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_members(self, row: PermissionSet) -> list[str]:
        seen = self.context["teams"]
        return sorted(m.user.username for m in row.memberships.all() if m.team_id in seen)

    def get_url(self, row: Any) -> str:
        return absolute(self.context["request"], address(row))


class NewPermissionSet(Body):
    """``permissions``: names as a refusal's ``rule`` has them; what it takes to use them is added."""

    name = Text(max_length=60)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(sorted(FOR_TEAMS)), max_length=len(FOR_TEAMS)
    )


class PermissionSetChange(Body):
    """What is left out stays."""

    name = Text(max_length=60, required=False)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(sorted(FOR_TEAMS)), max_length=len(FOR_TEAMS), required=False
    )


class Replacement(Body):
    """What those who have it are to have instead; needed where anybody has it."""

    role = serializers.ChoiceField(ROLES, required=False)
    permission_set = serializers.UUIDField(required=False)


class PermissionSets(View):
    """What the addresses below a team and those for all have in common."""

    def of(self, pk: UUID | None, permission: str = "") -> Team | None:
        return self.object(visible_teams(self.actor), pk, permission) if pk else None

    def shown(self, rows: Any, *, many: bool = False, team: Team | None) -> Any:
        seen = {team.pk} if team else set(team_ids(self.actor))
        return PermissionSetRow(rows, many=many, context={"request": self.request, "teams": seen}).data


class PermissionSetList(PermissionSets):
    """Those that a team can give: its own, and those for all teams. ``POST`` makes one, up to one's own rights."""

    permission = {"GET": "team.read", "POST": members.PERMISSION}

    @extend_schema(responses=PermissionSetRow(many=True))
    def get(self, request: Request, pk: UUID | None = None) -> Response:
        team = self.of(pk)
        return Response(self.shown(permission_sets.of_team(team), many=True, team=team))

    @extend_schema(request=NewPermissionSet, responses={201: PermissionSetRow})
    def post(self, request: Request, pk: UUID | None = None) -> Response:
        team = self.of(pk, members.PERMISSION)
        row = permission_sets.save(
            PermissionSet(team=team), actor=self.actor, **body(request, NewPermissionSet)
        )
        return Response(self.shown(row, team=team), 201, headers={"Location": address(row)})


class PermissionSetDetail(Versioned, PermissionSets):
    """One set. A change counts at once for who has it. ``DELETE`` of one that is in use says who has it (409
    ``in_use``, ``holders``) until its body names the ``role`` or ``permission_set`` that they get instead."""

    permission = {"GET": "team.read", "PATCH": members.PERMISSION, "DELETE": members.PERMISSION}
    http_method_names = ["get", "patch", "delete", "head"]

    def _row(self, team: Team | None, pk: UUID) -> PermissionSet:
        found: PermissionSet = self.object(PermissionSet.objects.filter(team=team).select_related("team"), pk)
        return found

    @extend_schema(responses=PermissionSetRow)
    def get(self, request: Request, row: UUID, pk: UUID | None = None) -> Response:
        team = self.of(pk)
        return Response(self.shown(self._row(team, row), team=team))

    @extend_schema(request=PermissionSetChange, responses=PermissionSetRow)
    def patch(self, request: Request, row: UUID, pk: UUID | None = None) -> Response:
        team = self.of(pk, members.PERMISSION)
        found = self._row(team, row)
        changed = permission_sets.save(found, actor=self.actor, **body(request, PermissionSetChange))
        return Response(self.shown(changed, team=team))

    @extend_schema(request=Replacement, responses={204: None})
    def delete(self, request: Request, row: UUID, pk: UUID | None = None) -> Response:
        team = self.of(pk, members.PERMISSION)
        found = self._row(team, row)
        permission_sets.remove(found, actor=self.actor, **given(body(request, Replacement), team))
        return Response(status=204)


class SiteSetList(PermissionSetList):
    """Permission sets that every team can give; made by site administrators."""

    permission = {"GET": "team.read", "POST": permission_sets.SITE_PERMISSION}


class SiteSetDetail(PermissionSetDetail):
    """One of those that every team can give; see that of a team."""

    permission = {
        "GET": "team.read", "PATCH": permission_sets.SITE_PERMISSION, "DELETE": permission_sets.SITE_PERMISSION,
    }  # fmt: skip


def given(wish: dict[str, Any], team: Team | None) -> dict[str, Any]:
    """The body's ``role`` or ``permission_set`` as `accounts.members.put` takes them. Raises `ValidationError`."""
    if "role" in wish and "permission_set" in wish:
        raise ValidationError({"permission_set": ["A role or a permission set, not both."]})
    if "permission_set" not in wish:
        return wish
    found = permission_sets.of_team(team).filter(pk=wish["permission_set"]).first()
    if found is None:
        raise ValidationError({"permission_set": ["There is no such permission set in this team."]})
    return {**wish, "permission_set": found}


def address(row: PermissionSet) -> str:
    """Below its team, or on its own."""
    return f"/api/v1/{f'teams/{row.team_id}/' if row.team_id else ''}permission-sets/{row.pk}/"
