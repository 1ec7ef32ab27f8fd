"""Webhooks that come in: a container is made anew with the newest image of its tag, because somebody has pushed one;
or all that a team has in a stack is, as one batch of operations.

Whose signature is wrong learns nothing, not even whether there is such a hook. What a hook does is an ordinary
operation of whoever made it; the message says nothing of what is done.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, limits
from accounts.access import Actor, Owner, can, require
from accounts.models import Team
from containers_app import many, pushes, stacks
from containers_app.models import Container, DeployHook, HookCall
from containers_app.queries import Stack
from engine.errors import EngineError
from engine.specs import SpecError
from engine.words import kept
from operations import actors, messages, registry, secrets
from operations.models import Engine
from operations.services import Refused, Target, denials

PERMISSION = "hook.manage"
LARGEST = 256 * 1024
"""Bytes of a message."""
FRESH = 300
"""Seconds that a signature with a time is good, to both sides of our clock."""
MOST_A_MINUTE = 10
MOST_IDLE = 60
"""Calls a minute that have nothing done."""
MOST = 20
"""Hooks of one container, or of what a team has in a stack."""
ONCE_MORE = kept("Redeploying; once more when what was under way has ended")
PUSHES = {
    "X-GitHub-Event": ("push", "release", "package", "registry_package"),
    "X-Gitlab-Event": ("Push Hook", "Tag Push Hook", "Release Hook"),
}
"""Events that mean that there is something new; without such a header every message does."""


class Unsigned(Exception):
    """No such hook, or the signature is not right: 401 for both."""


# Naming them


@dataclass(frozen=True, slots=True)
class Thing:
    """What a hook makes anew: a container, or what one team (or nobody) has in a stack."""

    kind: DeployHook.Kind
    engine: Engine
    team: Team | None
    name: str
    id: str = ""
    """A container's, for the trail; a stack has none."""

    @property
    def team_id(self) -> UUID | None:
        """Whose rights count."""
        return self.team.pk if self.team else None


def container(row: Container) -> Thing:
    """A container as what a hook is of."""
    return Thing(DeployHook.Kind.CONTAINER, row.engine, row.team, row.name, str(row.pk))


def parts(stack: Stack, actor: Actor) -> list[Thing]:
    """The stack by its owners, of those where the actor may have hooks, nobody's last. `Denied` where there is none.

    A compose project is a label that anybody can write: a hook reaches what its own team has in it, and no more.
    """
    owners = {row.team_id: row.team for row in stack.rows}
    mine = [team for pk, team in owners.items() if can(actor, PERMISSION, Owner(pk))]
    if not mine:
        require(actor, PERMISSION, stack.rows[0])
    mine.sort(key=lambda team: (team is None, team.name if team else ""))
    engine = stack.rows[0].engine
    return [Thing(DeployHook.Kind.STACK, engine, team, stack.name) for team in mine]


def part(things: Sequence[Thing], said: Mapping[str, object]) -> Thing:
    """The one that is meant: of the ``team`` with this slug, null or empty for what nobody owns; without a word the
    only one. Raises `SpecError`."""
    if "team" not in said and len(things) == 1:
        return things[0]
    slug = said.get("team") or ""
    for thing in things:
        if "team" in said and slug == (thing.team.slug if thing.team else ""):
            return thing
    raise SpecError({"team": [_("Several own containers in it: say whose are meant.")]})


def of(*things: Thing) -> QuerySet[DeployHook]:
    """Those of these."""
    wanted = Q(pk=None)
    for thing in things:
        wanted |= Q(kind=thing.kind, engine=thing.engine, team=thing.team, name=thing.name)
    return DeployHook.objects.select_related("team").filter(wanted)


def add(thing: Thing, style: str, *, branch: str = "", actor: Actor) -> tuple[DeployHook, str]:
    """A new one, and its secret, which is never shown again. Raises `SpecError`, `Denied` or Http404."""
    _may(thing, actor)
    if style not in DeployHook.Style.values:
        raise SpecError(
            {"style": [_("One of %(names)s is expected.") % {"names": ", ".join(DeployHook.Style.values)}]}
        )
    branch = pushes.checked(branch)
    if of(thing).count() >= MOST:
        raise Refused("conflict", _("It has %(most)s addresses, and cannot have more.") % {"most": MOST})
    secret = random.token_urlsafe(32)
    row = DeployHook(
        kind=thing.kind, engine=thing.engine, team=thing.team, name=thing.name, style=style, branch=branch,
        created_by=actor.user, actor_name=actor.name, token_key=actor.token_key,
    )  # fmt: skip
    row.sealed = secrets.seal(row.pk, {"secret": secret})
    with transaction.atomic():
        row.save(force_insert=True)
        _noted(thing, actor, {"hook": str(row.pk), "style": style, "branch": branch})
    return row, secret


