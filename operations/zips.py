"""Zip archives that somebody sends, entry by entry, for `archives.Copy` to check and write anew.

The list at the end of a zip says what is in it, and may lie: sizes are held to while an entry is read.
"""

from __future__ import annotations

import io
import stat
import tarfile
import time
import zipfile
import zlib
from contextlib import suppress
from functools import partial
from typing import IO, Any

from django.utils.translation import gettext as _

from operations.archives import LONGEST_PATH, RATIO, RATIO_FREE, Bad, Copy, Rules, shown

LONGEST_LIST = 8 * 1024 * 1024
"""Bytes of the list of entries, which is read into memory whole."""
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Other methods unpack as much at once as they like."""
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error, ValueError)


class _Bounded(io.RawIOBase):
    """An upload of which nobody reads very much at once."""

    def __init__(self, inner: IO[bytes]) -> None:
        self.inner = inner

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def read(self, size: int = -1) -> bytes:
        if size > LONGEST_LIST:
            raise Bad(_("Its list of entries is too long."))
        return self.inner.read(min(size, LONGEST_LIST) if size >= 0 else LONGEST_LIST)


def is_zip(upload: IO[bytes]) -> bool:
    """Whether it begins as one; stands at its beginning again afterwards. Needs a file that can be gone back in."""
    with suppress(OSError):
        if upload.seekable():
            magic = upload.read(4)
            upload.seek(0)
            return magic.startswith(b"PK")
    return False


def copy_all(upload: IO[bytes], copy: Copy) -> None:
    """Gives each entry to ``copy``; raises `Bad`."""
    try:
        with zipfile.ZipFile(_Bounded(upload)) as archive:
            entries = archive.infolist()
            _check(entries, upload.seek(0, io.SEEK_END), copy.rules)
            for info in entries:
                copy.take(*_member(archive, info))
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:
            raise  # our own disk
        raise Bad(_("This is not a whole zip archive.")) from None
    if not copy.entries:
        raise Bad(_("The %(what)s is empty.") % {"what": copy.rules.what})


def _check(entries: list[zipfile.ZipInfo], packed: int, rules: Rules) -> None:
    """What can be told from the list alone, before anything is unpacked."""
    if len(entries) > rules.most_entries:
        raise Bad(
            _("A %(what)s has %(most_entries)s entries at most.")
            % {"what": rules.what, "most_entries": f"{rules.most_entries:,}"}
        )
    size = sum(info.file_size for info in entries)
    if size > rules.most_bytes:
        raise Bad(rules.too_large)
    if size > max(RATIO_FREE, packed * RATIO):
        raise Bad(_("The %(what)s grows more than a hundredfold when it is unpacked.") % {"what": rules.what})
    for info in entries:
        if info.flag_bits & _ENCRYPTED:
            raise Bad(
                _("%(filename)s is encrypted: send a zip without a password.")
                % {"filename": shown(info.filename)}
            )
        if info.compress_type not in _PACKED:
            raise Bad(
                _("%(filename)s is packed by an unusual method: use deflate, as zip does.")
                % {"filename": shown(info.filename)}
            )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tarfile.TarInfo, Any]:
    """It as an entry of a tar, and what opens its content."""
    name = info.orig_filename
    if info.create_system == 0:  # some tools of Windows write paths as they have them
        name = name.replace("\\", "/")
    member = tarfile.TarInfo(name.rstrip("/"))
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    member.mode = mode & 0o777 or (0o755 if name.endswith("/") else 0o644)
    with suppress(ValueError, OverflowError, OSError):
        member.mtime = max(0, int(time.mktime((*info.date_time, 0, 0, -1))))
    if name.endswith("/"):
        member.type = tarfile.DIRTYPE
    elif kind == stat.S_IFLNK:
        if info.file_size > LONGEST_PATH:
            raise Bad(_("%(name)s is a link that is too long.") % {"name": shown(name)})
        member.type = tarfile.SYMTYPE
        member.linkname = archive.read(info).decode("utf-8", "surrogateescape")
    elif kind not in (0, stat.S_IFREG):
        raise Bad(_("%(name)s is neither a file, a folder nor a link.") % {"name": shown(name)})
    else:
        member.size = info.file_size
    return member, partial(archive.open, info)
