"""REST of people, teams, tokens and the audit trail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit, tokens
from accounts.access import Actor, Denied, can, require
from accounts.api.base import PAGING, Listing, Nothing, Problem, View, body, flag
from accounts.api.rows import EntryRow, NewToken, NewTokenRow, TokenRow
from accounts.api.tables import table
from accounts.api.versions import Versioned
from accounts.filters import AuditFilter
from accounts.models import ApiToken, AuditEntry, User
from accounts.querysets import visible_entries, visible_teams


class TokenList(Listing):
    """One's own tokens; ``everyone=1``: those of all, for site administrators. A token cannot make tokens: that takes a
    signed-in person."""

    permission = "token.own"
    takes = frozenset({"everyone", "key"})
    confirmed = frozenset({"POST"})
    serializer_class = TokenRow
    ordering_fields = {name: name for name in ("name", "created_at", "expires_at", "last_used_at")}

    def get_queryset(self) -> QuerySet[ApiToken]:
        rows = _own(self.actor.user)
        if flag(self.request, "everyone"):
            require(self.actor, "user.read")
            rows = _reachable(self.actor)
        key = self.request.query_params.get("key", "")
        return rows.filter(key=key) if key else rows

    @extend_schema(
        parameters=[
            OpenApiParameter("everyone", OpenApiTypes.BOOL),
            OpenApiParameter("key", OpenApiTypes.STR, description="The 12 characters behind `slp_`."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=NewToken, responses={201: NewTokenRow})
    def post(self, request: Request) -> Response:
        if self.actor.token_key:
            raise Denied(_("A token cannot make tokens: sign in."), "token.own")
        wish = body(request, NewToken)
        team = None
        if wish.get("team"):
            team = visible_teams(self.actor).filter(slug=wish["team"]).first()
            if team is None:
                raise ValidationError({"team": [_("No such team.")]})
        lasts = wish["expires_at"] - timezone.now() if "expires_at" in wish else tokens.USUAL
        user = self.actor.user
        assert user is not None  # noqa: S101 - the permission has looked
        with transaction.atomic():
            made, secret = tokens.make(
                user, wish["name"], wish["scopes"], lasts=lasts, team=team,
                networks=wish.get("networks", ()), rate=wish.get("rate"),
            )  # fmt: skip
            audit.record(
                "token.create", self.actor, target_type="token", target_id=made.pk, target_name=made.name
            )
        shown = NewTokenRow(made, context={"request": request, "secret": secret}).data
        return Response(shown, 201, headers={"Location": f"/api/v1/tokens/{made.pk}/"})


class TokenDetail(Versioned, View):
    """One token. A token may end itself, and no other one unless it has the scope ``admin``; site administrators end
    those of others too."""

    measured = frozenset({"last_used_at", "last_used_ip"})
    permission = "token.own"

    @extend_schema(responses=TokenRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(_reachable(self.actor), pk)
        return Response(TokenRow(found, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        found: ApiToken = self.object(_reachable(self.actor), pk)
        actor = self.actor
        if actor.scopes is not None and "admin" not in actor.scopes and found.key != actor.token_key:
            raise Denied(_("This token lacks the scope “admin”."), "token.own", found.pk)
        with transaction.atomic():
            if tokens.revoke(found):
                audit.record(
                    "token.revoke", actor, target_type="token", target_id=found.pk, target_name=found.name
                )
        return Response(status=204)


class TokenRotate(View):
    """Gives a token of one's own a new secret, shown this once; the old one opens nothing from then on.

    A signed-in person gets it for as long again as it was made for. A token may rotate itself alone, and ends when it
    would have. What it has asked for already goes on.
    """

    permission = "token.own"
    confirmed = frozenset({"POST"})

    @extend_schema(request=Nothing, responses={200: NewTokenRow})
    def post(self, request: Request, pk: UUID) -> Response:
        found: ApiToken = self.object(_own(self.actor.user), pk)
        body(request, Nothing)
        if self.actor.token_key and self.actor.token_key != found.key:
            raise Denied(_("A token may rotate itself alone."), "token.own", found.pk)
        with transaction.atomic():
            secret = tokens.rotate(found, renewed=not self.actor.token_key)
            if secret is None:
                raise Problem(409, "conflict", _("It has ended, or has just been rotated."))
            audit.record(
                "token.rotate", self.actor, target_type="token", target_id=found.pk, target_name=found.name
            )
        return Response(NewTokenRow(found, context={"request": request, "secret": secret}).data)


class AuditList(Listing):
    """Who did what, newest first: one's own, one's team's for team admins, all of it for site administrators.

    ``format=csv`` answers with one table of at most 100,000 lines instead of pages (no ``limit``, ``cursor``,
    ``ordering``); that is in the trail too.
    """

    permission = "audit.read"
    takes = frozenset({"format"})
    serializer_class = EntryRow
    filterset_class = AuditFilter
    ordering_fields = {"at": "seq", "seq": "seq", "id": "id"}
    ordering = ("-seq",)

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return visible_entries(self.actor)

    @extend_schema(
        parameters=[OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "csv"])],
        responses={(200, "application/json"): EntryRow(many=True), (200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        kind = request.query_params.get("format", "json")
        if kind == "csv":
            if paged := sorted(PAGING & set(request.query_params)):
                raise ValidationError({name: [_("A table has no pages.")] for name in paged})
            entries = self.filter_queryset(self.get_queryset())
            wanted = {key: value for key, value in request.query_params.items() if value and key != "format"}
            audit.record("audit.export", self.actor, target_type="audit", detail=wanted)
            return table(entries)
        if kind != "json":
            raise ValidationError({"format": [_("json or csv is expected.")]})
        return super().get(request, *args, **kwargs)


def _own(user: User | None) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(user=user).select_related("team", "user")


def _reachable(actor: Actor) -> QuerySet[ApiToken]:
    """One's own, and everybody's for whoever may see people."""
    everyone = can(actor, "user.read")
    return ApiToken.objects.select_related("team", "user") if everyone else _own(actor.user)
