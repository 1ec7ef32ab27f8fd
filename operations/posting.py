"""Sends what the outbox holds, at least once each, in threads of its own: a receiver that hangs holds up nobody else.

Each channel has one thread while something is due for it. A worker that dies leaves a lease that lapses, and another
one sends the message again, with the same id. What is not taken is tried again, later each time, for a day; then it is
given up, and shown.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPException
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from engine import outbound
from operations import messages, registry, secrets
from operations.channel import TEST
from operations.models import Channel, Delivery
from streams import bell

log = logging.getLogger(__name__)

WITHIN = 10.0
"""Seconds that one attempt has, from the first byte to the answer."""
LEASE = timedelta(seconds=90)
BACK_OFF = (10, 30, 120, 600, 1800, 3600, 7200, 14400)
"""Seconds before the next attempt; the last holds for all that follow."""
AT_ONCE = 16
"""Channels that are sent to at the same time, by one worker."""
IN_A_ROW = 50
"""Messages to one channel before others have their turn."""
PORTS = (443, 8443)

_busy: set[UUID] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Came:
    """What came of an attempt. ``status`` is the receiver's, ``None`` where it gave none; ``problem`` for people."""

    status: int | None = None
    problem: str = ""


def gate() -> outbound.Gate:
    """Where a worker may send to."""
    return outbound.Gate(
        settings.WEBHOOK_HOSTS, "SLIPWAY_WEBHOOK_HOSTS", "receiver", "https://hooks.example/services/…",
        patience=WITHIN, within=WITHIN, ports=PORTS, queries=True,
    )  # fmt: skip


@registry.every(2)
def wake() -> int:
    """Has a thread send for each channel that something is due for; for how many."""
    wanted = dict.fromkeys(_due().values_list("channel_id", flat=True)[: AT_ONCE * IN_A_ROW])
    with _lock:
        fresh = [channel_id for channel_id in wanted if channel_id not in _busy][: AT_ONCE - len(_busy)]
        _busy.update(fresh)
    for channel_id in fresh:
        threading.Thread(target=_in_thread, args=(channel_id,), name="post", daemon=True).start()
    return len(fresh)


@registry.every(3600)
def forget_old() -> None:
    """Takes away what has ended as long ago as the events that are not kept any more."""
    old = timezone.now() - timedelta(days=settings.EVENT_DAYS)
    Delivery.objects.exclude(state=Delivery.State.WAITING).filter(created_at__lt=old).delete()


def _in_thread(channel_id: UUID) -> None:
    try:
        send_due(channel_id)
    except Exception:
        log.exception("messages could not be sent")
    finally:
        with _lock:
            _busy.discard(channel_id)
        connection.close()


def _due() -> QuerySet[Delivery]:
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    patient = Q(channel__wait_until=None) | Q(channel__wait_until__lte=now) | Q(event=TEST)
    rows = Delivery.objects.filter(free, patient, state=Delivery.State.WAITING, due_at__lte=now)
    return rows.filter(Q(channel__enabled=True) | Q(event=TEST) | Q(expires_at__lte=now)).order_by("due_at")


def send_due(channel_id: UUID) -> int:
    """Sends what is due for this channel, oldest first, a few; how many attempts were made. Blocking."""
    done = 0
    while done < IN_A_ROW:
        row = _due().filter(channel=channel_id).select_related("channel").first()
        if row is None:
            break
        if _claim(row):
            _ended(row, _attempt(row))
        done += 1
    return done


def _claim(row: Delivery) -> bool:
    """One worker alone; the number of the attempt is the fence."""
    mine = Delivery.objects.filter(pk=row.pk, attempts=row.attempts, state=Delivery.State.WAITING)
    if not mine.update(attempts=F("attempts") + 1, lease_until=timezone.now() + LEASE):
        return False
    row.refresh_from_db(fields=["attempts", "count", "title", "payload"])
    return True


def _attempt(row: Delivery) -> Came:
    """Never raises: whatever is wrong with one message must not keep others waiting."""
    try:
        sealed = secrets.unseal(row.channel_id, row.channel.sealed)
        if row.channel.kind == Channel.Kind.MAIL:
            messages.mail(row, list(sealed["addresses"])).send()
            return Came(250)
        return _post(str(sealed["url"]), messages.request(row, str(sealed.get("secret", "")), time.time()))
    except outbound.Refused as error:
        return Came(problem=str(error))
    except (OSError, SMTPException, http.client.HTTPException) as error:
        return Came(problem=f"No answer: {outbound.why(error)}.")
    except secrets.Unreadable:
        return Came(problem="Its address was sealed with another key: give it again.")
    except Exception:
        log.exception("message %s broke", row.pk)
        return Came(problem="This message cannot be sent.")


def _post(url: str, wanted: messages.Request) -> Came:
    """Sends it; of the answer the status alone is read, and nobody is followed elsewhere."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    with closing(gate().connect(url)) as wire:
        wire.request("POST", path, wanted.body, wanted.headers)
        status = wire.getresponse().status
    if 200 <= status < 300:
        return Came(status)
    if 300 <= status < 400:
        return Came(status, f"It answered {status}: messages do not follow redirections.")
    return Came(status, f"It answered {status}.")


def _ended(row: Delivery, came: Came) -> None:
    """Keeps what came of it, if this attempt is still the last one."""
    now = timezone.now()
    tried = BACK_OFF[min(row.attempts, len(BACK_OFF)) - 1]
    facts: dict[str, Any] = {"status": came.status, "problem": came.problem[:200], "lease_until": None}
    if not came.problem:
        facts |= {"state": Delivery.State.SENT, "ended_at": now}
    elif row.event == TEST or now >= row.expires_at:
        facts |= {"state": Delivery.State.DEAD, "ended_at": now}
    else:
        facts |= {"due_at": min(now + timedelta(seconds=tried), row.expires_at)}
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=row.pk, attempts=row.attempts, state=Delivery.State.WAITING)
        if mine.update(**facts):
            _note(row.channel, came, now + timedelta(seconds=min(tried, 600)))
    bell.ring("webhooks")


def _note(channel: Channel, came: Came, wait_until: object) -> None:
    """On the channel's row. Where nobody answers, what else is due for it waits too."""
    rows, now = Channel.objects.filter(pk=channel.pk), timezone.now()
    if not came.problem:
        rows.update(failures=0, sent_at=now, wait_until=None)
        return
    rows.update(
        failures=F("failures") + 1, problem=came.problem[:200], problem_at=now,
        wait_until=wait_until if came.status is None else None,
    )  # fmt: skip
