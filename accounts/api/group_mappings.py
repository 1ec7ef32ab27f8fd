"""REST of what groups of single sign-on give."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import group_mappings
from accounts.api.base import Body, Boolean, Nothing, Row, TeamSlug, Text, View, body
from accounts.api.permission_sets import ROLES, given
from accounts.api.versions import Versioned
from accounts.models import GroupMapping, Role, Team


class GroupMappingRow(Row):
    """Who is in ``group`` at the provider has that role or permission set in ``team``; with ``team`` null they
    administer the site. ``when_gone``: what becomes of it once the group is gone."""

    address = "group-mappings"
    team = TeamSlug()
    role = serializers.SerializerMethodField()
    permission_set = serializers.SerializerMethodField()
    members = serializers.SerializerMethodField()

    class Meta:
        model = GroupMapping
        fields: tuple[str, ...] = (
            "id", "group", "team", "role", "permission_set", "console", "files", "when_gone", "members", "created_at",
            "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def get_role(self, row: GroupMapping) -> str | None:
        """Null for site administrators, ``custom`` with a permission set."""
        return row.role or None

    def get_permission_set(self, row: GroupMapping) -> UUID | None:
        return row.permission_set_id

    def get_members(self, row: GroupMapping) -> list[str]:
        """Whom it has given this, by user name."""
        return [user.username for user in group_mappings.holders(row)]


class GroupName(Text):
    """A group as the provider writes it, letter by letter."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=group_mappings.LONGEST, trim_whitespace=False, **options)


class GroupMappingChange(Body):
    """What is left out stays; the group and the team do in any case."""

    role = serializers.ChoiceField(ROLES, required=False)
    permission_set = serializers.UUIDField(required=False)
    console = Boolean(required=False)
    files = Boolean(required=False)
    when_gone = serializers.ChoiceField(GroupMapping.Gone.choices, required=False)


class NewGroupMapping(GroupMappingChange):
    """``team``: its slug; ``null`` makes site administrators of the group. ``permission_set``, by its id, stands in
    place of a role."""

    group = GroupName()
    team = Text(max_length=40, allow_null=True)


class GroupMappingList(View):
    """What groups give, for site administrators. ``POST`` adds to it, by a session alone."""

    permission = {"GET": group_mappings.READ, "POST": group_mappings.PERMISSION}

    @extend_schema(responses=GroupMappingRow(many=True))
    def get(self, request: Request) -> Response:
        rows = group_mappings.all_rows()
        return Response(GroupMappingRow(rows, many=True, context={"request": request}).data)

    @extend_schema(request=NewGroupMapping, responses={201: GroupMappingRow})
    def post(self, request: Request) -> Response:
        group_mappings.require_change(self.actor)
        wish = body(request, NewGroupMapping)
        slug, team = wish.pop("team"), None
        if slug is not None:
            team = Team.objects.filter(slug=slug).first()
            if team is None:
                raise ValidationError({"team": [_("There is no such team.")]})
            if not {"role", "permission_set"} & set(wish):
                raise ValidationError({"role": [_("A role or a permission set is expected.")]})
        row = GroupMapping(group=wish.pop("group"), team=team)
        row = group_mappings.save(row, actor=self.actor, **_given(wish, team))
        shown = GroupMappingRow(row, context={"request": request}).data
        return Response(shown, 201, headers={"Location": f"/api/v1/group-mappings/{row.pk}/"})


class GroupMappingDetail(Versioned, View):
    """One of them. A change, and ``DELETE``, count at once for whom it has given something."""

    measured = frozenset({"members"})
    permission = {
        "GET": group_mappings.READ, "PATCH": group_mappings.PERMISSION, "DELETE": group_mappings.PERMISSION,
    }  # fmt: skip
    http_method_names = ["get", "patch", "delete", "head"]

    @extend_schema(responses=GroupMappingRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = get_object_or_404(group_mappings.all_rows(), pk=pk)
        return Response(GroupMappingRow(found, context={"request": request}).data)

    @extend_schema(request=GroupMappingChange, responses=GroupMappingRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        group_mappings.require_change(self.actor)
        found = get_object_or_404(group_mappings.all_rows(), pk=pk)
        wish = _given(body(request, GroupMappingChange), found.team)
        changed = group_mappings.save(found, actor=self.actor, **wish)
        return Response(GroupMappingRow(changed, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        group_mappings.require_change(self.actor)
        found = get_object_or_404(group_mappings.all_rows(), pk=pk)
        body(request, Nothing)
        group_mappings.remove(found, actor=self.actor)
        return Response(status=204)


def _given(wish: dict[str, Any], team: Team | None) -> dict[str, Any]:
    found = given(wish, team)
    return {**found, "role": Role(found["role"])} if "role" in found else found
