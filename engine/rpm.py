"""The packages that a database of rpm names, in the three forms that systems keep it in. Pure, and bounded.

``rpmdb.sqlite`` is what Fedora and Red Hat 9 on have, ``Packages.db`` (ndb) is SUSE's, and ``Packages`` (a hash of
Berkeley DB) what came before both. In each lies one header of rpm for every package. The file is hostile: whatever
makes no sense ends in `Unreadable`, and nothing it says makes us read outside of it or for long.

Formats: rpm's own ``lib/header.c`` and ``lib/backend/ndb/rpmpkg.c``; Berkeley DB's ``db_page.h``.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

LONGEST = 16 * 1024 * 1024
"""Bytes of one package's header: it names all its files."""
STEPS = 20_000
"""Thousands of steps that SQLite may take."""
MOST_TAGS = 65_536
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_INT32, _STRING = 4, 6
_HASH_MAGIC = 0x061561
_HASH_META, _HASH_UNSORTED, _OVERFLOW, _HASH = 8, 2, 7, 13
_PAGE_HEAD = 26
_IN_PAGE, _OFF_PAGE = 1, 3


class Unreadable(Exception):
    """It is no such database, or a damaged one; the message is for people."""


class Header(NamedTuple):
    """What rpm knows of one package: its version with epoch and release, as it is compared."""

    name: str
    version: str
    architecture: str


def packages(data: bytes) -> Iterator[Header]:
    """Those in a database, in its order. Raises `Unreadable`."""
    read = 0
    try:
        for blob in _blobs(data):
            read += len(blob)
            if read > len(data):  # the same bytes more than once
                raise ValueError
            if found := _header(blob):
                yield found
    except (struct.error, IndexError, sqlite3.Error, ValueError):
        raise Unreadable("The database of rpm in it is damaged.") from None


def _blobs(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"SQLite format 3\0"):
        return _of_sqlite(data)
    if data.startswith(b"RpmP"):
        return _of_ndb(data)
    for order in "<>":
        if len(data) >= 512 and struct.unpack_from(f"{order}I", data, 12)[0] == _HASH_MAGIC:
            return _of_hash(data, order)
    raise Unreadable("The database of rpm in it has a form that is not known here.")


def _header(blob: bytes) -> Header | None:
    """``None`` for what has no name or version: keys of signatures have such headers, too."""
    count, size = struct.unpack_from(">II", blob)
    start = 8 + count * 16
    if count > MOST_TAGS or start + size > len(blob):
        raise ValueError
    said: dict[int, str] = {}
    for at in range(8, start, 16):
        tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, at)
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH) or not 0 <= offset < size:
            continue
        place = start + offset
        if kind == _STRING:
            said[tag] = blob[place : blob.index(b"\0", place)].decode("utf-8", "replace")
        elif kind == _INT32:
            said[tag] = str(struct.unpack_from(">I", blob, place)[0])
    if not said.get(_NAME) or not said.get(_VERSION) or said[_NAME] == "gpg-pubkey":
        return None
    epoch = f"{said[_EPOCH]}:" if _EPOCH in said else ""
    release = f"-{said[_RELEASE]}" if said.get(_RELEASE) else ""
    return Header(said[_NAME], f"{epoch}{said[_VERSION]}{release}", said.get(_ARCH, ""))


def _of_sqlite(data: bytes) -> Iterator[bytes]:
    """In memory. Only a plain table is looked at, by an authorizer that knows nothing else, and not for ever."""
    # A database that keeps a write-ahead log cannot be opened without a file; what an image has is written back.
    plain = data[:18] + b"\x01\x01" + data[20:]
    with closing(sqlite3.connect(":memory:")) as database:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        database.deserialize(plain)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        left = STEPS

        def spend() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        database.set_progress_handler(spend, 1000)
        database.set_authorizer(_may)
        kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone()
        if kind != ("table",):
            raise Unreadable("The database of rpm in it has no packages.")
        for (blob,) in database.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if not isinstance(blob, bytes):
                raise ValueError
            yield blob


def _may(action: int, first: str | None, *_: str | None) -> int:
    fine = action == sqlite3.SQLITE_SELECT or (
        action == sqlite3.SQLITE_READ and first in ("sqlite_master", "Packages")
    )
    return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY


def _of_ndb(data: bytes) -> Iterator[bytes]:
    """Slots of 16 bytes behind a head of 32 say where in the file, in blocks of 16 bytes, each header lies."""
    _, version, _, pages = struct.unpack_from("<4sIII", data)
    if version != 0 or pages * 4096 > len(data):
        raise ValueError
    for at in range(32, pages * 4096, 16):
        magic, key, block, blocks = struct.unpack_from("<4sIII", data, at)
        if magic != b"Slot":
            raise ValueError
        if not key or not block:
            continue
        head, of, _, size = struct.unpack_from("<4sIII", data, block * 16)
        if head != b"BlbS" or of != key or size > min(LONGEST, blocks * 16):
            raise ValueError
        yield data[block * 16 + 16 : block * 16 + 16 + size]


def _of_hash(data: bytes, order: str) -> Iterator[bytes]:
    """Pages of pairs; a value that is larger than a page is a chain of pages."""
    size, kind = struct.unpack_from(f"{order}I", data, 20)[0], data[25]
    if kind != _HASH_META or not 512 <= size <= 65536:
        raise ValueError
    for start in range(size, len(data) - _PAGE_HEAD, size):
        if data[start + 25] not in (_HASH, _HASH_UNSORTED):
            continue
        page = data[start : start + size]
        count = struct.unpack_from(f"{order}H", page, 20)[0]
        places = struct.unpack_from(f"{order}{count}H", page, _PAGE_HEAD)
        for n in range(1, count, 2):
            # Entries fill a page from its end: one reaches up to where the one before it begins.
            begin, end = places[n], places[n - 1]
            if page[begin] == _OFF_PAGE:
                number, length = struct.unpack_from(f"{order}II", page, begin + 4)
                yield _chain(data, order, size, number, length)
            elif page[begin] == _IN_PAGE and end - begin > 9:  # a short one counts packages
                yield page[begin + 1 : end]


def _chain(data: bytes, order: str, size: int, number: int, length: int) -> bytes:
    if length > LONGEST:
        raise ValueError
    found = bytearray()
    while len(found) < length:
        start = number * size
        if not number or start + size > len(data) or data[start + 25] != _OVERFLOW:
            raise ValueError
        number, _, held = struct.unpack_from(f"{order}IHH", data, start + 16)
        if not 0 < held <= size - _PAGE_HEAD:
            raise ValueError
        found += data[start + _PAGE_HEAD : start + _PAGE_HEAD + held]
    return bytes(found[:length])