def drop(things: Iterable[Thing], row: DeployHook, *, actor: Actor) -> None:
    """Its address answers 401 from now on. ``things``: what it may be of."""
    thing = may_drop(things, row, actor=actor)
    with transaction.atomic():
        _noted(thing, actor, {"hook": str(row.pk), "forgotten": True})
        row.delete()


def may_drop(things: Iterable[Thing], row: DeployHook, *, actor: Actor) -> Thing:
    """What it is of; `Denied` for who may have no hooks there."""
    thing = next(one for one in things if one.team_id == row.team_id)
    _may(thing, actor)
    return thing


def _may(thing: Thing, actor: Actor) -> None:
    target = Target(thing.kind, thing.id, thing.name)
    with denials(PERMISSION, actor=actor, target=target, team_id=thing.team_id):
        require(actor, PERMISSION, thing)


def _noted(thing: Thing, actor: Actor, detail: Mapping[str, object]) -> None:
    more = {} if thing.id else {"engine": thing.engine.name}
    audit.record(
        PERMISSION, actor, target_type=thing.kind, target_id=thing.id, target_name=thing.name,
        team_id=thing.team_id, detail={**detail, **more},
    )  # fmt: skip


# Being called


def receive(hook_id: UUID, headers: Mapping[str, str], body: bytes, *, ip: str | None) -> HookCall:
    """What came of it. Raises `Unsigned`, `limits.TooMany`, or `Refused` where it is signed and cannot be done now.

    A message that came before has no effect again: what came of it then is the answer.
    """
    row = DeployHook.objects.select_related("engine", "created_by").filter(pk=hook_id).first()
    if not _is_signed(row, headers, body) or row is None:
        # After the look: nobody guesses such a secret, and others of the same address must not shut out who has it.
        limits.begin("", f"hook:{ip}"[:45] if ip else None)
        raise Unsigned
    digest = _digest(row, headers, body)
    before = row.calls.filter(digest=digest).first()
    if before:
        return before
    why = "" if _is_push(headers) else kept("Nothing to do: this event is no push.")
    why = why or pushes.passed_over(row.branch, headers, body)
    lately = row.calls.filter(at__gt=timezone.now() - timedelta(minutes=1), idle=bool(why))
    if lately.count() >= (MOST_IDLE if why else MOST_A_MINUTE):
        raise limits.TooMany(60)
    if why:
        return HookCall.objects.create(hook=row, ip=ip, outcome=why, idle=True)
    call = HookCall(hook=row, ip=ip)
    try:
        with translation.override("en"):  # evidence; pages tell it in the language of whoever reads it
            ask(call, f"hook:{row.pk}:{digest}", since=call.at)
    except Refused as error:
        call.outcome = error.message[:300]
        call.left, call.behind, call.again = [], [], False  # whoever sends it is told, and may send it again
        call.save()
        raise
    call.digest = digest
    call.save()
    return call


def ask(call: HookCall, key: str, *, since: datetime, only: Sequence[str] = ()) -> None:
    """Asks for all that the hook is of, or ``only`` those of it, each by itself. `Refused` where nothing of it can be
    done. ``since``: when it was pushed; ``call`` then says what is left to be asked for again.
    """
    row = call.hook
    rows = Container.objects.select_related("engine", "team").filter(engine=row.engine, team=row.team_id)
    actor = actors.recall(row.created_by, source="api", token_key=row.token_key)
    actor = replace(actor, ip=call.ip) if actor else None
    if row.kind == DeployHook.Kind.STACK:
        found = rows.filter(stack=row.name, **({"name__in": only} if only else {}))
        found = found.order_by("name")[: stacks.MOST]
        steps = stacks.steps(one for one in found if not stacks.is_one_off(one))
        if not steps:
            raise Refused("not_found", kept(f"This owner has nothing in stack {row.name} any more."), 404)
        answers = many.ask_in_steps(steps, "recreate", actor=_known(actor), key=key, paced=False)
        _follows(call, answers, since)
        _told(call, answers)
        return
    one = rows.filter(name=row.name).first()
    if one is None:
        raise Refused("not_found", kept(f"There is no container {row.name} of this owner any more."), 404)
    answer = many.ask_one(one, "recreate", actor=_known(actor), idempotency_key=key, paced=False)
    _follows(call, [answer], since)
    if answer.refused:
        raise _why(answer.refused)
    call.operation = answer.operation
    call.outcome = ONCE_MORE if call.again else "Redeploying"


