"""Making and removing volumes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from containers_app import sync, volume_files, volume_plans
from containers_app.models import Container, Volume
from engine import errors, names
from engine.errors import Conflict, NameInUse, NotFound, PolicyDenied
from engine.specs import VolumeSpec
from engine.types import Progress, VolumeInfo
from images_app import sync as image_sync
from operations import policies, services, trash
from operations.context import LeaseLost
from operations.models import TrashItem
from operations.registry import Context, leaving, operation


def _there(ctx: Context, name: str) -> VolumeInfo | None:
    try:
        return ctx.engine.volume(name)
    except NotFound:
        return None


def _is_ours(ctx: Context, found: VolumeInfo) -> bool:
    """Engines answer a second creation with the first volume; the label says whether an attempt of ours made it."""
    return found.labels.get(names.OPERATION_LABEL) == str(ctx.operation.pk)


def _is_made(ctx: Context) -> Mapping[str, Any] | bool | None:
    found = _there(ctx, str(ctx.params["name"]))
    return _made(ctx) if found and _is_ours(ctx, found) else None


def _is_gone(ctx: Context) -> bool | None:
    if _there(ctx, str(ctx.params["native_id"])) is not None:
        if ctx.remembered:
            return None
        _tidy(ctx)  # nobody has asked for its removal; as long as the engine is away, this has not ended
        return False
    _kept(ctx)
    return True


def _kept(ctx: Context) -> bool:
    """Whether its copy is in the trash, now that it is gone: an attempt before may not have come to say so."""
    item = trash.of(ctx.operation)
    if item and item.state == trash.State.GOING:
        if not ctx.remembered:  # its file was whole before the removal was asked for, and that was never
            _give_up(item)
            return False
        path = trash.file_of(f"{item.pk}.tar")
        trash.keep(item, path=path.name, size=path.stat().st_size)
    return item is not None


def _after(ctx: Context) -> None:
    _tidy(ctx)
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    # Whoever listed images while the volume was copied has seen the empty one that this takes.
    image_sync.reconcile(ctx.operation.engine, ctx.engine)


def _tidy(ctx: Context) -> None:
    """What is left where an answer or a worker was lost: the container for reading and filling, half a copy."""
    volume_files.clear(ctx)
    item = trash.of(ctx.operation)
    if item and item.state == trash.State.GOING and _there(ctx, item.native_id) is not None:
        _give_up(item)


def _give_up(item: TrashItem) -> None:
    trash.file_of(f"{item.pk}.tar").unlink(missing_ok=True)
    trash.give_up(item)


@operation(
    "volume.create",
    label="Create volume",
    doing="Creating volume",
    done="Created volume",
    repeatable=True,
    verify=_is_made,
)
def create(ctx: Context) -> Mapping[str, Any]:
    """Makes it, unless the name is taken."""
    spec = VolumeSpec.parse({key: value for key, value in ctx.params.items() if not key.startswith("_")})
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    policies.check(spec, actor=actor, team_id=ctx.operation.team_id)
    found = _there(ctx, spec.name)
    if found is None:
        ctx.check_fence()
        labels = {**spec.labels, names.OPERATION_LABEL: str(ctx.operation.pk)}
        found = ctx.engine.create_volume(replace(spec, labels=labels))
    if not _is_ours(ctx, found):
        raise NameInUse(f'There is a volume "{spec.name}" already: choose another name.')
    return _made(ctx)


def _made(ctx: Context) -> Mapping[str, Any]:
    """Its row, owned by the team that asked."""
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    rows = Volume.objects.filter(engine=ctx.operation.engine, native_id=ctx.params["name"])
    rows.filter(team=None).update(team=ctx.operation.team)
    row = rows.first()
    return {"volume": str(row.pk) if row else "", "name": ctx.params["name"]}


@operation(
    "volume.remove", label="Remove volume", doing="Removing volume", done="Removed volume",
    deadline=720, repeatable=True, verify=_is_gone,
    after=_after, plan=volume_plans.removing,
)  # fmt: skip
def remove(ctx: Context) -> Mapping[str, Any]:
    """Keeps a copy of what is in it where it can be taken back, then removes it."""
    name = str(ctx.params["native_id"])
    result = {"volume": ctx.operation.target_id, "name": name}
    found = _there(ctx, name)
    if found is None:
        kept = _kept(ctx)
        return {**result, "changed": kept, "undoable": kept}
    _purge_users(ctx, name)
    item = _copied(ctx, found) if keeps(found, ctx.params) else None
    ctx.remember(removing=True)
    _remove(ctx, name, force=bool(ctx.params["force"]))
    if item:
        trash.keep(item, path=item.path, size=item.size)
    return {**result, "changed": True, "undoable": item is not None}


def keeps(found: VolumeInfo, params: Mapping[str, Any]) -> bool:
    """Whether its removal can be taken back: its data lies in the engine's own folder, and nobody wants it gone."""
    plain = found.driver == "local" and not found.options
    return plain and trash.hours() > 0 and not params.get("forever")


