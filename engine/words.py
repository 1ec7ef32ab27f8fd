"""Texts for people, in the reader's language where there is a reader.

The engine room knows nothing of the web, so not of its languages either: who has readers says by `speak` how a text is
found in theirs. What is raised where nobody reads, in a worker or a gateway, is English, and so is what is kept of it:
pages tell it in the reader's language (`operations.retold`), and so they do with what guard rails say. What engines and
registries answer stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

_found_by: list[Callable[[str], str]] = []


def speak(find: Callable[[str], str]) -> None:
    """From now on texts are what ``find`` makes of the English ones."""
    _found_by[:] = [find]


def gettext(text: str) -> str:
    """The text in the reader's language; placeholders such as ``%(name)s`` are filled in afterwards."""
    return _found_by[0](text) if _found_by else text


def kept(text: str) -> str:
    """The text as it is: a mark for what is kept in English, and told in the reader's language later."""
    return text


def gettext_noop(text: str) -> str:
    """The text as it is: a mark for what gathers texts, where `gettext` is asked later."""
    return text
