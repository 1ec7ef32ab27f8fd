"""What each layer of an image does to those below it: adds, changes, removes, and how many bytes it hides.

That depends on what is below, so it is kept for each beginning of a stack (``chain``) and shared by the images that
begin alike. Worked out in the worker, once; reading it is looking at letters.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.layer_tar import FILE, FOLDER
from engine.layers import OPAQUE, WHITEOUT, Row
from images_app import layer_index
from images_app.models import LayerIndex, LayerStack

ADDED, CHANGED, TOUCHED, REMOVED, ALONG = "A", "M", "C", "D", "."
"""Letters of a verdict. Touched: the content is that of before, owner or mode are not. Along: a folder that is only on
the way to something."""
WASTERS = 200
"""The largest that are kept of each layer."""


class Old(NamedTuple):
    """What stands under a name below."""

    kind: str
    size: int
    look: tuple[int, int, int, str, str]
    """Mode, owner, group, target and content."""


class Gone(NamedTuple):
    """What a layer hides: entries and their bytes."""

    entries: int = 0
    size: int = 0


@dataclass(slots=True)
class Verdict:
    """A letter for each row of the layer, in ``letters``. ``more``: number of a row → figures.

    Of a folder: entries added, changed and removed below it, and bytes of files below it in this layer. Of what is
    changed: the bytes it had. Of what removes: entries and bytes that go.
    """

    letters: str = ""
    more: dict[int, list[int]] = field(default_factory=dict)


Tree = dict[str, dict[str, Old]]


def chains(digests: Iterable[str]) -> list[str]:
    """What stands for each beginning of a stack."""
    found, so_far = [], ""
    for digest in digests:
        so_far = hashlib.sha256(f"{so_far} {digest}".encode()).hexdigest()
        found.append(so_far)
    return found


def judge(digests: Sequence[str]) -> list[LayerStack]:
    """The verdicts on all layers of a stack whose indexes are there; those that are kept already stay as they are."""
    wanted = chains(digests)
    there = {stack.chain: stack for stack in LayerStack.objects.filter(chain__in=wanted)}
    indexes = LayerIndex.objects.in_bulk(digests, field_name="digest")
    last = max((n for n, chain in enumerate(wanted) if chain not in there), default=-1)
    tree: Tree = {"/": {}}
    found = []
    for n, (digest, chain) in enumerate(zip(digests, wanted, strict=True)):
        if n <= last:
            rows = layer_index.rows(indexes[digest])
            if chain not in there:
                there[chain] = _kept(chain, indexes[digest], *_judged(tree, rows))
            lay(tree, rows)
        found.append(there[chain])
    return found


def lay(tree: Tree, rows: Sequence[Row]) -> None:
    """Puts a layer on what is below it."""
    for row in rows:
        if row.kind == OPAQUE:
            for name in list(tree.get(row.folder, ())):
                remove(tree, row.folder, name)
        elif row.kind == WHITEOUT:
            remove(tree, row.folder, row.name)
    for row in rows:
        if row.kind in (OPAQUE, WHITEOUT):
            continue
        old = tree.get(row.folder, {}).get(row.name)
        if old and old.kind == FOLDER and row.kind != FOLDER:
            remove(tree, row.folder, row.name)
        if old and row.mode < 0:  # named by a path alone
            continue
        tree.setdefault(row.folder, {})[row.name] = Old(row.kind, row.size, _look(row))


def remove(tree: Tree, folder: str, name: str) -> Gone:
    """Takes away what stands under this name, with all that is in it."""
    old = tree.get(folder, {}).pop(name, None)
    if old is None:
        return Gone()
    entries, size, open_ = 1, old.size, [_below(folder, name)] if old.kind == FOLDER else []
    while open_:
        path = open_.pop()
        for inner, one in tree.pop(path, {}).items():
            entries, size = entries + 1, size + one.size
            if one.kind == FOLDER:
                open_.append(_below(path, inner))
    return Gone(entries, size)


def _look(row: Row) -> tuple[int, int, int, str, str]:
    return (row.mode, row.uid, row.gid, row.target, row.digest)


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _judged(tree: Tree, rows: Sequence[Row]) -> tuple[Verdict, list[tuple[int, str, str]]]:
    """The verdict, and what is hidden: bytes, path, letter. Takes out of the tree what it counts."""
    letters, more = [ADDED] * len(rows), dict[int, list[int]]()
    hidden: list[tuple[int, str, str]] = []
    for n, row in enumerate(rows):
        if row.kind in (OPAQUE, WHITEOUT):
            continue
        old = tree.get(row.folder, {}).get(row.name)
        if old is None:
            continue
        letters[n] = _letter(old, row)
        if old.kind == FOLDER and row.kind == FOLDER:
            continue
        gone = remove(tree, row.folder, row.name)
        more[n] = [gone.size]
        hidden.append((gone.size, _below(row.folder, row.name), letters[n]))
    names = _names(rows)
    for n, row in enumerate(rows):
        if row.kind == WHITEOUT:
            gone = remove(tree, row.folder, row.name)
        elif row.kind == OPAQUE:
            gone = _emptied(tree, row.folder, names)
        else:
            continue
        letters[n], more[n] = REMOVED, [*gone]
        hidden.append((gone.size, _below(row.folder, row.name) if row.name else row.folder, REMOVED))
    _sum_up(rows, letters, more)
    return Verdict("".join(letters), more), hidden


def _letter(old: Old, row: Row) -> str:
    if row.mode < 0:
        return ALONG
    if old.kind == row.kind == FOLDER:
        return ALONG if old.look[:3] == _look(row)[:3] else TOUCHED
    same = old.kind == row.kind == FILE and old.look[4] == row.digest
    return TOUCHED if same else CHANGED


def _names(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Folders → the names that this layer has in them itself."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.kind not in (OPAQUE, WHITEOUT):
            found.setdefault(row.folder, set()).add(row.name)
    return found


def _emptied(tree: Tree, folder: str, names: dict[str, set[str]]) -> Gone:
    """All that was in a folder goes, but for the folders that the layer has made again, whose content goes."""
    entries = size = 0
    open_ = [folder]
    while open_:
        path = open_.pop()
        for name, old in list(tree.get(path, {}).items()):
            if old.kind == FOLDER and name in names.get(path, ()):
                open_.append(_below(path, name))
                continue
            gone = remove(tree, path, name)
            entries, size = entries + gone.entries, size + gone.size
    return Gone(entries, size)


def _sum_up(rows: Sequence[Row], letters: Sequence[str], more: dict[int, list[int]]) -> None:
    """Counts of each folder, of all that is below it; the deepest first, so that each is added up once."""
    sums: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        mine = sums.setdefault(row.folder, [0, 0, 0, 0])
        letter = letters[n]
        if letter != ALONG:
            mine[0 if letter == ADDED else 2 if letter == REMOVED else 1] += 1
        mine[3] += row.size
    at = {_below(row.folder, row.name): n for n, row in enumerate(rows) if row.kind == FOLDER}
    for path in sorted(at, key=lambda path: path.count("/"), reverse=True):
        mine = sums.get(path, [0, 0, 0, 0])
        more[at[path]] = mine
        above = sums[rows[at[path]].folder]
        for i, count in enumerate(mine):
            above[i] += count


def _kept(
    chain: str, index: LayerIndex, verdict: Verdict, hidden: Sequence[tuple[int, str, str]]
) -> LayerStack:
    letters = verdict.letters
    facts = {
        "index": index, "added": letters.count(ADDED), "removed": letters.count(REMOVED),
        "changed": letters.count(CHANGED) + letters.count(TOUCHED), "hidden": sum(size for size, _, _ in hidden),
        "wasters": [[size, path, letter] for size, path, letter in heapq.nlargest(WASTERS, hidden) if size],
        "verdict": zlib.compress(json.dumps([letters, verdict.more], separators=(",", ":")).encode(), 6),
    }  # fmt: skip
    # Another worker may have been first.
    return LayerStack.objects.get_or_create(chain=chain, defaults=facts)[0]


def verdict(stack: LayerStack) -> Verdict:
    """What is kept of it."""
    letters, more = json.loads(zlib.decompress(stack.verdict))
    found: dict[str, Any] = more
    return Verdict(letters, {int(n): figures for n, figures in found.items()})
