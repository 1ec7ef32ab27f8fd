"""Files inside containers and volumes, read through the engine's archive interface: running or not, without a program
of the container's own.

Engines follow links inside the container alone, and never on their host; here each link is followed one by one
besides, so that a path that leads out of a volume, into the kernel or into what is closed is refused. An engine lists
no folder: it sends a tar of everything below. So a listing reads that as far as bytes and time go, and says where it
did not come to the end. A pipe that nobody drains freezes its container: everything here is drained, or cut.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import posixpath
import tarfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any
from uuid import uuid4

from engine import docker_data, names
from engine.base import ShouldStop, never
from engine.docker_calls import Calls
from engine.docker_map import mapping
from engine.docker_text import moment, number, text
from engine.docker_transport import Client
from engine.errors import Conflict, DeadlineExceeded, EngineError, NotFound, PolicyDenied, TooLarge
from engine.files import (
    KERNEL,
    LONGEST_PATH,
    FileInfo,
    FileKind,
    Listing,
    Place,
    clean,
    is_below,
    joined,
)

LIST_BYTES = 1_500_000_000
"""Bytes of a tar that a listing reads: what lies deeper passes by as well."""
LONGEST_HEADER = 1024 * 1024
HINTED = 2.0
"""Seconds for asking after names that a listing did not come to."""
STEP = 5.0
"""Seconds for one question about a file."""
_FOLDER, _LINK = 1 << 31, 1 << 27
_SPECIAL = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
"""Devices, pipes, sockets and what has no name, in the mode that engines tell."""


class _Enough(Exception):
    """As many bytes as a listing may read."""


class _Member(tarfile.TarInfo):
    """An entry whose extended headers are bounded: they are read into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        extended = self.type in (
            *tarfile.GNU_TYPES,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if extended and self.size > LONGEST_HEADER:
            raise EngineError("The engine's archive makes no sense.")
        return super()._proc_member(tar)  # type: ignore[misc]


# Single files


def stats(calls: Calls, native_id: str, paths: Sequence[str], deadline: float) -> dict[str, FileInfo]:
    """What stands at these paths, links not followed; as many as the time allows, about one a millisecond."""
    found: dict[str, FileInfo] = {}

    def work(client: Client) -> Iterator[tuple[str, FileInfo]]:
        for path in paths:
            info = stat(client, native_id, path)
            if info is not None:
                yield path, info

    with suppress(EngineError), calls.stream(work, deadline=deadline) as results:
        for result in results:
            if result is not None:
                found[result[0]] = result[1]
    return found


def stat(client: Client, native_id: str, path: str) -> FileInfo | None:
    """What stands at this path; the links in the folders above it are followed inside the container."""
    url = f"{client.base_url}/v{client.api_version}/containers/{native_id}/archive"
    answer = client.head(url, params={"path": path})
    try:
        told = json.loads(base64.b64decode(answer.headers.get("X-Docker-Container-Path-Stat", "")))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return _info(mapping(told))


def _info(told: Mapping[str, Any]) -> FileInfo:
    mode = number(told.get("mode"))
    kind = FileKind.FILE
    if mode & _FOLDER:
        kind = FileKind.FOLDER
    elif mode & _LINK:
        kind = FileKind.LINK
    elif mode & _SPECIAL:
        kind = FileKind.OTHER
    return FileInfo(
        text(told.get("name"), LONGEST_PATH), kind, number(told.get("size")) if kind is FileKind.FILE else 0,
        mode & 0o777, moment(told.get("mtime")), text(told.get("linkTarget"), LONGEST_PATH),
    )  # fmt: skip


# Places


@dataclass(frozen=True, slots=True)
class Tree:
    """A place, opened: the container that leads to it, and where in that it begins."""

    native_id: str
    root: str
    closed: tuple[str, ...]
    mounts: tuple[str, ...]

    def inner(self, real: str) -> str:
        """A path of the container as the place has it."""
        return real if self.root == "/" else real.removeprefix(self.root) or "/"

    def find(self, client: Client, path: str, *, follow: bool = True) -> tuple[str, FileInfo]:
        """``(where it really is in the container, what it is)``. Without ``follow`` a link at the end stays one."""
        at = self.root
        parts = [part for part in clean(path).split("/") if part]
        info = self._look(client, at)
        for i, part in enumerate(parts):
            at = joined(at, part)
            info = self._look(client, at)
            if info.kind is FileKind.LINK and (follow or i < len(parts) - 1):
                at = self._target(at, info.target)
                info = self._look(client, at)
        return at, info

    def _target(self, link: str, target: str) -> str:
        found = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        if not is_below(found, self.root):
            raise PolicyDenied("This link leads out of the volume.", rule="files.outside", field="path")
        return found

    def _look(self, client: Client, at: str) -> FileInfo:
        self.require_open(at)
        info = stat(client, self.native_id, at)
        if info is None:
            raise NotFound("There is no such file or folder.")
        return info

    def require_open(self, at: str) -> None:
        """Raises `PolicyDenied` for the kernel's own files and for what is closed."""
        if any(is_below(at, shut) for shut in KERNEL) and self.root == "/":
            raise PolicyDenied(
                "This is the kernel's, and no file of the container.", rule="files.kernel", field="path"
            )
        if any(is_below(at, shut) for shut in self.closed):
            raise PolicyDenied(
                "What is mounted here is the host's, or another team's.", rule="files.closed", field="path"
            )


@contextmanager
def opened(calls: Calls, place: Place, *, writes: bool = False) -> Generator[Tree]:
    """A volume without a container gets one that never starts, and is gone afterwards."""
    if place.container:
        native_id = names.container_id(place.container)
        root = clean(place.root)
        if root != "/":  # engines mount at where the links in it lead
            anywhere = Tree(native_id, "/", (), ())
            root = calls.run(lambda client: anywhere.find(client, root), deadline=STEP)[0]
        yield Tree(native_id, root, place.closed, place.mounts)
        return
    volume = names.volume_name(place.volume)
    docker_data.forget_left(calls)
    whose = place.operation or str(uuid4())
    with docker_data.mounted(calls, volume, whose, read_only=not writes) as native_id:
        yield Tree(native_id, docker_data.AT, (), ())


def find(calls: Calls, tree: Tree, path: str, *, follow: bool = True) -> tuple[str, FileInfo]:
    """`Tree.find`, within a few seconds."""
    return calls.run(lambda client: tree.find(client, path, follow=follow), deadline=STEP)


# Reading


def listing(
    calls: Calls, place: Place, path: str, *, most: int, hints: Sequence[str], deadline: float
) -> Listing:
    """See `engine.base.Engine.files`."""
    with opened(calls, place) as tree:
        real, info = find(calls, tree, path)
        if info.kind is not FileKind.FOLDER:
            raise Conflict("This is no folder.")
        found, complete = _children(calls, tree.native_id, real, most, deadline)
        if not complete:
            missing = [joined(real, name) for name in dict.fromkeys(hints) if name not in found]
            for at, one in stats(calls, tree.native_id, missing[:most], HINTED).items():
                found[posixpath.basename(at)] = one
        return Listing(tree.inner(real), list(found.values()), complete)


def _children(
    calls: Calls, native_id: str, folder: str, most: int, deadline: float
) -> tuple[dict[str, FileInfo], bool]:
    """What lies in it by name, and whether that is all."""
    found: dict[str, FileInfo] = {}
    try:
        with docker_data.archive(calls, native_id, folder, never, deadline) as pieces:
            for parts, member in _entries(_Bounded(pieces, LIST_BYTES), folder):
                if parts[0] not in found and len(found) >= most:
                    return found, False
                if len(parts) == 1:
                    found[parts[0]] = _of_member(parts[0], member, found, folder)
                else:
                    found.setdefault(parts[0], FileInfo(parts[0], FileKind.FOLDER))
    except (_Enough, DeadlineExceeded):
        return found, False
    return found, True


def _entries(source: io.RawIOBase, folder: str) -> Iterator[tuple[list[str], tarfile.TarInfo]]:
    """Everything below a folder: its path from there, and its header."""
    with read_tar(source, 1 << 20) as read:
        for member in read:
            read.members = []  # type: ignore[attr-defined]  # it would remember each of a million
            if below := _below(member.name, folder):
                yield below.split("/"), member


def _of_member(name: str, member: tarfile.TarInfo, found: Mapping[str, FileInfo], folder: str) -> FileInfo:
    kind, size, target = FileKind.OTHER, 0, ""
    if member.isreg():
        kind, size = FileKind.FILE, member.size
    elif member.islnk():  # another name of a file before it, whose size is told there alone
        kind, first = FileKind.FILE, found.get(posixpath.basename(member.linkname))
        size = first.size if first else 0
    elif member.isdir():
        kind = FileKind.FOLDER
    elif member.issym():
        kind, target = FileKind.LINK, text(member.linkname, LONGEST_PATH)
    return FileInfo(name, kind, size, member.mode & 0o777, _time(member.mtime), target)


def _time(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def peek(calls: Calls, place: Place, path: str, *, most: int, deadline: float) -> tuple[FileInfo, bytes]:
    """See `engine.base.Engine.peek`."""
    with opened(calls, place) as tree:
        real, info = _file(calls, tree, path)
        with _content(calls, tree, real, never, deadline) as data:
            return info, data.read(most)


def _file(calls: Calls, tree: Tree, path: str) -> tuple[str, FileInfo]:
    real, info = find(calls, tree, path)
    if info.kind is not FileKind.FILE:
        raise Conflict("This is no file." if info.kind is FileKind.FOLDER else "This is no plain file.")
    return real, info


@contextmanager
def _content(
    calls: Calls, tree: Tree, real: str, should_stop: ShouldStop, deadline: float
) -> Generator[IO[bytes]]:
    with (
        docker_data.archive(calls, tree.native_id, real, should_stop, deadline) as pieces,
        read_tar(docker_data.Pieces(pieces)) as read,
    ):
        member = read.next()
        data = read.extractfile(member) if member and member.isreg() else None
        if data is None:
            raise Conflict("This is no plain file.")
        yield data


@contextmanager
def read_tar(source: io.RawIOBase, block: int = 65536) -> Generator[tarfile.TarFile]:
    """An engine's archive, entry by entry."""
    try:
        buffered = io.BufferedReader(source, block)
        with tarfile.open(fileobj=buffered, mode="r|", bufsize=block, tarinfo=_Member) as read:
            yield read
    except tarfile.TarError:
        raise EngineError("The engine's archive makes no sense.") from None


def fetch(
    calls: Calls,
    place: Place,
    path: str,
    out: IO[bytes],
    *,
    most: int,
    should_stop: ShouldStop,
    deadline: float,
) -> FileInfo:
    """See `engine.base.Engine.fetch`."""
    with opened(calls, place) as tree:
        real, info = find(calls, tree, path)
        if info.kind is FileKind.FOLDER:
            with docker_data.archive(calls, tree.native_id, real, should_stop, deadline) as pieces:
                _fetch_folder(pieces, tree, real, out, most)
        elif info.kind is not FileKind.FILE:
            raise Conflict("This is no plain file.")
        elif info.size > most:
            raise TooLarge("This file is larger than what may be downloaded.", most=most)
        else:
            with _content(calls, tree, real, should_stop, deadline) as data:
                _pass_on(data, out, most)
        return info


def _pass_on(data: IO[bytes], out: IO[bytes], most: int) -> None:
    total = 0
    while piece := data.read(1 << 20):
        total += len(piece)
        if total > most:  # it has grown meanwhile
            raise TooLarge("This file is larger than what may be downloaded.", most=most)
        out.write(piece)


def _fetch_folder(pieces: Iterator[bytes | None], tree: Tree, real: str, out: IO[bytes], most: int) -> None:
    """A tar of all below it but what is closed, with its own name before each."""
    total, name = 0, posixpath.basename(tree.inner(real)) or "files"
    with (
        read_tar(docker_data.Pieces(pieces)) as read,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as made,
    ):
        for member in read:
            read.members = []  # type: ignore[attr-defined]
            made.members = []  # type: ignore[attr-defined]
            if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                continue
            below = _below(member.name, real)
            if any(is_below(joined(real, below), shut) for shut in tree.closed):
                continue
            total += member.size + 512
            if total > most:
                raise TooLarge("This folder holds more than what may be downloaded.", most=most)
            member.name = f"{name}/{below}" if below else name
            if member.islnk():
                member.linkname = f"{name}/{_below(member.linkname, real)}"
            made.addfile(member, read.extractfile(member) if member.isreg() else None)


def _below(name: str, folder: str) -> str:
    """A path of the archive from the folder on; one that would climb out of it is none."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise EngineError("The engine's archive makes no sense.")
    return "/".join(parts if folder == "/" else parts[1:])


class _Bounded(docker_data.Pieces):
    """What comes from the engine, up to a number of bytes and not further."""

    def __init__(self, pieces: Iterator[bytes | None], most: int) -> None:
        super().__init__(pieces)
        self._left = most

    def readinto(self, buffer: Any) -> int:
        got = super().readinto(buffer)
        self._left -= got
        if self._left < 0:
            raise _Enough
        return got
