"""The one way anything on an engine changes: `submit`. Forms, REST, admin and commands all call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.access import Actor
from accounts.models import Team
from operations.models import Engine, Operation


class Refused(Exception):
    """The change was not accepted; nothing was done. ``code`` and ``status`` are those of the REST contract."""

    def __init__(self, code: str, message: str, status: int = 409, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.details = code, message, status, details


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation changes. ``id`` is our UUID, or empty where the object does not exist yet."""

    type: str
    id: str = ""
    name: str = ""
    lock_key: str = ""


def submit(
    kind: str,
    *,
    actor: Actor,
    engine: Engine,
    target: Target,
    team: Team | None,
    params: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Accepts a change: one transaction writes the row (queued) and the audit entry; after the commit the bell
    rings and the worker is woken with the id alone.

    A queued or running operation of the same kind on the same target is joined: that one is returned.
    Raises `accounts.access.Denied` or Http404 (rights), `Refused` (409 ``conflict`` while another change runs,
    422 ``idempotency_mismatch``), `engine.errors.PolicyDenied` (guard rails).
    """
    raise NotImplementedError


def cancel(operation: Operation, *, actor: Actor) -> Operation:
    """Asks a queued or running operation to stop; queued ones end at once. Raises `Refused` where it has ended."""
    raise NotImplementedError


def retry(operation: Operation, *, actor: Actor) -> Operation:
    """Submits the same change again as a new operation. Raises `Refused` where it is still active."""
    raise NotImplementedError


def wait(operation: Operation, *, seconds: float) -> Operation:
    """Waits until it has ended or the time is up, and returns it as it is then."""
    raise NotImplementedError
