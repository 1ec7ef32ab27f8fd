"""What happened, for whoever wants to be told: written as rows in the same transaction as what they tell of.

So nothing is lost where a process ends, and nothing is told that was undone. Who sends them is `operations.posting`.
Two writers that tell of the same write one row: its id follows from ``key`` alone.
"""

from __future__ import annotations

import fnmatch
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team
from operations.models import Channel, Delivery, Engine, Mute

LASTS = timedelta(hours=24)
"""How long a message is tried to be sent."""
_SPACE = uuid.UUID("6f1a3c52-6c0b-4a0e-9a0e-5b1f0d9f7c11")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened. ``key`` names it once and for all; ``type``, ``id`` and ``name`` say to what.

    ``team_id`` is whose it is, ``everybody`` means that every team may know. ``kind`` is of an operation; ``path`` the
    page that shows it; ``facts`` JSON for programs. Texts may be anybody's: they are cleaned here.
    """

    event: str
    key: str
    type: str
    id: str
    name: str
    engine: Engine | None
    team_id: UUID | None
    title: str
    text: str = ""
    path: str = ""
    kind: str = ""
    everybody: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def tell(told: Told) -> int:
    """Writes it for each channel that wants it; for how many it was new. One query where there is no channel."""
    now = timezone.now()
    rows = Channel.objects.filter(enabled=True).filter(Q(muted_until=None) | Q(muted_until__lte=now))
    if not told.everybody:
        rows = rows.filter(Q(team=None) | Q(team=told.team_id))
    found = [row for row in rows if told.event in row.events]
    if not found:
        return 0
    slug = (
        Team.objects.filter(pk=told.team_id).values_list("slug", flat=True).first() if told.team_id else None
    )
    found = [row for row in found if _passes(row, told, slug)]
    if not found or _is_muted(told, now):
        return 0
    payload = _payload(told, slug, now)
    return sum(_write(row, told, payload, now) for row in found)


def _passes(row: Channel, told: Told, slug: str | None) -> bool:
    """Through the channel's filters."""
    if row.kinds and told.kind and told.kind not in row.kinds:
        return False
    if row.engines and (told.engine is None or str(told.engine.pk) not in row.engines):
        return False
    if told.everybody:
        return True
    if row.team_id is None and row.teams and slug not in row.teams:
        return False
    return not row.pattern or fnmatch.fnmatchcase(told.name, row.pattern)


def _is_muted(told: Told, now: datetime) -> bool:
    if told.type != "container" or told.engine is None:
        return False
    return Mute.objects.filter(engine=told.engine, name=told.name, team=told.team_id, until__gt=now).exists()


def _write(row: Channel, told: Told, payload: dict[str, Any], now: datetime) -> int:
    """As a message of its own, or as one more in that which waits for the cool-down to be over."""
    event_id = uuid.uuid5(_SPACE, told.key)
    mine = Delivery.objects.filter(channel=row)
    if mine.filter(Q(event_id=event_id) | Q(last_id=event_id)).exists():
        return 0
    subject, pause, at = f"{told.type}:{told.id}"[:120], timedelta(minutes=row.cooldown), now
    alike = mine.filter(subject=subject, event=told.event, at__gt=now - pause)
    last = alike.order_by("-at").first() if pause else None
    if last is not None:
        held = alike.filter(pk=last.pk, at__gt=now, attempts=0, state=Delivery.State.WAITING)
        if held.update(count=F("count") + 1, last_id=event_id, title=payload["title"], payload=payload):
            return 1
        at = max(now, last.at + pause)
    new = Delivery(
        channel=row, event_id=event_id, last_id=event_id, event=told.event, subject=subject,
        title=payload["title"], payload=payload, at=at, due_at=at, expires_at=at + LASTS,
    )  # fmt: skip
    return len(Delivery.objects.bulk_create([new], ignore_conflicts=True))


def _payload(told: Told, slug: str | None, now: datetime) -> dict[str, Any]:
    base = settings.PUBLIC_URL.rstrip("/")
    return {
        "event": told.event,
        "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "title": clean(told.title, 300),
        "text": clean(told.text, 1000),
        "object": {"type": told.type, "id": told.id, "name": clean(told.name, 255)},
        "engine": {"id": str(told.engine.pk), "name": clean(told.engine.name, 80)} if told.engine else None,
        "team": slug,
        "url": f"{base}{told.path}" if base and told.path else None,
        "facts": dict(told.facts),
    }


def clean(text: str, most: int) -> str:
    """On one line, without what changes how the text around it is read; cut where it is long."""
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= most else f"{text[: most - 1]}…"
