"""Who works on which operation: leases, kept alive by one thread a process, and what that thread notices.

A worker that dies stops renewing; within `LEASE` seconds somebody else may take over, with a higher fence. A
worker that was only asleep then finds that its writes match no row any more.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from django.db import close_old_connections, connection
from django.utils import timezone

from operations.models import Operation, OperationQuerySet

log = logging.getLogger(__name__)

LEASE = 15.0
"""Seconds that a lease holds without being renewed."""
RENEW = LEASE / 3
QUIET = LEASE / 3
"""Seconds that an engine has for the last request of a worker that is known to be dead."""
LOOK = 0.5
"""Seconds between two looks for cancel requests: how soon a cancelled build stops."""


class Hold:
    """One operation that this process works on. Written by the renewing thread, read by the working one."""

    def __init__(self, operation: Operation) -> None:
        self.id: UUID = operation.pk
        self.fence: int = operation.fence
        self.lost = False
        self.cancelled = operation.cancel_requested_at is not None
        self.renewed = time.monotonic()


_holds: dict[UUID, Hold] = {}
_lock = threading.Lock()
_thread: threading.Thread | None = None


def owner() -> str:
    """What stands in ``lease_owner``: machine, process, thread, and where that process id means something."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{threading.get_native_id()}:{where()}"


@cache
def where() -> str:
    """Names this boot of this kernel and our namespace of process ids in it; empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return sha256(f"{boot} {Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:16]
    except OSError:
        return ""


def is_dead(owner: str) -> bool:
    """Whether the process that holds this lease is known to have ended, with all its threads. Never a guess."""
    *_, pid, _, place = ["", "", *owner.split(":")]
    return bool(where()) and place == where() and pid.isdecimal() and is_gone(int(pid))


def is_gone(pid: int) -> bool:
    """Whether this machine has no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is there, and somebody else's
    return False


def release_dead() -> int:
    """Lets the leases of processes lapse that have ended on this machine; how many.

    Each had its last look at the fence `QUIET` seconds ago at least: what it may have sent to an engine right before it
    ended has had that time to come to its own end.
    """
    now = timezone.now()
    quiet = now + timedelta(seconds=LEASE - QUIET)
    rows = Operation.objects.filter(
        state__in=("running", "unknown"), lease_until__gt=now, lease_until__lt=quiet
    )
    count = 0
    for pk, fence, holder in rows.exclude(lease_owner="").values_list("pk", "fence", "lease_owner"):
        if is_dead(holder):
            count += rows.filter(pk=pk, fence=fence, lease_owner=holder).update(lease_until=now)
    return count


@contextmanager
def hold(operation: Operation) -> Iterator[Hold]:
    """Keeps the lease of a claimed operation alive within the block."""
    global _thread  # noqa: PLW0603 - one renewing thread a process
    held = Hold(operation)
    with _lock:
        _holds[held.id] = held
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_keep, name="leases", daemon=True)
            _thread.start()
    try:
        yield held
    finally:
        with _lock:
            if _holds.get(held.id) is held:
                del _holds[held.id]


def _keep() -> None:
    """Renews and looks until nothing is held any more."""
    global _thread  # noqa: PLW0603
    try:
        while True:
            time.sleep(LOOK)
            with _lock:
                held = list(_holds.values())
                if not held:
                    _thread = None
                    return
            try:
                close_old_connections()
                look(held)
            except Exception:
                # A database that is away for a moment: the leases last longer than that, or are lost for good
                # reason.
                log.exception("could not renew leases")
    finally:
        connection.close()


def look(held: list[Hold]) -> None:
    """Renews what is due, and notes what was cancelled or taken over."""
    now = time.monotonic()
    due = [h for h in held if now - h.renewed >= RENEW]
    for h in due:
        renew(h)
    found = Operation.objects.filter(pk__in=[h.id for h in held]).values_list(
        "pk", "state", "fence", "cancel_requested_at"
    )
    for pk, state, fence, cancel in found:
        for h in held:
            if h.id == pk:
                h.lost = h.lost or fence != h.fence or state in Operation.ENDED
                h.cancelled = h.cancelled or cancel is not None


def renew(held: Hold) -> bool:
    """Lengthens the lease, where it is still ours: whoever has just done so has all of it before him."""
    now = time.monotonic()
    if not mine(held).update(lease_until=timezone.now() + timedelta(seconds=LEASE)):
        return False
    held.renewed = now
    return True


def mine(held: Hold) -> OperationQuerySet:
    """The row, as long as nobody else has taken it over: every write of a worker goes through this."""
    return Operation.objects.filter(pk=held.id, fence=held.fence, state__in=("running", "unknown"))
