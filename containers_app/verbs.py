"""What can be done with a container that exists: one function a verb, each judged by looking again.

An engine answers "done" to a start of what runs already and to a stop of what has ended, and carries out what it was
asked for after whoever asked has gone. So each verb looks before, asks, and looks again; and each can tell from the
engine alone whether it has happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from containers_app import drift, limits, needs, plans, sync, vanished
from containers_app.models import Container
from engine.errors import Conflict, EngineError, NotFound, PolicyDenied
from engine.types import ContainerInfo, ContainerState
from operations import policies, services
from operations.plans import listed
from operations.registry import Context, operation

LIVE = sync.LIVE
LONGEST_STOP = 300
"""Seconds a container may be given to end."""
SETTLE = 10.0
"""Seconds that an engine may need until what it has said is so."""

Result = Mapping[str, Any]


def after(ctx: Context) -> None:
    """The container's row is true before the operation says how it ended."""
    sync.refresh(ctx.operation.engine, ctx.engine, native_id(ctx))


def native_id(ctx: Context) -> str:
    return str(ctx.params["native_id"])


def look(ctx: Context) -> ContainerInfo | None:
    try:
        return ctx.engine.container(native_id(ctx))
    except NotFound:
        return None


def must(ctx: Context) -> ContainerInfo:
    found = look(ctx)
    if found is None:
        raise NotFound("This container is gone from the engine.")
    return found


def until(
    ctx: Context, happened: Callable[[ContainerInfo | None], bool], otherwise: str
) -> ContainerInfo | None:
    """The container once it is as it was asked for; `Conflict` where that does not come."""
    deadline = time.monotonic() + SETTLE
    while True:
        info = look(ctx)
        if happened(info):
            return info
        if time.monotonic() > deadline:
            raise Conflict(otherwise)
        time.sleep(0.1)


def result(ctx: Context, info: ContainerInfo | None, *, changed: bool = True) -> Result:
    found: dict[str, Any] = {"container": ctx.operation.target_id, "changed": changed}
    return {**found, "state": info.state.value if info else "removed"}


def _begun_again(info: ContainerInfo | None, before: datetime | None) -> bool:
    """Whether it was started since: it may have ended already, or even be gone (``--rm``)."""
    return info is None or (info.started_at is not None and info.started_at != before)


def _remember(ctx: Context, info: ContainerInfo) -> None:
    ctx.remember(started_at=info.started_at.isoformat() if info.started_at else "")


def _asked(ctx: Context) -> bool:
    """Whether an attempt came as far as asking the engine."""
    return "started_at" in ctx.remembered


def _before(ctx: Context) -> datetime | None:
    """When it had been started the last time before we asked."""
    text = ctx.remembered.get("started_at")
    return datetime.fromisoformat(text) if text else None


def _has_begun(ctx: Context) -> bool | None:
    if not _asked(ctx):
        return False
    info = look(ctx)
    return True if info and _begun_again(info, _before(ctx)) else None


def _is_live(ctx: Context) -> bool | None:
    info = look(ctx)
    return True if info and info.state in LIVE else _has_begun(ctx)


def _is_off(ctx: Context) -> bool | None:
    info = look(ctx)
    return True if info is None or info.state not in LIVE else None


def _is_ended(ctx: Context) -> bool | None:
    return True if _asked(ctx) and _is_off(ctx) else _has_begun(ctx)


def _is_paused(ctx: Context) -> bool | None:
    return True if must(ctx).state is ContainerState.PAUSED else None


def _is_unpaused(ctx: Context) -> bool | None:
    return True if must(ctx).state is not ContainerState.PAUSED else None


def _is_renamed(ctx: Context) -> bool | None:
    return True if must(ctx).name == ctx.params["name"] else None


@operation(
    "container.start", label="Start", doing="Starting", done="Started", deadline=needs.LONGEST + 60, repeatable=True,
    verify=_is_live, after=after, plan=vanished.starting,
)  # fmt: skip
def start(ctx: Context) -> Result:
    """Starts it where it does not run."""
    before = must(ctx)
    if before.state in LIVE:
        return result(ctx, before, changed=False)
    needs.wait(ctx)
    vanished.require(ctx, before)
    _remember(ctx, before)
    ctx.check_fence()
    ctx.engine.start(native_id(ctx))
    info = until(
        ctx,
        lambda now: _begun_again(now, before.started_at),
        "The engine accepted the start, and the container has not started.",
    )
    return result(ctx, info)


@operation(
    "container.stop", label="Stop", doing="Stopping", done="Stopped",
    deadline=LONGEST_STOP + 60, repeatable=True, verify=_is_off,
    after=after, plan=plans.stopping,
)  # fmt: skip
def stop(ctx: Context) -> Result:
    """Asks it to end, and after its time kills it. Cancelling spares it the kill."""
    before = must(ctx)
    if before.state not in LIVE:
        return result(ctx, before, changed=False)
    ctx.check_fence()
    ctx.engine.stop(native_id(ctx), timeout=int(ctx.params["timeout"]), should_stop=ctx.should_stop)
    info = until(
        ctx,
        lambda now: now is None or now.state not in LIVE,
        "The engine accepted the stop, and the container still runs.",
    )
    return result(ctx, info)


