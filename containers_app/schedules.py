"""When something comes round by itself: what may be chosen, and the next time. All in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

AGAIN = timedelta(minutes=10)
"""When what could not be asked for now is asked for again."""


class Every(models.TextChoices):
    """How often."""

    HOUR = "hour", _("Every hour")
    DAY = "day", _("Every day")
    WEEK = "week", _("Every week, on Sunday")


def next_after(now: datetime, every: str, hour: int) -> datetime:
    """The next time that it comes round; ``hour`` counts for day and week."""
    if every == Every.HOUR:
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    due = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    if every == Every.WEEK:
        due += timedelta(days=6 - due.weekday())
    step = timedelta(days=7 if every == Every.WEEK else 1)
    return due if due > now else due + step
