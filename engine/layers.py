"""The files of an image's layers, from the tar that engines save it as: read as it comes, once, and bounded.

A layer is known by the digest of its bytes, which is counted here and not believed, so that what is kept under a
digest is that layer's whoever sent it. That also tells layers apart in every layout: a folder a layer (up to engine
24), and blobs, plain or compressed, in between other things. Contents are looked at only for their digest, and where
they tell of packages. Names are made fit to be shown, and are never paths of ours.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple, cast

import zstandard

from engine import packages
from engine.files import shown
from engine.layer_tar import FILE, FOLDER, Broken, Entry, Reader, entries
from engine.packages import Package

WHITEOUT, OPAQUE = "w", "q"
"""Kinds beside those of `engine.layer_tar`: what takes away a name below, and what takes away all below a folder."""
MOST_ENTRIES = 300_000
"""Of one layer; what comes behind is not kept, and that is said."""
MOST_NAMES = 64 * 1024 * 1024
"""Bytes of all names of one layer."""
DEEPEST = 128
LONGEST_NAME, LONGEST_TARGET = 255, 1024
MOST_UNPACKED = 256 * 1024**3
"""Bytes that a compressed layer may become."""
WINDOW = 128 * 1024 * 1024
"""Bytes that unpacking a zstd may look back on, and so keeps in memory."""
PIECE = 1024 * 1024
_PLACE = re.compile(rb"(?:\./)?(?:[^/]+/layer\.tar|blobs/sha256/[0-9a-f]{64})\Z")
_BLOB = re.compile(rb"(?:\./)?blobs/sha256/([0-9a-f]{64})\Z")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Row(NamedTuple):
    """One entry of a layer. ``folder`` is absolute; ``name`` is empty for `OPAQUE`, and a `WHITEOUT` has that of what
    it takes away. ``digest`` is of a file's content. A folder that only a path names has mode -1."""

    folder: str
    name: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str
    digest: str


@dataclass(slots=True)
class LayerFiles:
    """What one layer holds, its rows by folder and name. ``cut``: there was more than is kept.

    ``databases``: path → its manager and the packages it names, ``None`` where it is not readable or too large;
    ``problem``: why there are no rows.
    """

    digest: str
    rows: list[Row] = field(default_factory=list)
    cut: bool = False
    databases: dict[str, tuple[str, list[Package] | None]] = field(default_factory=dict)
    problem: str = ""


def read(
    reader: Reader, wanted: Collection[str], keep: Callable[[LayerFiles], None], told: Callable[[int], None]
) -> set[str]:
    """Hands each layer of ``wanted`` to ``keep`` and returns those that did not come; ends when all have.

    ``told`` hears how many bytes have come, often. Raises `Broken` where this is no saved image.
    """
    left = set(wanted)
    for entry in entries(reader):
        if not left:
            break
        told(reader.count)
        if entry.kind != FILE or not _PLACE.match(entry.path):
            continue
        blob = _BLOB.match(entry.path)
        named = f"sha256:{blob[1].decode()}" if blob else ""
        begins = reader.peek(min(4, entry.stored))
        # Blobs are settings and lists too, and a layer that is kept already; a compressed one has another name.
        if named in left or not named or begins[:2] == _GZIP or begins == _ZSTD:
            found = _layer(reader, entry.stored, begins, told)
            if found.digest in left:
                left.remove(found.digest)
                keep(found)
    return left


def _layer(reader: Reader, stored: int, begins: bytes, told: Callable[[int], None]) -> LayerFiles:
    digest = hashlib.sha256()
    raw = reader.pieces(stored)
    pieces = _ungzipped(raw) if begins[:2] == _GZIP else _unzstd(raw) if begins == _ZSTD else raw

    def more() -> bytes:
        piece = next(pieces, b"")
        digest.update(piece)
        told(reader.count)
        return piece

    inside, found = Reader(more), _Files()
    try:
        found.all_of(inside)
        inside.drain()
    except Broken as error:
        # Its digest still has to be known, so that this is said of the right layer.
        found.problem = str(error)
        for _ in iter(more, b""):
            pass
    for _ in raw:  # what stands behind the end of a compressed layer
        pass
    return found.done(f"sha256:{digest.hexdigest()}")


class _Source:
    """Pieces as a file that can be read once."""

    def __init__(self, raw: Iterator[bytes]) -> None:
        self._raw, self._rest = raw, b""

    def read(self, size: int) -> bytes:
        piece = self._rest or next(self._raw, b"")
        self._rest = piece[size:]
        return piece[:size]


