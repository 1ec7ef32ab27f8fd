"""Archives that somebody sends: read as a stream, checked entry by entry, written anew as a plain tar of ours.

No engine sees an archive that we did not write ourselves, and nothing is ever unpacked on our host.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from django.utils.translation import gettext as _

RATIO, RATIO_FREE = 100, 10 * 1024 * 1024
"""A compressed archive may grow a hundredfold, and by 10 MB in any case: more is a bomb."""
LONGEST_PATH, LONGEST_NAME = 4096, 255
LONGEST_HEADER = 64 * 1024
BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


class Bad(Exception):
    """Not acceptable; the message is for people."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be in one. ``what`` is its name in messages ("context").

    ``owners``: whose an entry is stays, with all of its mode; else only the usual permissions do. ``leaving``:
    symbolic links may lead anywhere, since only what mounts it follows them. ``below``: a folder for all of it.
    ``plain``: names are text of one line.
    """

    what: str
    most_bytes: int
    most_entries: int
    owners: bool = False
    leaving: bool = False
    below: str = ""
    deepest: int = 32
    plain: bool = False

    @property
    def too_large(self) -> str:
        """The sentence for it."""
        return _("A %(what)s holds %(most)s MB at most.") % {
            "what": self.what,
            "most": self.most_bytes // 1024 // 1024,
        }


class _Bounded(io.RawIOBase):
    """What comes out of a decompressor, up to a bound: in all, and against what went in."""

    def __init__(self, inner: Any, raw: _Counted, rules: Rules) -> None:
        self.inner, self.raw, self.rules, self.out = inner, raw, rules, 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.inner.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self.out += len(data)
        # Headers and padding come on top of the files themselves.
        if self.out > self.rules.most_bytes + self.rules.most_entries * 2048:
            raise Bad(self.rules.too_large)
        if self.out > max(RATIO_FREE, self.raw.count * RATIO):
            raise Bad(
                _("The %(what)s grows more than a hundredfold when it is unpacked.")
                % {"what": self.rules.what}
            )
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


def _stream(upload: IO[bytes], rules: Rules) -> _Bounded:
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
        raise Bad(
            _("This is a zip: send a tar, such as the output of tar -czf %(what)s.tar.gz .")
            % {"what": rules.what}
        )
    return _Bounded(inner, counted, rules)


class _Member(tarfile.TarInfo):
    """An entry whose extended headers are bounded: they are read into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        extended = self.type in (
            tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )  # fmt: skip
        if extended and self.size > LONGEST_HEADER:
            raise Bad(_("It has a header that is too long."))
        return super()._proc_member(tar)  # type: ignore[misc]


