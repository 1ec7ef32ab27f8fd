"""Two images side by side: layers they share, settings, packages and files. From rows alone, no engine is asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.translation import gettext_noop

from engine.docker_text import MASK
from engine.layer_tar import FILE
from images_app import layer_index, layer_stack
from images_app.layer_reads import TYPES, One
from images_app.layer_stack import Old, Tree
from images_app.models import Image, LayerIndex
from images_app.queries import facts

KINDS = ("added", "changed", "removed")
KEPT, MOST_KEPT = 4, 20_000
"""Comparisons that a process keeps, of at most so many paths: some megabytes each."""
_kept: OrderedDict[tuple[Any, ...], Difference] = OrderedDict()
_lock = threading.Lock()


def _kind(before: object, after: object) -> str:
    return "changed" if before and after else "added" if after else "removed"


class Change(NamedTuple):
    """A path that is not the same in both. ``before`` and ``after`` are bytes, ``None`` where it is not there.

    A folder that is only in one stands for all that is in it: ``entries`` of them, and their bytes. ``touched``: its
    content is the same, owner, mode or target are not.
    """

    path: str
    kind: str
    type: str
    before: int | None
    after: int | None
    entries: int = 1
    touched: bool = False

    @property
    def grown(self) -> int:
        """Bytes that the second has more."""
        return (self.after or 0) - (self.before or 0)


class Setting(NamedTuple):
    """A setting that is not the same. An empty side has none. ``hidden``: a secret, whose value is not known here."""

    group: str
    name: str
    before: str
    after: str
    hidden: bool

    @property
    def kind(self) -> str:
        """Added, changed or removed."""
        return _kind(self.before, self.after)


class Version(NamedTuple):
    """A package that is not the same; an empty version: it is not there."""

    name: str
    manager: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        """Added, changed or removed."""
        return _kind(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Packages:
    """Those that differ, by name. ``same`` counts the others. ``unread``: managers whose database cannot be read here;
    ``known``: whether any was found at all."""

    found: list[Version]
    same: int
    unread: list[str]
    known: bool


@dataclass(frozen=True, slots=True)
class Trees:
    """All files of both, as they are with all layers on each other."""

    before: Tree
    after: Tree
    packages: Packages = field(default_factory=lambda: Packages([], 0, [], known=False))


def shared(before: Sequence[One], after: Sequence[One]) -> int:
    """How many of the lowest layers are the same in both."""
    count = 0
    for one, other in zip(before, after, strict=False):
        if one.digest != other.digest:
            break
        count += 1
    return count


def trees(before: Sequence[One], after: Sequence[One]) -> Trees:
    """Of two images whose layers are read. What they share is laid once."""
    common = shared(before, after)
    base: Tree = {"/": {}}
    _lay(base, before[:common])
    copy = {folder: dict(names) for folder, names in base.items()}
    _lay(base, before[common:])
    _lay(copy, after[common:])
    return Trees(base, copy, _packages((before, base), (after, copy)))


def _lay(tree: Tree, layers: Sequence[One]) -> None:
    for layer in layers:
        if layer.index:
            layer_stack.lay(tree, layer_index.rows(layer.index))


# Files


class Difference(NamedTuple):
    """What differs between the files of two images, and between their packages."""

    changes: list[Change]
    packages: Packages


def difference(before: Sequence[One], after: Sequence[One], *, whole: bool = True) -> Difference:
    """Of two images whose layers are read; see `files`. Whoever turns pages and filters has it from memory.

    What it is told from does not change: a layer that is read once more was read at another time.
    """
    known = [tuple((one.digest, one.index and one.index.read_at) for one in side) for side in (before, after)]
    key = (*known, whole)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    both = trees(before, after)
    found = Difference(files(both, whole=whole), both.packages)
    if len(found.changes) <= MOST_KEPT:
        with _lock:
            _kept[key] = found
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return found


def files(both: Trees, *, whole: bool = True) -> list[Change]:
    """What differs, by path. ``whole``: a folder that is only in one stands for all that is in it."""
    found: list[Change] = []
    inside: dict[str, int] = {}
    for folder in sorted(both.before.keys() | both.after.keys()):
        old, new = both.before.get(folder, {}), both.after.get(folder, {})
        if old == new:
            continue
        for name in sorted(old.keys() | new.keys()):
            one, other = old.get(name), new.get(name)
            if one == other:
                continue
            path = f"{folder.rstrip('/')}/{name}"
            change = _change(path, one, other)
            at = inside.get(folder)
            if at is not None:
                found[at] = _with(found[at], change)
            else:
                at = len(found)
                found.append(change)
            if whole and change.type == "folder" and change.kind != "changed":
                inside[path] = at
    return found


def _change(path: str, one: Old | None, other: Old | None) -> Change:
    there = other or one
    assert there is not None  # noqa: S101 - callers have looked
    touched = bool(
        one and other and one.kind == other.kind and (one.kind != FILE or one.look[4] == other.look[4])
    )
    return Change(
        path, _kind(one, other), TYPES.get(there.kind, "file"), one.size if one else None,
        other.size if other else None, touched=touched,
    )  # fmt: skip


def _with(folder: Change, inner: Change) -> Change:
    """A folder that is in one alone, and one thing more in it."""
    return folder._replace(
        entries=folder.entries + 1,
        before=None if folder.before is None else folder.before + (inner.before or 0),
        after=None if folder.after is None else folder.after + (inner.after or 0),
    )


def matching(changes: Iterable[Change], words: str, kind: str = "") -> list[Change]:
    """Those of a kind that have all words in their path; empty ones are all."""
    wanted = words.lower().split()
    return [
        change
        for change in changes
        if (not kind or change.kind == kind) and all(word in change.path.lower() for word in wanted)
    ]


# Packages


def _packages(*sides: tuple[Sequence[One], Tree]) -> Packages:
    known: list[dict[tuple[str, str], set[str]]] = []
    unread: set[str] = set()
    any_at_all = False
    for layers, tree in sides:
        databases = _databases(layers, tree)
        any_at_all |= bool(databases)
        unread |= {manager for manager, packages in databases.values() if packages is None}
        mine: dict[tuple[str, str], set[str]] = {}
        for manager, packages in databases.values():
            for name, version, _ in packages or ():
                mine.setdefault((name, manager), set()).add(version)
        known.append(mine)
    old, new = known
    found = [
        Version(*key, _versions(old.get(key)), _versions(new.get(key)))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    same = sum(old[key] == new.get(key) for key in old)
    return Packages(found, same, sorted(unread), any_at_all)


def _databases(layers: Sequence[One], tree: Tree) -> dict[str, tuple[str, list[list[str]] | None]]:
    """Path → manager and packages (``None``: not readable), of those files that are there with all layers on each
    other; the topmost counts."""
    digests = [layer.digest for layer in layers]
    rows = dict(
        LayerIndex.objects.filter(digest__in=digests).exclude(databases={}).values_list("digest", "databases")
    )
    found: dict[str, tuple[str, list[list[str]] | None]] = {}
    for digest in digests:
        for path, (manager, packages) in rows.get(digest, {}).items():
            folder, _, name = path.rpartition("/")
            if name in tree.get(folder or "/", {}):
                found[path] = (manager, packages)
    return found


def _versions(known: set[str] | None) -> str:
    return ", ".join(sorted(known or ()))


# Settings


def settings(before: Image, after: Image) -> tuple[list[Setting], int]:
    """What differs in what containers inherit, and how many secrets both have: those may differ, nobody can tell."""
    old, new = _settings(before), _settings(after)
    found, secrets = [], 0
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key, ""), new.get(key, "")
        hidden = MASK in one or MASK in other
        if one != other:
            found.append(Setting(*key, one, other, hidden))
        elif hidden:
            secrets += 1
    return found, secrets


def _settings(image: Image) -> dict[tuple[str, str], str]:
    config: Mapping[str, Any] = image.config
    known = facts(image.config)
    found = {("", name): value for name, value in known.rows if name not in ("Ports", "Volumes")}
    if known.health:
        found["", "Health"] = known.health
    found["", gettext_noop("Platform")] = f"{image.os}/{image.architecture}"
    found |= {("Ports", port): port for port in sorted(config.get("ExposedPorts") or {})}
    found |= {("Volumes", path): path for path in sorted(config.get("Volumes") or {})}
    found |= {("Environment", name): value or "(empty)" for name, value in known.environment}
    return found | {("Labels", str(name)): str(value) or "(empty)" for name, value in image.labels.items()}


def both_sizes(before: Sequence[One], after: Sequence[One], common: int) -> dict[str, int]:
    """Bytes that both share, and that each has alone."""
    return {
        "shared": sum(layer.size for layer in before[:common]),
        "before": sum(layer.size for layer in before[common:]),
        "after": sum(layer.size for layer in after[common:]),
    }
