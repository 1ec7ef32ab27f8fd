"""Files inside a container or a volume: what is told of one, and which paths may be asked for. Pure.

Names come from images and programs, and are hostile: they may hold newlines, characters that turn text around, or
bytes that are no text at all. Such a name can be listed, and is never a path that is asked for.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from engine.errors import Invalid
from engine.words import gettext

LONGEST_PATH, LONGEST_NAME = 4096, 255
"""Bytes, as Linux has them."""
DEEPEST = 128
KERNEL = ("/proc", "/sys", "/dev")
"""Not files but the kernel itself; an engine's archive does not hold them either."""


class FileKind(StrEnum):
    """What stands under a name."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One entry. ``size`` in bytes (0 for what is no file), ``mode`` its permission bits.

    ``target`` of a link: where it leads, as an absolute path inside, or as it was written where only a listing told.
    """

    name: str
    kind: FileKind
    size: int = 0
    mode: int = 0
    modified: datetime | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose files: those of a ``container``, which may begin at a ``root`` in it, or of a ``volume``.

    A volume is reached through a container that mounts it at ``root``, or, without one, through a container that is
    made for that and never starts. Paths of a place begin at its root. ``closed`` are paths that stay shut and
    ``mounts`` those that something is mounted at, both as the container has them. ``operation``: whose doing it is,
    where it is a change.
    """

    container: str = ""
    volume: str = ""
    root: str = "/"
    closed: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder. ``path``: where it really is. ``complete``: whether these are all; else there are more."""

    path: str
    entries: list[FileInfo] = field(default_factory=list)
    complete: bool = True


def clean(path: object) -> str:
    """An absolute path without doubled slashes. Raises `Invalid` for anything that is not one, ``..`` included."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise Invalid(gettext("A path begins with a slash."))
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for part in parts:
        name(part)
    if len(path.encode()) > LONGEST_PATH or len(parts) > DEEPEST:
        raise Invalid(gettext("This path is too long."))
    return "/" + "/".join(parts)


def begins_inside(folder: str) -> bool:
    """Whether a program may begin in this folder. What the kernel shows of open files leads out of a container where
    its runtime has left one open (CVE-2024-21626)."""
    at = posixpath.normpath(folder.replace("//", "/"))
    return not (is_below(at, "/proc") or is_below(at, "/dev/fd"))


def name(value: object) -> str:
    """The name of one entry. Raises `Invalid`."""
    if not isinstance(value, str) or value in ("", ".", "..") or "/" in value or "\x00" in value:
        raise Invalid(gettext("Not a file name."))
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid(gettext("A name that is no text cannot be asked for: download its folder.")) from None
    if size > LONGEST_NAME:
        raise Invalid(gettext("A file name has %(n)s bytes at most.") % {"n": LONGEST_NAME})
    return value


def joined(folder: str, entry: str) -> str:
    """The path of an entry of a folder."""
    return f"{folder.rstrip('/')}/{entry}"


def parent(path: str) -> str:
    """The folder that holds it; the root is its own."""
    return path.rpartition("/")[0] or "/"


def is_below(path: str, folder: str) -> bool:
    """Whether it is that folder, or lies in it."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def shown(name: str) -> str:
    """A name to read: what would break, turn or hide text stands there as an escape."""
    return name if name.isprintable() else "".join(map(_escaped, name))


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no text
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode()
