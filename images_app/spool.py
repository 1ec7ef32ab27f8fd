"""Build contexts on their way to the engine: read as a stream, checked entry by entry, written anew as a plain tar.

The engine never sees an archive that we did not write ourselves, and nothing is ever unpacked on our host.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.conf import settings

from engine.specs import SpecError
from operations import room
from operations.services import Refused

FOLDER = "contexts"
MOST_ENTRIES = 10_000
MOST_BYTES = 500 * 1024 * 1024
RATIO, RATIO_FREE = 100, 10 * 1024 * 1024
"""A compressed context may grow a hundredfold, and by 10 MB in any case: more is a bomb."""
DEEPEST = 32
LONGEST_PATH, LONGEST_NAME = 4096, 255
LONGEST_HEADER = 64 * 1024
DOCKERFILE_MOST = 256 * 1024
_BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


class Bad(Exception):
    """Not acceptable; the message is for people."""


@dataclass(frozen=True, slots=True)
class Context:
    """A context that lies ready. ``path`` is relative to the state directory, ``digest`` of the whole tar."""

    path: str
    size: int
    digest: str
    dockerfile: str


def spool(upload: IO[bytes] | None, *, dockerfile: str, dockerfile_path: str) -> Context:
    """Checks and keeps a context: a tar, plain or compressed by gzip, bzip2 or xz, or none.

    A ``dockerfile`` that is not empty takes the place of the one in the context. Raises `SpecError`, or
    `Refused` where there is no room for it, and then leaves nothing behind.
    """
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{uuid4()}.tar"
    try:
        with path.open("xb") as out:
            path.chmod(0o600)
            text = _write(upload, out, dockerfile, dockerfile_path)
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
    except Bad as error:
        path.unlink(missing_ok=True)
        raise SpecError({"context" if upload else "dockerfile": [str(error)]}) from None
    except BaseException as error:
        path.unlink(missing_ok=True)
        if room.is_full(error):
            raise Refused("disk_full", room.FULL, 507) from None
        raise
    return Context(f"{FOLDER}/{path.name}", path.stat().st_size, digest, text)


def opened(path: str) -> IO[bytes]:
    """The tar of that relative path. Raises `FileNotFoundError` where it is gone."""
    return (Path(settings.HOME) / FOLDER / Path(path).name).open("rb")


def forget(path: str) -> None:
    """Removes it, if it is there."""
    if path:
        (Path(settings.HOME) / FOLDER / Path(path).name).unlink(missing_ok=True)


def _write(upload: IO[bytes] | None, out: IO[bytes], dockerfile: str, dockerfile_path: str) -> str:
    """Writes the tar; the text of its Dockerfile."""
    text = dockerfile.encode()
    if len(text) > DOCKERFILE_MOST:
        raise Bad("A Dockerfile has 256 KiB at most.")
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new:
        copy = _Copy(new, dockerfile_path, keep_dockerfile=not text)
        if upload is not None:
            copy.all_of(upload)
        if text:
            entry = tarfile.TarInfo(dockerfile_path)
            entry.size, entry.mode = len(text), 0o644
            new.addfile(entry, io.BytesIO(text))
        elif copy.dockerfile is None:
            raise Bad(f'The context holds no "{dockerfile_path}".')
    found = text or copy.dockerfile or b""
    return found.decode("utf-8", "replace").replace("\x00", "�")


class _Bounded(io.RawIOBase):
    """What comes out of a decompressor, up to a bound: in all, and against what went in."""

    def __init__(self, inner: Any, raw: _Counted) -> None:
        self.inner, self.raw, self.out = inner, raw, 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.inner.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self.out += len(data)
        # Headers and padding come on top of the files themselves.
        if self.out > MOST_BYTES + MOST_ENTRIES * 2048:
            raise Bad(f"A context holds {MOST_BYTES // 1024 // 1024} MB at most.")
        if self.out > max(RATIO_FREE, self.raw.count * RATIO):
            raise Bad("The context grows more than a hundredfold when it is unpacked.")
        return data


class _Counted(io.RawIOBase):
    """An upload that counts what was read of it."""

    def __init__(self, inner: IO[bytes]) -> None:
        self.inner, self.count = inner, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def _stream(upload: IO[bytes]) -> _Bounded:
    counted = _Counted(upload)
    raw = io.BufferedReader(counted)
    magic = raw.peek(6)[:6]
    inner: Any = raw
    if magic.startswith(b"\x1f\x8b"):
        inner = gzip.GzipFile(fileobj=raw)
    elif magic.startswith(b"BZh"):
        inner = bz2.BZ2File(raw)
    elif magic.startswith(b"\xfd7zXZ\x00"):
        inner = lzma.LZMAFile(raw)  # noqa: SIM115 - closing the upload is its owner's business
    elif magic.startswith(b"PK"):
        raise Bad("This is a zip: send a tar, such as the output of tar -czf context.tar.gz .")
    return _Bounded(inner, counted)


class _Member(tarfile.TarInfo):
    """An entry whose extended headers are bounded: they are read into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        extended = self.type in (
            tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )  # fmt: skip
        if extended and self.size > LONGEST_HEADER:
            raise Bad("The context has a header that is too long.")
        return super()._proc_member(tar)  # type: ignore[misc]


