"""Containers, and what outlives them: volumes and networks.

Rows are a projection of the engine (written by `containers_app.sync` alone) plus the team that owns them.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Team
from containers_app.backed import BackupSchedule, BackupStore, VolumeBackup
from containers_app.cared import CareRule
from containers_app.hooked import DeployHook, HookCall
from containers_app.kept import KeptLog, LogBlock, LogGap, LogRule
from containers_app.past import EngineEvent, Incident, Setup
from containers_app.pruned import PrunePlan, PrunePolicy
from images_app.models import Image
from operations.models import Engine

__all__ = [
    "BackupSchedule", "BackupStore", "CareRule", "Container", "DeployHook", "EngineEvent", "HookCall", "Incident",
    "KeptLog", "LogBlock", "LogGap", "LogRule", "Mount", "Network", "PrunePlan", "PrunePolicy", "Setup", "StatsBlock",
    "Volume", "VolumeBackup",
]  # fmt: skip


class OutOfTrash(models.Manager["Container"]):
    """Containers without those that were removed and can still be taken back."""

    def get_queryset(self) -> models.QuerySet[Container]:
        return super().get_queryset().filter(trashed_at=None)


class Container(models.Model):
    """An isolated, disposable process on one engine. ``native_id`` is the engine's 64-hex id.

    ``cpu_limit`` is in cores and ``memory_limit`` in bytes, 0 for none. ``environment`` and ``inspect`` have
    their secrets masked before they get here. ``ports`` is a list of ``{container, protocol, host, host_ip}``,
    ``networks`` of ``{name, native_id, ip, ip6, mac, aliases}``. ``stack`` is the compose project's name.
    ``objects`` leaves out what is in the trash (``trashed_at``), ``everything`` does not.

    Not of the engine but of `containers_app.incidents`: ``ended``, who or what its last run ended by; ``trouble`` in
    words, since ``trouble_at`` (our clock), which a person should look at until ``trouble_until`` although it may run
    again. ``noted_at``: somebody has seen what was wrong by then.

    Of `containers_app.drift`: ``asked``, its settings as they were last asked for; ``drift``, a list of ``{path, old,
    new}`` of what is other now, noticed at ``drift_at``; ``drift_image``, what its tag points at now if elsewhere;
    ``drift_remote``, the digest of a newer one at its registry.

    Of `containers_app.team_values`: ``variables``, which of the team's it was given, and of which version each.

    Of `containers_app.care`: ``heal_tries``, restarts since it was well; ``heal_at``, when the next is due;
    ``heal_over``, when it was given up.
    """

    read_permission: ClassVar[str] = "container.read"

    class State(models.TextChoices):
        CREATED = "created", _("Created")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        RESTARTING = "restarting", _("Restarting")
        REMOVING = "removing", _("Removing")
        EXITED = "exited", _("Exited")
        DEAD = "dead", _("Dead")

    class Health(models.TextChoices):
        NONE = "none", _("No healthcheck")
        STARTING = "starting", _("Starting")
        HEALTHY = "healthy", _("Healthy")
        UNHEALTHY = "unhealthy", _("Unhealthy")

    class Ended(models.TextChoices):
        UNKNOWN = "", _("Not known")
        DONE = "done", _("It was done")
        ASKED = "asked", _("An operation")
        OUTSIDE = "outside", _("Somebody outside of Slipway")
        FAULT = "fault", _("A fault")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="containers")
    native_id = models.CharField(max_length=64)
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="containers"
    )
    name = models.CharField(max_length=255, db_index=True)
    state = models.CharField(max_length=12, choices=State, db_index=True)
    health = models.CharField(max_length=12, choices=Health, default=Health.NONE)
    image = models.ForeignKey(
        Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="containers"
    )
    image_native_id = models.CharField(max_length=80, blank=True, db_index=True)
    image_ref = models.CharField(max_length=255, blank=True)
    command = models.JSONField(default=list)
    entrypoint = models.JSONField(default=list)
    created_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    oom_killed = models.BooleanField(default=False)
    error = models.CharField(max_length=500, blank=True)
    restart_count = models.PositiveIntegerField(default=0)
    failing_streak = models.PositiveIntegerField(default=0)
    tty = models.BooleanField(default=False)
    restart_policy = models.CharField(max_length=20, blank=True)
    restart_max_retries = models.PositiveIntegerField(default=0)
    memory_limit = models.BigIntegerField(default=0)
    cpu_limit = models.FloatField(default=0)
    pids_limit = models.BigIntegerField(default=0)
    privileged = models.BooleanField(default=False)
    auto_remove = models.BooleanField(default=False)
    hostname = models.CharField(max_length=255, blank=True)
    user = models.CharField(max_length=120, blank=True)
    working_dir = models.CharField(max_length=500, blank=True)
    log_driver = models.CharField(max_length=40, blank=True)
    stop_signal = models.CharField(max_length=20, blank=True)
    stop_timeout = models.PositiveIntegerField(null=True, blank=True)
    environment = models.JSONField(default=dict)
    labels = models.JSONField(default=dict)
    ports = models.JSONField(default=list)
    networks = models.JSONField(default=list)
    healthcheck = models.JSONField(default=dict)
    health_log = models.JSONField(default=list)
    inspect = models.JSONField(default=dict)
    stack = models.CharField(max_length=120, blank=True, db_index=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)
    trashed_at = models.DateTimeField(null=True, blank=True, db_index=True)
    ended = models.CharField(max_length=8, choices=Ended, blank=True, default=Ended.UNKNOWN)
    trouble = models.CharField(max_length=120, blank=True)
    trouble_at = models.DateTimeField(null=True, blank=True)
    trouble_until = models.DateTimeField(null=True, blank=True)
    noted_at = models.DateTimeField(null=True, blank=True)
    asked = models.JSONField(default=dict)
    variables = models.JSONField(default=dict)
    drift = models.JSONField(default=list)
    drift_at = models.DateTimeField(null=True, blank=True)
    drift_image = models.CharField(max_length=80, blank=True)
    drift_remote = models.CharField(max_length=80, blank=True)
    heal_tries = models.PositiveIntegerField(default=0)
    heal_at = models.DateTimeField(null=True, blank=True)
    heal_over = models.DateTimeField(null=True, blank=True)

    objects = OutOfTrash()
    everything: models.Manager[Container] = models.Manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "native_id"], name="one_container_per_engine"),
        ]
        indexes: ClassVar = [models.Index(fields=["engine", "name"], name="container_by_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def short_id(self) -> str:
        """The first 12 digits, as the command line shows them."""
        return self.native_id[:12]


class Volume(models.Model):
    """What outlives containers. ``native_id`` is its name on the engine; ``size`` in bytes, null where unknown.

    ``last_used_at``: when a container that mounts it was last seen running, null where none has been.
    """

    read_permission: ClassVar[str] = "volume.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="volumes")
    native_id = models.CharField(max_length=255)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="volumes")
    driver = models.CharField(max_length=80, default="local")
    scope = models.CharField(max_length=20, blank=True)
    options = models.JSONField(default=dict)
    labels = models.JSONField(default=dict)
    anonymous = models.BooleanField(default=False)
    size = models.BigIntegerField(null=True, blank=True)
    sized_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["native_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "native_id"], name="one_volume_per_engine"),
        ]

    def __str__(self) -> str:
        return self.native_id

    @property
    def name(self) -> str:
        """A volume's name is its id."""
        return self.native_id