def _unzstd(raw: Iterator[bytes]) -> Iterator[bytes]:
    """What a zstd holds, frame after frame, in pieces of a bounded size."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    out = 0
    try:
        with unpacker.stream_reader(cast("IO[bytes]", _Source(raw)), read_across_frames=True) as inside:
            while made := inside.read(PIECE):
                out += len(made)
                if out > MOST_UNPACKED:
                    raise Broken("It becomes too large when it is unpacked.")
                yield made
    except zstandard.ZstdError:
        raise Broken("It is compressed, and damaged.") from None


def _ungzipped(raw: Iterator[bytes]) -> Iterator[bytes]:
    """What a gzip holds, in pieces of a bounded size, however much a byte of it becomes."""
    unpacker = zlib.decompressobj(wbits=31)
    out = 0
    for piece in raw:
        rest = piece
        while rest and not unpacker.eof:
            try:
                made = unpacker.decompress(rest, PIECE)
            except zlib.error:
                raise Broken("It is compressed, and damaged.") from None
            rest = unpacker.unconsumed_tail
            out += len(made)
            if out > MOST_UNPACKED:
                raise Broken("It becomes too large when it is unpacked.")
            if made:
                yield made
    if not unpacker.eof:
        raise Broken("It ends in the middle.")


class _Files:
    """Collects the entries of one layer; the later of two under one path counts, as when they are unpacked."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, bool], Row] = {}
        self.folders: set[str] = {"/"}
        self.databases: dict[str, tuple[str, list[Package] | None]] = {}
        self.names = self.packages = 0
        self.cut = False
        self.problem = ""

    def all_of(self, inside: Reader) -> None:
        for entry in entries(inside):
            parts = [part for part in entry.path.split(b"/") if part not in (b"", b".")]
            self.names += len(entry.path) + len(entry.link)
            if len(self.rows) >= MOST_ENTRIES or self.names > MOST_NAMES or len(parts) > DEEPEST:
                self.cut = True
            elif parts:
                self._one(inside, entry, parts)

    def _one(self, inside: Reader, entry: Entry, parts: list[bytes]) -> None:
        folder, name, kind = self._folder(parts[:-1]), _name(parts[-1]), entry.kind
        digest = ""
        if parts[-1].startswith(b".wh."):
            if parts[-1] == b".wh..wh..opq":
                name, kind = "", OPAQUE
            elif parts[-1].startswith(b".wh..wh."):
                return  # how an old storage driver keeps its books
            else:
                name, kind = _name(parts[-1][4:]), WHITEOUT
        elif kind == FILE:
            digest = self._content(inside, entry, b"/".join(parts))
        elif kind == FOLDER:
            self.folders.add(_joined(folder, name))
        target = shown(entry.link[:LONGEST_TARGET].decode("utf-8", "surrogateescape"))
        plain = kind not in (WHITEOUT, OPAQUE)
        self.rows[folder, name, plain] = Row(
            folder, name, kind, entry.mode, entry.uid, entry.gid, entry.size if kind == FILE else 0,
            entry.mtime, target if plain else "", digest,
        )  # fmt: skip

    def _folder(self, parts: list[bytes]) -> str:
        """The folder of these parts, which is there from now on, itself named or not."""
        path = "/" + "/".join(map(_name, parts))
        above = path
        while above not in self.folders:
            self.folders.add(above)
            folder, _, name = above.rpartition("/")
            above = folder or "/"
            self.rows.setdefault((above, name, True), Row(above, name, FOLDER, -1, 0, 0, 0, 0, "", ""))
        return path

    def _content(self, inside: Reader, entry: Entry, path: bytes) -> str:
        """The digest of what a file holds, of the map of its holes where it has such."""
        digest = hashlib.blake2b(digest_size=12)
        manager = packages.manager(path)
        kept: list[bytes] | None = [] if manager and entry.stored <= packages.LARGEST else None
        for piece in inside.pieces(entry.stored):
            digest.update(piece)
            if kept is not None:
                kept.append(piece)
        if manager:
            known = None if kept is None else packages.installed(manager, b"".join(kept))
            self.packages += len(known or ()) + 1
            if self.packages <= packages.MOST:
                self.databases["/" + shown(path.decode("utf-8", "replace"))] = (manager, known)
        return digest.hexdigest()

    def done(self, digest: str) -> LayerFiles:
        if self.problem:
            return LayerFiles(digest, problem=self.problem)
        rows = sorted(self.rows.values(), key=lambda row: (row.folder, row.name))
        return LayerFiles(digest, rows, self.cut, self.databases)


def _name(part: bytes) -> str:
    return shown(part[:LONGEST_NAME].decode("utf-8", "surrogateescape"))


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
