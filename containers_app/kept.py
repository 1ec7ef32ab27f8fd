"""Rows of the log history: what is to be kept, and what is kept. They outlive the containers that wrote it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.models import Team
from containers_app.past import container_key
from operations.models import Engine


class LogRule(models.Model):
    """What is to be kept; without a row, nothing is.

    Of a team: the logs of all its containers. With an ``engine`` and a ``name``: of the container called so there, as
    long as that team (or nobody) owns it, so that one which is made anew goes on.
    """

    read_permission: ClassVar[str] = "container.logs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="log_rules")
    engine = models.ForeignKey(
        Engine, on_delete=models.CASCADE, null=True, blank=True, related_name="log_rules"
    )
    name = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(team__isnull=False, engine__isnull=True, name="")
                | (models.Q(engine__isnull=False) & ~models.Q(name="")),
                name="log_rule_of_team_or_container",
            ),
            models.UniqueConstraint(
                fields=["team"], condition=models.Q(engine__isnull=True), name="one_log_rule_a_team"
            ),
            models.UniqueConstraint(
                fields=["engine", "name", "team"],
                condition=models.Q(engine__isnull=False),
                name="one_log_rule_a_container",
            ),
            models.UniqueConstraint(
                fields=["engine", "name"],
                condition=models.Q(engine__isnull=False, team__isnull=True),
                name="one_log_rule_of_nobodys",
            ),
        ]

    def __str__(self) -> str:
        return self.name or _("all of %(team)s") % {"team": self.team}


class KeptLog(models.Model):
    """What one container has written, as far as it is kept. Times in nanoseconds by the engine's clock, 0 for none.

    ``cursor`` is stream → ``[ts_ns, n]`` of the last line that is kept. ``team`` is who owned the container last.
    ``size`` is what the blocks take, in bytes. ``read_to`` is when the last run ended that was read to its end; while
    ``open``, there may be more on the engine.
    """

    read_permission: ClassVar[str] = "container.logs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="kept_logs")
    native_id = models.CharField(max_length=64)
    container = container_key("kept_logs")
    name = models.CharField(max_length=255)
    image_ref = models.CharField(max_length=255, blank=True)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="kept_logs")
    first_ns = models.BigIntegerField(default=0)
    last_ns = models.BigIntegerField(default=0)
    lines = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    cursor = models.JSONField(default=dict)
    open = models.BooleanField(default=True)
    read_to = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-last_ns", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "native_id"], name="one_kept_log_a_container"),
        ]

    def __str__(self) -> str:
        return self.name


class LogBlock(models.Model):
    """Some lines of a kept log, packed; see `containers_app.log_blocks`. ``size`` is that of both columns."""

    id = models.BigAutoField(primary_key=True)
    log = models.ForeignKey(KeptLog, on_delete=models.CASCADE, related_name="blocks")
    first_ns = models.BigIntegerField()
    last_ns = models.BigIntegerField()
    lines = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    data = models.BinaryField()
    words = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["-last_ns", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["last_ns", "id"], name="log_block_by_age"),
            models.Index(fields=["log", "last_ns"], name="log_block_by_log"),
        ]

    def __str__(self) -> str:
        return f"{self.log_id} {self.first_ns}"


class LogGap(models.Model):
    """Lines of a kept log that are missing between two times: ``lines`` of them, or null: perhaps some.

    ``cause`` is one of `engine.holes`, ``load`` (they came faster than they could be kept) or ``removed`` (the
    container was removed before its log was read to the end).
    """

    class Cause(models.TextChoices):
        ROTATION = "rotation", _lazy("The engine had given them up")
        BEHIND = "behind", _lazy("They came faster than the engine hands them out")
        LOAD = "load", _lazy("They came faster than they could be kept")
        REMOVED = "removed", _lazy("The container was removed before all was read")

    id = models.BigAutoField(primary_key=True)
    log = models.ForeignKey(KeptLog, on_delete=models.CASCADE, related_name="gaps")
    from_ns = models.BigIntegerField()
    to_ns = models.BigIntegerField()
    lines = models.PositiveIntegerField(null=True, blank=True)
    cause = models.CharField(max_length=12, choices=Cause)

    class Meta:
        ordering: ClassVar = ["from_ns", "id"]
        indexes: ClassVar = [models.Index(fields=["log", "from_ns"], name="log_gap_by_log")]

    def __str__(self) -> str:
        return f"{self.cause} {self.from_ns}"
