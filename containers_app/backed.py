"""Rows of backups: where they are kept, when they are made, and each of them. `containers_app.models` has them all."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from accounts.models import Team
from containers_app import schedules
from operations.models import Engine, Operation
from operations.retold import inside

MOST_LISTED = 50_000
"""Entries of a backup that are listed; one that holds more is restored whole."""


class BackupStore(models.Model):
    """A bucket of an S3-compatible store. ``sealed`` holds the secret key: it goes in, and never out to people.

    A backup without a store lies in the folder of this machine (``SLIPWAY_BACKUP_DIR``).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60, unique=True)
    endpoint = models.CharField(max_length=255)
    region = models.CharField(max_length=60, default="us-east-1")
    bucket = models.CharField(max_length=63)
    prefix = models.CharField(max_length=200, blank=True)
    access_key = models.CharField(max_length=128)
    sealed = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class BackupSchedule(models.Model):
    """When a volume is backed up by itself, and how many backups made so are kept. ``hour`` is UTC.

    Goes by the volume's name, so that it holds for one that was removed and taken back.
    """

    read_permission: ClassVar[str] = "volume.read"

    Every = schedules.Every

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="backup_schedules")
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="backup_schedules"
    )
    volume_name = models.CharField(max_length=255)
    store = models.ForeignKey(
        BackupStore, on_delete=models.PROTECT, null=True, blank=True, related_name="schedules"
    )
    every = models.CharField(max_length=4, choices=schedules.Every, default=schedules.Every.DAY)
    hour = models.PositiveSmallIntegerField(default=3, validators=[MaxValueValidator(23)])
    keep = models.PositiveSmallIntegerField(
        default=7, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    next_at = models.DateTimeField(db_index=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["volume_name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "volume_name"], name="one_schedule_a_volume"),
        ]

    def __str__(self) -> str:
        return f"{self.volume_name}, {inside(self.get_every_display())}"


class VolumeBackup(models.Model):
    """What was in a volume at a time. ``key`` is its place in the store, ``digest`` the SHA-256 of the file there.

    ``size`` is the file's, ``held`` that of the files in it, in bytes; ``index`` the packed list of ``entries``.
    """

    read_permission: ClassVar[str] = "volume.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="backups")
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="backups")
    volume_name = models.CharField(max_length=255, db_index=True)
    store = models.ForeignKey(
        BackupStore, on_delete=models.PROTECT, null=True, blank=True, related_name="backups"
    )
    operation = models.OneToOneField(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="backup"
    )
    key = models.CharField(max_length=600)
    digest = models.CharField(max_length=64)
    size = models.BigIntegerField()
    held = models.BigIntegerField()
    entries = models.PositiveIntegerField()
    index = models.BinaryField(default=bytes)
    scheduled = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.volume_name}, {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def listed(self) -> list[dict[str, Any]]:
        """``{name, kind, size, mtime}`` of each entry, in the order of the archive."""
        if not self.index:
            return []
        rows = json.loads(zlib.decompress(bytes(self.index)))
        return [dict(zip(("name", "kind", "size", "mtime"), row, strict=True)) for row in rows]


def packed(entries: Sequence[tuple[str, str, int, int]]) -> bytes:
    """The first `MOST_LISTED` entries, for ``index``."""
    text = json.dumps([list(entry) for entry in entries[:MOST_LISTED]], separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"))
