"""Rows of the variables and secrets of a team, which its containers and builds are given by name."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from accounts.models import Team


class Variable(models.Model):
    """One name and its value. Of a secret the value is sealed for this row alone, and nobody is shown it again.

    ``version`` is another one after each change of the value, so that a container with an older one is known.
    """

    read_permission: ClassVar[str] = "variable.read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="variables")
    name = models.CharField(max_length=64, validators=[RegexValidator(r"\A[A-Za-z_][A-Za-z0-9_]*\Z")])
    secret = models.BooleanField(default=False)
    value = models.TextField(blank=True)
    sealed = models.TextField(blank=True, editable=False)
    note = models.CharField(max_length=200, blank=True)
    version = models.CharField(max_length=12, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["team__name", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="one_variable_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name
