"""Which files a `.dockerignore` leaves out, by the rules of docker's own matcher (moby/patternmatcher).

A pattern matches a path, or what lies below one; the last pattern that matches decides. Patterns come from anybody, so
that no pattern may take long: those with many wildcards go by a walk over bits instead of a regular expression.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext

from operations.archives import Bad, shown

NAME = ".dockerignore"
MOST_BYTES = 64 * 1024
MOST_PATTERNS, LONGEST_PATTERN = 1000, 512
BY_REGEX = 3
"""Wildcards that a regular expression still tries in no time, whatever the name is."""
MOST_SECONDS = 15.0

Match = Callable[[str], bool]
_Token = tuple[str, str]
"""``("one", regex of one letter)``, ``("star", "")``, ``("deep", "")`` for ``(.*/)?``, ``("rest", "")`` for ``.*``."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line. ``keeps``: it begins with ``!`` and takes back what lines before it leave out."""

    text: str
    keeps: bool
    match: Match


def place(dockerfile_path: str) -> str:
    """The file beside a Dockerfile that goes before `.dockerignore`, where it is there."""
    return f"{dockerfile_path}{NAME}"


def patterns(text: str) -> list[Pattern]:
    """Those of a file; raises `Bad` for what docker refuses too, and for what is more than anybody needs."""
    found = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#") or not (line := line.strip()):
            continue
        keeps = line.startswith("!")
        name = line[1:].strip() if keeps else line
        if not name:
            raise Bad(gettext("%(file)s: “!” alone is no pattern.") % {"file": NAME})
        if len(name) > LONGEST_PATTERN:
            said = gettext("%(file)s: a pattern has %(n)s letters at most.")
            raise Bad(said % {"file": NAME, "n": LONGEST_PATTERN})
        name = _clean(name)
        found.append(Pattern(name, keeps, _matcher(name)))
        if len(found) > MOST_PATTERNS:
            said = gettext("%(file)s has %(n)s patterns at most.")
            raise Bad(said % {"file": NAME, "n": f"{MOST_PATTERNS:,}"})
    return found


def left_out(names: Iterable[str], found: list[Pattern]) -> set[str]:
    """Those of the names (files and folders, relative) that are left out; a folder that something stays in, stays."""
    ends = time.monotonic() + MOST_SECONDS
    known: dict[str, tuple[frozenset[int], bool]] = {"": (frozenset(), False)}

    def judge(name: str) -> tuple[frozenset[int], bool]:
        if name not in known:
            if time.monotonic() > ends:
                said = gettext("%(file)s: its patterns take too long for so many files.")
                raise Bad(said % {"file": NAME})
            above, _ = judge(name.rpartition("/")[0])
            known[name] = _judged(name, found, above)
        return known[name]

    out, stays = set[str](), set[str]()
    for name in names:
        if judge(name)[1]:
            out.add(name)
        else:
            stays.update(_above(name))
    return out - stays


def _judged(name: str, found: list[Pattern], above: frozenset[int]) -> tuple[frozenset[int], bool]:
    """As docker does: what matched above matches here; else a pattern is tried only where it would change anything."""
    matched, out = [], False
    for n, pattern in enumerate(found):
        if n in above or (pattern.keeps == out and pattern.match(name)):
            matched.append(n)
            out = not pattern.keeps
    return frozenset(matched), out


def _above(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _clean(name: str) -> str:
    """As Go's ``filepath.Clean``, and without the slash that it may begin with."""
    name = posixpath.normpath(name)
    return name.lstrip("/") or "/"


def _matcher(text: str) -> Match:
    if text.startswith("**") and not set(text[2:]) & set("*?[]\\/"):
        return lambda name: name.endswith(text[2:])  # docker's, though "**x*" is not
    tokens = list(_tokens(text))
    if all(kind == "one" and len(one) == 1 for kind, one in tokens):
        plain = "".join(one for _, one in tokens)
        return lambda name: name == plain
    try:
        ones = [re.compile(_one(one), re.DOTALL) if kind == "one" else None for kind, one in tokens]
        if sum(kind != "one" for kind, _ in tokens) > BY_REGEX:
            return _Walk([kind for kind, _ in tokens], ones).matches
        whole = re.compile("".join(_REGEX.get(kind) or _one(one) for kind, one in tokens), re.DOTALL)
    except re.error:
        raise _no_pattern(text) from None
    return lambda name: whole.fullmatch(name) is not None


class _Walk:
    """A pattern with many wildcards: all the ways through it at once, one bit each, so that it takes no longer."""

    def __init__(self, kinds: list[str], ones: list[re.Pattern[str] | None]) -> None:
        self.ones, self.end = ones, 1 << len(kinds)
        self.star, self.deep, self.rest = (
            sum(1 << n for n, kind in enumerate(kinds) if kind == wanted)
            for wanted in ("star", "deep", "rest")
        )
        self.letters: dict[str, int] = {}

    def matches(self, name: str) -> bool:
        at, inside = self._skipped(1), 0
        for letter in name:
            inside |= at & self.deep
            after = ((at & self._ones(letter)) << 1) | (at & self.rest)
            after |= inside << 1 if letter == "/" else at & self.star
            at = self._skipped(after)
            if not at and not inside:
                return False
        return bool(at & self.end)

    def _skipped(self, at: int) -> int:
        """With the places that are reached by letting a wildcard stand for nothing."""
        while (more := at | ((at & (self.star | self.deep | self.rest)) << 1)) != at:
            at = more
        return at

    def _ones(self, letter: str) -> int:
        if letter not in self.letters:
            found = (n for n, one in enumerate(self.ones) if one and one.fullmatch(letter))
            self.letters[letter] = sum(1 << n for n in found)
        return self.letters[letter]


_SPECIAL, _ESCAPED = re.compile(r"([\[&|~^])"), r"\\\1"
_REGEX = {"star": "[^/]*", "deep": "(?:.*/)?", "rest": ".*"}


def _one(one: str) -> str:
    return re.escape(one) if len(one) == 1 else one


def _tokens(text: str) -> Iterator[_Token]:
    """What a pattern is made of."""
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "*" and text[at : at + 1] == "*":
            at += 1
            at += text[at : at + 1] == "/"
            yield ("deep", "") if at < len(text) else ("rest", "")
        elif letter == "*":
            yield "star", ""
        elif letter == "?":
            yield "one", "[^/]"
        elif letter == "\\":
            if at == len(text):
                raise _no_pattern(text)
            yield "one", text[at]
            at += 1
        elif letter == "[":
            end = text.find("]", at)
            if end <= at:
                raise _no_pattern(text)
            yield "one", _letters(text[at:end])
            at = end + 1
        else:
            yield "one", letter


def _no_pattern(text: str) -> Bad:
    return Bad(gettext("%(file)s: %(pattern)s is no pattern.") % {"file": NAME, "pattern": shown(text)})


def _letters(inner: str) -> str:
    """A set of letters for a regular expression: ranges and ``^`` as they are, nothing else with a meaning."""
    begin = "^" if inner.startswith("^") else ""
    return f"[{begin}{_SPECIAL.sub(_ESCAPED, inner[len(begin) :])}]"