@operation(
    "container.restart", label="Restart", doing="Restarting", done="Restarted",
    deadline=LONGEST_STOP + needs.LONGEST + 60,
    verify=_has_begun, after=after, plan=vanished.restarting,
)  # fmt: skip
def restart(ctx: Context) -> Result:
    """Stops it where it runs, and starts it."""
    before = must(ctx)
    needs.wait(ctx)
    vanished.require(ctx, before)
    _remember(ctx, before)
    ctx.check_fence()
    ctx.engine.restart(native_id(ctx), timeout=int(ctx.params["timeout"]))
    info = until(
        ctx,
        lambda now: _begun_again(now, before.started_at),
        "The engine accepted the restart, and the container has not restarted.",
    )
    return result(ctx, info)


@operation(
    "container.kill",
    label="Kill",
    doing="Killing",
    done="Killed",
    verify=_is_ended,
    after=after,
    plan=plans.stopping,
)
def kill(ctx: Context) -> Result:
    """Sends a signal to its first process. Only KILL is certain to end it."""
    before, signal = must(ctx), str(ctx.params["signal"])
    _remember(ctx, before)
    ctx.check_fence()
    ctx.engine.kill(native_id(ctx), signal=signal)
    info = look(ctx)
    if signal.removeprefix("SIG") in ("KILL", "9"):
        # A restart policy may have it up again at once.
        info = until(
            ctx,
            lambda now: (
                now is None or now.state is not ContainerState.RUNNING or _begun_again(now, before.started_at)
            ),
            "The engine has sent the signal, and the container still runs.",
        )
    return result(ctx, info)


@operation(
    "container.pause",
    label="Pause",
    doing="Pausing",
    done="Paused",
    repeatable=True,
    verify=_is_paused,
    after=after,
    plan=plans.stopping,
)
def pause(ctx: Context) -> Result:
    """Freezes its processes."""
    before = must(ctx)
    if before.state is ContainerState.PAUSED:
        return result(ctx, before, changed=False)
    ctx.check_fence()
    ctx.engine.pause(native_id(ctx))
    return result(
        ctx,
        until(
            ctx,
            lambda now: now is not None and now.state is ContainerState.PAUSED,
            "The engine accepted the pause, and the container is not paused.",
        ),
    )


@operation(
    "container.unpause",
    label="Unpause",
    doing="Unpausing",
    done="Resumed",
    repeatable=True,
    verify=_is_unpaused,
    after=after,
)
def unpause(ctx: Context) -> Result:
    """Lets its processes go on."""
    before = must(ctx)
    if before.state is ContainerState.RUNNING:
        return result(ctx, before, changed=False)
    ctx.check_fence()
    ctx.engine.unpause(native_id(ctx))
    return result(
        ctx,
        until(
            ctx,
            lambda now: now is None or now.state is not ContainerState.PAUSED,
            "The engine accepted it, and the container is still paused.",
        ),
    )


def _row(ctx: Context) -> Container | None:
    return Container.everything.filter(engine=ctx.operation.engine, native_id=native_id(ctx)).first()


def _after_rename(ctx: Context) -> None:
    after(ctx)
    row = _row(ctx)
    if row and row.name == ctx.params["name"]:
        drift.agree_on(row, "name", by=ctx.operation)


@operation(
    "container.rename",
    label="Rename",
    doing="Renaming",
    done="Renamed",
    repeatable=True,
    verify=_is_renamed,
    after=_after_rename,
    plan=plans.renaming,
)
def rename(ctx: Context) -> Result:
    """Gives it another name."""
    name = str(ctx.params["name"])
    before = must(ctx)
    if before.name == name:
        return {**result(ctx, before, changed=False), "name": name}
    ctx.check_fence()
    ctx.engine.rename(native_id(ctx), name)
    info = must(ctx)
    if info.name != name:
        raise EngineError("The engine accepted the name, and the container has another one.")
    return {**result(ctx, info), "name": name}


def _after_update(ctx: Context) -> None:
    """What this has changed was asked for from now on."""
    after(ctx)
    row, spec = _row(ctx), limits.kept(ctx.params)
    if row and not limits.differs(row, spec):
        wish = spec.to_dict()
        keys = ["restart_policy"] if "restart_policy" in wish else []
        drift.agree_on(
            row, *keys, *(f"resources.{key}" for key in wish.get("resources", {})), by=ctx.operation
        )


def _is_updated(ctx: Context) -> bool | None:
    return None if limits.differs(must(ctx), limits.kept(ctx.params)) else True


@operation(
    "container.update",
    label="Change limits",
    doing="Updating",
    done="Updated",
    repeatable=True,
    verify=_is_updated,
    after=_after_update,
    plan=limits.updating,
)
def update(ctx: Context) -> Result:
    """Gives it other limits or another restart policy, and leaves it running."""
    spec = limits.kept(ctx.params)
    before = must(ctx)
    if not limits.differs(before, spec):
        return result(ctx, before, changed=False)
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    team_id = services.owner_of(ctx.operation).team_id
    policies.check(spec, actor=actor, team_id=team_id, name=before.name)
    ctx.check_fence()
    ctx.engine.update(native_id(ctx), spec)
    info = must(ctx)
    if left := limits.differs(info, spec):
        raise EngineError(f"The engine accepted it, and has left the {listed(left)} as it was.")
    return result(ctx, info)
