"""Removing containers so that they can be taken back: they are stopped and keep what they wrote, under another name.

The name and the ports are free meanwhile, and the engine starts nothing again by itself. What removes itself when it
ends (``--rm``), and what is removed ``forever``, goes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.utils import timezone

from containers_app import plans, sync, vanished
from containers_app.models import Container
from containers_app.verbs import LONGEST_STOP, after, look, must, native_id, result, until
from engine.errors import Conflict, DeadlineExceeded, EngineError, NotFound, Unreachable
from engine.specs import UpdateSpec
from engine.types import ContainerInfo, ContainerState
from operations import services, trash
from operations.models import Operation, TrashItem
from operations.registry import Context, operation

STOP = 10
"""Seconds to end by itself, where the container does not say."""

Result = Mapping[str, Any]


def keeps(info: ContainerInfo, params: Mapping[str, Any]) -> bool:
    """Whether its removal can be taken back."""
    return trash.hours() > 0 and not params.get("forever") and not info.auto_remove


def put_aside(
    ctx: Context, info: ContainerInfo, *, target_id: str = "", patience: int = STOP, **facts: Any
) -> TrashItem:
    """Ends it, takes its restart policy and its name from it, and hides its row. Each step may be repeated.

    ``patience``: the most seconds that it is given to end by itself, of those that it asks for.
    """
    item = trash.begin(
        ctx,
        native_id=info.native_id,
        name=info.name,
        target_id=target_id,
        facts={
            "running": info.state in sync.LIVE, "paused": info.state is ContainerState.PAUSED,
            "policy": info.restart_policy or "no", "retries": info.restart_max_retries, **facts,
        },
    )  # fmt: skip
    if info.state in sync.LIVE:
        ctx.check_fence()
        ctx.engine.stop(info.native_id, timeout=min(patience, info.stop_timeout or STOP))
    try:
        ctx.check_fence()
        ctx.engine.update(info.native_id, UpdateSpec(restart_policy="no"))
        if info.name != trash.container_name(ctx.operation.pk):
            ctx.check_fence()
            ctx.engine.rename(info.native_id, trash.container_name(ctx.operation.pk))
    except (DeadlineExceeded, Unreachable):
        raise  # it may have happened: whoever looks again brings it to its end
    except EngineError:
        with suppress(EngineError):
            _give_policy_back(ctx, item)
            start_again(ctx, item)
        trash.give_up(item)
        raise
    hide(ctx, item)
    return item


def hide(ctx: Context, item: TrashItem) -> None:
    """From now on it is in the trash and nowhere else."""
    rows = Container.everything.filter(engine=ctx.operation.engine, native_id=item.native_id)
    rows.update(trashed_at=timezone.now())
    trash.keep(item)


def take_back(ctx: Context, item: TrashItem) -> None:
    """Gives it its name and its restart policy again. Raises `NameInUse` before anything is changed."""
    found = ctx.engine.container(item.native_id)
    if found.name != item.name:
        ctx.check_fence()
        ctx.engine.rename(item.native_id, item.name)
    _give_policy_back(ctx, item)
    Container.everything.filter(engine=item.engine, native_id=item.native_id).update(trashed_at=None)


def start_again(ctx: Context, item: TrashItem) -> str:
    """Starts it where it ran; the engine's words where that fails: it is back all the same."""
    if not item.facts.get("running"):
        return ""
    try:
        vanished.require(ctx, ctx.engine.container(item.native_id))
        ctx.check_fence()
        ctx.engine.start(item.native_id)
        if item.facts.get("paused"):
            ctx.engine.pause(item.native_id)
    except (DeadlineExceeded, Unreachable):
        raise
    except EngineError as error:
        return error.message
    return ""


def _give_policy_back(ctx: Context, item: TrashItem) -> None:
    ctx.check_fence()
    ctx.engine.update(
        item.native_id, UpdateSpec(str(item.facts["policy"]), restart_max_retries=int(item.facts["retries"]))
    )


def _is_removed(ctx: Context) -> Result | bool | None:
    info = look(ctx)
    if info is None:
        return True
    begun = trash.of(ctx.operation) is not None and not ctx.should_stop()
    if info.name != trash.container_name(ctx.operation.pk) and not begun:
        return None
    put_aside(ctx, info)  # stopped and without its restart policy it would be neither here nor there
    return _removed(ctx)


def _put_right(ctx: Context) -> Result | bool | None:
    """An attempt before was lost on its way, and nobody may go on: as it was, unless it is in the trash already."""
    info, item = look(ctx), trash.of(ctx.operation)
    if info is None or info.name == trash.container_name(ctx.operation.pk):
        return _is_removed(ctx)
    if item:
        _give_policy_back(ctx, item)
        start_again(ctx, item)
        trash.give_up(item)
    return None


def _removed(ctx: Context) -> Result:
    return {**result(ctx, None), "undoable": TrashItem.objects.filter(operation=ctx.operation).exists()}


