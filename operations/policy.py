"""Rows of the guard rails: what the site and each team say, and what somebody is allowed all the same."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.models import Team


class Policy(models.Model):
    """The guard rails and quotas of a team, or (no team) of the whole site.

    ``rules`` are what is said of `engine.rails.Rails`, ``quota`` of `operations.quotas.KINDS`; what is left out is as
    the site says, and what the site leaves out as usual. A team's words can only take away from the site's.
    ``binds_site``: the site's rails hold for its administrators too.
    """

    read_permission: ClassVar[str] = "policy.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.OneToOneField(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="policy")
    rules = models.JSONField(default=dict, blank=True)
    quota = models.JSONField(default=dict, blank=True)
    binds_site = models.BooleanField(_lazy("holds for site administrators too"), default=False)
    changed_at = models.DateTimeField(default=timezone.now)
    changed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team"], name="one_policy", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.team.name if self.team else _("The whole site")


class PolicyException(models.Model):
    """Something of this name may break this rule until then, in a team's hands or (no team) in nobody's."""

    read_permission: ClassVar[str] = "policy.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="policy_exceptions"
    )
    rule = models.CharField(max_length=40)
    name = models.CharField(max_length=255)
    reason = models.CharField(max_length=500)
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.rule} for {self.name}"
