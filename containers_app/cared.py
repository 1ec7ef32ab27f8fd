"""Rows of what Slipway looks after by itself: who is restarted when unhealthy, whose crash loops are ended."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Team
from operations.models import Engine


class CareRule(models.Model):
    """What is to be done by itself; null leaves it to the rule behind this one, and without any it is not done.

    Of a container by its engine and name, as long as that team (or nobody) owns it, so that one which is made anew
    goes on; of a team; or, with neither, of the whole site. The nearest one that says anything counts.
    """

    read_permission: ClassVar[str] = "container.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="care_rules")
    engine = models.ForeignKey(
        Engine, on_delete=models.CASCADE, null=True, blank=True, related_name="care_rules"
    )
    name = models.CharField(max_length=255, blank=True)
    heal = models.BooleanField(null=True, blank=True)
    end_loops = models.BooleanField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["engine", "name", "team"], name="one_care_rule", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return self.name or (_("all of %(team)s") % {"team": self.team} if self.team else _("everything"))
