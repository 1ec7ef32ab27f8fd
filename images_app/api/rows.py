"""Images, tags and builds as REST shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from accounts.api.base import Body, Boolean, Row, TeamSlug, Text
from images_app import dockerfile
from images_app.models import Build, Image, Layer, Tag, TagMove
from images_app.tag_history import FATES


class ImageRow(Row):
    """A read-only blueprint. ``layers`` and ``containers`` are counts; the latter of those the caller may see.

    ``unique_size`` are the bytes that no other image on the engine holds, ``shared_size`` those that others hold too;
    null until they are counted. ``newer``: the registry of one of its tags has another image.
    """

    address = "images"
    engine_id = serializers.CharField(source="native_id", read_only=True)
    team = TeamSlug()
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    tags = serializers.SerializerMethodField()
    digests = serializers.ListField(child=serializers.CharField(), read_only=True)
    layers = serializers.IntegerField(source="layer_count", read_only=True)
    containers = serializers.IntegerField(source="container_count", read_only=True)
    parent = serializers.CharField(source="parent_id", read_only=True)  # type: ignore[assignment] # a field here
    shared_size = serializers.IntegerField(read_only=True, allow_null=True)
    newer = serializers.BooleanField(read_only=True)

    class Meta:
        model = Image
        fields: tuple[str, ...] = (
            "id", "engine", "engine_id", "name", "labels", "team", "created_at", "url", "tags", "digests", "size",
            "unique_size", "shared_size", "newer", "layers", "containers", "parent", "architecture", "os", "author",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_tags(self, row: Image) -> list[str]:
        return [tag.name for tag in row.tags.all()]


class ImageFullRow(ImageRow):
    """One image with what its containers inherit; values that look secret are masked."""

    config = serializers.DictField(read_only=True)

    class Meta(ImageRow.Meta):
        fields: tuple[str, ...] = (*ImageRow.Meta.fields, "config")
        read_only_fields: tuple[str, ...] = fields


class LayerRow(serializers.ModelSerializer):
    """One line of an image's history, oldest first. Size in bytes."""

    class Meta:
        model = Layer
        fields: tuple[str, ...] = ("index", "digest", "command", "size", "created_at", "empty")
        read_only_fields: tuple[str, ...] = fields


