"""Changing files inside containers and volumes, through the engine's archive interface: running or not, without a
program of the container's own.

An engine can only unpack. It makes room for each entry first, and only then makes it: an entry that is a hard link to
what does not exist therefore takes away what stood under its name, and nothing comes in its place. A hard link to a
file that does exist is its second name; with the first one taken away it is renamed, with all that belongs to it. The
engine's answer to both is an error, so what has happened is looked at.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO
from uuid import uuid4

from engine import docker_data
from engine.base import never
from engine.docker_calls import Calls
from engine.docker_files import STEP, Tree, find, opened, read_tar, stat
from engine.docker_transport import Client
from engine.errors import AnswerLost, Conflict, EngineError, Invalid, NameInUse, NotFound, Unreachable
from engine.files import FileInfo, FileKind, Place, clean, is_below, joined, name, parent

_TAR = {"Content-Type": "application/x-tar"}
_PIECE = 1 << 20


def put(
    calls: Calls,
    place: Place,
    path: str,
    data: IO[bytes],
    *,
    size: int,
    replace: bool,
    folders: bool,
    deadline: float,
) -> None:
    """See `engine.base.Engine.put_file`."""
    folder, entry = parent(clean(path)), name(clean(path).rpartition("/")[2])
    with opened(calls, place, writes=True) as tree:
        real, info, missing = _ground(calls, tree, folder) if folders else (*find(calls, tree, folder), [])
        if info.kind is not FileKind.FOLDER:
            raise Conflict("This is no folder.")
        entry = "/".join([*missing, entry])
        made = tarfile.TarInfo(entry)
        made.size, made.mode, made.mtime = size, 0o644, int(time.time())
        there = _there(calls, tree, joined(real, entry))
        if there is None:
            like = _header(calls, tree, real)
        elif not replace:
            raise NameInUse("There is something of this name already.")
        elif there.kind is not FileKind.FILE:
            raise Conflict("What has this name is no plain file: it is not replaced.")
        else:
            like = _header(calls, tree, joined(real, entry))
            made.mode = like.mode & 0o777
        made.uid, made.gid = like.uid, like.gid
        above = [_folder("/".join(missing[: n + 1]), made) for n in range(len(missing))]
        _unpack(calls, tree, real, _tar_of(made, data, above), deadline, keep_folders=True)
        after = _there(calls, tree, joined(real, entry))
        if after is None or after.size != size:
            raise AnswerLost("The engine said that the file was written, and it is not there whole.")


def remove(calls: Calls, place: Place, path: str, *, deadline: float) -> None:
    """See `engine.base.Engine.remove_file`."""
    with opened(calls, place, writes=True) as tree:
        real, _ = find(calls, tree, path, follow=False)
        _require_free(tree, real)
        _take_away(calls, tree, real, deadline)


def rename(calls: Calls, place: Place, path: str, entry: str, *, deadline: float) -> None:
    """See `engine.base.Engine.rename_file`."""
    name(entry)
    with opened(calls, place, writes=True) as tree:
        real, info = find(calls, tree, path, follow=False)
        _require_free(tree, real)
        if info.kind not in (FileKind.FILE, FileKind.LINK):
            raise Conflict("Only files can be renamed here.")
        folder, old = parent(real), real.rpartition("/")[2]
        new = joined(folder, entry)
        tree.require_open(new)
        if _there(calls, tree, new) is not None:
            raise NameInUse("There is something of this name already.")
        like = _header(calls, tree, real)
        second = _link(entry, old)
        second.uid, second.gid, second.mode, second.mtime = like.uid, like.gid, like.mode, like.mtime
        with suppress(EngineError):
            _unpack(calls, tree, folder, _tar_of(second), deadline)
        if _there(calls, tree, new) is None:
            raise EngineError("The engine did not rename it.")
        _take_away(calls, tree, real, deadline)


def _ground(calls: Calls, tree: Tree, folder: str) -> tuple[str, FileInfo, list[str]]:
    """The nearest folder above that is there, as `find` finds it, and the names of those that are not."""
    missing: list[str] = []
    while True:
        try:
            return *find(calls, tree, folder), missing
        except NotFound:
            if folder == "/":
                raise
        missing.insert(0, folder.rpartition("/")[2])
        folder = parent(folder)


def _header(calls: Calls, tree: Tree, real: str) -> tarfile.TarInfo:
    """Owner, mode and time of what stands there."""
    with (
        docker_data.archive(calls, tree.native_id, real, never, STEP) as pieces,
        read_tar(docker_data.Pieces(pieces)) as read,
    ):
        member = read.next()
        if member is None:
            raise NotFound("There is no such file or folder.")
        return member


def _require_free(tree: Tree, real: str) -> None:
    """What is mounted somewhere would be emptied, not removed."""
    if real == tree.root:
        raise Invalid("This is the root of it all.")
    if any(is_below(mount, real) for mount in tree.mounts):
        raise Conflict("Something is mounted there, or below: it would be emptied.")


def _take_away(calls: Calls, tree: Tree, real: str, deadline: float) -> None:
    gone = _link(real.rpartition("/")[2], f".slipway-nothing-{uuid4().hex}")
    try:
        _unpack(calls, tree, parent(real), _tar_of(gone), deadline)
    except (Unreachable, AnswerLost):
        raise
    except EngineError as error:
        if _there(calls, tree, real) is not None:
            raise (
                error if isinstance(error, Conflict) else EngineError("The engine did not remove it.")
            ) from error
        return
    if _there(calls, tree, real) is not None:
        raise EngineError("The engine did not remove it.")


def _there(calls: Calls, tree: Tree, at: str) -> FileInfo | None:
    tree.require_open(at)
    return calls.run(lambda client: stat(client, tree.native_id, clean(at)), deadline=5)


def _link(entry: str, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(entry)
    made.type, made.linkname, made.mode = tarfile.LNKTYPE, target, 0o644
    return made


def _folder(path: str, like: tarfile.TarInfo) -> tarfile.TarInfo:
    made = tarfile.TarInfo(path)
    made.type, made.mode, made.mtime, made.uid, made.gid = (
        tarfile.DIRTYPE,
        0o755,
        like.mtime,
        like.uid,
        like.gid,
    )
    return made


def _unpack(
    calls: Calls,
    tree: Tree,
    folder: str,
    data: Iterator[bytes],
    deadline: float,
    *,
    keep_folders: bool = False,
) -> None:
    query = {"path": folder, **({"noOverwriteDirNonDir": "1"} if keep_folders else {})}

    def work(client: Client) -> None:
        for _ in client.open_stream(
            "PUT", f"/containers/{tree.native_id}/archive", query, headers=_TAR, data=data
        ):
            pass

    calls.run(work, deadline=deadline, writes=True)


def _tar_of(
    entry: tarfile.TarInfo, data: IO[bytes] | None = None, above: Sequence[tarfile.TarInfo] = ()
) -> Iterator[bytes]:
    """A tar of one entry below some folders, as it is sent."""
    for folder in above:
        yield folder.tobuf(tarfile.PAX_FORMAT)
    yield entry.tobuf(tarfile.PAX_FORMAT)
    left = entry.size if data else 0
    while left and data:
        piece = data.read(min(_PIECE, left))
        if not piece:
            raise EngineError("The file is shorter than it was.")
        left -= len(piece)
        yield piece
    yield bytes(-entry.size % tarfile.BLOCKSIZE if data else 0) + bytes(2 * tarfile.BLOCKSIZE)


__all__ = ["put", "remove", "rename"]
