"""People, teams, tokens and the audit trail as REST shows them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from accounts.api.base import Body, Integer, Row, TeamSlug, Text
from accounts.models import ApiToken, AuditEntry, Membership, Role, Team, User
from accounts.permissions import SCOPES

_member = inline_serializer(
    "Member",
    {
        "username": serializers.CharField(),
        "role": serializers.ChoiceField(Role.choices),
        "permission_set": serializers.CharField(allow_null=True),
    },
    many=True,
)
_role = inline_serializer(
    "TeamRole",
    {
        "team": serializers.SlugField(),
        "role": serializers.ChoiceField(Role.choices),
        "permission_set": serializers.CharField(allow_null=True),
    },
    many=True,
)
_set = inline_serializer(
    "MemberPermissionSet", {"id": serializers.UUIDField(), "name": serializers.CharField()}, allow_null=True
)


class TeamRow(Row):
    """People who own things together."""

    address = "teams"
    members = serializers.SerializerMethodField()

    class Meta:
        model = Team
        fields: tuple[str, ...] = ("id", "slug", "name", "created_at", "members", "url")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_member)
    def get_members(self, row: Team) -> list[dict[str, Any]]:
        return [{"username": m.user.username, **_what(m)} for m in row.memberships.all()]


class MemberRow(serializers.ModelSerializer):
    """What somebody is in a team. ``role`` is ``custom`` where a permission set says what they may. ``since`` is null
    where nobody knows. ``group``: of single sign-on, whose mapping gave it and alone changes it."""

    id = serializers.UUIDField(source="user_id", read_only=True)
    username = serializers.CharField(source="user.username", read_only=True)
    name = serializers.CharField(source="user.display_name", read_only=True)
    permission_set = serializers.SerializerMethodField()
    group = serializers.CharField(source="mapping.group", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Membership
        fields: tuple[str, ...] = (
            "id", "username", "name", "role", "permission_set", "console", "files", "since", "group",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_set)
    def get_permission_set(self, row: Membership) -> dict[str, str] | None:
        found = row.permission_set
        return {"id": str(found.pk), "name": found.name} if found else None


class UserRow(Row):
    """A person."""

    address = "users"
    name = serializers.CharField(source="display_name", read_only=True)
    created_at = serializers.DateTimeField(source="date_joined", read_only=True)
    email = serializers.CharField(read_only=True)
    is_site_admin = serializers.BooleanField(source="is_superuser", read_only=True)
    teams = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: tuple[str, ...] = (
            "id", "username", "name", "email", "is_active", "is_site_admin", "teams", "last_login", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_role)
    def get_teams(self, row: User) -> list[dict[str, Any]]:
        return [{"team": m.team.slug, **_what(m)} for m in row.memberships.all()]


class TokenRow(Row):
    """A token without its secret. ``networks``: where it opens from; ``rate``: requests a minute, or null."""

    address = "tokens"
    user = serializers.CharField(source="user.username", read_only=True)
    networks = serializers.ListField(child=serializers.CharField(), read_only=True)
    team = TeamSlug()
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES), read_only=True)

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id", "name", "key", "user", "scopes", "team", "networks", "rate", "created_at", "expires_at",
            "last_used_at", "last_used_ip", "revoked_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class NewTokenRow(TokenRow):
    """A token that was just made: ``token`` is shown this once and never again."""

    token = serializers.SerializerMethodField()

    class Meta(TokenRow.Meta):
        fields: tuple[str, ...] = (*TokenRow.Meta.fields, "token")
        read_only_fields: tuple[str, ...] = fields

    def get_token(self, row: ApiToken) -> str:
        return str(self.context["secret"])


class NewToken(Body):
    """What a token is to be. Without ``expires_at`` it lasts 30 days; without ``networks`` it opens from everywhere."""

    name = Text(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES), allow_empty=False)
    expires_at = serializers.DateTimeField(required=False)
    team = Text(required=False, allow_null=True)
    networks = serializers.ListField(child=Text(max_length=60), required=False, max_length=20)
    rate = Integer(required=False, allow_null=True, min_value=1, max_value=100_000)


def _what(row: Membership) -> dict[str, Any]:
    """The role, and the name of the permission set that stands in place of one."""
    return {"role": row.role, "permission_set": row.permission_set.name if row.permission_set else None}


class EntryRow(serializers.ModelSerializer):
    """One line of the audit trail."""

    actor = serializers.CharField(source="actor_name", read_only=True)
    team = serializers.SerializerMethodField()
    target = serializers.SerializerMethodField()
    operation = serializers.UUIDField(source="operation_id", read_only=True, allow_null=True)
    detail = serializers.DictField(read_only=True)

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = (
            "id",
            "seq",
            "at",
            "actor",
            "verb",
            "outcome",
            "target",
            "team",
            "operation",
            "source",
            "ip",
            "detail",
            "hash",
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(
        inline_serializer(
            "AuditTarget",
            {"type": serializers.CharField(), "id": serializers.CharField(), "name": serializers.CharField()},
        )
    )
    def get_target(self, row: AuditEntry) -> dict[str, Any]:
        return {"type": row.target_type, "id": row.target_id, "name": row.target_name}

    def get_team(self, row: AuditEntry) -> str | None:
        """As it was called then; null for nobody's."""
        return row.team_slug or None