def _copied(ctx: Context, found: VolumeInfo) -> TrashItem:
    """What is in it, in a file of ours. Raises `TooLarge` or what a full disk raises, and then nothing has happened."""
    labels = {key: value for key, value in found.labels.items() if not key.startswith(names.LABEL_PREFIX)}
    item = trash.begin(
        ctx, native_id=found.name, name=found.name, facts={"labels": labels, "anonymous": found.anonymous}
    )
    path = trash.file_of(f"{item.pk}.tar")
    ctx.emit(Progress(message="Keeping what is in it"))
    ctx.check_fence()
    try:
        with leaving("The volume is as it was."), path.open("wb") as out:
            path.chmod(0o600)
            size = ctx.engine.read_volume(
                found.name, out, operation_id=str(ctx.operation.pk), most=trash.most_bytes(),
                should_stop=ctx.should_stop, deadline=600,
            )  # fmt: skip
    except LeaseLost:
        raise  # the file is another worker's now
    except Exception as error:
        _give_up(item)
        if isinstance(error, errors.TooLarge):
            raise errors.TooLarge(f"{error.message} Remove it for good instead.", **error.details) from None
        raise
    item.path, item.size = path.name, size
    return item


def _purge_users(ctx: Context, name: str) -> None:
    """Containers in the trash that mount it go for good: the plan has said so."""
    mounts = {"mounts__type": "volume", "mounts__source": name}
    rows = Container.everything.filter(engine=ctx.operation.engine, trashed_at__isnull=False, **mounts)
    for row in rows.distinct():
        ctx.check_fence()
        with suppress(NotFound):
            ctx.engine.remove(row.native_id, force=True)
        for item in TrashItem.objects.filter(kind="container", target_id=str(row.pk), state=trash.State.KEPT):
            trash.end(item, trash.State.PURGED)
        sync.refresh(ctx.operation.engine, ctx.engine, row.native_id)


def _remove(ctx: Context, name: str, *, force: bool) -> None:
    ctx.check_fence()
    with suppress(NotFound):  # somebody else was faster
        ctx.engine.remove_volume(name, force=force)
    if _there(ctx, name) is not None:
        raise Conflict("The engine accepted the removal, and the volume is still there.")


# Out of the trash again


def _is_back(ctx: Context) -> Mapping[str, Any] | bool | None:
    item = TrashItem.objects.get(pk=ctx.params["trash"])
    found = _there(ctx, item.native_id)
    return _filled(ctx, item) if found and _is_ours(ctx, found) else None


@operation(
    "volume.restore", label="Take volume back", doing="Taking back", done="Took back",
    permission="volume.remove", deadline=720,
    repeatable=True, verify=_is_back, after=_after,
)  # fmt: skip
def restore(ctx: Context) -> Mapping[str, Any]:
    """Makes it again, and puts back what was in it."""
    item = trash.taken(ctx)
    found = _there(ctx, item.native_id)
    if found is None:
        ctx.remember(began=True)
        ctx.check_fence()
        labels = {**item.facts["labels"], names.OPERATION_LABEL: str(ctx.operation.pk)}
        found = ctx.engine.create_volume(VolumeSpec(item.native_id, labels=labels))
    if not _is_ours(ctx, found):
        raise NameInUse(f'There is a volume "{item.name}" again: rename or remove that one first.')
    return _filled(ctx, item)


def _filled(ctx: Context, item: TrashItem) -> Mapping[str, Any]:
    if item.path:  # else an attempt before has put all of it back, and died before it could say so
        ctx.emit(Progress(message="Putting back what was in it"))
        ctx.check_fence()
        with trash.file_of(item.path).open("rb") as data:
            ctx.engine.write_volume(item.native_id, data, operation_id=str(ctx.operation.pk))
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    rows = Volume.objects.filter(engine=item.engine, native_id=item.native_id)
    rows.filter(team=None).update(team=item.team)
    trash.end(item, trash.State.RESTORED)
    row = rows.first()
    return {"volume": str(row.pk) if row else "", "name": item.name}


@operation(
    "volume.purge", label="Remove volume for good", doing="Removing for good", done="Removed for good",
    permission="volume.remove",
    repeatable=True,
)  # fmt: skip
def purge(ctx: Context) -> Mapping[str, Any]:
    """Removes the copy of what was in it."""
    item = trash.taken(ctx)
    ctx.remember(began=True)
    trash.end(item, trash.State.PURGED)
    return {"name": item.name}
