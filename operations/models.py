"""Engines, and every change that was ever asked of one."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from accounts.models import Team
from operations.channel import Channel, Delivery, Mute
from operations.policy import Policy, PolicyException
from operations.variable import Variable


class Engine(models.Model):
    """A container engine that Slipway looks after. ``configured``: its ``endpoint`` is the server's configuration.

    ``keys_at``: when its certificates were given, ``None`` where it needs none; they lie in `EngineKeys`. ``status``
    and everything from ``version`` on is written by the gateway alone. ``lease_owner`` and ``lease_until`` say which
    gateway process reads this engine now.
    """

    class Status(models.TextChoices):
        CONNECTING = "connecting", _lazy("Connecting")
        ONLINE = "online", _lazy("Online")
        UNREACHABLE = "unreachable", _lazy("Unreachable")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    endpoint = models.CharField(max_length=255, unique=True)
    configured = models.BooleanField(default=False)
    keys_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.CONNECTING)
    status_since = models.DateTimeField(default=timezone.now)
    status_detail = models.CharField(max_length=500, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)
    native_id = models.CharField(max_length=128, blank=True)
    version = models.CharField(max_length=40, blank=True)
    api_version = models.CharField(max_length=12, blank=True)
    os = models.CharField(max_length=120, blank=True)
    architecture = models.CharField(max_length=20, blank=True)
    cpus = models.PositiveIntegerField(default=0)
    memory = models.BigIntegerField(default=0)
    storage_driver = models.CharField(max_length=40, blank=True)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class EngineKeys(models.Model):
    """The certificates for an engine, ``ca``, ``cert`` and ``key``, sealed for it alone; nothing shows them again."""

    engine = models.OneToOneField(Engine, on_delete=models.CASCADE, primary_key=True, related_name="keys")
    sealed = models.TextField()

    def __str__(self) -> str:
        return f"{self.engine_id}"


class Listing(models.Model):
    """When a kind of objects (``image``, ``volume``, ``network``) was last listed and written for an engine.

    Several processes list; a list that was asked for before the one written last is older, and is dropped.
    """

    id = models.BigAutoField(primary_key=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="listings")
    kind = models.CharField(max_length=20)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "kind"], name="one_listing_per_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.engine} {self.kind}"


class OperationQuerySet(models.QuerySet["Operation"]):
    """Ways to ask for operations."""

    def active(self) -> OperationQuerySet:
        """Accepted and not ended."""
        return self.filter(state__in=Operation.ACTIVE)


class Operation(models.Model):
    """One accepted change: durable before the answer is sent, ended exactly once.

    The automaton; every arrow is one conditional ``UPDATE … WHERE state = expected AND fence = mine``::

        queued ──claim──▶ running ──finish──▶ succeeded | failed | cancelled
           │                 │
           └──cancel──▶ cancelled
                             └──no answer in time, or lease lapsed──▶ unknown
        unknown ──verified on the engine──▶ succeeded | failed
        running, lease lapsed, kind safe to repeat ──claim with fence + 1──▶ running

    ``lock_key`` names what it changes (``container:<uuid>``, ``engine:<uuid>:name:web``); a partial unique
    index allows one active operation a key. ``params`` holds what the verb needs, with secrets taken out;
    ``sealed`` holds those, encrypted, and is emptied at the end. ``progress`` is the latest
    ``{current, total, unit, message}``. Those of one ``batch`` go ``step`` by step, see `operations.batches`.
    """

    read_permission: ClassVar[str] = "operation.read"

    class State(models.TextChoices):
        QUEUED = "queued", _lazy("Queued")
        RUNNING = "running", _lazy("Running")
        UNKNOWN = "unknown", _lazy("Unknown")
        SUCCEEDED = "succeeded", _lazy("Succeeded")
        FAILED = "failed", _lazy("Failed")
        CANCELLED = "cancelled", _lazy("Cancelled")

    class Source(models.TextChoices):
        UI = "ui", "UI"
        API = "api", "API"
        ADMIN = "admin", _lazy("Admin")
        SYSTEM = "system", _lazy("System")

    ACTIVE: ClassVar = ("queued", "running", "unknown")
    ENDED: ClassVar = ("succeeded", "failed", "cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40, db_index=True)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED, db_index=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="operations")
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="operations"
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="operations"
    )
    actor_name = models.CharField(max_length=150)
    token_key = models.CharField(max_length=12, blank=True)
    source = models.CharField(max_length=8, choices=Source, default=Source.UI)
    target_type = models.CharField(max_length=20)
    target_id = models.CharField(max_length=64, blank=True, db_index=True)
    target_name = models.CharField(max_length=255, blank=True)
    lock_key = models.CharField(max_length=255, blank=True)
    params = models.JSONField(default=dict, blank=True)
    sealed = models.TextField(blank=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    body_digest = models.CharField(max_length=64, blank=True)
    progress = models.JSONField(default=dict, blank=True)
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    batch = models.UUIDField(null=True, blank=True, db_index=True)
    step = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["lock_key"],
                condition=Q(state__in=("queued", "running", "unknown")) & ~Q(lock_key=""),
                name="one_active_operation_per_target",
            ),
            models.UniqueConstraint(
                fields=["actor", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="one_operation_per_idempotency_key",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["target_type", "target_id", "-created_at"], name="operation_by_target"),
            models.Index(fields=["state", "dispatched_at"], name="operation_to_dispatch"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target_name}".strip()

    @property
    def ended(self) -> bool:
        """Whether it has reached its end and will not change any more."""
        return self.state in self.ENDED


class OperationEvent(models.Model):
    """What happened during an operation, in order: pages read ``seq > last`` and never miss one.

    ``kind`` is state (``{"state": …}``), progress (the progress object), step (a build step or a layer)
    or log (``{"stream": 1, "text": …}``, one output line). ``seq`` counts from 1 within the operation.
    """

    id = models.BigAutoField(primary_key=True)
    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=10)
    data = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["operation", "seq"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["operation", "seq"], name="operation_event_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.seq} {self.kind}"


class TrashItem(models.Model):
    """What a removal has put aside, to be taken back until ``expires_at`` and then purged.

    ``kind`` is container, volume, network or image; ``target_id`` the id of its row, there again after a return.
    ``facts`` is what the return needs (written by the app that put it aside; never secrets); ``path`` a file below
    the state directory, ``size`` its bytes or those that a purge would free, null where nobody counted.
    """

    read_permission: ClassVar[str] = "operation.read"

    class State(models.TextChoices):
        GOING = "going", _lazy("Being put aside")
        KEPT = "kept", _lazy("Kept")
        RESTORED = "restored", _lazy("Taken back")
        PURGED = "purged", _lazy("Removed for good")
        LOST = "lost", _lazy("Gone from the engine")

    NAMES: ClassVar = "slipway-trash"
    """How things in the trash are called on the engine: containers ``slipway-trash-…``, images ``slipway-trash:…``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operation = models.OneToOneField(Operation, on_delete=models.CASCADE, related_name="trash")
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="trash")
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="trash")
    kind = models.CharField(max_length=20)
    target_id = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255)
    native_id = models.CharField(max_length=255)
    facts = models.JSONField(default=dict)
    path = models.CharField(max_length=255, blank=True)
    size = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.GOING, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


__all__ = [
    "Channel", "Delivery", "Engine", "EngineKeys", "Listing", "Mute", "Operation", "OperationEvent", "Policy",
    "PolicyException", "TrashItem", "Variable",
]  # fmt: skip
