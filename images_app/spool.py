"""Build contexts on their way to the engine: checked and written anew as `operations.archives` has it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from django.conf import settings

from engine.specs import SpecError
from operations import archives, room, zips
from operations.archives import Bad
from operations.services import Refused

FOLDER = "contexts"
MOST_ENTRIES = 50_000
DOCKERFILE_MOST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """A context that lies ready. ``path`` is relative to the state directory, ``digest`` of the whole tar."""

    path: str
    size: int
    digest: str
    dockerfile: str


def spool(upload: IO[bytes] | None, *, dockerfile: str, dockerfile_path: str) -> Context:
    """Checks and keeps a context: a tar, plain or compressed by gzip, bzip2 or xz, or a zip, or none.

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


def most_bytes() -> int:
    """The largest context, unpacked."""
    return int(settings.CONTEXT_MB) * 1024 * 1024


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
        rules = archives.Rules("context", most_bytes(), MOST_ENTRIES, plain=True)
        copy = _Copy(new, rules, dockerfile_path=dockerfile_path, keep_dockerfile=not text)
        if upload is not None:
            zips.copy_all(upload, copy) if zips.is_zip(upload) else copy.all_of(upload)
        if text and dockerfile_path in copy.folders:
            raise Bad(f"{archives.shown(dockerfile_path)} is a folder in the context.")
        if text:
            entry = tarfile.TarInfo(dockerfile_path)
            entry.size, entry.mode = len(text), 0o644
            new.addfile(entry, io.BytesIO(text))
        elif copy.dockerfile is None:
            raise Bad(f'The context holds no "{dockerfile_path}".')
    found = text or copy.dockerfile or b""
    return found.decode("utf-8", "replace").replace("\x00", "�")


@dataclass(slots=True)
class _Copy(archives.Copy):
    """Looks for the Dockerfile on the way."""

    dockerfile_path: str = ""
    keep_dockerfile: bool = True
    dockerfile: bytes | None = None

    def wants(self, name: str, member: tarfile.TarInfo) -> bool:
        if name != self.dockerfile_path:
            return True
        if self.keep_dockerfile and not member.isreg():
            kind = "a folder" if member.isdir() else "a link"
            raise Bad(f"{archives.shown(name)} is {kind}: a Dockerfile is a file.")
        return self.keep_dockerfile

    def content(self, name: str, size: int, data: IO[bytes]) -> IO[bytes]:
        if name != self.dockerfile_path:
            return data
        if size > DOCKERFILE_MOST:
            raise Bad("A Dockerfile has 256 KiB at most.")
        self.dockerfile = data.read()
        return io.BytesIO(self.dockerfile)
