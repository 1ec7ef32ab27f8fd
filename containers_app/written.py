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
    below = tuple(f"{mount.rstrip('/')}/" for mount in mounts)
    found = [
        (kind, path)
        for kind, path in changes
        if kind != "deleted" and not _NOISE.fullmatch(path) and not f"{path}/".startswith(below or ("\0",))
    ]
    parents = {path.rpartition("/")[0] for _, path in found}
    above = {mount.rpartition("/")[0] for mount in mounts}
    return [(kind, path) for kind, path in found if path not in parents and path not in above]


def written_files(engine: EngineBackend, native_id: str, mounts: Iterable[str]) -> Mapping[str, Any]:
    """``{"files": [{"path", "kind", "size"}], "total", "bytes", "complete"}``; ``complete``: each size is known."""
    found = changed_files(engine.changes(native_id), list(mounts))
    asked = [path for _, path in found[:MOST]]
    sizes = engine.file_sizes(native_id, asked, deadline=SIZES_WITHIN) if asked else {}
    files = [
        {"path": path, "kind": kind, "size": sizes.get(path)}
        for kind, path in found[:MOST]
        if sizes.get(path) != -1
    ]
    return {
        "files": files,
        "total": len(files) + max(0, len(found) - MOST),
        "bytes": sum(size for size in sizes.values() if size > 0),
        "complete": len(found) <= MOST and len(sizes) == len(asked),
    }


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


@operation("container.copy", label="Save files", doing="Saving files of", deadline=660, repeatable=True)
def copy(ctx: Context) -> Mapping[str, Any]:
    """Writes a tar of exactly the files that would be lost, to be fetched for a day."""
    native_id = str(ctx.params["native_id"])
    info = ctx.engine.container(native_id)
    found = changed_files(ctx.engine.changes(native_id), [mount.target for mount in info.mounts])
    sizes = ctx.engine.file_sizes(
        native_id, [path for kind, path in found if kind == "modified"], deadline=10
    )
    paths = [path for kind, path in found if kind == "added" or sizes.get(path, -1) != -1]
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
    return {"container": ctx.operation.target_id, "files": len(paths), "bytes": size}
