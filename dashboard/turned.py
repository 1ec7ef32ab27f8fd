"""Marks that turn text around or hide in it, shown as what they are in every page (S-60).

Whoever names a container, a label or a file could make ``gpj.exe`` of ``exe.jpg``. Here is the one place that every
page goes through, so that no template has to think of it. What people read is changed; what goes back to the server,
the values of fields and addresses, is not: nothing is lost by saving a form.
"""

from __future__ import annotations

import re

_MARK = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Fields of text and data of scripts as a whole, a tag with its attributes, or what stands between tags.
_PIECE = re.compile(r"<(textarea|script)\b.*?</\1\s*>|<[^>]*>|[^<]+", re.DOTALL | re.IGNORECASE)
_READ = re.compile(r"""\s(?:title|alt|placeholder|aria-label|aria-description)=("[^"]*"|'[^']*')""")


def plain(html: str) -> str:
    """The page with ``[U+202E]`` and its like where such marks would be read, as the log viewer shows them."""
    return _PIECE.sub(_piece, html) if _MARK.search(html) else html


def _piece(match: re.Match[str]) -> str:
    text = match[0]
    if match[1]:
        return text
    return _READ.sub(lambda read: _named(read[0]), text) if text.startswith("<") else _named(text)


def _named(text: str) -> str:
    return _MARK.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", text)
