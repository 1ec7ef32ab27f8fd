"""Consoles: who may have one, what is written down of it, and who sees what of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, can, rank, require
from accounts.permissions import ADMIN
from accounts.querysets import visible_to
from containers_app import own
from containers_app.models import ConsoleSession, Container
from engine.docker_text import MASK, is_secret_name, mask
from engine.errors import Conflict, Invalid, Unreachable
from engine.terminal import Program
from operations import secrets
from operations.models import Engine
from operations.services import Target, denials
from streams import bell

PERMISSION = "container.console"
MOST_OF_ONE = 10
"""Open consoles of one person."""
MOST_OF_ENGINE = 50
ANSWER_WITHIN = 15
"""Seconds in which a gateway must take up a session."""
FINISHED_SHOWN = 20


def words_of(line: str) -> list[str]:
    """A line as a shell would split it. Raises `Invalid`."""
    try:
        return shlex.split(line)
    except ValueError:
        raise Invalid(_("A quote in the command is not closed.")) from None


def shown(command: Sequence[str]) -> list[str]:
    """The command as it may be stored: without what looks like a secret, here and in a script of ``sh -c``."""
    found: list[str] = []
    hide = False
    for word in command:
        parts = []
        for part in word.split(" "):
            parts.append(MASK if hide and part else _masked(part))
            hide = hide and not part
            if part.startswith("--") and "=" not in part:
                hide = is_secret_name(part)
        found.append(" ".join(parts))
    return found


def _masked(part: str) -> str:
    if len(part) > 2 and part.startswith("-p") and not part[2:].isdigit():  # mysql -pSECRET, and no port
        return f"-p{MASK}"
    return mask(part)


def start(
    container: Container,
    actor: Actor,
    *,
    command: Sequence[str] = (),
    user: str = "",
    folder: str = "",
    columns: int = 80,
    rows: int = 24,
    record: bool = False,
    attach: bool = False,
) -> ConsoleSession:
    """Writes down that this actor opens a console; the gateway opens it once somebody looks.

    Raises `accounts.access.Denied`, `SelfProtected`, `Invalid`, `Conflict` and `Unreachable`, with
    sentences for people.
    """
    require(actor, PERMISSION, container)
    with denials(PERMISSION, actor=actor, target=Target("container", str(container.pk), container.name),
        team_id=container.team_id):  # fmt: skip
        own.check(container, actor)
        own.check_reach(container, actor)
    session = ConsoleSession(
        engine=container.engine, container=container, native_id=container.native_id, team_id=container.team_id,
        container_name=container.name, actor=actor.user, actor_name=actor.name, source=actor.source, ip=actor.ip,
        recorded=settings.CONSOLE_RECORD == "always" or (record and settings.CONSOLE_RECORD == "ask"),
    )  # fmt: skip
    if attach:
        session.kind = ConsoleSession.Kind.ATTACH
        session.tty, session.stdin = container.tty, takes_input(container)
        session.command = shown([*container.entrypoint, *container.command])
        session.columns, session.rows = columns, rows
    else:
        program = Program.of(command, str(session.pk), user=user, folder=folder, columns=columns, rows=rows)
        session.command, session.user, session.folder = shown(program.command), user, folder
        session.columns, session.rows = program.columns, program.rows
        session.sealed = secrets.seal(session.pk, {"command": list(program.command)})
    _possible(container, actor)
    with transaction.atomic():
        session.save()
        audit.record(PERMISSION, actor, outcome="accepted", detail=facts(session), **_target(session))
    bell.ring(f"container:{container.pk}")
    return session


def takes_input(container: Container) -> bool:
    """Whether its first process has an input that somebody can type into."""
    config = container.inspect.get("Config")
    return bool(config.get("OpenStdin")) if isinstance(config, dict) else False


def input_once(container: Container) -> bool:
    """Whether its engine closes that input with the first who leaves."""
    config = container.inspect.get("Config")
    return bool(config.get("StdinOnce")) and not container.tty if isinstance(config, dict) else False


def _possible(container: Container, actor: Actor) -> None:
    if container.engine.status == Engine.Status.UNREACHABLE:
        raise Unreachable(_("The engine %(name)s does not answer.") % {"name": container.engine.name})
    if container.state != Container.State.RUNNING:
        paused = container.state == Container.State.PAUSED
        words = _("%(name)s is paused: resume it first.") if paused else _("%(name)s is not running.")
        raise Conflict(words % {"name": container.name})
    there = ConsoleSession.objects.exclude(state=ConsoleSession.State.ENDED)
    if there.filter(actor=actor.user).count() >= MOST_OF_ONE:
        raise Conflict(
            _("You have %(most_of_one)s consoles open already: end one.") % {"most_of_one": MOST_OF_ONE}
        )
    if there.filter(engine=container.engine).count() >= MOST_OF_ENGINE:
        raise Conflict(
            _("%(most_of_engine)s consoles are open on this engine already.")
            % {"most_of_engine": MOST_OF_ENGINE}
        )


def sessions(actor: Actor) -> QuerySet[ConsoleSession]:
    """Those of teams that the actor may see; who may look into one is asked of `why_not` as ever."""
    return visible_to(actor, ConsoleSession.objects.select_related("team", "actor", "engine"))


def sessions_of(container: Container, actor: Actor) -> QuerySet[ConsoleSession]:
    """Those in this container, and in those of its name that are gone: it was made anew, and they are its past."""
    before = Q(container=None, engine_id=container.engine_id, team_id=container.team_id)
    return sessions(actor).filter(Q(container=container) | (before & Q(container_name=container.name)))


def of_container(container: Container, actor: Actor) -> dict[str, list[ConsoleSession]]:
    """``{"open": […], "finished": […]}`` of this container, the newest first; nothing for who may have none."""
    if not can(actor, PERMISSION, container):
        return {"open": [], "finished": []}
    rows = sessions_of(container, actor)
    return {
        "open": list(rows.exclude(state=ConsoleSession.State.ENDED)),
        "finished": list(rows.filter(state=ConsoleSession.State.ENDED)[:FINISHED_SHOWN]),
    }


def is_owner(session: ConsoleSession, actor: Actor) -> bool:
    """Only who has opened it may type."""
    return actor.user is not None and session.actor_id == actor.user.pk


def may_end(session: ConsoleSession, actor: Actor) -> bool:
    """Who has opened it, and those who lead the team."""
    if not can(actor, PERMISSION, session):
        return False
    return is_owner(session, actor) or rank(actor, session.team_id) >= ADMIN


def note(session: ConsoleSession, actor: Actor, verb: str) -> None:
    """Somebody watches, replays or ends the console of somebody: a line in the trail."""
    detail = {"session": str(session.pk), "of": session.actor_name}
    audit.record(verb, actor, detail=detail, **_target(session))


def finish(
    session_id: UUID,
    *,
    outcome: str,
    reason: str,
    exit_code: int | None = None,
    left: int | None = None,
    bytes_in: int = 0,
    bytes_out: int = 0,
    only_asked: bool = False,
) -> bool:
    """Writes down that it is over, once: the row and its line in the trail together. False where it was already.

    ``only_asked``: and where it has been opened.
    """
    with transaction.atomic():
        rows = ConsoleSession.objects.select_for_update(of=("self",)).filter(pk=session_id)
        if only_asked:
            rows = rows.filter(state=ConsoleSession.State.ASKED)
        session = rows.exclude(state=ConsoleSession.State.ENDED).select_related("actor").first()
        if session is None:
            return False
        session.state, session.ended_at, session.sealed = ConsoleSession.State.ENDED, timezone.now(), ""
        session.reason, session.exit_code, session.left = reason[:500], exit_code, left
        session.bytes_in, session.bytes_out = bytes_in, bytes_out
        session.save()
        actor = Actor(user=session.actor, source=session.source, ip=session.ip)
        audit.record(
            PERMISSION, actor, outcome=outcome, name=session.actor_name, detail=facts(session), **_target(session)
        )  # fmt: skip
    bell.ring(f"container:{session.container_id}")
    return True


def facts(session: ConsoleSession) -> dict[str, Any]:
    """What the trail says of it."""
    found: dict[str, Any] = {"session": str(session.pk), "kind": session.kind, "command": session.command}
    for name in ("user", "folder", "recorded"):
        if value := getattr(session, name):
            found[name] = value
    if session.state == ConsoleSession.State.ENDED:
        found |= {"reason": session.reason, "exit_code": session.exit_code, "seconds": seconds(session)}
        found |= {
            "bytes_in": session.bytes_in,
            "bytes_out": session.bytes_out,
            "processes_left": session.left,
        }
    return found


def seconds(session: ConsoleSession) -> int:
    """How long it was open, or is by now."""
    if session.started_at is None:
        return 0
    return max(0, int(((session.ended_at or timezone.now()) - session.started_at).total_seconds()))


def _target(session: ConsoleSession) -> dict[str, Any]:
    return {
        "target_type": "container",
        "target_id": session.container_id or "",
        "target_name": session.container_name,
        "team_id": session.team_id,
    }


# What the gateway asks


def claim(session_id: UUID, engine_id: UUID) -> tuple[ConsoleSession, list[str]] | None:
    """The session and its real command, for the one gateway that gets it; ``None`` where there is nothing to open."""
    young = timezone.now() - timedelta(seconds=ANSWER_WITHIN)
    rows = ConsoleSession.objects.filter(pk=session_id, engine_id=engine_id, state=ConsoleSession.State.ASKED)
    if not rows.filter(created_at__gt=young).update(
        state=ConsoleSession.State.OPEN, started_at=timezone.now()
    ):
        return None
    session = ConsoleSession.objects.get(pk=session_id)
    command = secrets.unseal(session.pk, session.sealed).get("command", [])
    ConsoleSession.objects.filter(pk=session.pk).update(sealed="")
    return session, command


def orphans(engine_id: UUID, mine: Sequence[str]) -> list[ConsoleSession]:
    """Sessions that nobody holds (any more), and those whose processes were not seen to be gone."""
    rows = ConsoleSession.objects.filter(engine_id=engine_id).exclude(pk__in=list(mine))
    old = timezone.now() - timedelta(seconds=ANSWER_WITHIN + 5)
    recent = timezone.now() - timedelta(days=1)
    ended = rows.filter(state=ConsoleSession.State.ENDED, kind="exec", ended_at__gt=recent).exclude(left=0)
    return [
        *rows.filter(state=ConsoleSession.State.OPEN),
        *rows.filter(state=ConsoleSession.State.ASKED, created_at__lt=old),
        *ended.exclude(started_at=None)[:50],
    ]
