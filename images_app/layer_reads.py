"""What pages and REST read of the layers of an image: the stack, a folder of a layer, what a search finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.layer_tar import FOLDER, HARD, LINK
from engine.layers import OPAQUE, WHITEOUT, Row
from images_app import layer_index, layer_stack
from images_app.layer_stack import ADDED, ALONG, CHANGED, REMOVED, TOUCHED, Verdict
from images_app.models import Image, Layer, LayerIndex, LayerStack

KINDS = {"added": ADDED, "changed": CHANGED + TOUCHED, "removed": REMOVED}
WORDS = {ADDED: "added", CHANGED: "changed", TOUCHED: "changed", REMOVED: "removed", ALONG: ""}
TYPES = {
    FOLDER: "folder",
    LINK: "link",
    HARD: "hardlink",
    "o": "other",
    WHITEOUT: "removal",
    OPAQUE: "removal",
}
AT = {"added": 0, "changed": 1, "removed": 2}


@dataclass(frozen=True, slots=True)
class One:
    """One layer of an image's stack, ``n`` counted from 1 at the bottom. ``step`` is its line of the history, where
    that can be told; ``index`` and ``stack`` are what is kept of it, ``None`` before it is read."""

    n: int
    digest: str
    step: Layer | None
    index: LayerIndex | None
    stack: LayerStack | None

    @property
    def size(self) -> int:
        """Bytes, as the engine counts them; where it is not told which step is which, as its files say."""
        return self.step.size if self.step else self.index.size if self.index else 0


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of a layer. ``change`` is ``added``, ``changed``, ``removed`` or empty (a folder on the way).

    ``type``: file, folder, link, hardlink, other, or removal. ``counts`` of a folder: entries added, changed and
    removed below it. ``size`` of a folder: bytes of files of this layer below it; of what is removed: bytes that it
    hides; ``entries`` then says how many entries go. ``before``: bytes that a changed file had. ``mode``, ``uid`` and
    ``gid`` are ``None`` where the layer does not tell them.
    """

    layer: int
    folder: str
    name: str
    type: str
    change: str
    size: int
    mode: int | None
    uid: int | None
    gid: int | None
    mtime: int
    target: str
    digest: str = ""
    entries: int = 0
    before: int | None = None
    same_content: bool = False
    counts: Sequence[int] = field(default=(0, 0, 0))

    @property
    def path(self) -> str:
        """Absolute."""
        return f"{self.folder.rstrip('/')}/{self.name}" if self.name else self.folder

    @property
    def modified_at(self) -> datetime | None:
        """Where the layer tells a time that a calendar knows."""
        try:
            return datetime.fromtimestamp(self.mtime, UTC) if self.mtime > 0 else None
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def permissions(self) -> str | None:
        """``0644``."""
        return None if self.mode is None else f"{self.mode:04o}"

    def has(self, kind: str) -> bool:
        """Whether it, or something below it, is of this kind; an empty one is every kind."""
        return not kind or self.change == kind or bool(self.counts[AT[kind]])


def stack_of(image: Image) -> list[One]:
    """The layers of an image, the lowest first; three queries."""
    digests: list[str] = image.stack
    chains = layer_stack.chains(digests)
    indexes = layer_index.known(digests)
    stacks = {stack.chain: stack for stack in LayerStack.objects.filter(chain__in=chains).defer("verdict")}
    steps = [layer for layer in image.layers.all() if layer.digest]
    told = [step.digest for step in steps] == digests
    return [
        One(n + 1, digest, steps[n] if told else None, indexes.get(digest), stacks.get(chain))
        for n, (digest, chain) in enumerate(zip(digests, chains, strict=True))
    ]


def is_read(layers: Sequence[One]) -> bool:
    """Whether all of it can be looked at."""
    return bool(layers) and all(layer.stack for layer in layers)


def folder(layer: One, path: str, kind: str = "") -> list[Found]:
    """What a layer has in a folder, folders first, then by name; of a ``kind`` only what is or holds such."""
    index, verdict = _opened(layer)
    found = [_found(layer.n, n, row, verdict) for n, row in layer_index.of_folder(index, path)]
    return sorted(
        (one for one in found if one.has(kind)),
        key=lambda one: (one.type != "folder", one.name.lower(), one.name),
    )


def search(
    layers: Sequence[One], words: str, kind: str = "", start: tuple[int, int] = (0, 0)
) -> Iterator[tuple[tuple[int, int], Found]]:
    """What has these words in its path, layer after layer from the lowest, each with where to go on behind it."""
    wanted = words.lower().split()
    for layer in layers:
        if layer.n < start[0]:
            continue
        first = start[1] if layer.n == start[0] else 0
        index, verdict = _opened(layer)
        for begins, rows in layer_index.pieces(index, first // layer_index.ROWS, wanted):
            for n, row in enumerate(rows, begins):
                path = f"{row.folder}/{row.name}".lower()
                if n < first or not all(word in path for word in wanted):
                    continue
                if kind and verdict.letters[n] not in KINDS[kind]:
                    continue
                if not kind and verdict.letters[n] == ALONG:
                    continue
                yield (layer.n, n + 1), _found(layer.n, n, row, verdict)


def _opened(layer: One) -> tuple[LayerIndex, Verdict]:
    assert layer.index is not None  # noqa: S101 - callers have looked
    assert layer.stack is not None  # noqa: S101
    return layer.index, layer_stack.verdict(layer.stack)


def _found(layer: int, n: int, row: Row, verdict: Verdict) -> Found:
    letter, figures = verdict.letters[n], verdict.more.get(n, ())
    facts: dict[str, Any] = {"size": row.size}
    if row.kind == FOLDER:
        facts = {"size": figures[3], "counts": figures[:3]} if len(figures) == 4 else facts
    elif letter == REMOVED and figures:
        facts = {"entries": figures[0], "size": figures[1]}
    elif figures:
        facts["before"] = figures[0]
    told = row.mode >= 0 and letter != REMOVED
    return Found(
        layer, row.folder, row.name, TYPES.get(row.kind, "file"), WORDS[letter],
        mode=row.mode if told else None, uid=row.uid if told else None, gid=row.gid if told else None,
        mtime=row.mtime if told else 0, target=row.target, digest=row.digest, same_content=letter == TOUCHED, **facts,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waster:
    """A path whose bytes no one sees: ``times`` it was changed or removed by a later layer, ``layers`` which."""

    path: str
    size: int
    removed: bool
    layers: list[int]


@dataclass(frozen=True, slots=True)
class Waste:
    """Bytes of files that a later layer changes or removes, of ``total`` bytes of all layers, and the largest."""

    hidden: int
    total: int
    wasters: list[Waster]

    @property
    def efficiency(self) -> float:
        """Per cent of the bytes of all layers that somebody can see."""
        return 100.0 if not self.total else max(0.0, 100 * (1 - self.hidden / self.total))


def waste(layers: Sequence[One], most: int = 20) -> Waste:
    """Of an image that is read. A path that several layers change is one line."""
    by: dict[str, list[tuple[int, str, int]]] = {}
    for layer in layers:
        for size, path, letter in layer.stack.wasters if layer.stack else ():
            by.setdefault(path, []).append((size, letter, layer.n))
    found = [
        Waster(path, sum(s for s, _, _ in some), some[-1][1] == REMOVED, [n for _, _, n in some])
        for path, some in by.items()
    ]
    found.sort(key=lambda one: (-one.size, one.path))
    hidden = sum(layer.stack.hidden for layer in layers if layer.stack)
    return Waste(hidden, sum(layer.index.size for layer in layers if layer.index), found[:most])
