"""The one way anything on an engine changes: `submit`. Forms, REST, admin and commands all call it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone, translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import SYSTEM, Actor, Denied, Owner, english, require
from accounts.models import Team
from engine.errors import PolicyDenied, SelfProtected
from engine.specs import SpecError
from engine.words import kept
from operations import actors, batches, events, quotas, registry, secrets
from operations.batches import Batch
from operations.models import Engine, Operation
from operations.pace import Pace
from operations.previews import Previewed, is_preview
from operations.refused import Refused as Refused  # noqa: PLC0414 - everybody takes it from here
from operations.retold import inside
from streams.connection import client

log = logging.getLogger(__name__)

TASK = "operations.run"
KEY_LIFE = timedelta(hours=24)
"""How long an idempotency key means the same operation."""
WAIT_FIRST, WAIT_MOST = 0.05, 0.25
"""Seconds between two looks at an operation that somebody waits for: quick ones are seen quickly."""
AFTER = "_after"
"""The operation that has to succeed before; else this one is not begun."""
WITHHELD = "_withheld"
"""In ``params``: names of those whose real values were sealed, and are gone with the end of the operation."""
REMEMBERED = "_remembered"
"""In ``params``: what an attempt has seen before it changed anything. No part of the wish."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation changes. ``id`` is our UUID, or empty where the object does not exist yet."""

    type: str
    id: str = ""
    name: str = ""
    lock_key: str = ""


def lock(*parts: object) -> str:
    """A lock key of these parts, ``engine:<uuid>:name:web``; long ones are shortened to their digest."""
    key = ":".join(str(part) for part in parts)
    return key if len(key) <= 255 else f"{key[:180]}:{hashlib.sha256(key.encode()).hexdigest()}"


@contextmanager
def denials(kind: str, *, actor: Actor, target: Target, team_id: UUID | None) -> Iterator[None]:
    """What is denied within is in the audit trail. Outside any transaction, which would undo it."""
    try:
        yield
    except (PermissionDenied, Http404, PolicyDenied, SelfProtected) as error:
        if is_preview() and isinstance(error, PolicyDenied | SelfProtected):
            raise  # a plan tells of it; nobody has tried
        detail = {"reason": english(error)}  # evidence, whoever asked
        if isinstance(error, PolicyDenied):
            detail |= {key: str(value) for key, value in error.details.items()}
        audit.record(
            kind, actor, outcome="denied", target_type=target.type, target_id=target.id, target_name=target.name,
            team_id=team_id, detail=detail,
        )  # fmt: skip
        if isinstance(error, Denied):
            error.noted = True
        raise


def authorize(kind: str, *, actor: Actor, target: Target, team_id: UUID | None) -> None:
    """Raises `accounts.access.Denied`, Http404 or `SelfProtected` where the actor may not; the trail then has it."""
    with denials(kind, actor=actor, target=target, team_id=team_id):
        require(actor, registry.get(kind).permission, Owner(team_id))
        registry.may_touch(kind, target.type, target.id, actor)


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
    check: Callable[[], None] | None = None,
    batch: Batch | None = None,
    after: Operation | None = None,
    fetches: bool = False,
    also: Callable[[Operation], None] | None = None,
) -> Operation:
    """Accepts a change: one transaction writes the row (queued) and the audit entry; after the commit the bell rings.

    ``also`` writes more rows in that transaction. ``fetches``: paced like what is expensive, since it pulls an image.
    ``secrets`` holds the real values of those ``params`` that are masked there; they are sealed until the end.
    A queued or running operation of the same kind with the same parameters on the same target is joined: that
    one is returned. ``check`` is called where nothing is joined, and may raise `Refused`. Raises
    `accounts.access.Denied` or Http404 (rights), `Refused` (409 ``conflict`` while another change runs, 409
    ``quota_exceeded``, 422 ``idempotency_mismatch``, 429 ``rate_limited``). ``after``: one of an
    earlier step that has to succeed.
    """
    team_id = team.pk if team else None
    authorize(kind, actor=actor, target=target, team_id=team_id)
    wanted = dict(params or {}) | ({AFTER: str(after.pk)} if after else {})
    operation = _new(
        kind=kind, actor=actor, engine=engine, target=target, team_id=team_id, params=wanted,
        hidden=dict(secrets or {}), idempotency_key=idempotency_key,
    )  # fmt: skip
    operation.batch, operation.step = (batch.id, batch.step) if batch else (None, 0)
    pace = Pace(actor, batch, after is None and (fetches or registry.get(kind).expensive))
    for _attempt in range(3):  # somebody else may be first between a look and a write: the next look finds it
        if found := _same(operation) or _active(operation):
            pace.joined()
            return found
        if check:
            check()
        _preview(operation)
        pace.pay()
        try:
            with transaction.atomic():
                _accept(operation, actor, also)
        except IntegrityError:
            continue
        return operation
    raise Refused("conflict", _("Another change of the same thing was faster."))


def cancel(operation: Operation, *, actor: Actor) -> Operation:
    """Asks a queued or running operation to stop; queued ones end at once. Raises `Refused` where it has
    ended.
    """
    target = Target(operation.target_type, operation.target_id, operation.target_name)
    with denials("operation.cancel", actor=actor, target=target, team_id=operation.team_id):
        require(actor, "operation.cancel", operation)
    now = timezone.now()
    rows = Operation.objects.filter(pk=operation.pk)
    with transaction.atomic():
        ended = rows.filter(state="queued").update(
            state="cancelled",
            finished_at=now,
            cancel_requested_at=now,
            sealed="",
            error_code="cancelled",
            error_message=kept(f"Cancelled by {actor.name} before it started."),
        )
        asked = ended or rows.filter(state__in=Operation.ACTIVE, cancel_requested_at=None).update(
            cancel_requested_at=now
        )
        operation.refresh_from_db()
        if asked:
            story = {"state": operation.state, "cancel": actor.name}
            events.append(operation, [("state", story)])
            _audit(operation, actor, "operation.cancel", "accepted")
            if ended:
                _audit(operation, actor, operation.kind, "cancelled")
                batches.go_on(operation, dispatch)
            events.ring(operation, state=True)
    if not asked and operation.ended:
        raise Refused("conflict", _("It has already ended."), operation=str(operation.pk))
    return operation


def retry(operation: Operation, *, actor: Actor) -> Operation:
    """Submits the same change again as a new operation, for the one who asks now.

    Raises `Refused` where it is still active, has succeeded, or where secrets were needed that are gone.
    """
    if operation.state not in ("failed", "cancelled"):
        done = _("It has succeeded: there is nothing to retry.")
        going = _("It is still on its way: there is nothing to retry.")
        raise Refused("conflict", done if operation.ended else going, operation=str(operation.pk))
    kind = registry.get(operation.kind)
    if kind.again:
        return kind.again(operation, actor)
    if operation.params.get(WITHHELD):
        raise Refused("conflict", _("Its secret values were not kept: ask for it anew with them."))
    owner = owner_of(operation)
    return submit(
        operation.kind,
        actor=actor,
        engine=operation.engine,
        target=Target(operation.target_type, operation.target_id, operation.target_name, operation.lock_key),
        team=Team.objects.filter(pk=owner.team_id).first() if owner.team_id else None,
        params={key: value for key, value in operation.params.items() if key not in (REMEMBERED, AFTER)},
    )


def wait(operation: Operation, *, seconds: float) -> Operation:
    """Waits until it has ended or the time is up, and returns it as it is then."""
    until, pause = time.monotonic() + seconds, WAIT_FIRST
    operation.refresh_from_db()
    while not operation.ended and (left := until - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, WAIT_MOST)
        operation.refresh_from_db()
    return operation