def _known(actor: Actor | None) -> Actor:
    if actor is None:
        raise Refused("permission_denied", kept("The account or the token that made this hook is gone."), 403)
    return actor


def _told(call: HookCall, answers: Sequence[many.Answer]) -> None:
    """What became of a stack: its batch, and who is left as it was, and why."""
    begun = [one.operation for one in answers if one.operation]
    held = [(one.container.name, _why(one.refused)) for one in answers if one.refused]
    call.refused = [{"container": name, "message": why.message} for name, why in held]
    if not begun:
        (name, first), total = held[0], len(held)
        if all(why.status == 403 for name, why in held):
            raise first
        words = kept(f"None of its {total} containers can be made anew. {name}: {first.message}")
        raise Refused("conflict", words, refused=call.refused)
    # What was under way already, by the call before, is joined, and is of that one's batch.
    call.batch = next((one.batch for one in begun if one.batch), None)
    call.operation = None if call.batch else begun[0]
    number, total = len(begun), len(answers)
    if any(one.operation and one.container.name in call.left for one in answers):
        call.outcome = ONCE_MORE
    elif call.left:
        call.outcome = kept(f"Redeploying {number} of {total} containers; what is held up now follows later")
    else:
        call.outcome = kept(f"Redeploying {number} of {total} containers")


def _follows(call: HookCall, answers: Sequence[many.Answer], since: datetime) -> None:
    """What is to be asked for again, and after what: a redeploy that was joined and may have taken its image before
    what is pushed now, and whatever else is at a container."""
    behind, left = [], []
    for one in answers:
        if (found := one.operation) and found.created_at < since and found.state != found.State.QUEUED:
            behind.append(str(found.pk))
            left.append(one.container.name)
        elif isinstance(one.refused, Refused) and one.refused.status == 409:
            behind += [at] if (at := one.refused.details.get("operation")) else []
            left.append(one.container.name)
    call.behind, call.left, call.again = behind, left, bool(left)


def _why(refused: many.Refusal) -> Refused:
    """As it is kept, and answered."""
    if isinstance(refused, Refused):
        return refused
    if isinstance(refused, EngineError):
        return Refused("conflict", kept(f"It cannot be made anew: {refused.message}"))
    return Refused("permission_denied", kept("Whoever made this hook may not do this any more."), 403)


def _is_signed(row: DeployHook | None, headers: Mapping[str, str], body: bytes) -> bool:
    """In the same time, whether there is a hook, a secret, a signature, or none of them."""
    secret = _secret_of(row)
    known, key = bool(secret), secret or "nobody's"
    style = row.style if row else DeployHook.Style.SLIPWAY
    if style == DeployHook.Style.GITLAB:
        expected, said = key, headers.get("X-Gitlab-Token", "")
    elif style == DeployHook.Style.GITHUB:
        expected = f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"
        said = headers.get("X-Hub-Signature-256", "")
    else:
        said = headers.get("Slipway-Signature", "")
        at = said.partition(",")[0].removeprefix("t=")
        number = int(at) if at.isascii() and at.isdecimal() and len(at) < 12 else 0
        expected = messages.signature(key, number, body)
        known = known and abs(time.time() - number) <= FRESH
    return hmac.compare_digest(expected.encode(), said.encode("utf-8", "replace")) and known


def _secret_of(row: DeployHook | None) -> str:
    """Empty where there is none, or where it was sealed with a key that is gone."""
    try:
        return str(secrets.unseal(row.pk, row.sealed).get("secret", "")) if row else ""
    except secrets.Unreadable:
        return ""


def _digest(row: DeployHook, headers: Mapping[str, str], body: bytes) -> str:
    """The same for the same message. GitLab signs nothing: there its id tells, and without one each is new."""
    said = headers.get("Slipway-Signature", "") if row.style == DeployHook.Style.SLIPWAY else ""
    if row.style == DeployHook.Style.GITLAB:
        said, body = headers.get("X-Gitlab-Event-UUID", "") or str(uuid4()), b""
    return hashlib.sha256(said.encode("utf-8", "replace") + b"\0" + body).hexdigest()


def _is_push(headers: Mapping[str, str]) -> bool:
    return all(headers.get(name, known[0]) in known for name, known in PUSHES.items())


@registry.every(3600)
def forget_old() -> None:
    """Calls are kept as long as events."""
    HookCall.objects.filter(at__lt=timezone.now() - timedelta(days=settings.EVENT_DAYS)).delete()
