"""Rows of cleaning up: what was shown to somebody, and what is done by itself. `containers_app.models` has them all."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from containers_app import schedules
from containers_app.prune_rules import Rules
from operations.models import Engine, Operation


class PrunePolicy(models.Model):
    """What is cleaned up by itself on one engine, how often, and what of it stays. ``hour`` is UTC.

    ``kinds`` are those of `containers_app.unused`; ``older_days``, ``keep_tags`` and ``keep`` see
    `containers_app.prune_rules`; ``only_over``: bytes that have to be taken on the engine before anything goes. Null
    and empty are no such rule.

    It acts for ``made_by``, who saved it last (by the token ``token_key`` if it is not empty), with their rights of the
    day; where those are gone it is off, and ``problem`` says so. ``looked``: what the last look came to where it was no
    operation.
    """

    Every = schedules.Every

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="prune_policies")
    name = models.CharField(max_length=60)
    kinds = models.JSONField(default=list)
    older_days = models.PositiveSmallIntegerField(null=True, blank=True)
    keep_tags = models.PositiveSmallIntegerField(null=True, blank=True)
    keep = models.JSONField(default=list, blank=True)
    only_over = models.BigIntegerField(null=True, blank=True)
    every = models.CharField(max_length=4, choices=schedules.Every, default=schedules.Every.DAY)
    hour = models.PositiveSmallIntegerField(default=3, validators=[MaxValueValidator(23)])
    enabled = models.BooleanField(default=True)
    problem = models.CharField(max_length=200, blank=True)
    next_at = models.DateTimeField(db_index=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    looked = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    token_key = models.CharField(max_length=12, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "created_at"]
        verbose_name_plural = "prune policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["engine", "name"], name="one_prune_policy_per_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rules(self) -> Rules:
        """What stays."""
        return Rules(self.older_days or 0, self.keep_tags or 0, tuple(self.keep))


class PrunePlan(models.Model):
    """What was shown to somebody who wants to clean up: exactly this goes, once, and nothing that came later.

    ``items`` is a list of ``{kind, id, native_id, name, size, …}`` in the order of removal, with what each was like
    (see `containers_app.unused`); ``size`` null where the engine did not count. ``frees`` is the sum of those known.
    ``policy``: by whose rules it was made; empty for what somebody chose by hand.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="prune_plans")
    policy = models.ForeignKey(
        PrunePolicy, on_delete=models.SET_NULL, null=True, blank=True, related_name="plans"
    )
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="prune_plans"
    )
    kinds = models.JSONField(default=list)
    items = models.JSONField(default=list)
    frees = models.BigIntegerField(default=0)
    counted = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    operation = models.OneToOneField(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="prune_plan"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{len(self.items)} things on {self.engine}"
