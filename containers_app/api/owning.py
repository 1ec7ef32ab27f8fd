"""REST of giving things to a team."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Text, View, body
from accounts.models import Team
from accounts.querysets import visible_teams
from containers_app import owning
from containers_app.api.views import visible_containers


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