@dataclass(slots=True)
class _Copy:
    """From an archive of anybody's into one of ours."""

    new: tarfile.TarFile
    dockerfile_path: str
    keep_dockerfile: bool
    dockerfile: bytes | None = None
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    entries: int = 0
    size: int = 0

    def all_of(self, upload: IO[bytes]) -> None:
        """Copies each entry; raises `Bad`."""
        try:
            with tarfile.open(fileobj=_stream(upload), mode="r|", tarinfo=_Member) as old:
                for member in old:
                    self._entry(old, member)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno:
                raise  # our own disk
            raise Bad("This is not a whole tar archive, plain or compressed.") from None
        if not self.entries:
            raise Bad("The context is empty.")

    def _entry(self, old: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.entries += 1
        self.size += member.size
        if self.entries > MOST_ENTRIES:
            raise Bad(f"A context has {MOST_ENTRIES:,} entries at most.")
        if self.size > MOST_BYTES:
            raise Bad(f"A context holds {MOST_BYTES // 1024 // 1024} MB at most.")
        parts = _parts(member.name)
        name = "/".join(parts)
        if not name:  # the top folder itself
            return
        self._place(name, member)
        if name == self.dockerfile_path and not self.keep_dockerfile:
            return
        entry = tarfile.TarInfo(name)
        entry.mtime, entry.mode, entry.type = int(member.mtime), member.mode & 0o777, member.type
        if member.isdir():
            entry.type = tarfile.DIRTYPE
            self.new.addfile(entry)
        elif member.issym() or member.islnk():
            entry.linkname = self._link(member, parts)
            self.new.addfile(entry)
        else:
            entry.type, entry.size = tarfile.REGTYPE, member.size
            data = old.extractfile(member)
            if data is None:
                raise Bad(f"{_shown(name)} cannot be read.")
            if name == self.dockerfile_path:
                if member.size > DOCKERFILE_MOST:
                    raise Bad("A Dockerfile has 256 KiB at most.")
                self.dockerfile = data.read()
                data = io.BytesIO(self.dockerfile)
            self.new.addfile(entry, data)

    def _place(self, name: str, member: tarfile.TarInfo) -> None:
        """Each name once, folders being folders: what comes later must not replace or lead through what was before."""
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()) or member.issparse():
            raise Bad(f"{_shown(name)} is neither a file, a folder nor a link.")
        parents = [name[:i] for i, letter in enumerate(name) if letter == "/"]
        if any(parent in self.files for parent in parents):
            raise Bad(f"{_shown(name)} lies in what is no folder.")
        if member.isdir():
            if name in self.files:
                raise Bad(f"{_shown(name)} is there twice.")
            self.folders.add(name)
        elif name in self.files or name in self.folders:
            raise Bad(f"{_shown(name)} is there twice.")
        else:
            self.files.add(name)
        self.folders.update(parents)

    def _link(self, member: tarfile.TarInfo, parts: list[str]) -> str:
        """Where a link leads, if that is inside: a hard link to a file before it, a symbolic one to anywhere below."""
        target = member.linkname
        if member.islnk():
            path = "/".join(_parts(target))
            if path not in self.files:
                raise Bad(f"{_shown(member.name)} is a hard link to what is not in the context.")
            return path
        depth = len(parts) - 1
        if not target or target.startswith("/") or "\x00" in target or len(target) > LONGEST_PATH:
            raise Bad(f"{_shown(member.name)} is a link that leaves the context.")
        for part in target.split("/"):
            depth += -1 if part == ".." else 0 if part in ("", ".") else 1
            if depth < 0:
                raise Bad(f"{_shown(member.name)} is a link that leaves the context.")
        return target


def _parts(name: str) -> list[str]:
    """The parts of a clean relative path; raises `Bad`."""
    if name.startswith("/") or "\x00" in name or len(name) > LONGEST_PATH:
        raise Bad(f"{_shown(name)} is not a path inside the context.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_NAME for part in parts):
        raise Bad(f"{_shown(name)} is not a path inside the context.")
    if len(parts) > DEEPEST:
        raise Bad(f"{_shown(name)} lies more than {DEEPEST} folders deep.")
    return parts


def _shown(name: str) -> str:
    """A name for a message: short, and without what a terminal or a page would act on."""
    return '"' + "".join(c if c.isprintable() else "�" for c in name[:100]) + '"'
