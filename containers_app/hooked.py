"""Rows of webhooks that come in: addresses that others call to have a container, or the containers of a stack, made
anew. `containers_app.models`."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from operations.models import Engine, Operation


class DeployHook(models.Model):
    """Who knows its secret may have this container, or those of this stack, made anew with the newest image of their
    tags, and nothing else.

    Of a container by its engine and name, as long as that team (or nobody) owns it; of what that team has in a compose
    project by the project's name. ``sealed`` holds the secret. It acts for whoever made it (``token_key``: by that
    token), with their rights of the day. ``branch``: pushes to these alone count (``main, release/*``); empty,
    everything new does.
    """

    read_permission: ClassVar[str] = "container.read"

    class Kind(models.TextChoices):
        CONTAINER = "container", _("A container")
        STACK = "stack", _("A stack")

    class Style(models.TextChoices):
        SLIPWAY = "slipway", _("A script, signed with the time")
        GITHUB = "github", _("GitHub, Gitea and alike")
        GITLAB = "gitlab", "GitLab"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="deploy_hooks")
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="deploy_hooks"
    )
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.CONTAINER)
    name = models.CharField(max_length=255, db_index=True)
    style = models.CharField(max_length=8, choices=Style, default=Style.SLIPWAY)
    branch = models.CharField(max_length=200, blank=True)
    sealed = models.TextField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    token_key = models.CharField(max_length=12, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name}, {self.get_style_display()}"


class HookCall(models.Model):
    """A call whose signature was right, and what came of it. ``digest`` names the message once it has had an effect.

    What it began: an ``operation``, or a ``batch`` of them, one for each container of a stack. ``refused``: those that
    could not be made anew, each ``{"container": name, "message": why}``. ``idle``: there was nothing to do.

    While ``again`` is true it is to be done once more when the operations of ``behind`` have ended: of the containers
    in ``left``, or of all. Those operations may have had their image before, or something else was at the container.
    Who does it moves ``attempts`` on, and has it until ``lease_until``; nobody has it before that time.
    """

    id = models.BigAutoField(primary_key=True)
    hook = models.ForeignKey(DeployHook, on_delete=models.CASCADE, related_name="calls")
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    at = models.DateTimeField(default=timezone.now)
    ip = models.GenericIPAddressField(null=True, blank=True)
    operation = models.ForeignKey(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    batch = models.UUIDField(null=True, blank=True)
    refused = models.JSONField(default=list, blank=True)
    again = models.BooleanField(default=False, db_index=True)
    behind = models.JSONField(default=list, blank=True)
    left = models.JSONField(default=list, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    idle = models.BooleanField(default=False)
    outcome = models.CharField(max_length=300)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["hook", "-at"], name="hook_call_by_hook")]

    def __str__(self) -> str:
        return self.outcome
