"""Rows of mails about accounts. `accounts.models`."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Notice(models.Model):
    """A mail about what somebody signs in with, until it has gone; see `accounts.notices`.

    ``attempts`` is the fence: of several workers that would send it, one does.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=254)
    about = models.CharField(max_length=20)
    name = models.CharField(max_length=80, blank=True)
    by = models.CharField(max_length=150, blank=True)
    language = models.CharField(max_length=12)
    at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True, blank=True)
    due_at = models.DateTimeField(default=timezone.now, db_index=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.about} to {self.user}"
