"""REST of teams, who is in them, and people."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import members
from accounts.api.base import Body, Boolean, Listing, Nothing, Problem, Text, View, body
from accounts.api.permission_sets import ROLES, given
from accounts.api.rows import MemberRow, TeamRow, UserRow
from accounts.api.versions import Versioned
from accounts.filters import TeamFilter, UserFilter
from accounts.member_forms import SLUG
from accounts.models import Membership, Team, User
from accounts.querysets import visible_teams


class NewTeam(Body):
    """``slug``: the short name that scripts and filters use; it stays."""

    slug = Text(max_length=40, validators=[SLUG])
    name = Text(max_length=80)


class TeamChange(Body):
    """Another name."""

    name = Text(max_length=80)


class NewMember(Body):
    """Somebody by their user name. ``console`` and ``files`` are grants for operators. ``permission_set``, by its id,
    stands in place of a role."""

    username = Text(max_length=150)
    role = serializers.ChoiceField(ROLES, required=False)
    permission_set = serializers.UUIDField(required=False)
    console = Boolean(required=False)
    files = Boolean(required=False)


class MemberChange(Body):
    """What is left out stays; a role ends a permission set, and the other way round."""

    role = serializers.ChoiceField(ROLES, required=False)
    permission_set = serializers.UUIDField(required=False)
    console = Boolean(required=False)
    files = Boolean(required=False)


class UserChange(Body):
    """Who is not active cannot sign in, and their tokens open nothing."""

    is_active = Boolean()


class TeamList(Listing):
    """One's own teams; all of them for site administrators. ``POST`` makes one, with nobody in it."""

    permission = {"GET": "team.read", "POST": "team.manage"}
    serializer_class = TeamRow
    filterset_class = TeamFilter
    ordering_fields = {"name": "name", "created_at": "created_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Team]:
        return _with_members(visible_teams(self.actor))

    @extend_schema(request=NewTeam, responses={201: TeamRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewTeam)
        if Team.objects.filter(slug=wish["slug"]).exists():
            raise Problem(409, "name_in_use", _("There is a team of this short name."))
        team = members.save_team(Team(**wish), actor=self.actor)
        shown = TeamRow(team, context={"request": request}).data
        return Response(shown, 201, headers={"Location": f"/api/v1/teams/{team.pk}/"})


class TeamDetail(Versioned, View):
    """One team. ``PATCH`` gives it another name."""

    permission = {"GET": "team.read", "PATCH": "team.manage"}
    http_method_names = ["get", "patch", "head"]

    @extend_schema(responses=TeamRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(_with_members(visible_teams(self.actor)), pk)
        return Response(TeamRow(found, context={"request": request}).data)

    @extend_schema(request=TeamChange, responses=TeamRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        found: Team = self.object(_with_members(visible_teams(self.actor)), pk, "team.manage")
        found.name = body(request, TeamChange)["name"]
        members.save_team(found, actor=self.actor)
        return Response(TeamRow(found, context={"request": request}).data)


class MemberList(View):
    """Who is in a team, by name. ``POST`` puts somebody in, up to one's own role."""

    permission = {"GET": "team.read", "POST": members.PERMISSION}

    @extend_schema(responses=MemberRow(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        team = self.object(visible_teams(self.actor), pk)
        rows = team.memberships.select_related("user", "permission_set").order_by("user__username")
        return Response(MemberRow(rows, many=True, context={"request": request}).data)

    @extend_schema(request=NewMember, responses={201: MemberRow})
    def post(self, request: Request, pk: UUID) -> Response:
        team = self.object(visible_teams(self.actor), pk, members.PERMISSION)
        wish = body(request, NewMember)
        user = User.objects.filter(username=wish.pop("username"), is_active=True).first()
        if user is None:
            raise ValidationError({"username": [_("Nobody who may sign in is called so.")]})
        if team.memberships.filter(user=user).exists():
            raise Problem(409, "conflict", _("They are in the team already: change what they are there."))
        row = members.put(team, user, actor=self.actor, **given(wish, team))
        where = f"/api/v1/teams/{team.pk}/members/{user.pk}/"
        return Response(MemberRow(row, context={"request": request}).data, 201, headers={"Location": where})


class MemberDetail(Versioned, View):
    """One member, by the person's id. ``DELETE`` takes them out of the team. The last team admin stays (409)."""

    permission = {"GET": "team.read", "PATCH": members.PERMISSION, "DELETE": members.PERMISSION}
    http_method_names = ["get", "patch", "delete", "head"]

    def _member(self, pk: UUID, member: UUID, permission: str = "") -> Membership:
        team = self.object(visible_teams(self.actor), pk, permission)
        rows = {row.user_id: row for row in team.memberships.select_related("user", "team", "permission_set")}
        return rows[member] if member in rows else self.object(Membership.objects.none(), 0)

    @extend_schema(responses=MemberRow)
    def get(self, request: Request, pk: UUID, member: UUID) -> Response:
        return Response(MemberRow(self._member(pk, member), context={"request": request}).data)

    @extend_schema(request=MemberChange, responses=MemberRow)
    def patch(self, request: Request, pk: UUID, member: UUID) -> Response:
        found = self._member(pk, member, members.PERMISSION)
        wish = given(body(request, MemberChange), found.team)
        row = members.put(found.team, found.user, actor=self.actor, **wish)
        return Response(MemberRow(row, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID, member: UUID) -> Response:
        found = self._member(pk, member, members.PERMISSION)
        body(request, Nothing)
        members.take_out(found, actor=self.actor)
        return Response(status=204)


class UserList(Listing):
    """Everybody, for site administrators."""

    permission = "user.read"
    serializer_class = UserRow
    filterset_class = UserFilter
    ordering_fields = {"username": "username", "created_at": "date_joined", "last_login": "last_login"}
    ordering = ("username",)

    def get_queryset(self) -> QuerySet[User]:
        return _with_teams(User.objects.all())


class UserDetail(Versioned, View):
    """One person. ``PATCH {"is_active": false}`` ends all their sessions, sockets and consoles at once."""

    measured = frozenset({"last_login"})
    permission = {"GET": "user.read", "PATCH": "user.disable"}
    http_method_names = ["get", "patch", "head"]

    @extend_schema(responses=UserRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(_with_teams(User.objects.all()), pk)
        return Response(UserRow(found, context={"request": request}).data)

    @extend_schema(request=UserChange, responses=UserRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        found: User = self.object(_with_teams(User.objects.all()), pk)
        members.set_active(found, body(request, UserChange)["is_active"], actor=self.actor)
        return Response(UserRow(found, context={"request": request}).data)


def _with_members(teams: QuerySet[Team]) -> QuerySet[Team]:
    members = Membership.objects.select_related("user", "permission_set").order_by("user__username")
    return teams.prefetch_related(Prefetch("memberships", queryset=members))


def _with_teams(users: QuerySet[User]) -> QuerySet[User]:
    roles = Membership.objects.select_related("team", "permission_set").order_by("team__name")
    return users.prefetch_related(Prefetch("memberships", queryset=roles))
