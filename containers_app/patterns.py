"""What people search logs for: text or a pattern. The time grows with the length of a line and with nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import re2
from django.utils.translation import gettext as _

LONGEST = 256
"""Characters of what is searched for."""

LONGEST_LINE = 65_536
"""Characters of a line that a pattern is held against; plain text is looked for in all of it."""

MEMORY = 8 << 20
"""Bytes that a pattern may take when it is compiled; what wants more is refused."""


class Unsearchable(ValueError):
    """A pattern that is none, in words for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Search:
    """``regex``: in RE2's syntax, without references back and looking around. ``cased``: ERROR is not error."""

    q: str = ""
    regex: bool = False
    cased: bool = False
    whole: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """From a reader's params, as `asdict` wrote them."""
        return cls(
            str(params.get("q", "")), *(bool(params.get(name)) for name in ("regex", "cased", "whole"))
        )

    def to_dict(self) -> dict[str, Any]:
        """For a reader's params."""
        return asdict(self)

    def matcher(self) -> Callable[[str], bool]:
        """Whether a line is one of those. Raises `Unsearchable`."""
        if len(self.q) > LONGEST:
            raise Unsearchable(_("At most %(longest)s characters are searched for.") % {"longest": LONGEST})
        if not self.q:
            return lambda text: True
        if self.regex or self.whole:
            return _pattern(self.q if self.regex else re.escape(self.q), self)
        if self.cased:
            return lambda text: self.q in text
        low = self.q.lower()
        return lambda text: low in text.lower()


def compiled(source: str, *, cased: bool) -> Any:
    """RE2's own pattern, for bytes and text alike. Never backtracks. Raises `Unsearchable` with RE2's words."""
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    # Without groups to fill, RE2 walks a table: one step a byte.
    options.never_capture = True
    options.case_sensitive = cased
    try:
        return re2.compile(source, options)
    except re2.error as error:
        said = error.args[0] if error.args else _("not understood")
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise Unsearchable(said) from None


def _pattern(source: str, search: Search) -> Callable[[str], bool]:
    try:
        found = compiled(rf"\b(?:{source})\b" if search.whole else source, cased=search.cased)
    except Unsearchable as error:
        raise Unsearchable(_("This is no pattern of RE2: %(error)s.") % {"error": error}) from None
    return lambda text: found.search(text[:LONGEST_LINE]) is not None