class TagRow(Row):
    """A name that points at an image now. ``newer``: its registry has another image under it."""

    address = "tags"
    image_engine_id = serializers.CharField(source="image.native_id", read_only=True)
    team = TeamSlug(source="image.team")
    newer = serializers.BooleanField(read_only=True)

    class Meta:
        model = Tag
        fields: tuple[str, ...] = (
            "id", "engine", "name", "repository", "tag", "image", "image_engine_id", "team", "created_at",
            "newer", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class MoveRow(serializers.ModelSerializer):
    """One movement of a tag. Ids are null where there was or is nothing, or nothing that the caller may know of.

    ``operation`` is null for what was done outside Slipway. ``from_state`` is what has become of the image before:
    ``here``, in the ``trash``, known to the ``registry`` by ``from_digest``, or ``gone``; ``can_roll_back``: the tag
    can point at it again.
    """

    from_engine_id = serializers.CharField(source="from_native_id", read_only=True, allow_null=True)
    to_engine_id = serializers.CharField(source="to_native_id", read_only=True, allow_null=True)
    from_state = serializers.ChoiceField(choices=FATES, read_only=True, allow_null=True)
    can_roll_back = serializers.BooleanField(read_only=True)

    class Meta:
        model = TagMove
        fields: tuple[str, ...] = (
            "at", "name", "from_engine_id", "to_engine_id", "from_digest", "to_digest", "operation", "from_state",
            "can_roll_back",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class BuildRow(Row):
    """A build, its steps with seconds and cache hits, and the operation that carries it out."""

    address = "builds"
    name = serializers.CharField(source="__str__", read_only=True)
    team = TeamSlug()
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)
    state = serializers.CharField(source="operation.state", default=None, read_only=True, allow_null=True)
    error = serializers.SerializerMethodField()
    actor = serializers.CharField(
        source="operation.actor_name", default=None, read_only=True, allow_null=True
    )
    started_at = serializers.DateTimeField(
        source="operation.started_at", default=None, read_only=True, allow_null=True
    )
    finished_at = serializers.DateTimeField(
        source="operation.finished_at", default=None, read_only=True, allow_null=True
    )
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Build
        fields: tuple[str, ...] = (
            "id", "engine", "name", "labels", "team", "created_at", "url", "operation", "state", "error", "actor",
            "started_at", "finished_at", "image", "tags", "target", "no_cache", "pull", "context_size",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(
        inline_serializer(
            "BuildError",
            {"code": serializers.CharField(), "message": serializers.CharField()},
            allow_null=True,
        )
    )
    def get_error(self, row: Build) -> dict[str, str] | None:
        operation = row.operation
        if operation is None or not operation.error_code:
            return None
        return {"code": operation.error_code, "message": operation.error_message}


class BuildFullRow(BuildRow):
    """One build with its Dockerfile and its steps, each ``{n, instruction, stage, line, started_at, seconds, cached,
    state}``.

    ``builder`` is buildkit or classic once it has begun, ``builder_why`` says why; ``error_line`` is the line of the
    Dockerfile that it failed at. ``source`` is what went in: ``{kind, name, files, bytes, parts, left_out, ignores}``
    with ``parts`` as the largest ``[name, bytes]`` at the top, and of a repository ``url, ref, dir, commit``.
    """

    build_args = serializers.DictField(child=serializers.CharField(), read_only=True)
    source = serializers.DictField(read_only=True)  # type: ignore[assignment] # a field's own word
    steps = serializers.ListField(child=serializers.DictField(), read_only=True)
    hints = serializers.SerializerMethodField()

    class Meta(BuildRow.Meta):
        fields: tuple[str, ...] = (
            *BuildRow.Meta.fields,
            "dockerfile",
            "dockerfile_path",
            "source",
            "build_args",
            "builder",
            "builder_why",
            "error_line",
            "hints",
            "steps",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_hints(self, row: Build) -> list[dict[str, Any]]:
        """What the Dockerfile and its context are told: ``{line, level, text, fix}``, ``level`` bad, warn or low."""
        return [asdict(hint) for hint in dockerfile.hints(row.dockerfile, source=row.source)]


class Pull(Body):
    """What to pull, such as ``nginx:1.27``."""

    reference = Text(max_length=255)
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)
    registry = serializers.UUIDField(required=False, allow_null=True)


class Push(Body):
    """The name at the registry, such as ``registry.example/team/app:1``; with ``registry`` without its host."""

    reference = Text(max_length=255)
    registry = serializers.UUIDField(required=False, allow_null=True)


class NewTag(Body):
    """The name that is to point at the image: ``reference``, or ``repository`` and ``tag``."""

    reference = Text(required=False, max_length=255)
    repository = Text(required=False, max_length=255)
    tag = Text(required=False, max_length=128)


class GitSource(Body):
    """A repository: ``url`` by https, perhaps with ``#ref:folder``. ``password`` (a token) goes in, and never out."""

    url = Text(max_length=700)
    ref = Text(required=False, max_length=200, allow_blank=True)
    dir = Text(required=False, max_length=500, allow_blank=True)
    username = Text(required=False, max_length=200, allow_blank=True)
    password = Text(required=False, max_length=1000, allow_blank=True, write_only=True)


class BuildWish(Body):
    """A build: a Dockerfile's text, a context as a tar (plain or compressed) or a zip, or both."""

    dockerfile = serializers.CharField(required=False, max_length=262144, trim_whitespace=False)
    git = GitSource(required=False)
    dockerfile_path = Text(required=False, max_length=255)
    tags = serializers.ListField(child=Text(max_length=255), required=False, max_length=32)
    build_args = serializers.DictField(required=False)
    labels = serializers.DictField(required=False)
    target = Text(required=False, max_length=128, allow_blank=True)
    no_cache = Boolean(required=False)
    pull = Boolean(required=False)
    builder = serializers.ChoiceField(["auto", "buildkit", "classic"], required=False)
    secrets = serializers.DictField(required=False, write_only=True)
    then = serializers.DictField(required=False, write_only=True)
    engine = serializers.UUIDField(required=False, allow_null=True)
    team = Text(required=False, allow_null=True)
