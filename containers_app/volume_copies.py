"""Cloning volumes, and moving them between engines and disks: export to a tar, import of one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from accounts.access import Actor
from containers_app import sync, volume_files, volume_plans
from containers_app.models import Volume
from engine import names
from engine.errors import DeadlineExceeded, EngineError, NameInUse, NotFound, Unreachable
from engine.specs import VolumeSpec
from engine.types import VolumeInfo
from images_app import sync as image_sync
from operations.models import Operation
from operations.registry import Context, leaving, operation
from operations.services import Refused
from operations.spooled import written

Result = Mapping[str, Any]


def _new(ctx: Context) -> VolumeInfo | None:
    """The volume that an attempt of this operation has made."""
    try:
        found = ctx.engine.volume(str(ctx.params["name"]))
    except NotFound:
        return None
    return found if found.labels.get(names.OPERATION_LABEL) == str(ctx.operation.pk) else None


def _make(ctx: Context, labels: Mapping[str, str]) -> None:
    """The new one, empty. Engines answer a second creation with the first volume, so the label is looked at."""
    name = str(ctx.params["name"])
    if _new(ctx) is None:
        with suppress(NotFound):
            ctx.engine.volume(name)
            raise NameInUse(f'There is a volume "{name}" already: choose another name.')
        ctx.check_fence()
        ours = {**labels, names.OPERATION_LABEL: str(ctx.operation.pk)}
        ctx.engine.create_volume(replace(VolumeSpec(name), labels=ours))
    if _new(ctx) is None:
        raise NameInUse(f'There is a volume "{name}" already: choose another name.')


def filled(ctx: Context, path: Any, labels: Mapping[str, str]) -> Result:
    """Made and filled from that file; where filling it fails, it is gone again."""
    name = str(ctx.params["name"])
    _make(ctx, labels)
    try:
        volume_files.write(ctx, name, path, "Filling the new volume")
    except (DeadlineExceeded, Unreachable):
        raise
    except EngineError:
        with suppress(EngineError):
            ctx.engine.remove_volume(name)
        raise
    return _made(ctx)


def _made(ctx: Context) -> Result:
    """Its row, owned by the team that asked."""
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    rows = Volume.objects.filter(engine=ctx.operation.engine, native_id=ctx.params["name"])
    rows.filter(team=None).update(team=ctx.operation.team)
    row = rows.first()
    return {"volume": str(row.pk) if row else "", "name": ctx.params["name"]}


def after(ctx: Context) -> None:
    """Rows are true, and what carried the data is gone."""
    volume_files.clear(ctx)
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    image_sync.reconcile(ctx.operation.engine, ctx.engine)


# Clone


def _is_cloned(ctx: Context) -> Result | None:
    return clone(ctx) if _new(ctx) else None


@operation(
    "volume.clone", label="Clone volume", doing="Cloning", done="Cloned",
    deadline=3600, repeatable=True, verify=_is_cloned,
    after=after, plan=volume_plans.cloning, expensive=True,
)  # fmt: skip
def clone(ctx: Context) -> Result:
    """Copies all that is in it into a new one, with owners, modes and links as they are."""
    source = ctx.engine.volume(str(ctx.params["native_id"]))
    labels = {key: value for key, value in source.labels.items() if not key.startswith(names.LABEL_PREFIX)}
    path = volume_files.file_of(f"{ctx.operation.pk}.clone")
    row = Volume.objects.filter(pk=ctx.operation.target_id).first()
    try:
        with leaving("No volume was made."):
            volume_files.read(ctx, source.name, path, row.size if row else None, "Reading what is in it")
        return filled(ctx, path, labels)
    finally:
        path.unlink(missing_ok=True)


# Export


@operation(
    "volume.export", label="Export volume", doing="Exporting", done="Exported",
    deadline=3600, repeatable=True, after=after,
    plan=volume_plans.exporting, expensive=True,
)  # fmt: skip
def export(ctx: Context) -> Result:
    """Writes a tar of all that is in it, to be fetched for a day."""
    name = str(ctx.params["native_id"])
    raw, target = volume_files.file_of(f"{ctx.operation.pk}.raw"), export_of(ctx.operation)
    row = Volume.objects.filter(pk=ctx.operation.target_id).first()
    volume_files.forget_old()
    try:
        with leaving("No file was made; the volume is as it was."):
            volume_files.read(ctx, name, raw, row.size if row else None, "Reading what is in it")
        with written(target) as out:
            found = volume_files.unwrapped(raw, out, ctx=ctx)
    finally:
        raw.unlink(missing_ok=True)
    return {
        "volume": ctx.operation.target_id, "files": len(found), "bytes": target.stat().st_size,
        "download": f"/volumes/exports/{ctx.operation.pk}/",
    }  # fmt: skip


def export_of(operation_: Operation) -> Any:
    """Where the tar that this operation made lies."""
    return volume_files.file_of(f"{operation_.pk}.tar")


# Import


def _is_imported(ctx: Context) -> Result | None:
    return import_(ctx) if _new(ctx) else None


def _ask_again(operation_: Operation, actor: Actor) -> Operation:
    raise Refused("conflict", "Its file was not kept: send it again.")


@operation(
    "volume.import", label="Import volume", doing="Importing", done="Imported",
    deadline=3600, repeatable=True, verify=_is_imported,
    after=after, again=_ask_again, plan=volume_plans.importing, expensive=True,
)  # fmt: skip
def import_(ctx: Context) -> Result:
    """Makes a volume of a tar that was checked and written anew when it came in."""
    path = volume_files.file_of(str(ctx.params["file"]))
    if not path.exists() and _new(ctx):
        return _made(ctx)  # an attempt before has put all of it in, and died before it could say so
    volume_files.read_whole(path, "its data")
    try:
        result = filled(ctx, path, dict(ctx.params["labels"]))
    except (DeadlineExceeded, Unreachable):
        raise  # whoever looks again needs it
    except EngineError:
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)
    return result
