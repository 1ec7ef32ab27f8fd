"""Webhooks that come in: a container is made anew with the newest image of its tag, because somebody has pushed one.

Whose signature is wrong learns nothing, not even whether there is such a hook. What a hook does is an ordinary
operation of whoever made it; the message says nothing of what is done.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, limits
from accounts.access import Actor, Denied, require
from containers_app import operations, pushes
from containers_app.models import Container, DeployHook, HookCall
from engine.errors import Invalid, PolicyDenied, SelfProtected
from engine.specs import SpecError
from engine.words import kept
from operations import actors, messages, registry, secrets
from operations.models import Operation
from operations.services import Refused, Target, denials

PERMISSION = "hook.manage"
LARGEST = 256 * 1024
"""Bytes of a message."""
FRESH = 300
"""Seconds that a signature with a time is good, to both sides of our clock."""
MOST_A_MINUTE = 10
MOST = 20
"""Hooks of one container."""
PUSHES = {
    "X-GitHub-Event": ("push", "release", "package", "registry_package"),
    "X-Gitlab-Event": ("Push Hook", "Tag Push Hook", "Release Hook"),
}
"""Events that mean that there is something new; without such a header every message does."""


class Unsigned(Exception):
    """No such hook, or the signature is not right: 401 for both."""


# Naming them


def of(container: Container) -> QuerySet[DeployHook]:
    """Those of this container."""
    return DeployHook.objects.filter(
        engine_id=container.engine_id, name=container.name, team=container.team_id
    )


def add(container: Container, style: str, *, branch: str = "", actor: Actor) -> tuple[DeployHook, str]:
    """A new one, and its secret, which is never shown again. Raises `SpecError`, `Denied` or Http404."""
    _may(container, actor)
    if style not in DeployHook.Style.values:
        raise SpecError(
            {"style": [_("One of %(names)s is expected.") % {"names": ", ".join(DeployHook.Style.values)}]}
        )
    branch = pushes.checked(branch)
    if of(container).count() >= MOST:
        raise Refused("conflict", _("A container has %(most)s hooks at most.") % {"most": MOST})
    secret = random.token_urlsafe(32)
    row = DeployHook(
        engine=container.engine, team=container.team, name=container.name, style=style, branch=branch,
        created_by=actor.user, actor_name=actor.name, token_key=actor.token_key,
    )  # fmt: skip
    row.sealed = secrets.seal(row.pk, {"secret": secret})
    with transaction.atomic():
        row.save(force_insert=True)
        _noted(container, actor, {"hook": str(row.pk), "style": style, "branch": branch})
    return row, secret


def drop(container: Container, row: DeployHook, *, actor: Actor) -> None:
    """Its address answers 401 from now on."""
    _may(container, actor)
    with transaction.atomic():
        _noted(container, actor, {"hook": str(row.pk), "forgotten": True})
        row.delete()


def _may(container: Container, actor: Actor) -> None:
    target = Target("container", str(container.pk), container.name)
    with denials(PERMISSION, actor=actor, target=target, team_id=container.team_id):
        require(actor, PERMISSION, container)


def _noted(container: Container, actor: Actor, detail: Mapping[str, object]) -> None:
    audit.record(
        PERMISSION, actor, target_type="container", target_id=str(container.pk), target_name=container.name,
        team_id=container.team_id, detail=detail,
    )  # fmt: skip


# Being called


def receive(hook_id: UUID, headers: Mapping[str, str], body: bytes, *, ip: str | None) -> HookCall:
    """What came of it. Raises `Unsigned`, `limits.TooMany`, or `Refused` where it is signed and cannot be done now.

    A message that came before has no effect again: what came of it then is the answer.
    """
    attempt = limits.begin("", f"hook:{ip}"[:45] if ip else None)
    row = DeployHook.objects.select_related("engine", "created_by").filter(pk=hook_id).first()
    if not _is_signed(row, headers, body) or row is None:
        raise Unsigned
    attempt.delete()
    digest = _digest(row, headers, body)
    before = row.calls.filter(digest=digest).select_related("operation").first()
    if before:
        return before
    since = timezone.now() - timedelta(minutes=1)
    if row.calls.filter(at__gt=since).count() >= MOST_A_MINUTE:
        raise limits.TooMany(60)
    if not _is_push(headers):
        return HookCall.objects.create(hook=row, ip=ip, outcome=kept("Nothing to do: this event is no push."))
    if why := pushes.passed_over(row.branch, headers, body):
        return HookCall.objects.create(hook=row, ip=ip, outcome=why)
    try:
        with translation.override("en"):  # evidence; pages tell it in the language of whoever reads it
            operation = _ask(row, digest, ip)
    except Refused as error:
        HookCall.objects.create(hook=row, ip=ip, outcome=error.message[:300])
        raise
    return HookCall.objects.create(hook=row, ip=ip, digest=digest, operation=operation, outcome="Redeploying")


def _ask(row: DeployHook, digest: str, ip: str | None) -> Operation:
    actor = actors.recall(row.created_by, source="api", token_key=row.token_key)
    rows = Container.objects.select_related("engine", "team")
    container = rows.filter(engine=row.engine, name=row.name, team=row.team_id).first()
    if container is None:
        raise Refused("not_found", kept(f"There is no container {row.name} of this owner any more."), 404)
    if actor is None:
        raise Refused("permission_denied", kept("The account or the token that made this hook is gone."), 403)
    try:
        return operations.request(
            container, "recreate", actor=replace(actor, ip=ip), params={},
            idempotency_key=f"hook:{row.pk}:{digest}", paced=False,
        )  # fmt: skip
    except (Denied, Http404):
        raise Refused(
            "permission_denied", kept("Whoever made this hook may not do this any more."), 403
        ) from None
    except (PolicyDenied, SelfProtected, Invalid) as error:
        raise Refused("conflict", kept(f"It cannot be made anew: {error.message}")) from None


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
