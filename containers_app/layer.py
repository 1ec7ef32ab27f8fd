"""What a container changed of its image, to read: by folder, with what would go with it and where most of it lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from operations.remains import moment

VIEWS = {
    "all": _lazy("All"), "added": _lazy("Added"), "modified": _lazy("Changed"), "deleted": _lazy("Deleted"),
}  # fmt: skip
MOST = 500
"""Files that the page shows; a path typed into the filter finds the others."""
DEPTH = 2
"""Folders deep that files are gathered by."""
SHARES = 2
"""Folders that the bar names; the third part is all the others."""
WIDTH = 280
GAP = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    """One file. ``kind``: added, modified or deleted; ``size`` ``None`` where it was not told."""

    path: str
    name: str
    kind: str
    size: int | None
    modified: datetime | None
    pct: float = 0


@dataclass(slots=True)
class Folder:
    """Files below one folder, and what they take together."""

    path: str
    size: int = 0
    pct: float = 0
    leaves: list[Leaf] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the bar: ``x`` and ``width`` of `WIDTH`."""

    words: str
    size: int
    x: float
    width: float


@dataclass(slots=True)
class Layer:
    """All of it. ``more``: files that match and are not shown."""

    files: int
    size: int
    complete: bool
    counts: dict[str, int]
    folders: list[Folder]
    shares: list[Share]
    more: int = 0
    matching: int = 0


def layer(written: Mapping[str, Any], *, view: str, find: str) -> Layer:
    """From what `containers_app.written.written_files` tells."""
    files = [
        Leaf(one["path"], "", str(one["kind"]), one["size"], moment(one["modified"]))
        for one in written["files"]
    ]
    gone = [Leaf(path, "", "deleted", None, None) for path in written["deleted"]]
    counts = {name: sum(one.kind == name for one in files) for name in ("added", "modified")}
    counts |= {"deleted": len(gone), "all": len(files) + len(gone)}
    wanted = [
        one
        for one in sorted([*files, *gone], key=lambda one: one.path)
        if view in ("all", one.kind) and find.lower() in one.path.lower()
    ]
    return Layer(
        int(written["total"]), int(written["bytes"]), bool(written["complete"]), counts,
        _folders(wanted[:MOST]), _shares(files), max(0, len(wanted) - MOST), len(wanted),
    )  # fmt: skip


def _folder_of(path: str) -> str:
    above = path.strip("/").split("/")[:-1]
    return "/" + "/".join(above[:DEPTH])


def _folders(files: Iterable[Leaf]) -> list[Folder]:
    found: dict[str, Folder] = {}
    for one in files:
        path = _folder_of(one.path)
        folder = found.setdefault(path, Folder(path))
        folder.leaves.append(one)
        folder.size += one.size or 0
    most = max((folder.size for folder in found.values()), default=0) or 1
    for folder in found.values():
        folder.pct = 100 * folder.size / most
        folder.leaves = [
            Leaf(
                one.path, one.path.removeprefix(folder.path).lstrip("/"), one.kind, one.size, one.modified,
                100 * (one.size or 0) / most,
            )
            for one in folder.leaves
        ]  # fmt: skip
    return [found[path] for path in sorted(found)]


def _shares(files: Iterable[Leaf]) -> list[Share]:
    """The largest folders and the rest, as parts of one bar that each can be seen."""
    sizes: dict[str, int] = {}
    for one in files:
        sizes[_folder_of(one.path)] = sizes.get(_folder_of(one.path), 0) + (one.size or 0)
    largest = sorted((pair for pair in sizes.items() if pair[1]), key=lambda pair: -pair[1])
    named, rest = largest[:SHARES], sum(size for _, size in largest[SHARES:])
    parts = [*named, *([(_("everything else"), rest)] if rest else [])]
    total, room, x = sum(size for _, size in parts), WIDTH - GAP * (len(parts) - 1), 0.0
    found = []
    for words, size in parts:
        width = max(2.0, room * size / total)
        found.append(Share(words, size, round(x, 1), round(min(width, WIDTH - x), 1)))
        x += width + GAP
    return found
