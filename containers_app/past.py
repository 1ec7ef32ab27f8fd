"""Rows of what the engine forgets: what happened, and how each run of a container ended.

They outlive the containers they tell of, so that ``container`` may point at a row that is gone.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

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

    class Origin(models.TextChoices):
        UNKNOWN = "", "Not known"
        OPERATION = "operation", "An operation"
        ENGINE = "engine", "The engine"
        OUTSIDE = "outside", "From outside"

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
            models.Index(fields=["time_ns"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.action} {self.name or self.native_id[:12]}"
