"""Reads that need the engine now: the web process asks, a worker answers, both within a deadline.

The web process has no engine. Its question is signed, so that whoever can write to Redis cannot ask in
somebody's name; the worker checks the rights again, and the answer lies under a random key for a few seconds.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any, cast

import redis
from celery import current_app
from django.conf import settings
from django.core import signing
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.access import Actor, Denied, Owned, require
from accounts.models import User
from engine import errors
from engine.base import Engine as EngineBackend
from operations import actors, registry
from operations.models import Engine
from operations.retold import retold
from streams.connection import LOST, WAIT, client, key

log = logging.getLogger(__name__)

TASK = "operations.read"
SALT = "slipway.operations.reads"
MOST = 6_000_000
"""Bytes of one answer."""
KEEP = 30
"""Seconds that an answer waits to be fetched."""


Look = Callable[[EngineBackend, Any, Mapping[str, Any]], Mapping[str, Any] | Iterator[Mapping[str, Any]]]
"""``look(engine, row, params)`` gives JSON, at once or in pieces (`operations.longreads`). Of what is on no engine (a
registry) the look is given none."""
NOWHERE = ""
"""The target of what is asked of an engine that has no row yet; the look is given neither."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of read: what it is of, what right it needs, and who looks it up on the engine."""

    target: str
    permission: str
    look: Look


_readers: dict[str, Reader] = {}


def reader(name: str, *, target: str, permission: str) -> Callable[[Look], Look]:
    """Registers a look; it runs in the worker."""

    def register(look: Look) -> Look:
        _readers[name] = Reader(target, permission, look)
        return look

    return register


def read(
    kind: str, obj: Any, *, actor: Actor, params: Mapping[str, Any] | None = None, deadline: float = 10
) -> dict[str, Any]:
    """Asks the engine about ``obj`` (a row) and waits at most ``deadline`` seconds for what `reader` gives.

    Raises `accounts.access.Denied` or Http404 (rights), and `engine.errors.EngineError`: what the engine
    said, ``Unreachable`` where no worker can be asked, ``DeadlineExceeded`` where none answered in time.
    """
    return unpacked(_fetch(ask(kind, obj, actor=actor, params=params, deadline=deadline), deadline))


def ask(
    kind: str, obj: Any, *, actor: Actor, params: Mapping[str, Any] | None = None, deadline: float = 10
) -> str:
    """Asks without waiting, and returns where the answer will lie. Raises as `read` does."""
    known = _readers[kind]
    require(actor, known.permission, _owned(obj) if obj is not None else None)
    reply = key("read", token_urlsafe(16))
    question = signing.dumps(
        {
            "kind": kind,
            "id": str(obj.pk) if obj is not None else "",
            "params": dict(params or {}),
            "reply": reply,
            "user": str(actor.user.pk) if actor.user else "",
            "token": actor.token_key,
            "source": actor.source,
            "until": time.time() + deadline,
        },
        salt=SALT,
    )
    try:
        current_app.send_task(TASK, (question,), retry=False, ignore_result=True, expires=deadline)
    except Exception as error:
        log.warning("no worker to ask for %s: %s", kind, error)
        raise errors.Unreachable(_("Slipway's own queue is away; it is back by itself soon.")) from error
    return reply


def answer(question: str, engine_at: Callable[[Engine], EngineBackend]) -> None:
    """Answers one question, in the worker. What is forged or late is not answered."""
    try:
        asked = signing.loads(question, salt=SALT, max_age=120)
    except signing.BadSignature:
        log.warning("a question that nobody of ours has asked")
        return
    if time.time() > asked["until"]:
        return
    found = _answered(asked, engine_at)
    if isinstance(found.get("answer"), Iterator):
        from operations import longreads  # it needs this module

        longreads.pour(asked["reply"], found["answer"])
        return
    body = json.dumps(found, separators=(",", ":"))
    if len(body) > MOST:
        body = json.dumps(problem(errors.EngineError(_("The answer is too large."))))
    try:
        with client().pipeline() as pipe:
            pipe.lpush(asked["reply"], body)
            pipe.expire(asked["reply"], KEEP)
            pipe.execute()
    except LOST as error:
        log.warning("an answer was lost: %s", error)


def _answered(asked: Mapping[str, Any], engine_at: Callable[[Engine], EngineBackend]) -> dict[str, Any]:
    known = _readers[asked["kind"]]
    try:
        row: Any = registry.find_target(known.target, asked["id"])
        if row is None and known.target != NOWHERE:
            raise Http404(_("No such object."))
        user = User.objects.filter(pk=asked["user"]).first() if asked["user"] else None
        actor = actors.recall(user, source=asked["source"], token_key=asked["token"])
        if actor is None:
            raise Denied(_("The account or the token is gone."))
        require(actor, known.permission, _owned(row))
        engine = row if known.target == "engine" else getattr(row, "engine", None)
        if engine and engine.status == Engine.Status.UNREACHABLE:
            # The gateway looks every few seconds: who waited for an engine that hangs would hold up the others' reads.
            raise errors.Unreachable(engine.status_detail or "The engine does not answer.")
        backend = engine_at(engine) if engine else cast("EngineBackend", None)
        return {"answer": known.look(backend, row, asked["params"])}
    except Http404 as error:
        return problem(errors.NotFound(str(error)))
    except Denied as error:
        return {"error": {"code": "denied", "message": str(error), "details": {}}}
    except errors.EngineError as error:
        return problem(error)
    except Exception:
        log.exception("could not read %s", asked["kind"])
        return problem(errors.EngineError("Slipway made a mistake; its log has the details."))


def _fetch(reply: str, deadline: float) -> bytes:
    """Waits over a connection of its own: the shared one gives up after half a second."""
    until = time.monotonic() + deadline
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=deadline + 1, socket_connect_timeout=WAIT
        ) as own:
            found: Any = own.brpop([reply], timeout=max(0.1, until - time.monotonic()))
    except LOST as error:
        raise errors.Unreachable(_("Slipway's own queue is away; it is back by itself soon.")) from error
    if found is None:
        raise errors.DeadlineExceeded(_("No answer from the engine in time."))
    body: bytes = found[1]
    return body


def unpacked(body: bytes) -> dict[str, Any]:
    """An answer as it lay there. Raises what stands in it."""
    found = json.loads(body)
    if "error" not in found:
        answer_: dict[str, Any] = found["answer"]
        return answer_
    error = found["error"]
    if error["code"] == "denied":
        raise Denied(error["message"])
    raise _error_class(error["code"])(retold(error["message"]), **error["details"])


def problem(error: errors.EngineError) -> dict[str, Any]:
    """What a caller is told of it."""
    return {"error": {"code": error.code, "message": error.message, "details": error.details}}


def _error_class(code: str) -> type[errors.EngineError]:
    found = [errors.EngineError]
    for kind in found:  # grows while it is walked: the whole tree
        found += kind.__subclasses__()
    return next((kind for kind in found if kind.code == code), errors.EngineError)


def _owned(row: Any) -> Owned | None:
    """An engine has no team: whoever may look anywhere may ask it, and `visible_to` filters what they see."""
    return row if hasattr(row, "team_id") else None
