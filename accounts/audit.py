"""Who did what, on what, from where, and how it ended. The only writer of `AuditEntry`; nothing is ever
changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from structlog.contextvars import get_contextvars

from accounts import chain, notices
from accounts.access import Actor
from accounts.models import AuditEntry, AuditHead, Team, User
from accounts.permissions import PERMISSIONS

LONGEST = 500
"""Characters of one text in ``detail``: a name that somebody chose must not fill the trail."""
EVENTS = (
    "auth.login", "auth.logout", "auth.locked", "auth.setup", "auth.password", "auth.second_step", "auth.confirm",
    "auth.reset", "auth.link", "auth.unlink", "factor.add", "factor.remove", "factor.codes", "session.end",
    "token.create", "token.revoke", "token.rotate",
    "user.create", "user.change", "user.remove", "user.enable", "team.create", "team.change", "team.remove",
    "member.add", "member.change", "member.remove", "audit.export",
    "permission_set.create", "permission_set.change", "permission_set.remove",
    "group_mapping.create", "group_mapping.change", "group_mapping.remove", "auth.groups",
    "console.watch", "console.end", "console.replay",
)  # fmt: skip
"""What is recorded besides operations and denials, whose verbs are kinds and permissions."""


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
    all. Where there is none it opens one.

    ``verb`` is an operation kind or an account event (``auth.login``); ``outcome`` is accepted, denied,
    succeeded, failed or cancelled. ``name`` stands in for an actor without an account: the name that somebody
    tried to sign in with. ``detail`` is JSON without secrets; long texts in it are cut. The
    request's name in the server's log is added to it.

    Writers wait for each other here until their transactions end: make it the last lock that yours takes.
    """
    request = get_contextvars().get("request")
    entry = AuditEntry(
        actor=actor.user,
        actor_name=_text(name or actor.name, 150),
        verb=verb,
        outcome=outcome,
        target_type=target_type,
        target_id=_text(target_id, 64),
        target_name=_text(target_name, 255),
        team_id=team_id,
        operation_id=operation_id,
        source=actor.source,
        ip=actor.ip,
        detail=_short({**(detail or {}), **({"request": request} if request else {})}),
    )
    if team_id is not None:
        entry.team_slug = Team.objects.filter(pk=team_id).values_list("slug", flat=True).first() or ""
    with transaction.atomic(savepoint=False):
        head, _ = AuditHead.objects.select_for_update().get_or_create(id=1)
        entry.at = timezone.now()
        entry.seq, entry.prev_hash, entry.key_id = head.seq + 1, head.hash, chain.key_id()
        entry.hash = chain.seal(chain.facts_of(entry), head.hash)
        entry.save(force_insert=True)
        AuditHead.objects.filter(id=1).update(seq=entry.seq, hash=entry.hash)
        notices.of(entry)
    return entry


def about(
    verb: str,
    actor: Actor,
    user: User,
    *,
    outcome: str = "succeeded",
    name: str = "",
    team_id: UUID | None = None,
    **detail: Any,
) -> None:
    """A line about somebody's account; see `record`."""
    record(
        verb, actor, outcome=outcome, name=name, target_type="user", target_id=user.pk, target_name=user.username,
        team_id=team_id, detail=detail,
    )  # fmt: skip


def verbs() -> dict[str, list[str]]:
    """What an entry may be about, by its first word: ``{"container": ["container.kill", …]}``."""
    found: dict[str, list[str]] = {}
    for verb in sorted({*PERMISSIONS, *EVENTS}):
        found.setdefault(verb.partition(".")[0], []).append(verb)
    return found


def _short(value: Any) -> Any:
    if isinstance(value, str):
        text = _text(value, LONGEST + 1)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if isinstance(value, Mapping):
        return {_text(key, LONGEST): _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value, LONGEST)


def _text(value: object, most: int) -> str:
    """Without what a database refuses: a line that cannot be written would hold up the change that it is about."""
    return str(value)[:most].replace("\0", "�").encode(errors="replace").decode()
