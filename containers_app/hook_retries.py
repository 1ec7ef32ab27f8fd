"""What follows a call of a webhook later: redeploys of what was pushed while an older redeploy ran, or while something
else was at the container.

Each call that waits is claimed with a lease, so that of several workers one alone asks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone, translation

from containers_app import hooks
from containers_app.models import HookCall
from operations import registry
from operations.models import Operation
from operations.services import Refused

log = logging.getLogger(__name__)

TRIES, PAUSE = 60, timedelta(minutes=1)
"""How often what was held up is asked for again, and how long after what holds it up by no operation."""
LEASE = timedelta(minutes=5)
"""How long whoever asks again has for it. Longer than for the largest stack."""

_going = threading.Semaphore()


def _due() -> QuerySet[HookCall]:
    free = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    return HookCall.objects.filter(free, again=True, attempts__lt=TRIES)


@registry.every(5)
def wake() -> bool:
    """Has a thread go on, if there is something and none is at it: to ask for hundreds of containers takes longer than
    this one may be silent."""
    if not _due().exists() or not _going.acquire(blocking=False):
        return False
    threading.Thread(target=_in_thread, name="hooks", daemon=True).start()
    return True


def _in_thread() -> None:
    try:
        go_on()
    except Exception:
        log.exception("what was pushed could not be redeployed once more")
    finally:
        _going.release()
        connection.close()


def go_on() -> None:
    """Redeploys once more what was pushed while an older redeploy ran, or something else was at the container. The
    newest push of a hook stands for all."""
    ready: dict[UUID, list[HookCall]] = {}
    for call in _due().select_related("hook__engine", "hook__created_by"):
        if not Operation.objects.active().filter(pk__in=call.behind).exists():
            ready.setdefault(call.hook_id, []).append(call)
    for newest, *older in ready.values():
        if _claimed(newest, older):
            _once_more(newest)


def _claimed(call: HookCall, older: Sequence[HookCall]) -> bool:
    """Whether this worker has it now, with what is left of the older ones."""
    every = [call, *older]
    names = {name for one in every for name in one.left}
    call.left = sorted(names) if all(one.left for one in every) else []
    mine = HookCall.objects.filter(pk=call.pk, again=True, attempts=call.attempts)
    call.attempts += 1
    with transaction.atomic():
        taken = mine.update(attempts=call.attempts, left=call.left, lease_until=timezone.now() + LEASE)
        if taken:
            HookCall.objects.filter(pk__in=[one.pk for one in older]).update(again=False)
    return bool(taken)


def _once_more(call: HookCall) -> None:
    new = HookCall(hook=call.hook, ip=call.ip)
    try:
        with translation.override("en"):
            hooks.ask(new, "", since=call.at, only=call.left)
    except Refused as error:
        new.outcome = error.message[:300]
    call.left, call.behind, call.again = new.left, new.behind, new.again and call.attempts < TRIES
    call.lease_until = None if call.behind else timezone.now() + PAUSE
    new.left, new.behind, new.again = [], [], False
    with transaction.atomic():
        if new.operation or new.batch or not call.again:
            new.save()
        call.save(update_fields=["left", "behind", "again", "lease_until"])
