"""The files of layers as they are kept: once a digest, in pieces of some hundred rows that are opened one by one.

Rows are sorted by folder and name, so that a folder's entries lie in one piece or in neighbours: what a page shows is
found by looking at one or two, however large the layer is. Everything is in the database, where the web process reads
it without an engine.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from engine.layers import LayerFiles, Row
from images_app.models import Image, LayerIndex, LayerPiece
from operations import registry

ROWS = 400
"""Rows of a piece: it takes 2 ms to open one."""
UNUSED = timedelta(hours=1)
"""For how long an index stays that no image has: the image may not be known yet."""


def keep(layer: LayerFiles) -> LayerIndex:
    """Writes the index of a layer, all of it or nothing; the one that is there already, where it is."""
    pieces = [layer.rows[at : at + ROWS] for at in range(0, len(layer.rows), ROWS)]
    facts = {
        "size": sum(row.size for row in layer.rows), "entries": len(layer.rows), "cut": layer.cut,
        "problem": layer.problem[:200],
        "starts": [[piece[0].folder, piece[0].name] for piece in pieces],
        "databases": {path: [manager, known] for path, (manager, known) in layer.databases.items()},
    }  # fmt: skip
    with transaction.atomic():
        found, fresh = LayerIndex.objects.get_or_create(digest=layer.digest, defaults=facts)
        if fresh:
            LayerPiece.objects.bulk_create(
                [LayerPiece(index=found, n=n, data=_packed(piece)) for n, piece in enumerate(pieces)],
                batch_size=100,
            )
    return found


def known(digests: Iterable[str]) -> dict[str, LayerIndex]:
    """Those of these layers that are kept, by digest; without their heavy parts."""
    found = LayerIndex.objects.filter(digest__in=set(digests)).defer("starts", "databases")
    return {index.digest: index for index in found}


def rows(index: LayerIndex) -> list[Row]:
    """All rows of a layer."""
    return [row for _, piece in pieces(index) for row in piece]


def pieces(index: LayerIndex, first: int = 0, words: Iterable[str] = ()) -> Iterator[tuple[int, list[Row]]]:
    """Piece after piece, each with the number of its first row; without those that cannot have these words in a path.

    To look through a piece's text takes a tenth of opening it. ``words`` are in lower case.
    """
    # A word may reach from a folder into a name, which stand apart; and JSON writes some letters otherwise.
    parts = [part for word in words if word.isascii() for part in word.split("/") if part.isprintable()]
    parts = [part for part in parts if not {'"', "\\"} & set(part)]
    data = LayerPiece.objects.filter(index=index, n__gte=first).order_by("n").values_list("n", "data")
    for n, packed in data.iterator(chunk_size=16):
        text = zlib.decompress(packed).decode()
        if parts:
            lower = text.lower()
            if not all(part in lower for part in parts):
                continue
        yield n * ROWS, _opened(text)


def of_folder(index: LayerIndex, folder: str) -> list[tuple[int, Row]]:
    """What lies in a folder, by name, each with the number of its row."""
    first = max(0, bisect_left(index.starts, [folder, ""]) - 1)
    last = bisect_right(index.starts, [folder, "\U0010ffff"])
    found = LayerPiece.objects.filter(index=index, n__gte=first, n__lt=last).order_by("n")
    return [
        (n * ROWS + at, row)
        for n, packed in found.values_list("n", "data")
        for at, row in enumerate(_unpacked(packed))
        if row.folder == folder
    ]


def _packed(some: Sequence[Row]) -> bytes:
    folders = list(dict.fromkeys(row.folder for row in some))
    at = {folder: n for n, folder in enumerate(folders)}
    lines: list[list[Any]] = [[at[row.folder], *row[1:]] for row in some]
    return zlib.compress(json.dumps([folders, lines], separators=(",", ":"), ensure_ascii=False).encode(), 6)


def _unpacked(data: bytes | memoryview) -> list[Row]:
    return _opened(zlib.decompress(data).decode())


def _opened(text: str) -> list[Row]:
    folders, lines = json.loads(text)
    return [Row(folders[line[0]], *line[1:]) for line in lines]


@registry.every(1800)
def drop_unused() -> int:
    """Removes indexes of layers that no image has any more; how many."""
    used = {digest for stack in Image.everything.values_list("stack", flat=True) for digest in stack}
    old = LayerIndex.objects.filter(read_at__lt=timezone.now() - UNUSED)
    gone = [pk for pk, digest in old.values_list("pk", "digest") if digest not in used]
    for at in range(0, len(gone), 200):
        LayerIndex.objects.filter(pk__in=gone[at : at + 200]).delete()
    return len(gone)
