"""The entries of a tar, read as it comes and bounded: of an image as engines save it, and of each layer in it.

Python's own reader takes 0.1 ms an entry and keeps all of them; a layer has tens of thousands. This one looks at the
headers alone, hands contents on in pieces, and gives up (`Broken`) at what no engine writes. Names stay bytes: they
are hostile, and nothing here is ever unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

BLOCK = 512
LONGEST_HEADER = 1024 * 1024
"""Bytes of an extended header (long names, extended attributes): they are read into memory whole."""
FILE, FOLDER, LINK, HARD, OTHER = "f", "d", "l", "h", "o"
_KINDS = {b"1": HARD, b"2": LINK, b"3": OTHER, b"4": OTHER, b"5": FOLDER, b"6": OTHER}
_NOTHING = bytes(BLOCK)


class Broken(Exception):
    """No tar, or not whole; the message is for people."""


class Reader:
    """Exact reads from what comes in pieces; ``more`` gives the next one, empty at the end."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more, self._piece, self._at = more, b"", 0
        self.count = 0
        """Bytes that were taken so far."""

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, which stay; fewer at the end."""
        while len(self._piece) - self._at < size:
            piece = self._more()
            if not piece:
                break
            self._piece, self._at = self._piece[self._at :] + piece, 0
        return self._piece[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        end = self._at + size
        if end <= len(self._piece):
            found = self._piece[self._at : end]
            self._at = end
        else:
            found = b"".join(self.pieces(size))
            self.count -= size
        self.count += size
        return found

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes, as they come."""
        while size:
            if self._at >= len(self._piece):
                self._piece, self._at = self._more(), 0
                if not self._piece:
                    raise Broken("It ends in the middle.")
            piece = self._piece[self._at : self._at + size]
            self._at += len(piece)
            self.count += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Passes over ``size`` bytes."""
        inside = min(size, len(self._piece) - self._at)
        self._at += inside
        self.count += inside
        if size > inside:
            for _ in self.pieces(size - inside):
                pass

    def drain(self) -> None:
        """Passes over all that is left."""
        self.count += len(self._piece) - self._at
        while piece := self._more():
            self.count += len(piece)
        self._piece, self._at = b"", 0


class Entry(NamedTuple):
    """One entry: ``size`` as a program sees it, ``stored`` bytes in the archive. ``mtime`` in seconds since 1970."""

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    stored: int


def entries(reader: Reader) -> Iterator[Entry]:
    """Each in turn. What it stores has been passed over before the next, where nobody has taken it. Raises `Broken`."""
    pax: dict[bytes, bytes] = {}
    name = link = b""
    while True:
        head = reader.take(BLOCK)
        if head == _NOTHING:
            return
        if _sum(head) != _octal(head[148:156]):
            raise Broken("A header in it makes no sense.")
        kind, size = head[156:157], _number(head[124:136])
        if kind in b"xgLK":
            if size > LONGEST_HEADER:
                raise Broken("It has a header that is too long.")
            data = reader.take(_padded(size))[:size]
            if kind == b"x":
                pax = _records(data)
            elif kind == b"L":
                name = data.rstrip(b"\0")
            elif kind == b"K":
                link = data.rstrip(b"\0")
            continue
        entry = _entry(head, size, (name, link), pax)
        if kind == b"S":
            entry = _sparse(reader, head, entry)
        end = reader.count + _padded(entry.stored)
        yield entry
        reader.skip(end - reader.count)
        pax, name, link = {}, b"", b""


def _entry(head: bytes, size: int, long: tuple[bytes, bytes], pax: dict[bytes, bytes]) -> Entry:
    kind, (name, link) = head[156:157], long
    path = name or _text(head[:100])
    if not name and head[257:263] == b"ustar\0" and (prefix := _text(head[345:500])):
        path = prefix + b"/" + path
    link = link or _text(head[157:257])
    mode, uid, gid = _number(head[100:108]), _number(head[108:116]), _number(head[116:124])
    mtime, real = 0 if head[136] == 255 else _number(head[136:148]), 0  # before 1970
    if pax:
        path = pax.get(b"GNU.sparse.name") or pax.get(b"path", path)
        link = pax.get(b"linkpath", link)
        size, uid, gid = (_decimal(pax, key, n) for key, n in ((b"size", size), (b"uid", uid), (b"gid", gid)))
        mtime = _decimal(pax, b"mtime", mtime)
        real = _decimal(pax, b"GNU.sparse.realsize", 0) or _decimal(pax, b"GNU.sparse.size", 0)
    what = _KINDS.get(kind, FILE)
    if what == FILE and path.endswith(b"/"):
        what = FOLDER
    stored = size if kind not in _KINDS else 0
    shown = real or size if what == FILE else 0
    return Entry(path, what, mode & 0o7777, uid, gid, shown, mtime, link if what in "lh" else b"", stored)


def _sparse(reader: Reader, head: bytes, entry: Entry) -> Entry:
    """An old file with holes: the map of them goes on in blocks of its own."""
    more = head[482]
    while more:
        more = reader.take(BLOCK)[504]
    return entry._replace(size=_number(head[483:495]))


def _records(data: bytes) -> dict[bytes, bytes]:
    """``27 path=usr/share/…`` lines, each with its own length before it."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 0:
        space = data.find(b" ", at, at + 12)
        length = int(data[at:space]) if space > at and data[at:space].isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not space - at < length <= len(data) - at or not equals or not record.endswith(b"\n"):
            raise Broken("An extended header in it makes no sense.")
        found[key] = value[:-1]
        at += length
    return found


def _decimal(pax: dict[bytes, bytes], key: bytes, usual: int) -> int:
    """A number of an extended header, its fraction left away."""
    found = pax.get(key)
    if found is None:
        return usual
    whole = found.partition(b".")[0]
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 18 or (key != b"mtime" and digits != whole):
        raise Broken("A number in it makes no sense.")
    return int(whole)


def _number(field: bytes) -> int:
    """Octal, or with the highest bit set the bytes of the number itself."""
    if field[0] < 128:
        return _octal(field)
    found = int.from_bytes(field[1:], "big") if field[0] == 128 else -1
    if not 0 <= found < 2**62:
        return _no_number()
    return found


def _octal(field: bytes) -> int:
    text = _text(field).strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        return _no_number()


def _no_number() -> int:
    raise Broken("A number in it makes no sense.")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _sum(head: bytes) -> int:
    return sum(head) - sum(head[148:156]) + 8 * 32


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK
