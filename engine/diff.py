"""Pure: two settings → what differs, for plans and confirmation dialogs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind`` is added, removed or changed; ``path`` is dotted (``resources.memory``, ``ports.0.host``)."""

    path: str
    kind: str
    old: Any
    new: Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What differs, in the order of the paths. Mappings are gone into, lists entry by entry.

    Give it masked settings where the result is shown: values come along as they are.
    """
    return sorted(_walk("", old, new), key=lambda difference: difference.path)


def _walk(path: str, old: Any, new: Any) -> list[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = {str(key) for key in (*old, *new)}
        pairs = [(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        longest = max(len(old), len(new))
        pairs = [
            (str(i), old[i] if i < len(old) else ABSENT, new[i] if i < len(new) else ABSENT)
            for i in range(longest)
        ]
    elif old is ABSENT:
        return [Difference(path, "added", None, new)]
    elif new is ABSENT:
        return [Difference(path, "removed", old, None)]
    else:
        return [] if old == new else [Difference(path, "changed", old, new)]
    found: list[Difference] = []
    for key, before, after in pairs:
        found += _walk(f"{path}.{key}" if path else key, before, after)
    return found
