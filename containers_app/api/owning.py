"""REST of giving things to a team."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Problem, Text, View, body, flag
from accounts.api.rows import TeamRow
from accounts.api.teams import TeamChange, TeamDetail
from accounts.models import Team
from accounts.querysets import visible_teams
from containers_app import owning, team_removal
from containers_app.api.views import visible_containers
from operations.api.previews import PlanAnswer


class Move(Body):
    """``team``: a team's slug, or null for nobody. ``along``: with the named volumes, networks and the image that no
    other container of its team uses."""

    team = Text(allow_null=True, max_length=40)
    along = Boolean(required=False)


class Item(Body):
    """One thing."""

    type = serializers.ChoiceField(list(owning.KINDS))
    id = serializers.UUIDField()


class Moves(Body):
    """Several things for one team."""

    team = Text(allow_null=True, max_length=40)
    items = serializers.ListField(child=Item(), allow_empty=False, max_length=owning.MOST)


class Moved(serializers.Serializer):
    """What came of one: ``status`` 200, 404 or 409; the latter two with an ``error``."""

    type = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField()
    status = serializers.IntegerField()
    error = serializers.DictField(required=False)


class Results(serializers.Serializer):
    """One for each."""

    results = Moved(many=True)


class ContainerMove(View):
    """Gives a container to another team, or to nobody: all of it, with what goes along, or nothing.

    Who may no longer see it loses its pages, sockets and consoles within seconds. What happened before stays with the
    team that it happened in.
    """

    permission = owning.PERMISSION

    @extend_schema(request=Move, responses=Results)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_containers(request).prefetch_related("mounts__volume"), pk)
        wish = body(request, Move)
        with_it = owning.along([found])[found.pk] if wish.get("along") else []
        done = owning.move(found, _team(self, wish["team"]), actor=self.actor, with_it=with_it)
        return Response({"results": [_told(one) for one in done]})


class MoveList(View):
    """Gives several things to a team, or to nobody, one by one: 200 where all went well, else 207."""

    permission = owning.PERMISSION

    @extend_schema(request=Moves, responses=dict.fromkeys((200, 207), Results))
    def post(self, request: Request) -> Response:
        wish = body(request, Moves)
        items = [(item["type"], item["id"]) for item in wish["items"]]
        results = [_told(one) for one in owning.assign(items, _team(self, wish["team"]), actor=self.actor)]
        return Response({"results": results}, 200 if all(one["status"] == 200 for one in results) else 207)


class TeamEnd(Body):
    """``team``: the slug of the team that gets what the deleted one has, null for nobody; needed where it has any."""

    team = Text(allow_null=True, required=False, max_length=40)


class TeamPlace(TeamDetail):
    """One team. ``PATCH`` gives it another name. ``DELETE`` deletes it, with its members, tokens, rules and registries;
    what it has goes to the ``team`` that the body names, or (null) to nobody. Nothing changes on an engine."""

    permission = {**TeamDetail.permission, "DELETE": team_removal.PERMISSION}
    http_method_names = ["get", "patch", "delete", "head"]
    previews = True

    @extend_schema(request=TeamChange, responses=TeamRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        if flag(request, "dry_run"):
            raise Problem(400, "not_supported", "There is no plan for this; nothing was done.")
        return super().patch(request, pk)

    @extend_schema(request=TeamEnd, responses={204: None, 200: PlanAnswer})
    def delete(self, request: Request, pk: UUID) -> Response:
        found: Team = self.object(visible_teams(self.actor), pk, team_removal.PERMISSION)
        wish = body(request, TeamEnd)
        to = _team(self, wish.get("team"))
        if flag(request, "dry_run"):
            return Response(team_removal.plan_of(found).to_dict())
        team_removal.remove(found, actor=self.actor, said="team" in wish, to=to)
        return Response(status=204)


def _team(view: View, slug: str | None) -> Team | None:
    if slug is None:
        return None
    team = visible_teams(view.actor).filter(slug=slug).first()
    if team is None:
        raise ValidationError({"team": ["No such team."]})
    return team


def _told(one: owning.Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"type": one.kind, "id": one.id, "name": one.name, "status": one.status}
    return found if one.status == 200 else {**found, "error": {"code": one.code, "message": one.message}}
