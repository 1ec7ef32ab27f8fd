"""Changing files of containers and volumes: write, rename and remove one. The same three verbs for both.

What an upload brings lies in a file of ours until the engine has it. A change says what the person saw (``digest``);
where the file is another one by then, nothing happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any, cast
from uuid import uuid4

from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import files, volume_files
from containers_app.models import Container, Volume
from engine.errors import Conflict, EngineError, Invalid, NameInUse, NotFound, PolicyDenied, TooLarge
from engine.files import Place, clean, joined, parent, shown
from engine.files import name as checked
from engine.specs import SpecError
from engine.types import Progress
from engine.words import kept
from operations import reads, registry, room, services
from operations.models import Operation
from operations.plans import Item, Plan
from operations.previews import is_preview
from operations.registry import Context, leaving, operation
from operations.services import Refused, Target
from streams import bell

OTHER = kept("This file has changed since you looked at it: look again.")
LOOK = 1.5
"""Seconds that a plan waits for what the engine can tell about it."""
_PIECE = 1 << 20


# Asking


def request_write(
    row: Container | Volume,
    path: str,
    data: IO[bytes],
    *,
    actor: Actor,
    replace: bool = False,
    folders: bool = False,
    digest: str = "",
    idempotency_key: str = "",
) -> Operation:
    """Asks for a file to be written. ``replace``: one that is there may be written over; with ``digest`` (SHA-256 of
    all of it, in hexadecimal digits) only where it is still that. ``folders``: those above it that are
    not there are made. Raises `SpecError`, `Refused` and what rights raise.
    """
    kind, path = f"{_type(row)}.put", _path(path)
    target = _target(row, path)
    services.authorize(kind, actor=actor, target=target, team_id=row.team_id)
    files.forget_left()
    size, content, spool = _spooled(data, f"{row.pk}:{path}")
    try:
        return services.submit(
            kind, actor=actor, engine=row.engine, team=row.team, target=target, idempotency_key=idempotency_key,
            params={
                "path": path, "size": size, "content": content, "replace": replace, "digest": digest, "spool": spool,
                "folders": folders,
            },
        )  # fmt: skip
    except BaseException:
        if spool:
            files.spooled(spool).unlink(missing_ok=True)
        raise


def request_rename(
    row: Container | Volume, path: str, name: str, *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for another name in the same folder."""
    path = _path(path)
    try:
        checked(name)
    except Invalid as error:
        raise SpecError({"name": [error.message]}) from None
    return services.submit(
        f"{_type(row)}.move", actor=actor, engine=row.engine, team=row.team, target=_target(row, path),
        params={"path": path, "name": name}, idempotency_key=idempotency_key,
    )  # fmt: skip


