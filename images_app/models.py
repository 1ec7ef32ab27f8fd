"""Images, the tags that name them, their layers, what scanners found in them, and the builds that made them.

Rows are a projection of the engine (written by `images_app.sync` alone) plus what the engine forgets:
the team that owns an image, and what a tag used to point at.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from operations.models import Engine, Operation, TrashItem


class ImagesOutOfTrash(models.Manager["Image"]):
    """Images without those that were removed and can still be taken back."""

    def get_queryset(self) -> models.QuerySet[Image]:
        return super().get_queryset().filter(trashed_at=None)


class TagsOutOfTrash(models.Manager["Tag"]):
    """Tags without those that only hold an image in the trash."""

    def get_queryset(self) -> models.QuerySet[Tag]:
        return super().get_queryset().exclude(repository=TrashItem.NAMES)


class Image(models.Model):
    """A read-only blueprint on one engine. ``native_id`` is the engine's ``sha256:…``; ``size`` is in bytes.

    ``unique_size``: bytes of layers that no other image on the engine holds, told from layers whenever one comes or
    goes; ``None`` before that.

    ``config`` holds what a container inherits (command, entrypoint, environment with secrets masked, ports,
    volumes, user, working directory, healthcheck). ``stack`` is the digests of its layers, lowest first. ``objects``
    leaves out what is in the trash, ``everything`` does not.
    """

    read_permission: ClassVar[str] = "image.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="images")
    native_id = models.CharField(max_length=80)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="images")
    name = models.CharField(max_length=255, blank=True)
    digests = models.JSONField(default=list)
    size = models.BigIntegerField(default=0)
    unique_size = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)
    parent_id = models.CharField(max_length=80, blank=True)
    architecture = models.CharField(max_length=20, blank=True)
    os = models.CharField(max_length=40, blank=True)
    author = models.CharField(max_length=255, blank=True)
    labels = models.JSONField(default=dict)
    config = models.JSONField(default=dict)
    stack = models.JSONField(default=list)
    fingerprint = models.CharField(max_length=64, blank=True)
    trashed_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = ImagesOutOfTrash()
    everything: models.Manager[Image] = models.Manager()

    class Meta:
        ordering: ClassVar = ["name", "native_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "native_id"], name="one_image_per_engine"),
        ]

    def __str__(self) -> str:
        return self.name or self.short_id

    @property
    def shared_size(self) -> int | None:
        """Bytes of layers that other images hold too: what its removal does not free."""
        return None if self.unique_size is None else max(0, self.size - self.unique_size)

    @property
    def short_id(self) -> str:
        """The first 12 digits of the digest, as the command line shows them."""
        return self.native_id.removeprefix("sha256:")[:12]


class Tag(models.Model):
    """A name that points at an image now: ``repository:tag``. It moves; `TagMove` keeps where it was."""

    read_permission: ClassVar[str] = "image.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="tags")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=255)
    repository = models.CharField(max_length=255, db_index=True)
    tag = models.CharField(max_length=128)
    created_at = models.DateTimeField(default=timezone.now)

    objects = TagsOutOfTrash()
    everything: models.Manager[Tag] = models.Manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "name"], name="one_tag_per_engine"),
        ]

    def __str__(self) -> str:
        return self.name


class TagMove(models.Model):
    """One movement of a tag. ``to_native_id`` empty: the tag was taken away. ``operation`` empty: from outside.

    The digests are what the registry of that name knew the two images by, empty where it did not: by them an image that
    is gone can be pulled again.
    """

    read_permission: ClassVar[str] = "image.read"

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="tag_moves")
    name = models.CharField(max_length=255, db_index=True)
    from_native_id = models.CharField(max_length=80, blank=True)
    to_native_id = models.CharField(max_length=80, blank=True)
    from_digest = models.CharField(max_length=80, blank=True)
    to_digest = models.CharField(max_length=80, blank=True)
    at = models.DateTimeField(default=timezone.now)
    operation = models.ForeignKey(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} → {self.to_native_id[:19] or 'nothing'}"


class Layer(models.Model):
    """One line of an image's history, oldest first; ``digest`` is empty where the step added no files."""

    id = models.BigAutoField(primary_key=True)
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="layers")
    index = models.PositiveIntegerField()
    digest = models.CharField(max_length=80, blank=True, db_index=True)
    command = models.TextField(blank=True)
    size = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(null=True, blank=True)
    empty = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["image", "index"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["image", "index"], name="one_layer_per_index"),
        ]

    def __str__(self) -> str:
        return f"{self.index}: {self.command[:60]}"


class LayerIndex(models.Model):
    """The files of one layer, read once for all images that have it: known by the digest of its bytes. ``size`` is of
    all its files, in bytes.

    The rows are in `LayerPiece`, by folder and name; ``starts`` is the folder and name that each piece begins with.
    ``databases``: what its package databases name, see `engine.layers.LayerFiles`. ``cut``: it has more entries than
    are kept. ``problem``: it could not be read, and why.
    """

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=80, unique=True)
    size = models.BigIntegerField(default=0)
    entries = models.PositiveIntegerField(default=0)
    starts = models.JSONField(default=list)
    databases = models.JSONField(default=dict)
    cut = models.BooleanField(default=False)
    problem = models.CharField(max_length=200, blank=True)
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "layer indexes"

    def __str__(self) -> str:
        return self.digest.removeprefix("sha256:")[:12]


class LayerPiece(models.Model):
    """Some rows of a layer's index, compressed; see `images_app.layer_index`."""

    id = models.BigAutoField(primary_key=True)
    index = models.ForeignKey(LayerIndex, on_delete=models.CASCADE, related_name="pieces")
    n = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["index", "n"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["index", "n"], name="one_piece_per_number")]

    def __str__(self) -> str:
        return f"{self.index_id}: {self.n}"


