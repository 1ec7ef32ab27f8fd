"""REST of images, tags and builds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponseBase
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor
from accounts.api.base import Listing, Nothing, Problem, View, body, flag
from accounts.api.bodies import StrictJSONParser
from accounts.api.versions import Versioned
from accounts.querysets import visible_to
from images_app import newer, operations, registries, tag_history
from images_app.api.rows import (
    BuildFullRow,
    BuildRow,
    BuildWish,
    ImageFullRow,
    ImageRow,
    LayerRow,
    MoveRow,
    NewTag,
    Pull,
    Push,
    TagRow,
)
from images_app.api.wishes import build_wish
from images_app.filters import BuildFilter, ImageFilter, TagFilter
from images_app.models import Build, Image, Layer, Registry, Tag, TagMove
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, AFTER, CHANGE, FOREVER, LINES, option
from operations.api.team import team_of
from operations.api.views import log_of

MOVES = 200


def visible_images(actor: Actor) -> QuerySet[Image]:
    """With counts of layers, and of those containers that the actor may see, in the same query."""
    layers = Layer.objects.filter(image=OuterRef("pk"), empty=False).order_by().values("image")
    containers = visible_to(actor, Image._meta.get_field("containers").related_model._default_manager.all())
    made = containers.filter(image=OuterRef("pk")).order_by().values("image")
    rows = visible_to(actor, Image.objects.select_related("team")).prefetch_related("tags")
    return rows.annotate(
        layer_count=Coalesce(Subquery(layers.annotate(n=Count("pk")).values("n")), 0),
        container_count=Coalesce(Subquery(made.annotate(n=Count("pk")).values("n")), 0),
        newer=newer.of_images(),
    )


def visible_tags(actor: Actor) -> QuerySet[Tag]:
    """A tag belongs to whoever owns the image."""
    rows = Tag.objects.select_related("image__team").annotate(newer=newer.of_tags())
    return visible_to(actor, rows, "image__team")


def visible_builds(actor: Actor) -> QuerySet[Build]:
    """With the operation that carries each out."""
    return visible_to(actor, Build.objects.select_related("team", "operation"))


class ImageList(Listing):
    """Images."""

    permission = "image.read"
    serializer_class = ImageRow
    filterset_class = ImageFilter
    ordering_fields = {
        "name": "name", "size": "size", "unique_size": "unique_size", "created_at": "created_at",
    }  # fmt: skip
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Image]:
        return visible_images(self.actor).defer("config")


class ImageDetail(Versioned, Previews):
    """One image. ``DELETE`` removes it with its tags: ``?force=1`` also where stopped containers use it."""

    permission = {"GET": "image.read", "DELETE": "image.remove"}
    writes_take = frozenset({"force", "forever"})

    @extend_schema(responses=ImageFullRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        return Response(ImageFullRow(found, context={"request": request}).data)

    @extend_schema(responses=ACCEPTED, parameters=[option("force"), FOREVER, *CHANGE])
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        body(request, Nothing)
        operation = operations.request_remove(
            found,
            actor=self.actor,
            force=flag(request, "force"),
            forever=flag(request, "forever"),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


class ImagePull(Previews):
    """Fetches an image from its registry, with progress by layer."""

    permission = "image.pull"

    @extend_schema(request=Pull, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish = body(request, Pull)
        operation = operations.request_pull(
            wish["reference"],
            actor=self.actor,
            engine=engine_of(wish),
            team=team_of(self.actor, wish),
            registry=registry_of(self, wish),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


class ImagePush(Previews):
    """Sends an image to a registry under a name of its own there, with progress by layer."""

    permission = "image.push"

    @extend_schema(request=Push, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        wish = body(request, Push)
        operation = operations.request_push(
            found,
            wish["reference"],
            actor=self.actor,
            registry=registry_of(self, wish),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


def registry_of(view: View, wish: dict[str, Any]) -> Registry | None:
    """The one that a wish names; one that the caller may not know of does not exist."""
    if not wish.get("registry"):
        return None
    found: Registry = view.object(registries.visible(view.actor), wish["registry"])
    return found


class ImageBuild(Previews):
    """Builds an image from a Dockerfile, an uploaded context, or both."""

    permission = "image.build"
    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(request=BuildWish, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request) -> Response:
        wish, context = build_wish(request)
        engine, team = engine_of(wish), team_of(self.actor, wish)
        chosen = {key: value for key, value in wish.items() if key not in ("engine", "team", "tags")}
        operation = operations.request_build(
            actor=self.actor,
            engine=engine,
            team=team,
            tags=wish.get("tags", []),
            context=context,
            origin={"kind": "archive", "name": str(context.name)} if context else None,
            idempotency_key=idempotency_key(request),
            **chosen,
        )
        return accepted(request, operation)


class ImageTag(Previews):
    """Lets one more name point at this image."""

    permission = "image.tag"

    @extend_schema(request=NewTag, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        wish = body(request, NewTag)
        operation = operations.request_tag(
            found, _reference(wish), actor=self.actor, idempotency_key=idempotency_key(request)
        )
        return accepted(request, operation)


class ImageHistory(View):
    """Every line of the image's history, oldest first, also those that added no files."""

    permission = "image.read"

    @extend_schema(responses=LayerRow(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_images(self.actor), pk)
        return Response(LayerRow(found.layers.order_by("index"), many=True).data)


class TagList(Listing):
    """Names that point at images."""

    permission = "image.read"
    serializer_class = TagRow
    filterset_class = TagFilter
    ordering_fields = {"name": "name", "created_at": "created_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Tag]:
        return visible_tags(self.actor)


class TagDetail(Versioned, Previews):
    """One tag. ``DELETE`` takes the name away; the image stays while anything else names or uses it."""

    permission = {"GET": "image.read", "DELETE": "image.untag"}
    writes_take = frozenset({"forever"})

    @extend_schema(responses=TagRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_tags(self.actor), pk)
        return Response(TagRow(found, context={"request": request}).data)

    @extend_schema(responses=ACCEPTED, parameters=[FOREVER, *CHANGE])
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_tags(self.actor), pk)
        body(request, Nothing)
        operation = operations.request_untag(
            found,
            actor=self.actor,
            forever=flag(request, "forever"),
            idempotency_key=idempotency_key(request),
        )
        return accepted(request, operation)


class TagHistory(View):
    """Where the tag pointed, newest first, the latest 200 movements."""

    permission = "image.read"

    @extend_schema(responses=MoveRow(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_tags(self.actor), pk)
        moves = list(
            TagMove.objects.filter(engine_id=found.engine_id, name=found.name).order_by("-id")[:MOVES]
        )
        shown = [_shown(move) for move in tag_history.told(found.engine_id, moves, self.actor)]
        return Response(MoveRow(shown, many=True).data)


def _shown(told: tag_history.Move) -> TagMove:
    """A name may have pointed at somebody else's image before: that one does not exist for this caller."""
    move: Any = told.move
    for side in ("from", "to"):
        native_id = getattr(move, f"{side}_native_id")
        if not native_id or native_id in told.foreign:
            setattr(move, f"{side}_native_id", None)
            setattr(move, f"{side}_digest", "")
    move.from_state = told.fate if told.fate in tag_history.FATES else None
    move.can_roll_back = told.tag is not None
    return move


class BuildList(Listing):
    """Builds, newest first."""

    permission = "image.read"
    serializer_class = BuildRow
    filterset_class = BuildFilter

    def get_queryset(self) -> QuerySet[Build]:
        return visible_builds(self.actor).defer("dockerfile", "steps", "build_args")


class BuildDetail(Versioned, View):
    """One build."""

    permission = "image.read"

    @extend_schema(responses=BuildFullRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_builds(self.actor), pk)
        return Response(BuildFullRow(found, context={"request": request}).data)


class BuildAgain(Previews):
    """The same build again, with the files that it was given; 409 where they or its secrets were not kept."""

    permission = "image.build"

    @extend_schema(request=Nothing, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        found: Build = self.object(visible_builds(self.actor), pk)
        body(request, Nothing)
        if found.operation is None:
            raise Problem(409, "conflict", gettext("Nobody knows how it was asked for."))
        return accepted(request, operations.rebuild(found.operation, self.actor))


class BuildLog(View):
    """The output of a build, as of its operation."""

    permission = "image.read"
    takes = frozenset({"after"})

    @extend_schema(parameters=[AFTER], responses=LINES)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        found: Build = self.object(visible_builds(self.actor), pk)
        if found.operation is None:
            return Response([], content_type="text/plain")
        return log_of(request, found.operation)


def _reference(wish: dict[str, str]) -> str:
    if "reference" in wish and not {"repository", "tag"} & set(wish):
        return wish["reference"]
    if "repository" in wish and "reference" not in wish:
        return f"{wish['repository']}:{wish.get('tag') or 'latest'}"
    raise ValidationError({"reference": [gettext('A reference such as "team/app:2.1" is expected.')]})
