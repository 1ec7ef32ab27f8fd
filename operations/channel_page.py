"""Channels as pages show them: how they are, and what went out on each of the last days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from operations.channel import EVENTS
from operations.models import Channel, Delivery, Engine

DAYS = 14
HIGH = 22
GLYPHS = {"ok": "done", "failing": "failed", "off": "cancelled", "muted": "paused", "new": "queued"}


@dataclass(frozen=True, slots=True)
class Day:
    """What ended on one day. ``y`` and ``h`` of those delivered, ``bad_y`` and ``bad_h`` of those given up on it."""

    day: date
    sent: int
    dead: int
    x: int
    y: int
    h: int
    bad_y: int
    bad_h: int


@dataclass(frozen=True, slots=True)
class Line:
    """One channel of the list."""

    channel: Channel
    glyph: str
    words: str
    tells: str
    days: list[Day]
    dead: int


def lines(channels: Iterable[Channel]) -> list[Line]:
    """Two queries, however many there are."""
    rows = list(channels)
    days = days_of([row.pk for row in rows])
    counted = Delivery.objects.filter(channel__in=[row.pk for row in rows], state=Delivery.State.DEAD)
    dead = dict(counted.values_list("channel").annotate(n=Count("pk")))
    return [
        Line(row, GLYPHS[row.state], words(row), tells(row), days[row.pk], dead.get(row.pk, 0))
        for row in rows
    ]


def words(row: Channel) -> str:
    """How it is, in one line."""
    state = row.state
    if state == "failing":
        return (
            _("%(problem)s %(failures)s in a row") % {"problem": row.problem, "failures": row.failures}
            if row.failures > 1
            else row.problem
        )
    return {
        "off": _("Switched off"),
        "muted": _("Muted"),
        "new": _("Nothing sent yet"),
        "ok": _("Delivered"),
    }[state]


def tells(row: Channel) -> str:
    """Which events, in few words."""
    if len(row.events) == len(EVENTS):
        what = _("Everything")
    elif not row.events:
        what = _("Nothing")
    elif len(row.events) == 1:
        what = EVENTS.get(row.events[0], row.events[0])
    else:
        what = _("%(events)s kinds of events") % {"events": len(row.events)}
    return f"{what}, of {row.pattern}" if row.pattern else what


def facts(row: Channel) -> list[tuple[str, str]]:
    """What it says, for its page."""
    engines = Engine.objects.filter(pk__in=row.engines).values_list("name", flat=True) if row.engines else ()
    found = [
        (_("Kind"), row.get_kind_display()), (_("To"), row.shown),
        (_("Of"), row.team.name if row.team else ", ".join(row.teams) or _("everything")),
        (_("Names"), row.pattern), (_("Engines"), ", ".join(engines)), (_("Operations"), ", ".join(row.kinds)),
        (_("One message in"), _per(row.cooldown)),
        (_("Made by"), row.actor_name),
    ]  # fmt: skip
    return [(name, value) for name, value in found if value]


def days_of(ids: list[UUID]) -> dict[UUID, list[Day]]:
    """What ended on each of the last days, by channel. One query."""
    today = timezone.localdate()
    first = today - timedelta(days=DAYS - 1)
    ended = Delivery.objects.filter(channel__in=ids, ended_at__date__gte=first).annotate(
        day=TruncDate("ended_at")
    )
    found: dict[tuple[Any, date, str], int] = {
        (row["channel"], row["day"], row["state"]): row["n"]
        for row in ended.values("channel", "day", "state").annotate(n=Count("pk"))
    }
    return {id_: _days(id_, first, found) for id_ in ids}


def _days(id_: UUID, first: date, found: dict[tuple[Any, date, str], int]) -> list[Day]:
    days = [first + timedelta(days=number) for number in range(DAYS)]
    counts = [(day, found.get((id_, day, "sent"), 0), found.get((id_, day, "dead"), 0)) for day in days]
    most = max(sum(pair) for _, *pair in counts) or 1
    made = []
    for number, (day, sent, dead) in enumerate(counts):
        high, bad = _high(sent, most), _high(dead, most)
        made.append(Day(day, sent, dead, number * 7, HIGH - bad - high, high, HIGH - bad, bad))
    return made


def _high(count: int, most: int) -> int:
    return max(2, round(count * (HIGH - 2) / most)) if count else 0


def _per(cooldown: int) -> str:
    if not cooldown:
        return _("each is sent")
    return _("%(cooldown)s min about the same thing") % {"cooldown": cooldown}
