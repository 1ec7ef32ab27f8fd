"""Channels of messages: naming them, who may, trying one out, being quiet for a while, and sending again."""

from __future__ import annotations

import re
import secrets as random
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, Owner, rank, require
from accounts.models import Team
from accounts.permissions import SITE
from accounts.querysets import team_ids, visible_teams
from engine.fields import Fields
from engine.specs import SpecError
from operations import posting, registry, secrets
from operations.channel import EVENTS, TEST
from operations.models import Channel, Delivery, Engine, Mute
from operations.outbox import LASTS
from operations.services import Refused, Target, denials
from streams import bell

MOST_ADDRESSES = 10
SHORTEST_SECRET = 16
LONGEST_MUTE = timedelta(days=30)
WAIT = 14.0
"""Seconds that somebody who tries a channel out waits for what comes of it."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9 _.#-]{0,59}", re.ASCII)


# Who may


def visible(actor: Actor) -> QuerySet[Channel]:
    """Those of the teams that one administers; all of them for site administrators."""
    rows = Channel.objects.select_related("team")
    if rank(actor, None) >= SITE:
        return rows
    return rows.filter(team__in=team_ids(actor, Channel.read_permission))


def may_manage(actor: Actor, team_id: Any, target: Target | None = None) -> None:
    """Raises `accounts.access.Denied` or Http404."""
    with denials("webhook.manage", actor=actor, target=target or Target("webhook"), team_id=team_id):
        require(actor, "webhook.manage", Owner(team_id))


# Naming them


def add(body: Mapping[str, Any], *, actor: Actor, team: Team | None) -> tuple[Channel, str]:
    """A new one, and its secret, which is never shown again; empty for those that sign nothing.

    ``{"name", "address", "kind"?, "secret"?, "events"?, "enabled"?, "kinds"?, "engines"?, "teams"?, "pattern"?,
    "cooldown"?}``. Raises `SpecError`, `accounts.access.Denied` or Http404.
    """
    may_manage(actor, team.pk if team else None)
    row = Channel(team=team, events=list(EVENTS), created_by=actor.user, actor_name=actor.name)
    return row, _write(row, body, actor)


def change(row: Channel, body: Mapping[str, Any], *, actor: Actor) -> Channel:
    """What is left out stays. Raises as `add`."""
    may_manage(actor, row.team_id, _target(row))
    _write(row, body, actor)
    return row


def drop(row: Channel, *, actor: Actor) -> None:
    """Forgets it, with what was not sent yet."""
    may_manage(actor, row.team_id, _target(row))
    with transaction.atomic():
        _noted(row, actor, {"forgotten": True})
        row.delete()


def _write(row: Channel, body: Mapping[str, Any], actor: Actor) -> str:
    fields, fresh = Fields(body), row._state.adding
    if fresh:
        row.kind = fields.choice("kind", row.kind, Channel.Kind.values)
    row.name = str(fields.string("name", row.name, longest=60)).strip()
    if not _NAME.fullmatch(row.name):
        fields.fail("name", _("A name of letters, digits, spaces, dots and dashes is expected."))
    address = fields.string("address", None, longest=2000)
    secret = fields.string("secret", None, longest=200)
    _read_filters(row, fields, actor)
    row.muted_until = _until(fields, row.muted_until)
    fields.finish()
    sealed = secrets.unseal(row.pk, row.sealed) if row.sealed else {}
    if address is not None:
        sealed |= _address(row, str(address).strip(), fields)
    elif fresh:
        fields.fail("address", _("Where do the messages go?"))
    if secret is not None and row.kind != Channel.Kind.WEBHOOK:
        fields.fail("secret", _("Only a webhook is signed."))
    elif secret is not None and len(secret) < SHORTEST_SECRET:
        fields.fail(
            "secret",
            _("At least %(shortest_secret)s characters are expected.") % {"shortest_secret": SHORTEST_SECRET},
        )
    if fields.errors:
        raise SpecError(fields.errors)
    if row.kind == Channel.Kind.WEBHOOK and (secret or fresh):
        sealed["secret"] = secret or random.token_urlsafe(32)
    row.sealed = secrets.seal(row.pk, sealed)
    if address is not None:
        row.failures, row.problem, row.wait_until = 0, "", None
    try:
        with transaction.atomic():
            row.save(force_insert=fresh)
            _noted(row, actor, {"kind": row.kind, "to": row.shown, "changed": sorted(set(map(str, body)))})
    except IntegrityError:
        raise SpecError({"name": [_("There is a channel of this name already.")]}) from None
    return str(sealed.get("secret", "")) if fresh else ""


def _read_filters(row: Channel, fields: Fields, actor: Actor) -> None:
    row.enabled = fields.boolean("enabled", row.enabled)
    row.events = _some(fields, "events", row.events, EVENTS, "event")
    row.kinds = _some(fields, "kinds", row.kinds, registry.all_kinds(), "kind of operation")
    known = [str(pk) for pk in Engine.objects.values_list("pk", flat=True)]
    row.engines = _some(fields, "engines", row.engines, known, "engine")
    slugs = set(visible_teams(actor).values_list("slug", flat=True)) if "teams" in fields.data else ()
    row.teams = _some(fields, "teams", row.teams, slugs, "team")
    if row.team_id and row.teams:
        fields.fail("teams", _("A team's channel tells of that team alone."))
    row.pattern = str(fields.string("pattern", row.pattern, longest=200, empty=True)).strip()
    row.cooldown = fields.integer("cooldown", row.cooldown, 0, 1440)


def _some(fields: Fields, key: str, was: list[str], known: Any, what: str) -> list[str]:
    found = fields.strings(key, None, most=200, total=20_000, longest=200)
    if found is None:
        return was
    for unknown in sorted(set(found) - set(known))[:1]:
        fields.fail(key, _("There is no %(what)s %(value)s.") % {"what": what, "value": unknown[:60]})
    return sorted(set(found))


def _until(fields: Fields, was: datetime | None) -> datetime | None:
    """``mute_hours``: quiet from now on for so long, 0 for no more."""
    hours = fields.integer("mute_hours", -1, 0, int(LONGEST_MUTE.total_seconds()) // 3600)
    if hours < 0:
        return was
    return timezone.now() + timedelta(hours=hours) if hours else None


def _address(row: Channel, text: str, fields: Fields) -> dict[str, Any]:
    """What is sealed of it; ``shown`` says no more than the host, or the domain."""
    if row.kind == Channel.Kind.MAIL:
        return _mail_addresses(row, text, fields)
    problem = posting.gate().problem(text)
    if problem or not text.isascii() or any(ord(char) <= 32 for char in text):
        fields.fail("address", problem or _("An address such as https://hooks.example/… is expected."))
        return {}
    parts = urlsplit(text)
    row.shown = f"{parts.scheme}://{parts.netloc}/…"[:255]
    return {"url": text}


def _mail_addresses(row: Channel, text: str, fields: Fields) -> dict[str, Any]:
    found = [part for part in re.split(r"[\s,;]+", text) if part]
    try:
        for one in found:
            validate_email(one)
    except ValidationError:
        found = []
    if not settings.EMAIL_HOST:
        fields.fail("address", _("This server sends no mail: set SLIPWAY_EMAIL_URL."))
    elif not 0 < len(found) <= MOST_ADDRESSES:
        fields.fail(
            "address",
            _("Up to %(most_addresses)s mail addresses are expected.") % {"most_addresses": MOST_ADDRESSES},
        )
    row.shown = ", ".join(f"{one[0]}…@{one.rpartition('@')[2]}" for one in found)[:255]
    return {"addresses": found}


# Trying, and sending again


def try_out(row: Channel, *, actor: Actor) -> Delivery:
    """Sends a real message, and returns it as it is when that is over, or the time is. Raises `Refused`."""
    may_manage(actor, row.team_id, _target(row))
    if row.deliveries.filter(event=TEST, state=Delivery.State.WAITING).exists():
        raise Refused("conflict", _("A test is on its way already."))
    now, event_id = timezone.now(), uuid.uuid4()
    payload: dict[str, Any] = {
        "event": TEST, "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "title": f"A test of {row.name}", "text": f"{actor.name} asked for this message: it arrives.",
        "object": {"type": "webhook", "id": str(row.pk), "name": row.name}, "engine": None,
        "team": row.team.slug if row.team else None, "url": settings.PUBLIC_URL or None, "facts": {},
    }  # fmt: skip
    with transaction.atomic():
        sent = Delivery.objects.create(
            channel=row, event_id=event_id, last_id=event_id, event=TEST, subject=f"webhook:{event_id}",
            title=payload["title"], payload=payload, at=now, due_at=now, expires_at=now + LASTS,
        )  # fmt: skip
        _noted(row, actor, {"tested": True})
    until = time.monotonic() + WAIT
    while sent.state == Delivery.State.WAITING and time.monotonic() < until:
        time.sleep(0.1)
        sent.refresh_from_db()
    return sent


def send_again(row: Delivery, *, actor: Actor) -> Delivery:
    """What was given up, or waits for its next attempt, is due now, with the same id. Raises `Refused`."""
    may_manage(actor, row.channel.team_id, _target(row.channel))
    now = timezone.now()
    left = Delivery.objects.filter(pk=row.pk).exclude(state=Delivery.State.SENT)
    with transaction.atomic():
        if not left.update(state=Delivery.State.WAITING, due_at=now, expires_at=now + LASTS, ended_at=None):
            raise Refused("conflict", _("It was delivered: there is nothing to send again."))
        Channel.objects.filter(pk=row.channel_id).update(wait_until=None)
        _noted(row.channel, actor, {"again": str(row.event_id)})
    row.refresh_from_db()
    return row


# Being quiet


def mute(thing: Any, hours: int, *, actor: Actor) -> Mute | None:
    """No messages about this container (a row with engine, team and name) for so many hours; 0 for no more."""
    target = Target("container", str(thing.pk), thing.name)
    with denials("webhook.mute", actor=actor, target=target, team_id=thing.team_id):
        require(actor, "webhook.mute", thing)
    now, row = timezone.now(), None
    most = LONGEST_MUTE.total_seconds() / 3600
    if not 0 <= hours <= most:
        raise SpecError({"hours": [_("Up to %(most)s hours are expected.") % {"most": f"{most:.0f}"}]})
    with transaction.atomic():
        Mute.objects.filter(until__lte=now).delete()
        mine = {"engine_id": thing.engine_id, "name": thing.name, "team_id": thing.team_id}
        if hours:
            values = {"until": now + timedelta(hours=hours), "actor_name": actor.name}
            row, _made = Mute.objects.update_or_create(**mine, defaults=values)
        else:
            Mute.objects.filter(**mine).delete()
        audit.record(
            "webhook.mute", actor, target_type="container", target_id=target.id, target_name=target.name,
            team_id=thing.team_id, detail={"hours": hours},
        )  # fmt: skip
    bell.ring(f"container:{thing.pk}")
    return row


def muted(thing: Any) -> Mute | None:
    """Whether, and until when, this container is quiet."""
    rows = Mute.objects.filter(engine=thing.engine_id, name=thing.name, team=thing.team_id)
    return rows.filter(until__gt=timezone.now()).first()


def _target(row: Channel) -> Target:
    return Target("webhook", str(row.pk), row.name)


def _noted(row: Channel, actor: Actor, detail: Mapping[str, Any]) -> None:
    audit.record(
        "webhook.manage", actor, target_type="webhook", target_id=str(row.pk), target_name=row.name,
        team_id=row.team_id, detail=detail,
    )  # fmt: skip
    transaction.on_commit(lambda: bell.ring("webhooks"), robust=True)
