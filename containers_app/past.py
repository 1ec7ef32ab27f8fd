"""Rows of what the engine forgets: what happened, and how each run of a container ended.

They outlive the containers they tell of, so that ``container`` may point at a row that is gone.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from operations.models import Engine, Operation


def container_key(related_name: str) -> Any:
    """The container of a row that outlives it."""
    return models.ForeignKey(
        "containers.Container",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name=related_name,
    )


class EngineEvent(models.Model):
    """Something that an engine said has happened; ``type`` slipway is our own word on times when nobody listened.

    ``time_ns`` and ``at`` are by the engine's clock, ``heard_at`` is by ours. ``object_id`` is the row of an image, a
    volume or a network. ``origin`` tells who caused it where that is known: ``operation``, the engine by itself, or
    somebody ``outside`` of Slipway. ``detail`` is one of a few words of ours, never an engine's text. ``team`` is who
    owned it then; of a container that is still there, its owner of today counts (`containers_app.timeline`).
    """

    read_permission: ClassVar[str] = "container.read"

    class Origin(models.TextChoices):
        UNKNOWN = "", _("Not known")
        OPERATION = "operation", _("An operation")
        ENGINE = "engine", _("The engine")
        OUTSIDE = "outside", _("From outside")

    OWN: ClassVar = "slipway"

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="happened")
    type = models.CharField(max_length=12)
    action = models.CharField(max_length=20)
    native_id = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, blank=True)
    container = container_key("happened")
    object_id = models.UUIDField(null=True, blank=True)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    time_ns = models.BigIntegerField()
    at = models.DateTimeField()
    heard_at = models.DateTimeField(default=timezone.now)
    exit_code = models.IntegerField(null=True, blank=True)
    signal = models.IntegerField(null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    blind_since = models.DateTimeField(null=True, blank=True)
    origin = models.CharField(max_length=10, choices=Origin, blank=True, default=Origin.UNKNOWN)
    operation = models.ForeignKey(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="happened"
    )

    class Meta:
        ordering: ClassVar = ["-time_ns", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["engine", "time_ns", "type", "action", "native_id"], name="one_event_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["container", "time_ns"], name="event_by_container"),
            models.Index(fields=["container", "at"], name="event_in_timeline"),
            models.Index(fields=["time_ns"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.action} {self.name or self.native_id[:12]}"


class Incident(models.Model):
    """How a run of a container ended, or a time in which its checks failed. Several alike in a row are one.

    ``first_at`` and ``last_at`` are by the engine's clock: the ends of the first and of the last run of ``count``. Of
    checks they are when failing was first said and when it was over (``open`` until then). ``fault``: nobody asked for
    it and it was no success, so a person should look. ``asked`` is who asked. The rest is of the last run:
    ``started_at``, ``oom`` (the kernel ended it for want of memory, or a child of it where ``kind`` is oom),
    ``lines`` (``[time_ns as text, stream, text]``; ``lines_state`` why there are none), ``changed`` since it last ran
    well (``[{path, kind, old, new}]``, null where nothing is known), which was until ``good_at``. ``figures`` are CPU
    and memory of the ten minutes before (`containers_app.forensics`; null until they were read).
    """

    read_permission: ClassVar[str] = "container.read"

    class Kind(models.TextChoices):
        EXIT = "exit", _("Ended")
        HEALTH = "health", _("Unhealthy")
        OOM = "oom", _("Out of memory")

    class Asked(models.TextChoices):
        OPERATION = "operation", _("An operation")
        OUTSIDE = "outside", _("Somebody outside of Slipway")
        ITSELF = "itself", _("Nobody")
        UNKNOWN = "unknown", _("Not known")

    class Lines(models.TextChoices):
        WAITING = "", _("Being read")
        KEPT = "kept", _("Kept")
        GONE = "gone", _("Gone with the container")
        UNREADABLE = "unreadable", _("Not readable")
        LEFT = "left", _("Not kept any more")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="incidents")
    container = container_key("incidents")
    native_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.EXIT)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    count = models.PositiveIntegerField(default=1)
    open = models.BooleanField(default=False)
    fault = models.BooleanField(default=False)
    exit_code = models.IntegerField(null=True, blank=True)
    oom = models.BooleanField(default=False)
    error = models.CharField(max_length=500, blank=True)
    asked = models.CharField(max_length=10, choices=Asked, default=Asked.UNKNOWN)
    operation = models.ForeignKey(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="incidents"
    )
    actor_name = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    restart_count = models.PositiveIntegerField(default=0)
    lines = models.JSONField(default=list, blank=True)
    lines_state = models.CharField(max_length=10, choices=Lines, blank=True, default=Lines.WAITING)
    lines_at = models.DateTimeField(null=True, blank=True)
    changed = models.JSONField(null=True, blank=True)
    good_at = models.DateTimeField(null=True, blank=True)
    figures = models.JSONField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-last_at"]
        indexes: ClassVar = [
            models.Index(fields=["container", "-last_at"], name="incident_by_container"),
            models.Index(fields=["engine", "lines_state"], name="incident_without_lines"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name}"

    @property
    def seconds(self) -> float | None:
        """How long the last run, or the time of failing checks, was; ``None`` where its beginning is not known."""
        begun = self.first_at if self.kind == self.Kind.HEALTH else self.started_at
        return max(0.0, (self.last_at - begun).total_seconds()) if begun else None


class Setup(models.Model):
    """Settings that a container was run with, so that a later fault can be held against the last good run.

    ``settings`` is what `containers_app.setups` makes of its row, secrets masked; ``digest`` stands for it.
    ``good_at``: until when a run with them is known to have gone well.
    """

    read_permission: ClassVar[str] = "container.read"

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="setups")
    container = container_key("setups")
    name = models.CharField(max_length=255)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    digest = models.CharField(max_length=64)
    settings = models.JSONField(default=dict)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    good_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-last_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["container", "digest"], name="one_setup_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["engine", "name"], name="setup_by_name")]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"
