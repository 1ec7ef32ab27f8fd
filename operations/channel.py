"""Rows of messages to other systems: where they go, each of them, and what is to be quiet."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from accounts.models import Team

EVENTS = {
    "container.exited": _lazy("A container ended with an error"),
    "container.oom": _lazy("A container ran out of memory"),
    "container.unhealthy": _lazy("A container is unhealthy"),
    "container.crash_loop": _lazy("A container is in a crash loop"),
    "image.update": _lazy("A registry has a newer image"),
    "operation.failed": _lazy("An operation failed"),
    "backup.failed": _lazy("A backup failed"),
    "engine.away": _lazy("An engine does not answer"),
    "engine.back": _lazy("An engine answers again"),
    "policy.run": _lazy("Slipway did something by itself"),
}
"""What messages tell of, in words."""
TEST = "test"
"""The event of a message that somebody asks for to see whether it arrives."""


class Channel(models.Model):
    """Where messages go: a webhook, something that takes Slack's, or mail. Of a team, or (no team) of the site.

    ``sealed`` holds the address and the secret; they go in, and never out: ``shown`` is what of the address may be
    seen. Empty ``kinds`` (of operations that failed), ``engines``, ``teams`` (slugs; of the site's channels) and
    ``pattern`` (of names, such as ``web*``) let everything through. ``cooldown`` in minutes: what follows about the
    same thing within is one message that counts. ``failures`` in a row; nothing is tried before ``wait_until`` where
    nobody answered.
    """

    read_permission: ClassVar[str] = "webhook.read"

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        SLACK = "slack", _lazy("Slack or alike")
        MAIL = "mail", _lazy("Mail")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="channels")
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.WEBHOOK)
    enabled = models.BooleanField(default=True)
    sealed = models.TextField()
    shown = models.CharField(max_length=255)
    events = models.JSONField(default=list)
    kinds = models.JSONField(default=list, blank=True)
    engines = models.JSONField(default=list, blank=True)
    teams = models.JSONField(default=list, blank=True)
    pattern = models.CharField(max_length=200, blank=True)
    cooldown = models.PositiveIntegerField(default=15)
    muted_until = models.DateTimeField(null=True, blank=True)
    wait_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=200, blank=True)
    problem_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="one_channel", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """``off``, ``muted``, ``failing``, ``ok``, or ``new`` before anything was sent."""
        if not self.enabled:
            return "off"
        if self.muted_until and self.muted_until > timezone.now():
            return "muted"
        if self.failures:
            return "failing"
        return "ok" if self.sent_at else "new"


class Delivery(models.Model):
    """One message for one channel, written with what it tells of, and sent at least once.

    ``event_id`` is the event's, the same for all channels and at each attempt. ``subject`` is what it is about
    (``container:<uuid>``), for the cool-down. ``at``: when it was, or is, to go out first; while that lies ahead, what
    follows is counted in (``count``, ``last_id``). ``attempts`` is the fence too: of several workers that sent it, the
    last one says what came of it. ``status`` is what a receiver answered.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _lazy("On its way")
        SENT = "sent", _lazy("Delivered")
        DEAD = "dead", _lazy("Given up")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField()
    event = models.CharField(max_length=24)
    subject = models.CharField(max_length=120)
    title = models.CharField(max_length=300)
    payload = models.JSONField(default=dict)
    count = models.PositiveIntegerField(default=1)
    last_id = models.UUIDField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    status = models.PositiveIntegerField(null=True, blank=True)
    problem = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["channel", "event_id"], name="one_delivery_per_event"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "due_at"], name="delivery_to_send"),
            models.Index(fields=["channel", "subject", "event", "-at"], name="delivery_by_subject"),
            models.Index(fields=["channel", "-created_at"], name="delivery_by_channel"),
        ]

    def __str__(self) -> str:
        return self.title


class Mute(models.Model):
    """No messages about the container of this name, as long as that team (or nobody) owns it, until then."""

    read_permission: ClassVar[str] = "webhook.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey("operations.Engine", on_delete=models.CASCADE, related_name="mutes")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="mutes")
    name = models.CharField(max_length=255)
    until = models.DateTimeField()
    actor_name = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "name", "team"], name="one_mute", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.name
