"""What is kept in English, told in the reader's language: how operations ended, what a worker or a gateway has said.

Rows, the trail and REST keep the English words, which several people read as evidence. A page looks up which sentence
of Slipway's they are, and says that one with the same values. Sentences are gathered by `scripts.messages` from where
errors are raised, and from `engine.words.kept`. What is no sentence of Slipway's, such as what an engine has said,
stays as it is.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from django.utils import translation
from django.utils.translation import trans_real

CONTEXT = "kept"
LONGEST = 600
"""Messages are shorter. What is longer is not looked at, so that no text makes looking slow."""
_BEGIN = f"{CONTEXT}\x04"
_PLACE = re.compile(r"%\((\w+)\)s|\{(\w+)\}")
_DEEP = 3
"""How deep one sentence may stand in another: "Cancelled. No file was made." """


def inside(text: str) -> str:
    """A label within a sentence: small in English. Other languages keep it, as German does with its nouns."""
    language = translation.get_language() or "en"
    return text.lower() if language.partition("-")[0] == "en" else text


def retold(text: str) -> str:
    """The same in the reader's language, where that is known."""
    language = translation.get_language()
    if not text or not language or language.partition("-")[0] == "en" or len(text) > LONGEST:
        return text
    return _told(language, text, _DEEP)


@lru_cache(maxsize=4096)
def _told(language: str, text: str, deep: int) -> str:
    if (exact := translation.pgettext(CONTEXT, text)) != text:
        return exact
    if deep == _DEEP and (exact := translation.gettext(text)) != text:
        return exact  # said by what also speaks to readers at once
    for literal, pattern, meant in _patterns(language):
        if literal in text and (match := pattern.fullmatch(text)):
            # A value with a blank in it is no name: it may be a sentence again, or the end of one.
            values = {
                name: _told(language, value, deep - 1) if deep and " " in value else value
                for name, value in match.groupdict().items()
            }
            return _filled(meant, values)
    first, cut, rest = text.partition("; ")  # what happened, and what was done about it
    if cut and deep and rest.endswith("."):
        return f"{_told(language, first, deep - 1)}; {_told(language, rest[:-1], deep - 1)}."
    return text


def _filled(meant: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda place: values[place[1] or place[2]], meant.replace("%%", "%"))


@cache
def _patterns(language: str) -> list[tuple[str, re.Pattern[str], str]]:
    """``(a piece of it, what it looks like, its translation)`` of each sentence with values; the most said first."""
    found = []
    for key, meant in trans_real.translation(language)._catalog.items():  # type: ignore[attr-defined]
        if not (isinstance(key, str) and key.startswith(_BEGIN) and _PLACE.search(key)):
            continue
        pieces: list[str] = []
        pattern, seen = "", set[str]()
        at = len(_BEGIN)
        for place in _PLACE.finditer(key):
            name = place[1] or place[2]
            pieces.append(key[at : place.start()].replace("%%", "%"))
            pattern += re.escape(pieces[-1]) + (f"(?P={name})" if name in seen else f"(?P<{name}>.*?)")
            seen.add(name)
            at = place.end()
        pieces.append(key[at:].replace("%%", "%"))
        found.append((pieces, re.compile(pattern + re.escape(pieces[-1]), re.DOTALL), meant))
    found.sort(key=lambda one: -sum(map(len, one[0])))
    return [(max(pieces, key=len), pattern, meant) for pieces, pattern, meant in found]