@operation(
    "container.remove", label="Remove", doing="Removing", done="Removed",
    deadline=120, repeatable=True, verify=_is_removed,
    half=_put_right, after=after, plan=plans.removing,
)  # fmt: skip
def remove(ctx: Context) -> Result:
    """Puts it into the trash, or removes it with its writable layer; ``volumes``: its anonymous volumes too."""
    info = look(ctx)
    if info is None:
        return result(ctx, None, changed=False)
    if info.state in sync.LIVE and not ctx.params["force"]:
        raise Conflict("The container is running: stop it first, or force it.")
    if keeps(info, ctx.params):
        put_aside(ctx, info, volumes=bool(ctx.params["volumes"]))
        return _removed(ctx)
    _remove(ctx, force=bool(ctx.params["force"]), volumes=bool(ctx.params["volumes"]))
    return _removed(ctx)


def _remove(ctx: Context, *, force: bool, volumes: bool) -> None:
    ctx.check_fence()
    try:
        ctx.engine.remove(native_id(ctx), force=force, volumes=volumes)
    except NotFound:
        pass  # somebody else was faster
    except Conflict:
        info = look(ctx)
        if info is not None and info.state is not ContainerState.REMOVING:
            raise
    until(ctx, lambda now: now is None, "The engine accepted the removal, and the container is still there.")


def _is_back(ctx: Context) -> Result | bool | None:
    """Its name, or that its successor has gone, tells that the return has begun; then it is brought to its end."""
    item = TrashItem.objects.get(pk=ctx.params["trash"])
    begun = must(ctx).name == item.name or trash.of(ctx.operation) is not None
    return _brought_back(ctx, item) if begun else None


def _after_return(ctx: Context) -> None:
    after(ctx)
    item = TrashItem.objects.filter(pk=ctx.params["trash"]).first()
    if item and item.facts.get("successor"):
        sync.refresh(ctx.operation.engine, ctx.engine, str(item.facts["successor"]))


@operation(
    "container.restore", label="Take back", doing="Taking back", done="Took back",
    permission="container.remove", deadline=400,
    repeatable=True, verify=_is_back, half=_is_back, after=_after_return, plan=plans.restoring,
)  # fmt: skip
def restore(ctx: Context) -> Result:
    """Takes it out of the trash: name, restart policy, and running again where it ran.

    Where another one was put in its place and still is there, that one goes into the trash in turn.
    """
    item = trash.taken(ctx)
    must(ctx)
    ctx.remember(began=True)
    return _brought_back(ctx, item)


def _brought_back(ctx: Context, item: TrashItem) -> Result:
    other = _successor_aside(ctx, item)
    try:
        take_back(ctx, item)
    except Conflict:
        if other:
            take_back(ctx, other)
            start_again(ctx, other)
            trash.end(other, trash.State.RESTORED)
        raise
    trouble = start_again(ctx, item)
    trash.end(item, trash.State.RESTORED)
    found: dict[str, Any] = dict(result(ctx, must(ctx)))
    if other:
        found["replaced"] = other.target_id
    return {**found, "not_started": trouble} if trouble else found


def _successor_aside(ctx: Context, item: TrashItem) -> TrashItem | None:
    """Puts aside what was put in its place, if that is still called so."""
    native_id = str(item.facts.get("successor") or "")
    if not native_id:
        return None
    try:
        info = ctx.engine.container(native_id)
    except NotFound:
        return None
    if info.name not in (item.name, trash.container_name(ctx.operation.pk)):
        return None
    row = Container.everything.filter(engine=item.engine, native_id=native_id).first()
    row = row or sync.refresh(item.engine, ctx.engine, native_id, team=item.team)
    lock = services.lock("container", row.pk) if row else ""
    if row is None or Operation.objects.active().filter(lock_key=lock).exists():
        raise Conflict(f"{item.name} is being changed just now: undo it afterwards.")
    return put_aside(ctx, info, target_id=str(row.pk), patience=LONGEST_STOP, successor=item.native_id)


def _is_gone(ctx: Context) -> bool | None:
    return True if look(ctx) is None and _purged(ctx) else None


@operation(
    "container.purge", label="Remove for good", doing="Removing for good", done="Removed for good",
    permission="container.remove",
    deadline=120, repeatable=True, verify=_is_gone, after=after, plan=plans.purging,
)  # fmt: skip
def purge(ctx: Context) -> Result:
    """Removes it from the trash with what it wrote."""
    item = trash.taken(ctx)
    ctx.remember(began=True)
    if look(ctx) is not None:
        _remove(ctx, force=True, volumes=bool(item.facts.get("volumes")))
    _purged(ctx)
    return result(ctx, None)


def _purged(ctx: Context) -> bool:
    trash.end(TrashItem.objects.get(pk=ctx.params["trash"]), trash.State.PURGED)
    return True