def dispatch(operation_id: UUID) -> bool:
    """Wakes a worker with the id alone; false where the broker is away. What is lost the sweeper sends again."""
    sent = True
    try:
        client().ping()  # half a second at most, where the broker's own library promises no bound
        current_app.send_task(TASK, (str(operation_id),), retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 - a broker can be away in many ways, and none of them matters here
        sent = False
        log.warning("operation %s waits for the sweeper: %s", operation_id, error)
    Operation.objects.filter(pk=operation_id).update(dispatched_at=timezone.now())
    return sent


def owner_of(operation: Operation) -> Any:
    """Whose row tells the team of today: the target's, or the operation's own where the target is gone or has none."""
    found = registry.find_target(operation.target_type, operation.target_id)
    return found if hasattr(found, "team_id") else operation


def actor_of(operation: Operation) -> Actor | None:
    """Who asked, with the rights of today. ``None``: the account or the token is gone."""
    if operation.source == Operation.Source.SYSTEM and operation.actor is None:
        return SYSTEM if operation.actor_name == SYSTEM.name else None
    return actors.recall(operation.actor, source=operation.source, token_key=operation.token_key)


def _new(
    *,
    kind: str,
    actor: Actor,
    engine: Engine,
    target: Target,
    team_id: UUID | None,
    params: dict[str, Any],
    hidden: dict[str, Any],
    idempotency_key: str,
) -> Operation:
    """The row that is to be written, complete."""
    pk = uuid4()
    if hidden:
        params[WITHHELD] = sorted(hidden)
    body = [kind, engine.pk, target.type, target.id, target.name, team_id, params, hidden]
    return Operation(
        pk=pk,
        kind=kind,
        engine=engine,
        team_id=team_id,
        actor=actor.user,
        actor_name=actor.name,
        token_key=actor.token_key,
        source=actor.source,
        target_type=target.type,
        target_id=target.id,
        target_name=target.name[:255],
        lock_key=target.lock_key,
        params=params,
        sealed=secrets.seal(pk, hidden),
        idempotency_key=idempotency_key[:200],
        body_digest=_digest(body),
    )


def _digest(body: Any) -> str:
    """Keyed, because the body may hold a secret that is easily guessed."""
    text = json.dumps(body, sort_keys=True, default=str, separators=(",", ":"))
    return salted_hmac(
        "slipway.operations.body", text, secret=settings.SECRET_KEY, algorithm="sha256"
    ).hexdigest()


def _same(new: Operation) -> Operation | None:
    """What the same caller has asked for before under this key; a key that has had its day is free again."""
    if not new.idempotency_key:
        return None
    mine = Operation.objects.filter(actor=new.actor, idempotency_key=new.idempotency_key)
    mine.filter(created_at__lt=timezone.now() - KEY_LIFE).update(idempotency_key="")
    found = mine.first()
    if found and found.body_digest != new.body_digest:
        raise Refused(
            "idempotency_mismatch",
            _("This Idempotency-Key was used for another request."),
            422,
            operation=str(found.pk),
        )
    return found


def _active(new: Operation) -> Operation | None:
    """What is at work on the same target: joined where it is the same change, else the reason to refuse."""
    if not new.lock_key:
        return None
    found = Operation.objects.active().filter(lock_key=new.lock_key).first()
    if found is None or (found.kind == new.kind and found.body_digest == new.body_digest):
        return found
    label = inside(translation.gettext(registry.get(found.kind).label))
    raise Refused(
        "conflict",
        _("%(actor_name)s asked to %(label)s %(target_name)s, and that is not finished yet.")
        % {"actor_name": found.actor_name, "label": label, "target_name": found.target_name},
        operation=str(found.pk),
    )


def _preview(operation: Operation) -> None:
    """Ends here where nothing may be changed now."""
    if is_preview():
        _within_quota(operation, locked=False)
        raise Previewed(operation)


def _within_quota(operation: Operation, *, locked: bool) -> None:
    """Raises `Refused` where the team would have more than it may."""
    found = quotas.exceeded(operation, locked=locked)
    if found:
        raise Refused("quota_exceeded", quotas.sentence(found), **found)


def _accept(operation: Operation, actor: Actor, also: Callable[[Operation], None] | None) -> None:
    _within_quota(operation, locked=True)
    operation.save(force_insert=True)
    events.append(operation, [("state", {"state": "queued"})])
    _audit(operation, actor, operation.kind, "accepted", detail=operation.params)
    events.ring(operation, state=True)
    transaction.on_commit(lambda: dispatch(operation.pk), robust=True)
    if also:
        also(operation)


def _audit(
    operation: Operation, actor: Actor, verb: str, outcome: str, detail: Mapping[str, Any] | None = None
) -> None:
    audit.record(
        verb,
        actor,
        outcome=outcome,
        target_type=operation.target_type,
        target_id=operation.target_id,
        target_name=operation.target_name,
        team_id=operation.team_id,
        operation_id=operation.pk,
        detail=detail,
    )


def chosen_engine(engine: Engine | None) -> Engine:
    """The engine meant: the one given, else the only one there is. Raises `SpecError` or `Refused`."""
    if engine is not None:
        return engine
    found = list(Engine.objects.all()[:2])
    if not found:
        raise Refused("engine_unreachable", _("No container engine is connected to Slipway yet."), 502)
    if len(found) > 1:
        raise SpecError({"engine": [_("There are several engines: say which one.")]})
    return found[0]


def chosen_team(actor: Actor, team: Team | None) -> Team | None:
    """The team that will own what is made: the one given, else the actor's only one.

    Site administrators may leave it open; then nobody owns it. Raises `SpecError` or `Denied`.
    """
    if team is not None:
        return team
    if actor.token_team_id is not None:
        return Team.objects.filter(pk=actor.token_team_id).first()
    if actor.is_site_admin or actor.user is None:
        return None
    found = list(Team.objects.filter(memberships__user=actor.user)[:2])
    if not found:
        raise Denied(_("You are in no team: ask a site administrator for one."))
    if len(found) > 1:
        raise SpecError({"team": [_("You are in several teams: say which one will own it.")]})
    return found[0]