def request_erase(
    row: Container | Volume, path: str, *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for a file, or a folder with all that is in it, to be removed for good."""
    path = _path(path)
    return services.submit(
        f"{_type(row)}.erase", actor=actor, engine=row.engine, team=row.team, target=_target(row, path),
        params={"path": path}, idempotency_key=idempotency_key,
    )  # fmt: skip


def _type(row: Container | Volume) -> str:
    return "volume" if isinstance(row, Volume) else "container"


def _target(row: Container | Volume, path: str) -> Target:
    """One change a file at a time; other files do not wait."""
    return Target(_type(row), str(row.pk), row.name, services.lock(_type(row), row.pk, "file", path))


def _path(path: str) -> str:
    try:
        found = clean(path)
    except Invalid as error:
        raise SpecError({"path": [error.message]}) from None
    if found == "/":
        raise SpecError({"path": [_("This is the root of it all.")]})
    return found


def _spooled(data: IO[bytes], whose: str) -> tuple[int, str, str]:
    """Its size, its digest, and its name in our own folder, which is the same for the same wish; for a plan, none.

    Raises `Refused` where it is too large, or our disk is full.
    """
    part, size, digest = files.spooled(f"{uuid4()}.part"), 0, hashlib.sha256()
    try:
        with part.open("xb") as out:
            part.chmod(0o600)
            while piece := data.read(_PIECE):
                size += len(piece)
                if size > files.most_bytes():
                    most = files.most_bytes() // 1024**2
                    raise Refused(
                        "too_large",
                        _("A file has %(most)s MB at most (SLIPWAY_FILES_MB).") % {"most": f"{most:,}"},
                        413,
                    )
                digest.update(piece)
                out.write(piece)
        if is_preview():
            return size, digest.hexdigest(), ""
        name = hashlib.sha256(f"{whose}:{digest.hexdigest()}".encode()).hexdigest() + ".up"
        part.rename(files.spooled(name))
        return size, digest.hexdigest(), name
    except OSError as error:
        if room.is_full(error):
            raise Refused("disk_full", room.FULL, 507) from None
        raise
    finally:
        part.unlink(missing_ok=True)


# Plans


def _words(operation: Operation) -> tuple[str, str]:
    path = shown(str(operation.params["path"]))
    where = _("in volume %(name)s") if operation.kind.startswith("volume") else _("in container %(name)s")
    return path, where % {"name": operation.target_name}


def _writing(operation: Operation, actor: Actor) -> Plan:
    path, where = _words(operation)
    plan = Plan(button=_("Write file"), no_undo=_("What a file held before is not kept."))
    size = int(operation.params["size"])
    if operation.params["replace"]:
        plan.changed.append(Item(path, where, _("it keeps its owner and mode"), size))
        plan.lost.append(Item(_("What it holds now"), _("where it is there")))
    else:
        plan.made.append(Item(path, where, size=size))
    return plan


def _moving(operation: Operation, actor: Actor) -> Plan:
    path, where = _words(operation)
    plan = Plan(button=_("Rename"))
    plan.changed.append(
        Item(path, _("is called %(name)s then") % {"name": shown(str(operation.params["name"]))}, where)
    )
    plan.affected.append(Item(_("Programs that look for it by its name"), _("do not find it")))
    return plan


def erasing(operation: Operation, actor: Actor) -> Plan:
    """The plan of a removal: nothing brings a file back."""
    path, where = _words(operation)
    plan = Plan(button=_("Delete for good"), no_undo=_("Files are not kept in the trash."))
    row: Any = registry.find_target(operation.target_type, operation.target_id)
    try:
        params = files.params_of(row, actor, str(operation.params["path"]))
        found = reads.read(f"{operation.target_type}.peek", row, actor=actor, params=params, deadline=LOOK)
        plan.lost.append(Item(path, where, size=int(found["info"]["size"])))
    except Conflict:
        plan.lost.append(Item(path, where, _("with all that is in it")))
    except EngineError:
        plan.lost.append(Item(path, where, _("if it is a folder, with all that is in it")))
        plan.unknown.append(_("what it is"))
    plan.kept.append(Item(_("Everything beside it")))
    return plan


# Doing


def _place(ctx: Context) -> Place:
    """Where it is, by the rights of now; and people see which file it is about."""
    ctx.emit(Progress(message=shown(str(ctx.params["path"]))))
    row: Any = registry.find_target(ctx.operation.target_type, ctx.operation.target_id)
    actor = services.actor_of(ctx.operation)
    if row is None:
        raise NotFound("It is gone.")
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    return replace(files.place_of(row, actor), operation=str(ctx.operation.pk))


def _held(ctx: Context, place: Place, path: str, most: int) -> str:
    """The digest of what it holds now; empty for what is not there or is larger."""
    sink = _Digest()
    try:
        ctx.engine.fetch(place, path, cast("IO[bytes]", sink), most=most, should_stop=ctx.should_stop)
    except (NotFound, TooLarge):
        return ""
    return sink.digest.hexdigest()


class _Digest:
    """Takes what is written, and keeps nothing but its digest."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)


def _is_put(ctx: Context) -> Mapping[str, Any] | bool:
    path = str(ctx.params["path"])
    there = _held(ctx, _place(ctx), path, int(ctx.params["size"])) == ctx.params["content"]
    return _result(ctx, path) if there else False


def _put(ctx: Context) -> Mapping[str, Any]:
    """Writes what was uploaded."""
    place, path, size = _place(ctx), str(ctx.params["path"]), int(ctx.params["size"])
    at, again = files.spooled(str(ctx.params["spool"])), bool(ctx.remembered)
    if again and (done := _is_put(ctx)):
        return cast("Mapping[str, Any]", done)
    if not at.exists():
        raise Conflict("What was uploaded is gone: upload it again.")
    want = str(ctx.params["digest"])
    if want and not again and _held(ctx, place, path, files.PEEK) != want:
        raise Conflict(OTHER)
    ctx.remember(writing=True)
    ctx.check_fence()
    replace = bool(ctx.params["replace"]) or again  # what an attempt before has left is ours
    with leaving("The file may be there, or not be whole."), at.open("rb") as data:
        # An operation of before this could be asked for has no word of it.
        folders = bool(ctx.params.get("folders"))
        ctx.engine.put_file(place, path, data, size=size, replace=replace, folders=folders)
    return _result(ctx, path)


def _move(ctx: Context) -> Mapping[str, Any]:
    """Gives it another name; where an attempt before has done so, that is it."""
    place, path, name = _place(ctx), str(ctx.params["path"]), str(ctx.params["name"])
    new = joined(parent(path), name)
    again = bool(ctx.remembered)
    ctx.remember(moving=True)
    ctx.check_fence()
    try:
        ctx.engine.rename_file(place, path, name)
    except NotFound:
        if not again:
            raise
        ctx.engine.peek(place, new, most=0)
    except NameInUse:
        if not again:
            raise
        # Both names stand for it: the attempt before came as far as that.
        ctx.engine.remove_file(place, path)
    return _result(ctx, new)


def _erase(ctx: Context) -> Mapping[str, Any]:
    """Removes it; where an attempt before has done so, that is it."""
    place, path = _place(ctx), str(ctx.params["path"])
    again = bool(ctx.remembered)
    ctx.remember(erasing=True)
    ctx.check_fence()
    try:
        ctx.engine.remove_file(place, path)
    except NotFound:
        if not again:
            raise
    return _result(ctx, path)


def _is_moved(ctx: Context) -> Mapping[str, Any] | bool:
    path = str(ctx.params["path"])
    new = joined(parent(path), str(ctx.params["name"]))
    there = {one: _is_there(ctx, one) for one in (path, new)}
    return _result(ctx, new) if there == {path: False, new: True} else False


def _is_erased(ctx: Context) -> Mapping[str, Any] | bool:
    path = str(ctx.params["path"])
    return False if _is_there(ctx, path) else _result(ctx, path)


def _is_there(ctx: Context, path: str) -> bool:
    """Looked for in its folder, so that a link stands for itself."""
    try:
        found = ctx.engine.files(_place(ctx), parent(path), hints=[path.rpartition("/")[2]])
    except NotFound:
        return False
    return any(joined(parent(path), one.name) == path for one in found.entries)


def _result(ctx: Context, path: str) -> Mapping[str, Any]:
    return {ctx.operation.target_type: ctx.operation.target_id, "path": path}


def _after(ctx: Context) -> None:
    """What was uploaded is not needed any more, and pages that show the folder look again."""
    if spool := ctx.params.get("spool"):
        files.spooled(str(spool)).unlink(missing_ok=True)
    if ctx.operation.target_type == "volume":
        volume_files.clear(ctx)
    bell.ring(f"{ctx.operation.target_type}:{ctx.operation.target_id}")


def _again(operation: Operation, actor: Actor) -> Operation:
    raise Refused("conflict", "What was uploaded is gone: upload it again.")


_EACH: dict[str, Any] = {"deadline": 660, "repeatable": True, "after": _after}
for _kind in ("container", "volume"):
    operation(
        f"{_kind}.put", label="Write file", doing="Writing a file in", done="Wrote a file in",
        permission=f"{_kind}.write", verify=_is_put, plan=_writing, again=_again, **_EACH,
    )(_put)  # fmt: skip
    operation(
        f"{_kind}.move", label="Rename file", doing="Renaming a file in", done="Renamed a file in",
        permission=f"{_kind}.write", verify=_is_moved, plan=_moving, **_EACH,
    )(_move)  # fmt: skip
    operation(
        f"{_kind}.erase", label="Delete file", doing="Deleting a file in", done="Deleted a file in",
        permission=f"{_kind}.write", verify=_is_erased, plan=erasing, **_EACH,
    )(_erase)  # fmt: skip

__all__ = ["erasing", "request_erase", "request_rename", "request_write"]
