"""REST of registries: naming them, whether they answer, and what is in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Listing, Nothing, Row, TeamSlug, Text, View, body, number
from accounts.api.versions import Versioned
from images_app import registries, remote_tags
from images_app.models import Registry
from operations import reads
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE
from operations.api.team import team_of

PAGE = OpenApiParameter("limit", int), OpenApiParameter("after", str)


class RegistryRow(Row):
    """A registry. Its password goes in, and never out; ``problem`` says why it does not work."""

    address = "registries"
    team = TeamSlug(source="owner")
    teams = serializers.SerializerMethodField()
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = Registry
        fields: tuple[str, ...] = (
            "id", "name", "host", "tls", "username", "has_password", "token_host", "team", "teams", "state", "problem",
            "checked_at", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.ListField(child=serializers.SlugField()))
    def get_teams(self, row: Registry) -> list[str]:
        return [team.slug for team in row.teams.all()]

    def get_has_password(self, row: Registry) -> bool:
        return bool(row.sealed)


class RegistryWish(Body):
    """``team`` keeps it, ``teams`` use it too. ``token_host``: the one other host that the password may go to."""

    name = Text(required=False, max_length=60)
    host = Text(required=False, max_length=200)
    tls = Boolean(required=False)
    username = Text(required=False, max_length=255, allow_blank=True)
    password = Text(required=False, max_length=8192, allow_blank=True, write_only=True, trim_whitespace=False)
    token_host = Text(required=False, max_length=200, allow_blank=True)
    teams = serializers.ListField(
        child=Text(max_length=100), required=False, max_length=registries.MOST_TEAMS
    )


class NewRegistry(RegistryWish):
    """With the team that keeps it: null is the site's."""

    team = Text(required=False, max_length=100, allow_null=True)


class RepositoryPage(serializers.Serializer):
    """Names of repositories; ``more``: ask again with ``?after=`` the last of them."""

    results = serializers.ListField(child=serializers.CharField())
    more = serializers.BooleanField()


class RemoteTag(serializers.Serializer):
    """A tag at the registry. ``size`` is what is fetched, null where it was not told."""

    tag = serializers.CharField()
    digest = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    created = serializers.CharField()
    platforms = serializers.ListField(child=serializers.CharField())


class RemoteTagPage(serializers.Serializer):
    """Tags by name; ``more``: ask again with ``?after=`` the last of them."""

    results = RemoteTag(many=True)
    more = serializers.BooleanField()


class RegistryList(Listing):
    """Registries that one's teams keep or use. ``POST`` names one, and checks it."""

    permission = {"GET": "registry.read", "POST": "registry.manage"}
    serializer_class = RegistryRow
    ordering_fields = {"created_at": "created_at", "name": "name"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Registry]:
        return registries.visible(self.actor)

    @extend_schema(request=NewRegistry, responses={201: RegistryRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewRegistry)
        owner = team_of(self.actor, wish)
        wish.pop("team", None)
        row = registries.add(wish, actor=self.actor, owner=owner)
        row = registries.look(row, actor=self.actor)
        return Response(RegistryRow(row, context={"request": request}).data, 201)


class RegistryDetail(Versioned, View):
    """One registry. ``PATCH`` changes what it says, and checks it; ``DELETE`` forgets it with its password."""

    measured = frozenset({"checked_at"})
    permission = {"GET": "registry.read", "PATCH": "registry.manage", "DELETE": "registry.manage"}
    http_method_names = ["get", "patch", "delete", "head"]

    @extend_schema(responses=RegistryRow)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(registries.visible(self.actor), pk)
        return Response(RegistryRow(row, context={"request": request}).data)

    @extend_schema(request=RegistryWish, responses=RegistryRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        row: Registry = self.object(registries.visible(self.actor), pk)
        row = registries.change(row, body(request, RegistryWish), actor=self.actor)
        if row.state == Registry.State.UNCHECKED:
            row = registries.look(row, actor=self.actor)
        return Response(RegistryRow(row, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        registries.drop(self.object(registries.visible(self.actor), pk), actor=self.actor)
        return Response(status=204)


class RegistryCheck(View):
    """Has a worker look now whether it answers and takes the credentials."""

    permission = "image.pull"

    @extend_schema(request=Nothing, responses=RegistryRow)
    def post(self, request: Request, pk: UUID) -> Response:
        row = self.object(registries.visible(self.actor), pk)
        body(request, Nothing)
        row = registries.look(row, actor=self.actor)
        return Response(RegistryRow(row, context={"request": request}).data)


class _Remote(View):
    """What a registry says, asked now: ``?limit=`` at most 100, ``?after=`` a name."""

    permission = "registry.read"

    def ask(self, pk: UUID, kind: str, usual: int, **more: str) -> dict[str, Any]:
        row = self.object(registries.visible(self.actor), pk)
        most = number(self.request, "limit", usual, least=1, most=100)
        params = {"most": most, "after": self.request.query_params.get("after", "")[:255], **more}
        return reads.read(kind, row, actor=self.actor, params=params, deadline=registries.LOOK)


class Repositories(_Remote):
    """Repositories of the registry by name; 409 where it does not list them."""

    takes = frozenset({"limit", "after"})

    @extend_schema(responses=RepositoryPage, parameters=[*PAGE])
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.ask(pk, "registry.repositories", 100)
        return Response({"results": found["names"], "more": found["more"]})


class RemoteTags(_Remote, Previews):
    """Tags of ``?repository=`` with digest, size, age and platforms. ``DELETE ?tag=`` removes one there, with all that
    point at the same; with ``?digest=`` only as long as it points there.
    """

    permission = {"GET": "registry.read", "DELETE": "registry.untag"}  # type: ignore[assignment]
    writes_take = frozenset({"repository", "tag", "digest"})
    takes = frozenset({"limit", "after", "repository", "order"})

    @extend_schema(
        responses=RemoteTagPage,
        parameters=[*(OpenApiParameter(name, str) for name in ("repository", "order")), *PAGE],
    )
    def get(self, request: Request, pk: UUID) -> Response:
        repository = request.query_params.get("repository", "")
        if not repository:
            raise ValidationError({"repository": [gettext("The name of a repository is expected.")]})
        order = request.query_params.get("order", "name")
        if order not in ("name", "version", "age"):
            raise ValidationError({"order": [gettext("name, version or age is expected.")]})
        found = self.ask(pk, "registry.tags", 25, repository=repository[:255], order=order)
        return Response({"results": found["tags"], "more": found["more"]})

    @extend_schema(
        responses=ACCEPTED,
        parameters=[*(OpenApiParameter(name, str) for name in ("repository", "tag", "digest")), *CHANGE],
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        row = self.object(registries.visible(self.actor), pk)
        body(request, Nothing)
        asked = {name: request.query_params.get(name, "")[:255] for name in ("repository", "tag", "digest")}
        operation = remote_tags.request_untag(
            row, asked["repository"], asked["tag"], digest=asked["digest"], actor=self.actor,
            idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return accepted(request, operation)
