"""Build contexts on their way to the engine: checked and written anew as `operations.archives` has it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.conf import settings
from django.utils.translation import gettext as _

from engine.specs import SpecError
from images_app import advice, ignoring
from operations import archives, room, zips
from operations.archives import Bad
from operations.services import Refused

FOLDER = "contexts"
MOST_ENTRIES = 50_000
DOCKERFILE_MOST = 256 * 1024
MOST_PARTS = 5


@dataclass(frozen=True, slots=True)
class Context:
    """A context that lies ready. ``path`` is relative to the state directory, ``digest`` of the whole tar.

    ``about``: ``files``, ``bytes``, ``parts`` (``[name, bytes]`` of the largest at its top), ``left_out`` (entries
    that its `.dockerignore` leaves out), ``ignores`` (whether it has one).
    """

    path: str
    size: int
    digest: str
    dockerfile: str
    about: dict[str, Any]


def spool(upload: IO[bytes] | None, *, dockerfile: str, dockerfile_path: str, later: bool = False) -> Context:
    """Checks and keeps a context: a tar, plain or compressed by gzip, bzip2 or xz, or a zip, or none.

    ``later``: it is still to come.

    A ``dockerfile`` that is not empty takes the place of the one in the context. Raises `SpecError`, or
    `Refused` where there is no room for it, and then leaves nothing behind.
    """
    if later:
        if len(dockerfile.encode()) > DOCKERFILE_MOST:
            raise SpecError({"dockerfile": [_("A Dockerfile has 256 KiB at most.")]})
        return Context("", 0, hashlib.sha256(dockerfile.encode()).hexdigest(), dockerfile, {})
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{uuid4()}.tar"
    try:
        with path.open("xb") as out:
            path.chmod(0o600)
            copy, text = _write(upload, out, dockerfile, dockerfile_path)
        out_of_it = copy.left_out()
        if out_of_it:
            _rewrite(path, out_of_it)
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
    return Context(f"{FOLDER}/{path.name}", path.stat().st_size, digest, text, copy.about(out_of_it))


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


def _write(
    upload: IO[bytes] | None, out: IO[bytes], dockerfile: str, dockerfile_path: str
) -> tuple[_Copy, str]:
    """Writes the tar; what came along, and the text of its Dockerfile."""
    text = dockerfile.encode()
    if len(text) > DOCKERFILE_MOST:
        raise Bad(_("A Dockerfile has 256 KiB at most."))
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new:
        rules = archives.Rules("context", most_bytes(), MOST_ENTRIES, plain=True)
        copy = _Copy(new, rules, dockerfile_path=dockerfile_path, keep_dockerfile=not text)
        if upload is not None:
            zips.copy_all(upload, copy) if zips.is_zip(upload) else copy.all_of(upload)
        if text and dockerfile_path in copy.folders:
            raise Bad(_("%(name)s is a folder in the context.") % {"name": archives.shown(dockerfile_path)})
        if text:
            entry = tarfile.TarInfo(dockerfile_path)
            entry.size, entry.mode = len(text), 0o644
            new.addfile(entry, io.BytesIO(text))
        elif copy.dockerfile is None:
            raise Bad(_('The context holds no "%(name)s".') % {"name": dockerfile_path})
    found = text or copy.dockerfile or b""
    return copy, found.decode("utf-8", "replace").replace("\x00", "�")


def _rewrite(path: Path, without: set[str]) -> None:
    """The tar once more, without these. A hard link to what is left out becomes a file of its own."""
    fresh = path.with_suffix(".new")
    try:
        with tarfile.open(path, "r:") as old, fresh.open("xb") as out:
            fresh.chmod(0o600)
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new:
                for member in old:
                    if member.name in without:
                        continue
                    data = None
                    if member.isreg() or (member.islnk() and member.linkname in without):
                        data = old.extractfile(member)
                        if member.islnk():
                            member.type, member.size = tarfile.REGTYPE, old.getmember(member.linkname).size
                    new.addfile(member, data)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@dataclass(slots=True)
class _Copy(archives.Copy):
    """Looks for the Dockerfile on the way, and for what is to be left out."""

    dockerfile_path: str = ""
    keep_dockerfile: bool = True
    dockerfile: bytes | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    ignoring: dict[str, bytes] = field(default_factory=dict)

    def wants(self, name: str, member: tarfile.TarInfo) -> bool:
        if name != self.dockerfile_path:
            return True
        if self.keep_dockerfile and not member.isreg():
            folder, link = (
                _("%(name)s is a folder: a Dockerfile is a file."),
                _("%(name)s is a link: a Dockerfile is a file."),
            )
            raise Bad((folder if member.isdir() else link) % {"name": archives.shown(name)})
        return self.keep_dockerfile

    def content(self, name: str, size: int, data: IO[bytes]) -> IO[bytes]:
        self.sizes[name] = size
        if name in self._ignore_files:
            if size > ignoring.MOST_BYTES:
                raise Bad(_("%(name)s has 64 KiB at most.") % {"name": archives.shown(name)})
            self.ignoring[name] = data.read()
            return io.BytesIO(self.ignoring[name])
        if name != self.dockerfile_path:
            return data
        if size > DOCKERFILE_MOST:
            raise Bad(_("A Dockerfile has 256 KiB at most."))
        self.dockerfile = data.read()
        return io.BytesIO(self.dockerfile)

    @property
    def _ignore_files(self) -> tuple[str, str]:
        """The one beside the Dockerfile goes first, as in docker."""
        return ignoring.place(self.dockerfile_path), ignoring.NAME

    def left_out(self) -> set[str]:
        """What its `.dockerignore` leaves out. It and the Dockerfile go along in any case: the builder reads them."""
        text = next((self.ignoring[name] for name in self._ignore_files if name in self.ignoring), b"")
        found = ignoring.patterns(text.decode("utf-8", "replace"))
        if not found:
            return set()
        out = ignoring.left_out(self.files | self.folders, found)
        stay = (self.dockerfile_path, *self._ignore_files)
        return {
            n
            for n in out
            if not any(name == n or name.startswith(f"{n}/") for name in stay if name in self.files)
        }

    def about(self, out: set[str]) -> dict[str, Any]:
        parts: dict[str, int] = {}
        for name, size in self.sizes.items():
            if name not in out:
                top, below, _ = name.partition("/")
                parts[top + below] = parts.get(top + below, 0) + size
        largest = sorted(((part, size) for part, size in parts.items() if size), key=lambda part: -part[1])[
            :MOST_PARTS
        ]
        return {
            "files": len(self.files - out), "bytes": sum(parts.values()), "parts": [list(part) for part in largest],
            "left_out": len(out), "ignores": bool(self.ignoring),
            "unwanted": [n for n in advice.UNWANTED if n in (self.files | self.folders) - out],
        }  # fmt: skip
