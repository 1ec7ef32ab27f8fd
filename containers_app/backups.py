"""Backups of volumes: made, put back whole or in parts, and removed.

A backup is a tar.gz of all that is in a volume, with names as people know them, beside a small manifest that tells what
it is. Its SHA-256 stands in our row: what comes back from a store and is not that is put into no volume.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from django.utils import timezone

from containers_app import backup_plans, stores, volume_copies, volume_files
from containers_app.backed import VolumeBackup, packed
from containers_app.models import Volume
from engine.errors import Cancelled, EngineError, NotFound, StoreFailed
from engine.types import Progress
from operations.registry import Context, operation
from operations.spooled import written
from streams import bell

FORMAT = "slipway.backup.1"
Result = Mapping[str, Any]


def _result(row: VolumeBackup) -> Result:
    return {"backup": str(row.pk), "files": row.entries, "bytes": row.size}


def _is_made(ctx: Context) -> Result | None:
    row = VolumeBackup.objects.filter(operation=ctx.operation).first()
    return _result(row) if row else None


@operation(
    "volume.backup", label="Back up volume", doing="Backing up", done="Backed up",
    deadline=7200, repeatable=True, verify=_is_made,
    after=volume_copies.after, plan=backup_plans.backing, expensive=True,
)  # fmt: skip
def backup(ctx: Context) -> Result:
    """Keeps a copy of all that is in it in its store, then lets go of those that are too many."""
    row = VolumeBackup.objects.filter(operation=ctx.operation).first()
    if row is None:
        row = _make(ctx)
    if keep := int(ctx.params.get("keep") or 0):
        _let_go(ctx, row, keep)
    return _result(row)


def _make(ctx: Context) -> VolumeBackup:
    name, asked = str(ctx.params["native_id"]), ctx.operation
    raw = volume_files.file_of(f"{asked.pk}.raw")
    file = volume_files.file_of(f"{asked.pk}.tar.gz")
    volume = Volume.objects.filter(pk=asked.target_id).first()
    try:
        volume_files.read(ctx, name, raw, volume.size if volume else None, "Reading what is in it")
        ctx.emit(Progress(message="Packing it"))
        with written(file) as out, gzip.GzipFile("", "wb", 6, out, mtime=0) as squeezed:
            found = volume_files.unwrapped(raw, squeezed, ctx=ctx)  # type: ignore[arg-type]
        raw.unlink()
        row = VolumeBackup(
            engine=asked.engine, team=asked.team, volume_name=name, store_id=ctx.params.get("store") or None,
            operation=asked, key=_key(ctx, name), digest=_digest(file), size=file.stat().st_size,
            held=sum(entry.size for entry in found), entries=len(found), scheduled=bool(ctx.params.get("scheduled")),
            index=packed([(e.name, e.kind, e.size, e.mtime) for e in found]), created_at=timezone.now(),
        )  # fmt: skip
        _put(ctx, row, file)
    finally:
        raw.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
    ctx.check_fence()
    row.save(force_insert=True)
    _ring(row)
    return row


def _key(ctx: Context, name: str) -> str:
    """Another attempt of the same operation writes to the same place."""
    asked = ctx.operation
    return f"{asked.engine_id.hex[:8]}/{name}/{asked.created_at:%Y%m%dT%H%M%SZ}-{asked.pk.hex[:8]}.tar.gz"


def _digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _put(ctx: Context, row: VolumeBackup, file: Path) -> None:
    """The file and what it is: whoever has lost this database can read both with tar and a text editor."""
    store = stores.of(row.store)
    ctx.emit(Progress(message=f"Keeping it in {backup_plans.place(row.store)}"))
    ctx.check_fence()
    store.put(row.key, file, row.digest)
    manifest = volume_files.file_of(f"{ctx.operation.pk}.json")
    said = {
        "format": FORMAT, "volume": row.volume_name, "engine": row.engine.name,
        "team": row.team.slug if row.team else None, "made_at": row.created_at.isoformat(timespec="seconds"),
        "file": Path(row.key).name, "sha256": row.digest, "size": row.size, "entries": row.entries,
        "bytes_of_files": row.held,
    }  # fmt: skip
    try:
        with written(manifest) as out:
            out.write(json.dumps(said, indent=1).encode())
        store.put(f"{row.key}.json", manifest, _digest(manifest))
    except Exception:
        with suppress(StoreFailed, OSError):  # a file that no row tells of would lie there for ever
            store.delete(row.key)
        raise
    finally:
        manifest.unlink(missing_ok=True)


def _let_go(ctx: Context, row: VolumeBackup, keep: int) -> None:
    """The oldest of those that its schedule has made go. One that cannot be removed now goes the next time."""
    mine = VolumeBackup.objects.filter(engine=row.engine, volume_name=row.volume_name, scheduled=True)
    for old in mine.select_related("store").order_by("-created_at")[keep:]:
        try:
            ctx.check_fence()
            _delete(old)
        except StoreFailed as error:
            ctx.emit(Progress(log=(f"Kept {old}: {error.message}",)))
        else:
            ctx.emit(Progress(log=(f"Removed {old}: {keep} are kept",)))


def _delete(row: VolumeBackup) -> None:
    store = stores.of(row.store)
    store.delete(row.key)
    store.delete(f"{row.key}.json")
    VolumeBackup.objects.filter(pk=row.pk).delete()
    _ring(row)


def _ring(row: VolumeBackup) -> None:
    """Whoever looks at the backups of this volume reads them again."""
    volume = Volume.objects.filter(engine_id=row.engine_id, native_id=row.volume_name).first()
    if volume:
        bell.ring(f"volume:{volume.pk}")


# Back into a volume


def _is_back(ctx: Context) -> Result | None:
    return recover(ctx) if ctx.remembered else None  # to write it once more does no harm


@operation(
    "volume.recover", label="Restore backup", doing="Restoring", done="Restored",
    deadline=7200, repeatable=True, verify=_is_back,
    after=volume_copies.after, plan=backup_plans.recovering, expensive=True,
)  # fmt: skip
def recover(ctx: Context) -> Result:
    """Puts what a backup holds, or some of it, into a volume: one that is there, or a new one."""
    row = VolumeBackup.objects.select_related("store").filter(pk=ctx.params["backup"]).first()
    if row is None:
        raise NotFound("This backup is gone.")
    name, paths = str(ctx.params["name"]), [str(path) for path in ctx.params["paths"]]
    file = volume_files.file_of(f"{ctx.operation.pk}.tar.gz")
    chosen = volume_files.file_of(f"{ctx.operation.pk}.tar")
    try:
        _fetch(ctx, row, file)
        with written(chosen) as out:
            count = _choose(ctx, file, out, paths)
        file.unlink()
        if paths and not count:
            raise NotFound("The backup holds none of these.")
        ctx.remember(began=True)
        result = _into(ctx, name, chosen)
    finally:
        file.unlink(missing_ok=True)
        chosen.unlink(missing_ok=True)
    return {**result, "backup": str(row.pk), "files": count}


def _into(ctx: Context, name: str, chosen: Path) -> Result:
    if ctx.params["new"]:
        return volume_copies.filled(ctx, chosen, {})
    ctx.engine.volume(name)  # NotFound: it is gone since
    volume_files.write(ctx, name, chosen, "Putting files back")
    return {"volume": ctx.operation.target_id, "name": name}


def _fetch(ctx: Context, row: VolumeBackup, file: Path) -> None:
    words = f"Fetching it from {backup_plans.place(row.store)}"
    ctx.emit(Progress(0, row.size, "bytes", words))
    with written(file) as out:
        counted = volume_files.Counted(out, volume_files.telling(ctx, words, row.size))
        digest = stores.of(row.store).get(row.key, counted, row.size)  # type: ignore[arg-type]
    if digest != row.digest:
        file.unlink()
        raise StoreFailed("The file of this backup is not what was put there: its checksum is another one.")


def _choose(ctx: Context, file: Path, out: IO[bytes], paths: Sequence[str]) -> int:
    """Writes those entries as an engine takes them; how many. A chosen hard link brings along what it leads to."""
    wanted = _wanted(file, paths)
    count = 0
    try:
        with (
            tarfile.open(file, "r:gz") as old,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as new,
        ):
            for member in old:
                if ctx.should_stop():
                    raise Cancelled("Cancelled. No volume was changed.")
                if wanted is not None and member.name not in wanted:
                    continue
                data = old.extractfile(member) if member.isreg() else None
                member.name = f"{volume_files.BELOW}{member.name}"
                if member.islnk():
                    member.linkname = f"{volume_files.BELOW}{member.linkname}"
                member.pax_headers = volume_files.without_names(member.pax_headers)
                new.addfile(member, data)
                count += 1
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise EngineError("The file of this backup cannot be read.") from error
    return count


def _wanted(file: Path, paths: Sequence[str]) -> set[str] | None:
    """The names of what is chosen: a folder with all that is below. ``None``: everything."""
    if not paths:
        return None
    exact, below = set(paths), tuple(f"{path}/" for path in paths)
    found: set[str] = set()
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            if member.name in exact or member.name.startswith(below):
                found.add(member.name)
                if member.islnk():
                    found.add(member.linkname)
    return found


# Away


def _is_removed(ctx: Context) -> bool | None:
    return True if not VolumeBackup.objects.filter(pk=ctx.params["backup"]).exists() else None


@operation(
    "backup.remove", label="Remove backup", doing="Removing", done="Removed",
    deadline=300, repeatable=True, verify=_is_removed,
    plan=backup_plans.removing,
)  # fmt: skip
def remove(ctx: Context) -> Result:
    """Its file goes from the store."""
    row = VolumeBackup.objects.select_related("store").filter(pk=ctx.params["backup"]).first()
    if row is not None:
        ctx.check_fence()
        _delete(row)
    return {"name": ctx.operation.target_name, "changed": row is not None}
