"""Making and removing volumes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from containers_app import sync
from containers_app.models import Volume
from engine import guard, names
from engine.errors import Conflict, NameInUse, NotFound, PolicyDenied
from engine.specs import VolumeSpec
from engine.types import VolumeInfo
from operations import services
from operations.registry import Context, operation


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
    return True if _there(ctx, str(ctx.params["native_id"])) is None else None


def _after(ctx: Context) -> None:
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)


@operation("volume.create", label="Create volume", doing="Creating volume", repeatable=True, verify=_is_made)
def create(ctx: Context) -> Mapping[str, Any]:
    """Makes it, unless the name is taken."""
    spec = VolumeSpec.parse({key: value for key, value in ctx.params.items() if not key.startswith("_")})
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    guard.check(spec, level=services.guard_level(actor, ctx.operation.team_id))
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
    "volume.remove", label="Remove volume", doing="Removing volume", repeatable=True, verify=_is_gone,
    after=_after,
)  # fmt: skip
def remove(ctx: Context) -> Mapping[str, Any]:
    """Removes it with what is in it."""
    name = str(ctx.params["native_id"])
    result = {"volume": ctx.operation.target_id, "name": name}
    if _there(ctx, name) is None:
        return {**result, "changed": False}
    ctx.check_fence()
    with suppress(NotFound):  # somebody else was faster
        ctx.engine.remove_volume(name, force=bool(ctx.params["force"]))
    if _there(ctx, name) is not None:
        raise Conflict("The engine accepted the removal, and the volume is still there.")
    return {**result, "changed": True}
