"""Who did what, on what, from where, and how it ended. The only writer of `AuditEntry`; nothing is ever
changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.access import Actor
from accounts.models import AuditEntry

LONGEST = 500
"""Characters of one text in ``detail``: a name that somebody chose must not fill the trail."""


def record(
    verb: str,
    actor: Actor,
    *,
    outcome: str = "succeeded",
    name: str = "",
    target_type: str = "",
    target_id: object = "",
    target_name: str = "",
    team_id: UUID | None = None,
    operation_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Writes one line, within the caller's transaction: the change and its line are there together or not at
    all.

    ``verb`` is an operation kind or an account event (``auth.login``); ``outcome`` is accepted, denied,
    succeeded, failed or cancelled. ``name`` stands in for an actor without an account: the name that somebody
    tried to sign in with. ``detail`` is JSON without secrets; long texts in it are cut.
    """
    return AuditEntry.objects.create(
        actor=actor.user,
        actor_name=(name or actor.name)[:150],
        verb=verb,
        outcome=outcome,
        target_type=target_type,
        target_id=str(target_id)[:64],
        target_name=target_name[:255],
        team_id=team_id,
        operation_id=operation_id,
        source=actor.source,
        ip=actor.ip,
        detail=_short(detail or {}),
    )


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    if isinstance(value, Mapping):
        return {str(key)[:LONGEST]: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:LONGEST]