class LayerStack(models.Model):
    """What a layer does to those below it: the same for all images that begin with these layers in this order.

    ``chain`` is the digest of the digests up to this layer. ``added``, ``changed`` and ``removed`` count entries;
    ``hidden`` is bytes of files below that it changes or removes: nobody sees them, and every copy of the image has
    them. ``verdict`` says it for each row of the layer, ``wasters`` for the largest; see `images_app.layer_stack`.
    """

    id = models.BigAutoField(primary_key=True)
    chain = models.CharField(max_length=64, unique=True)
    index = models.ForeignKey(LayerIndex, on_delete=models.CASCADE, related_name="stacks")
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    hidden = models.BigIntegerField(default=0)
    wasters = models.JSONField(default=list)
    verdict = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.chain[:12]


class Scan(models.Model):
    """What a scanner found in an image, known by the ``digest`` that engines know it by: one for all its tags, and for
    all engines that have it.

    ``team`` brought it, for its own images; nobody: the worker's own scanner or a site administrator did, for all. With
    the team it goes. ``counts`` and ``fixable`` are numbers by severity, ``data`` the findings, see `images_app.scans`.
    ``report`` is the SHA-256 of what was sent.
    """

    read_permission: ClassVar[str] = "image.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=80)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="scans")
    scanner = models.CharField(max_length=60)
    version = models.CharField(max_length=60, blank=True)
    database_at = models.DateTimeField(null=True, blank=True)
    scanned_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    counts = models.JSONField(default=dict)
    fixable = models.JSONField(default=dict)
    data = models.BinaryField()
    report = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=150, blank=True)
    by_worker = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["-scanned_at", "-received_at"]
        indexes: ClassVar = [models.Index(fields=["digest", "-scanned_at"], name="scans_of_an_image")]

    def __str__(self) -> str:
        return f"{self.scanner}, {self.digest.removeprefix('sha256:')[:12]}"

    @property
    def total(self) -> int:
        """How many weaknesses it lists."""
        return sum(self.counts.values())


class Registry(models.Model):
    """A registry, and whose account it is asked with. ``sealed`` holds the password: it goes in, and never out.

    ``owner`` keeps it (nobody: the site), ``teams`` use it too. ``host`` is what references begin with; ``token_host``
    is the one other host that credentials may go to. ``state`` is what the latest look said, in words in ``problem``.
    """

    read_permission: ClassVar[str] = "registry.read"

    class State(models.TextChoices):
        UNCHECKED = "unchecked", _("Not checked yet")
        OK = "ok", _("Answers")
        FAILED = "failed", _("Does not work")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60, unique=True)
    host = models.CharField(max_length=200, db_index=True)
    tls = models.BooleanField(default=True)
    username = models.CharField(max_length=255, blank=True)
    sealed = models.TextField(blank=True)
    token_host = models.CharField(max_length=200, blank=True)
    owner = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="registries_owned"
    )
    teams = models.ManyToManyField(Team, blank=True, related_name="registries")
    state = models.CharField(max_length=10, choices=State, default=State.UNCHECKED)
    problem = models.CharField(max_length=500, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name_plural = "registries"

    def __str__(self) -> str:
        return self.name


class TagCheck(models.Model):
    """What the registry of a tag has under its name: ``digest``, as of ``checked_at``, or why that is not known.

    ``newer``: that is another image than the engine's, and not the one that was ``skipped``; ``never``: nobody is to
    ask. Goes by the tag's name, so that it holds for one that is taken away and comes back.
    """

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="tag_checks")
    name = models.CharField(max_length=255)
    digest = models.CharField(max_length=80, blank=True)
    newer = models.BooleanField(default=False)
    problem = models.CharField(max_length=500, blank=True)
    skipped = models.CharField(max_length=80, blank=True)
    never = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "name"], name="one_check_per_tag"),
        ]

    def __str__(self) -> str:
        return self.name


class Build(models.Model):
    """A build: its Dockerfile, where its context lies, its steps with seconds and cache hits.

    ``context_path`` is relative to the state directory; after the build only some files stay, see `images_app.kept`.
    ``steps`` is a list of ``{n, instruction, stage, line, started_at, seconds, cached, state}``. ``builder`` is the one
    that was taken, with the reason; ``error_line`` the line of the Dockerfile that it failed at.

    ``source`` is what went into it: ``kind`` (editor, archive, folder, git), its ``name``, what `spool.Context` tells
    about it, and for git ``url``, ``ref``, ``dir`` and the ``commit`` that was taken.
    """

    read_permission: ClassVar[str] = "image.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="builds")
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="builds")
    operation = models.OneToOneField(
        Operation, on_delete=models.CASCADE, null=True, blank=True, related_name="build"
    )
    image = models.ForeignKey(Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="builds")
    tags = models.JSONField(default=list)
    dockerfile = models.TextField(blank=True)
    dockerfile_path = models.CharField(max_length=255, default="Dockerfile")
    context_path = models.CharField(max_length=255, blank=True)
    context_size = models.BigIntegerField(default=0)
    build_args = models.JSONField(default=dict)
    target = models.CharField(max_length=80, blank=True)
    labels = models.JSONField(default=dict)
    no_cache = models.BooleanField(default=False)
    pull = models.BooleanField(default=False)
    steps = models.JSONField(default=list)
    source = models.JSONField(default=dict)
    builder = models.CharField(max_length=10, blank=True)
    builder_why = models.CharField(max_length=200, blank=True)
    error_line = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return ", ".join(self.tags) or str(self.id)

    @property
    def from_cache(self) -> int:
        """How many of its steps came from the cache."""
        return sum(bool(step.get("cached")) for step in self.steps)
