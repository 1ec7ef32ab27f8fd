"""An inspection as a page: the engine's JSON line by line, foldable, searchable, with raw values explained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.dateparse import parse_datetime

SHORT = 72
"""Characters up to which a list or an object stays on one line."""
OPEN = 2
"""Levels that are open from the start."""
_BYTES = frozenset({
    "Memory", "MemorySwap", "MemoryReservation", "KernelMemory", "ShmSize", "SizeRw", "SizeRootFs", "Size",
})  # fmt: skip
_NANOSECONDS = frozenset({"Interval", "Timeout", "StartPeriod", "StartInterval"})
_TIMES = frozenset({"Created", "StartedAt", "FinishedAt", "Start", "End"})
_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


@dataclass(slots=True)
class Node:
    """One value. ``kind``: string, number (and true, false, null), or group, whose ``children`` lie between
    ``opens`` and ``closes``. ``note`` explains it, ``when`` is the moment it stands for. ``hit``: it was searched for.
    """

    key: str
    kind: str
    text: str = ""
    note: str = ""
    when: Any = None
    line: int = 0
    last: bool = True
    hit: bool = False
    open: bool = False
    opens: str = ""
    closes: str = ""
    end: int = 0
    children: list[Node] = field(default_factory=list)

    @property
    def folded(self) -> str:
        """What stands for it while it is folded: ``18 keys``."""
        word = "key" if self.opens == "{" else "item"
        return f"{len(self.children)} {word}{'' if len(self.children) == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Document:
    """The tree, its sections, and how many values were found."""

    root: Node
    sections: list[str]
    hits: int


def document(inspect: Mapping[str, Any], *, section: str = "", find: str = "") -> Document:
    """The inspection or one section of it; what is looked for is marked and unfolded."""
    sections = [key for key, value in inspect.items() if isinstance(value, dict | list) and value]
    shown = {section: inspect[section]} if section in sections else inspect
    needle = find.strip().lower()
    root = _node("", shown, 0, needle)
    _number(root, 1)
    return Document(root, sections, sum(1 for node in _walk(root) if node.hit))


def _node(key: str, value: Any, depth: int, needle: str) -> Node:
    if isinstance(value, dict | list) and not _short(value, depth):
        node = Node(key, "group", opens="{" if isinstance(value, dict) else "[")
        node.closes = "}" if node.opens == "{" else "]"
        pairs = value.items() if isinstance(value, dict) else (("", item) for item in value)
        node.children = [_node(name, item, depth + 1, needle) for name, item in pairs]
        for child in node.children[:-1]:
            child.last = False
        node.hit = bool(needle and needle in key.lower())
        found = any(child.hit or child.open for child in node.children) if needle else False
        node.open = found or depth < OPEN
        return node
    node = _leaf(key, value)
    node.hit = bool(needle and (needle in key.lower() or needle in node.text.lower()))
    return node


def _leaf(key: str, value: Any) -> Node:
    note, when = _explained(key, value)
    kind = "string" if isinstance(value, str | dict | list) else "number"
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return Node(key, kind, text, note, when)


def _explained(key: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, str) and key in _TIMES:
        return _moment(value)
    if isinstance(value, bool) or not isinstance(value, int) or value == 0:
        return "", None
    if key in _BYTES and value > 0:
        return _bytes(value), None
    if key == "NanoCpus":
        return f"{value / 1e9:g} cores", None
    if key in _NANOSECONDS:
        return f"{value / 1e9:g} s", None
    if key == "ExitCode":
        return f"ended by {_SIGNALS[value]}" if value in _SIGNALS else "", None
    return ("unlimited", None) if value == -1 else ("", None)


def _bytes(value: int) -> str:
    size = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TB"


def _moment(value: str) -> tuple[str, Any]:
    if value.startswith("0001-"):
        return "never", None
    try:
        return "", parse_datetime(value)
    except ValueError:
        return "", None


def _short(value: Any, depth: int) -> bool:
    """Whether it fits on one line: nothing nested deeper, and few characters. Sections never do."""
    if depth <= 1 or not value:
        return not value
    items = value.values() if isinstance(value, dict) else value
    return (
        not any(isinstance(item, dict | list) and item for item in items) and len(json.dumps(value)) <= SHORT
    )


def _number(node: Node, line: int) -> int:
    """Numbers the lines as they stand with everything unfolded."""
    node.line = line
    for child in node.children:
        line = _number(child, line + 1)
    if node.kind == "group":
        line += 1
        node.end = line
    return line


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)
