"""The files that a container has written outside its mounts: what is lost with it, and a copy of exactly that."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from engine.base import Engine as EngineBackend
from engine.files import FileInfo, FileKind
from operations import trash
from operations.registry import Context, leaving, operation

MOST = 2000
"""Files that a plan lists."""
SIZES_WITHIN = 0.9
"""Seconds for asking how large they are; one costs about a millisecond."""
COPIES = "copies"
KEPT = 24 * 3600
"""Seconds that a copy can be fetched."""
_NOISE = re.compile(
    r"/(run|var/run|proc|sys|dev)(/.*)?|.*\.(pid|pyc|sock)|/\.dockerenv|/etc/(mtab|hosts|hostname|resolv\.conf)"
)


def changed_files(changes: Iterable[tuple[str, str]], mounts: Iterable[str]) -> list[tuple[str, str]]:
    """``(kind, path)`` of added and modified entries without mounts, noise, and folders that only hold such."""
    found = [(kind, path) for kind, path in _own(changes, mounts) if kind != "deleted"]
    parents = {path.rpartition("/")[0] for _, path in found}
    above = {mount.rpartition("/")[0] for mount in mounts}
    return [(kind, path) for kind, path in found if path not in parents and path not in above]


def _own(changes: Iterable[tuple[str, str]], mounts: Iterable[str]) -> list[tuple[str, str]]:
    """Without what lies in mounts, and without what is made anew at each start or stands for nothing."""
    below = tuple(f"{mount.rstrip('/')}/" for mount in mounts)
    return [
        (kind, path)
        for kind, path in changes
        if not _NOISE.fullmatch(path) and not f"{path}/".startswith(below or ("\0",))
    ]


def written_files(
    engine: EngineBackend, native_id: str, mounts: Iterable[str], *, within: float = SIZES_WITHIN
) -> Mapping[str, Any]:
    """What is lost with the writable layer.

    ``{"files": [{"path", "kind", "size", "modified"}], "total", "bytes", "complete", "deleted": [paths]}``.
    ``complete``: each size is known, for which there were ``within`` seconds. ``deleted`` is what the image has and it
    has not, which another container from that image has again.
    """
    changes, mounts = engine.changes(native_id), list(mounts)
    found = changed_files(changes, mounts)
    asked = [path for _, path in found[:MOST]]
    told = engine.file_stats(native_id, asked, deadline=within) if asked else {}
    files = [
        {"path": path, "kind": kind, **_told(told.get(path))}
        for kind, path in found[:MOST]
        if path not in told or told[path].kind is not FileKind.FOLDER
    ]
    return {
        "files": files,
        "total": len(files) + max(0, len(found) - MOST),
        "bytes": sum(info.size for info in told.values()),
        "complete": len(found) <= MOST and len(told) == len(asked),
        "deleted": [path for kind, path in _own(changes, mounts) if kind == "deleted"][:MOST],
    }


def told_changes(
    engine: EngineBackend, native_id: str, mounts: Iterable[str], *, within: float
) -> list[dict[str, Any]]:
    """All of the writable layer against the image, each with ``size``, ``modified_at`` and whether it is ``lost``."""
    changes, mounts = engine.changes(native_id), list(mounts)
    lost = {path for _, path in changed_files(changes, mounts)}
    there = [path for kind, path in changes if kind != "deleted"]
    told = engine.file_stats(native_id, there[:MOST], deadline=within)
    found = []
    for kind, path in changes:
        info = told.get(path)
        size_and_time = _told(info)
        found.append({
            "path": path, "kind": kind, "size": size_and_time["size"], "modified_at": size_and_time["modified"],
            "lost": path in lost and not (kind == "modified" and info and info.kind is FileKind.FOLDER),
        })  # fmt: skip
    return found


def _told(info: FileInfo | None) -> dict[str, Any]:
    if info is None:
        return {"size": None, "modified": None}
    return {"size": info.size, "modified": info.modified.isoformat() if info.modified else None}


def copy_of(operation_id: object) -> Path:
    """Where the copy that this operation made lies."""
    folder = Path(settings.HOME) / COPIES
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{operation_id}.tar"


def forget_old_copies() -> None:
    """Each is there for a day."""
    for path in copy_of("").parent.glob("*.tar"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()


@operation(
    "container.copy",
    label="Save files",
    doing="Saving files of",
    done="Saved files of",
    deadline=660,
    repeatable=True,
)
def copy(ctx: Context) -> Mapping[str, Any]:
    """Writes a tar of exactly the files that would be lost, to be fetched for a day."""
    native_id = str(ctx.params["native_id"])
    info = ctx.engine.container(native_id)
    found = changed_files(ctx.engine.changes(native_id), [mount.target for mount in info.mounts])
    told = ctx.engine.file_stats(native_id, [path for kind, path in found if kind == "modified"], deadline=10)
    paths = [
        path
        for kind, path in found
        if kind == "added" or (path in told and told[path].kind is not FileKind.FOLDER)
    ]
    target = copy_of(ctx.operation.pk)
    forget_old_copies()
    try:
        with leaving("No file was saved."), target.open("wb") as out:
            target.chmod(0o600)
            size = ctx.engine.copy_out(
                native_id, paths, out, most=trash.most_bytes(), should_stop=ctx.should_stop, deadline=600
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    download = f"/containers/copies/{ctx.operation.pk}/"
    return {"container": ctx.operation.target_id, "files": len(paths), "bytes": size, "download": download}
