"""What of the unused stays all the same: too young, among the newest of its repository, or named by somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import translate
from typing import Any

LABEL = "label="


@dataclass(frozen=True, slots=True)
class Rules:
    """``older_days``: only what nothing has used or changed for so long; ``keep_tags``: so many of the newest tags of
    each repository stay; 0 is no such rule. ``keep``: names as ``web-*``, or ``label=key`` and ``label=key=value``.
    """

    older_days: int = 0
    keep_tags: int = 0
    keep: tuple[str, ...] = ()
    newest: Mapping[str, int] = field(default_factory=dict)
    """Tag → its place in its repository, the newest first, from 0."""

    def keeps(self, item: Mapping[str, Any], now: datetime) -> bool:
        """Whether this thing (`containers_app.unused`) stays. What nobody knows the age of is young."""
        if self.older_days and not _is_before(item["since"], now - timedelta(days=self.older_days)):
            return True
        tags = item.get("tags", ())
        if self.keep_tags and any(self.newest.get(tag, self.keep_tags) < self.keep_tags for tag in tags):
            return True
        names = {item["name"], *tags, *(tag.rpartition(":")[0] for tag in tags)}
        return any(_fits(pattern, names, item["labels"]) for pattern in self.keep)


def _is_before(since: str, moment: datetime) -> bool:
    try:
        return datetime.fromisoformat(since) < moment
    except (TypeError, ValueError):
        return False


def _fits(pattern: str, names: Iterable[str], labels: Mapping[str, str]) -> bool:
    if not pattern.startswith(LABEL):
        shape = re.compile(translate(pattern))
        return any(shape.match(name) for name in names)
    key, _, value = pattern.removeprefix(LABEL).partition("=")
    shape, what = re.compile(translate(key)), re.compile(translate(value or "*"))
    return any(shape.match(name) and what.match(str(said)) for name, said in labels.items())