@dataclass(slots=True)
class Copy:
    """From an archive of anybody's into one of ours."""

    new: tarfile.TarFile
    rules: Rules
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    entries: int = 0
    size: int = 0

    def all_of(self, upload: IO[bytes]) -> None:
        """Copies each entry; raises `Bad`."""
        try:
            with tarfile.open(fileobj=_stream(upload, self.rules), mode="r|", tarinfo=_Member) as old:
                for member in old:
                    self.take(member, partial(old.extractfile, member))
        except BROKEN as error:
            if isinstance(error, OSError) and error.errno:
                raise  # our own disk
            raise Bad(_("This is not a whole tar archive, plain or compressed.")) from None
        if not self.entries:
            raise Bad(_("The %(what)s is empty.") % {"what": self.rules.what})

    def wants(self, name: str, member: tarfile.TarInfo) -> bool:
        """Whether this entry is taken over."""
        return True

    def content(self, name: str, size: int, data: IO[bytes]) -> IO[bytes]:
        """What a file holds; a chance to look into it."""
        return data

    def take(self, member: tarfile.TarInfo, data_of: Callable[[], IO[bytes] | None]) -> None:
        """Checks one entry and writes it; ``data_of`` opens what a file holds. Raises `Bad`."""
        self.entries += 1
        self.size += member.size
        if self.entries > self.rules.most_entries:
            raise Bad(
                _("A %(what)s has %(most_entries)s entries at most.")
                % {"what": self.rules.what, "most_entries": f"{self.rules.most_entries:,}"}
            )
        if self.size > self.rules.most_bytes:
            raise Bad(self.rules.too_large)
        parts = _parts(member.name, self.rules.deepest)
        name = "/".join(parts)
        if self.rules.plain and not _is_plain(name):
            raise Bad(_("%(name)s is no name in UTF-8 on one line.") % {"name": shown(name)})
        if not name:  # the top folder itself
            return
        self._place(name, member)
        if not self.wants(name, member):
            return
        entry = self._same(name, member)
        self.new.members.clear()  # type: ignore[attr-defined] # nobody asks for them, and they add up
        if member.isdir():
            entry.type = tarfile.DIRTYPE
            self.new.addfile(entry)
        elif member.issym() or member.islnk():
            entry.linkname = self._link(member, parts)
            self.new.addfile(entry)
        else:
            entry.type, entry.size = tarfile.REGTYPE, member.size
            data = data_of()
            if data is None:
                raise Bad(_("%(name)s cannot be read.") % {"name": shown(name)})
            self.new.addfile(entry, self.content(name, member.size, data))

    def _same(self, name: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
        """An entry of ours with what may stay of theirs."""
        entry = tarfile.TarInfo(f"{self.rules.below}{name}")
        entry.mtime, entry.mode, entry.type = int(member.mtime), member.mode & 0o777, member.type
        if self.rules.owners:
            entry.uid, entry.gid, entry.mode = member.uid, member.gid, member.mode & 0o7777
        return entry

    def _place(self, name: str, member: tarfile.TarInfo) -> None:
        """Each name once, folders being folders: what comes later must not replace or lead through what was before."""
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()) or member.issparse():
            raise Bad(_("%(name)s is neither a file, a folder nor a link.") % {"name": shown(name)})
        parents = [name[:i] for i, letter in enumerate(name) if letter == "/"]
        if any(parent in self.files for parent in parents):
            raise Bad(_("%(name)s lies in what is no folder.") % {"name": shown(name)})
        if member.isdir():
            if name in self.files:
                raise Bad(_("%(name)s is there twice.") % {"name": shown(name)})
            self.folders.add(name)
        elif name in self.files or name in self.folders:
            raise Bad(_("%(name)s is there twice.") % {"name": shown(name)})
        else:
            self.files.add(name)
        self.folders.update(parents)

    def _link(self, member: tarfile.TarInfo, parts: list[str]) -> str:
        """Where a link leads, if that is inside: a hard link to a file before it, a symbolic one to anywhere below."""
        target = member.linkname
        if member.islnk():
            path = "/".join(_parts(target, self.rules.deepest))
            if path not in self.files:
                raise Bad(
                    _("%(name)s is a hard link to what is not in the %(what)s.")
                    % {"name": shown(member.name), "what": self.rules.what}
                )
            return f"{self.rules.below}{path}"
        depth = len(parts) - 1
        out = _("%(name)s is a link that leaves the %(what)s.") % {
            "name": shown(member.name),
            "what": self.rules.what,
        }
        if not target or "\x00" in target or len(target) > LONGEST_PATH:
            raise Bad(out)
        if self.rules.leaving:
            return target
        if target.startswith("/"):
            raise Bad(out)
        for part in target.split("/"):
            depth += -1 if part == ".." else 0 if part in ("", ".") else 1
            if depth < 0:
                raise Bad(out)
        return target


def _parts(name: str, deepest: int) -> list[str]:
    """The parts of a clean relative path; raises `Bad`."""
    if name.startswith("/") or "\x00" in name or len(name) > LONGEST_PATH:
        raise Bad(_("%(name)s is not a path inside the archive.") % {"name": shown(name)})
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_NAME for part in parts):
        raise Bad(_("%(name)s is not a path inside the archive.") % {"name": shown(name)})
    if len(parts) > deepest:
        raise Bad(
            _("%(name)s lies more than %(deepest)s folders deep.") % {"name": shown(name), "deepest": deepest}
        )
    return parts


def _is_plain(name: str) -> bool:
    """Whether a name is UTF-8, with nothing in it that ends a line or steers a terminal."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)


def shown(name: str) -> str:
    """A name for a message: short, and without what a terminal or a page would act on."""
    return '"' + "".join(c if c.isprintable() else "�" for c in name[:100]) + '"'