class Network(models.Model):
    """A network that containers are attached to."""

    read_permission: ClassVar[str] = "network.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="networks")
    native_id = models.CharField(max_length=64)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="networks")
    name = models.CharField(max_length=255)
    driver = models.CharField(max_length=40, blank=True)
    scope = models.CharField(max_length=20, blank=True)
    internal = models.BooleanField(default=False)
    ipv6 = models.BooleanField(default=False)
    subnets = models.JSONField(default=list)
    gateways = models.JSONField(default=list)
    options = models.JSONField(default=dict)
    labels = models.JSONField(default=dict)
    created_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "native_id"], name="one_network_per_engine"),
        ]

    def __str__(self) -> str:
        return self.name


class Mount(models.Model):
    """Where a container sees a volume, a host path or memory. ``volume`` is set for volumes Slipway knows."""

    read_permission: ClassVar[str] = "container.read"

    id = models.BigAutoField(primary_key=True)
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="mounts")
    volume = models.ForeignKey(
        Volume, on_delete=models.SET_NULL, null=True, blank=True, related_name="mounts"
    )
    type = models.CharField(max_length=10)
    source = models.CharField(max_length=500, blank=True)
    target = models.CharField(max_length=500)
    read_only = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["container", "target"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["container", "target"], name="one_mount_per_target"),
        ]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class StatsBlock(models.Model):
    """Figures of a container over some time, packed; see `containers_app.blocks`.

    ``subject`` is a container's id, or the engine's for the sum of its containers. It is no foreign key: what a
    container used stays for its successors to be compared with. ``step`` and ``start`` in seconds.
    """

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="stats")
    subject = models.UUIDField()
    step = models.PositiveIntegerField()
    start = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["subject", "step", "start"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subject", "step", "start"], name="one_block_per_time"),
        ]
        indexes: ClassVar = [models.Index(fields=["step", "start"], name="stats_block_by_age")]

    def __str__(self) -> str:
        return f"{self.subject} {self.step} {self.start}"


class ConsoleSession(models.Model):
    """A program at a terminal in a container, or the container's own first process, that somebody talks to.

    ``command`` has its secrets masked; the real words are ``sealed`` until it is started. ``reason`` says in a sentence
    why it ended; ``left`` is how many of its processes could not be ended, ``None`` where nobody could look yet. The
    row outlives its container.
    """

    read_permission: ClassVar[str] = "container.read"

    class Kind(models.TextChoices):
        EXEC = "exec", _("A program of its own")
        ATTACH = "attach", _("The container's first process")

    class State(models.TextChoices):
        ASKED = "asked", _("Asked for")
        OPEN = "open", pgettext_lazy("state", "Open")
        ENDED = "ended", _("Ended")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="consoles")
    container = models.ForeignKey(
        Container, on_delete=models.SET_NULL, null=True, blank=True, related_name="consoles"
    )
    native_id = models.CharField(max_length=64)
    container_name = models.CharField(max_length=255)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="consoles")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="consoles"
    )
    actor_name = models.CharField(max_length=150)
    source = models.CharField(max_length=8, default="ui")
    ip = models.GenericIPAddressField(null=True, blank=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.EXEC)
    command = models.JSONField(default=list)
    sealed = models.TextField(blank=True)
    user = models.CharField(max_length=140, blank=True)
    folder = models.CharField(max_length=500, blank=True)
    tty = models.BooleanField(default=True)
    stdin = models.BooleanField(default=True)
    columns = models.PositiveSmallIntegerField(default=80)
    rows = models.PositiveSmallIntegerField(default=24)
    state = models.CharField(max_length=8, choices=State, default=State.ASKED, db_index=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    left = models.PositiveIntegerField(null=True, blank=True)
    bytes_in = models.PositiveBigIntegerField(default=0)
    bytes_out = models.PositiveBigIntegerField(default=0)
    recorded = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["container", "state", "-created_at"], name="console_by_container"),
            models.Index(fields=["engine", "state", "left"], name="console_by_engine"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} in {self.container_name}"
