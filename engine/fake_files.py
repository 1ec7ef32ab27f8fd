"""Files of the fake engine's containers and volumes: a small tree in memory, which nothing but its callers fills."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from typing import IO

from engine import names
from engine.base import ShouldStop, never
from engine.errors import Conflict, Invalid, NameInUse, NotFound, PolicyDenied, TooLarge
from engine.fake_facts import FakeReads
from engine.files import KERNEL, FileInfo, FileKind, Listing, Place, clean, is_below, joined, parent
from engine.files import name as checked

Tree = dict[str, bytes | None]
_AT_FIRST = ("/", "/bin", "/etc", "/tmp")  # noqa: S108 - a folder of the fake


class FakeFiles(FakeReads):
    """The part of `engine.base.Engine` that browses and changes files."""

    def files(
        self, place: Place, path: str, *, most: int = 5000, hints: Sequence[str] = (), deadline: float = 4
    ) -> Listing:
        def work() -> Listing:
            tree, at = self._tree(place), self._open(place, path)
            if _info(tree, at).kind is not FileKind.FOLDER:
                raise Conflict("This is no folder.")
            below = [_info(tree, one) for one in sorted(tree) if one != "/" and parent(one) == at]
            return Listing(at, below[:most], len(below) <= most)

        return self._do("files", work, deadline)

    def peek(self, place: Place, path: str, *, most: int, deadline: float = 8) -> tuple[FileInfo, bytes]:
        def work() -> tuple[FileInfo, bytes]:
            tree, at = self._tree(place), self._open(place, path)
            info, content = _info(tree, at), tree[at]
            if content is None:
                raise Conflict("This is no file.")
            return info, content[:most]

        return self._do("peek", work, deadline)

    def fetch(
        self,
        place: Place,
        path: str,
        out: IO[bytes],
        *,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 600,
    ) -> FileInfo:
        def work() -> FileInfo:
            tree, at = self._tree(place), self._open(place, path)
            info, content = _info(tree, at), tree[at]
            content = content if content is not None else _tar_of(tree, at)
            if len(content) > most:
                raise TooLarge("This is larger than what may be downloaded.", most=most)
            out.write(content)
            return info

        return self._do("fetch", work, deadline, should_stop=should_stop)

    def put_file(
        self,
        place: Place,
        path: str,
        data: IO[bytes],
        *,
        size: int,
        replace: bool,
        folders: bool = False,
        deadline: float = 600,
    ) -> None:
        content = data.read(size)

        def work() -> None:
            tree, at = self._tree(place), self._open(place, path)
            checked(at.rpartition("/")[2])
            above = parent(at)
            while folders and above not in tree:
                tree[above] = None
                above = parent(above)
            if _info(tree, parent(at)).kind is not FileKind.FOLDER:
                raise Conflict("This is no folder.")
            if at in tree and not replace:
                raise NameInUse("There is something of this name already.")
            if at in tree and tree[at] is None:
                raise Conflict("What has this name is no plain file: it is not replaced.")
            tree[at] = content

        self._do("put_file", work, deadline, writes=True)

    def remove_file(self, place: Place, path: str, *, deadline: float = 120) -> None:
        def work() -> None:
            tree, at = self._tree(place), self._open(place, path)
            if at == "/":
                raise Invalid("This is the root of it all.")
            _info(tree, at)
            if any(is_below(mount, at) for mount in place.mounts):
                raise Conflict("Something is mounted there, or below: it would be emptied.")
            for one in [one for one in tree if is_below(one, at)]:
                del tree[one]

        self._do("remove_file", work, deadline, writes=True)

    def rename_file(self, place: Place, path: str, name: str, *, deadline: float = 30) -> None:
        checked(name)

        def work() -> None:
            tree, at = self._tree(place), self._open(place, path)
            if _info(tree, at).kind is FileKind.FOLDER:
                raise Conflict("Only files can be renamed here.")
            new = joined(parent(at), name)
            if new in tree:
                raise NameInUse("There is something of this name already.")
            tree[new] = tree.pop(at)

        self._do("rename_file", work, deadline, writes=True)

    def _tree(self, place: Place) -> Tree:
        if place.container:
            tree = self._container(names.container_id(place.container)).files
            for one in _AT_FIRST:
                tree.setdefault(one, None)
            return tree
        found = self.world.volumes.get(names.volume_name(place.volume))
        if found is None:
            raise NotFound("This engine has no such volume.")
        found.files.setdefault("/", None)
        return found.files

    def _open(self, place: Place, path: str) -> str:
        at = clean(path)
        if any(is_below(at, shut) for shut in (*(KERNEL if place.container else ()), *place.closed)):
            raise PolicyDenied("This stays shut.", rule="files.closed", field="path")
        return at


def _info(tree: Tree, at: str) -> FileInfo:
    if at not in tree:
        raise NotFound("There is no such file or folder.")
    content, name = tree[at], at.rpartition("/")[2]
    if content is None:
        return FileInfo(name, FileKind.FOLDER, mode=0o755)
    return FileInfo(name, FileKind.FILE, len(content), 0o644)


def _tar_of(tree: Tree, at: str) -> bytes:
    made, name = io.BytesIO(), at.rpartition("/")[2] or "files"
    with tarfile.open(fileobj=made, mode="w") as archive:
        for one in sorted(one for one in tree if is_below(one, at)):
            content = tree[one]
            entry = tarfile.TarInfo(f"{name}/{one.removeprefix(at).strip('/')}".rstrip("/"))
            entry.type, entry.size = (
                (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
            )
            archive.addfile(entry, io.BytesIO(content or b""))
    return made.getvalue()
