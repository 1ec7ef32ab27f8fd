"""What a Dockerfile demands of an engine: images, addresses to fetch from, frontends and privileges. Pure.

Read as an engine reads it, and where two of its builders would differ, both ways: text between << marks counts as
instructions here, since the classic builder takes it for such. What cannot be told before it is built (a variable in an
address) is demanded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from images_app.dockerfile import Instruction, instructions

SYNTAX_ARG = "BUILDKIT_SYNTAX"
"""A build argument that chooses the frontend as `# syntax=` does."""
_DIRECTIVE = re.compile(r"^(?:#|//)\s*syntax\s*=\s*(\S.*?)\s*$", re.IGNORECASE)
_FLAG = re.compile(r"""--(?:"[^"]*"|'[^']*'|[\\`].|\S)*""")
_PLAIN = re.compile(r"[\w./*?+,~%^{}\[\]!()=:-]+", re.ASCII)
"""A source of ADD that can only be a file of the context."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?([-+])((?:[^{}]|\{[^{}]*\})*))?\})")
_HARMLESS = {
    "network": ("default", "none"),
    "security": ("sandbox",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demand:
    """``what`` is ``image``, ``fetch``, ``frontend`` or ``privilege``; ``value`` the image or the instruction."""

    line: int
    what: str
    value: str


def demands(text: str, build_args: Mapping[str, str] | None = None) -> list[Demand]:
    """All of them, in the order of lines. An image whose name cannot be told has a ``$`` in it."""
    args = dict(build_args or {})
    found = list(_frontends(text, args))
    for reading in (instructions(text), instructions(text, heredocs=False)):
        found += _of_steps(reading, args)
    return sorted(dict.fromkeys(found), key=lambda one: one.line)


def of_triggers(triggers: Iterable[object], line: int) -> list[Demand]:
    """What a base image has its children do (``ONBUILD``)."""
    steps = instructions("\n".join(str(one).replace("\n", " ") for one in triggers), heredocs=False)
    return [Demand(line, one.what, one.value) for step in steps for one in _of_step(step, {}, set())]


def _of_steps(steps: list[Instruction], build_args: Mapping[str, str]) -> Iterator[Demand]:
    known: dict[str, str] = {}
    stages: set[str] = set()
    numbers = 0
    for step in steps:
        if step.word == "ARG" and not numbers:
            for pair in step.rest.split():
                name, equals, value = pair.partition("=")
                said = expanded(value.strip("\"'"), known)
                if not equals and name in known:
                    said = f"${name}"  # builders differ on whether the earlier value stays
                known[name] = build_args.get(name, said)
        if step.word == "FROM":
            words = [word for word in step.rest.split() if not word.startswith("--")]
            base = expanded(words[0].strip("\"'"), known) if words else ""
            if base and base.lower() not in stages and base.lower() != "scratch":
                yield Demand(step.line, "image", base)
            stages.add(str(numbers))
            numbers += 1
            if len(words) == 3 and words[1].lower() == "as":
                stages.add(words[2].lower())
        else:
            yield from _of_step(step, known, stages)


def _of_step(step: Instruction, known: Mapping[str, str], stages: set[str]) -> Iterator[Demand]:
    """What one instruction demands, also where it is another image's trigger."""
    word, rest = step.word, step.rest
    while word == "ONBUILD":
        word, _, rest = rest.partition(" ")
        word = word.upper()
    flags, rest = _flags(rest)
    shown = f"{step.word} {step.rest}"[:200]
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        name, value = name.lower(), value.lower()
        if word == "RUN" and (name == "device" or (name in _HARMLESS and value not in _HARMLESS[name])):
            yield Demand(step.line, "privilege", shown)
        source = value if name == "from" else dict(_pairs(value)).get("from", "") if name == "mount" else ""
        if source and (image := expanded(source, known)) not in stages:
            yield Demand(step.line, "image", image)
    if word == "ADD" and any(not _is_a_file(source) for source in _sources(rest)):
        yield Demand(step.line, "fetch", shown)


def _flags(rest: str) -> tuple[list[str], str]:
    """``(flags, what comes behind them)``. Quotes and backslashes in a flag mean nothing to an engine."""
    found = []
    while match := _FLAG.match(rest):
        found.append(re.sub(r"[\"'\\`]", "", match[0]))
        rest = rest[match.end() :].lstrip()
    return found, rest


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    for part in value.split(","):
        key, _, said = part.partition("=")
        yield key.strip(), said.strip()


def _sources(rest: str) -> list[str]:
    try:
        found = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        found = None
    words = [str(one) for one in found] if isinstance(found, list) else rest.split()
    return words[:-1] if len(words) > 1 else words


def _is_a_file(source: str) -> bool:
    return bool(_PLAIN.fullmatch(source)) and "://" not in source and not source.startswith("//")


def _frontends(text: str, build_args: Mapping[str, str]) -> Iterator[Demand]:
    """Every spelling that some version takes: among comments at the top, after ``#!``, with ``//``, as JSON."""
    text = text.removeprefix("\ufeff")
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if match := _DIRECTIVE.match(line):
            yield Demand(number, "frontend", match[1])
        elif line.startswith("{"):
            yield Demand(number, "frontend", line[:200])
            break
        elif line and not line.startswith(("#", "//")):
            break
    if value := build_args.get(SYNTAX_ARG, ""):
        yield Demand(1, "frontend", value)


def expanded(text: str, known: Mapping[str, str]) -> str:
    """With the values of arguments put in; what is not known stays as it is written."""

    def value(match: re.Match[str]) -> str:
        name, sign, word = match[1] or match[2], match[3], match[4] or ""
        if sign == "-" and not known.get(name):
            return expanded(word, known)
        if sign == "+":
            return expanded(word, known) if known.get(name) else ""
        return known.get(name, match[0])

    return _VARIABLE.sub(value, text)
