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
_FLAGS = (
    re.compile(r"""--(?:"[^"]*"|'[^']*'|\\.|\S)*"""),
    re.compile(r"""--(?:"[^"]*"|'[^']*'|\S)*"""),
)
"""With a backslash that takes a space along, and with one that means nothing: a flag ends at either."""
_PLAIN = re.compile(r"[\w./*?+,~%^{}\[\]!()=:-]+", re.ASCII)
"""A source of ADD that can only be a file of the context."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])((?:[^{}]|\{[^{}]*\})*))?\})")
_ODD = re.compile(r"[^\S \t\r]")
"""White space that Python takes for such and engines do not, or not everywhere."""
_ODD_END = re.compile(r"(?<!\S)\d*+<<-?+(?!\s|<|([\"']?)\w+\1(?:\s|\Z))\S")
"""The end of a text between << marks, where it is no plain word."""
_ESCAPE = re.compile(r"\s*#\s*escape\s*=", re.IGNORECASE)
_PLAIN_DIRECTIVE = re.compile(r"#\s*(?:syntax\s*=\s*\S+|escape\s*=\s*[\\`])\s*", re.IGNORECASE)
_HARMLESS = {
    "network": ("default", "none"),
    "security": ("sandbox",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demand:
    """``what`` is ``image``, ``fetch``, ``frontend``, ``privilege``, or ``unclear`` where what follows a line cannot be
    told; ``value`` the image, the instruction or the line."""

    line: int
    what: str
    value: str


def demands(text: str, build_args: Mapping[str, str] | None = None) -> list[Demand]:
    """All of them, in the order of lines. An image whose name cannot be told has a ``$`` in it."""
    args = dict(build_args or {})
    found = [*_frontends(text, args), *_unclear(text)]
    for reading in (instructions(text), instructions(text, heredocs=False)):
        found += _of_steps(reading, args)
    return sorted(dict.fromkeys(found), key=lambda one: one.line)


def of_triggers(triggers: Iterable[object], line: int) -> list[Demand]:
    """What a base image has its children do (``ONBUILD``)."""
    steps = instructions("\n".join(str(one).replace("\n", " ") for one in triggers), heredocs=False)
    return [Demand(line, one.what, one.value) for step in steps for one in _of_step(step, {}, set())]


def _of_steps(steps: list[Instruction], build_args: Mapping[str, str]) -> Iterator[Demand]:
    known: dict[str, str] = {}
    stages: set[str] = set()  # by name; by number only others copy from them
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
            numbers += 1
            if len(words) == 3 and words[1].lower() == "as":
                stages.add(words[2].lower())
        else:
            yield from _of_step(step, known, stages | {str(number) for number in range(numbers)})


def _of_step(step: Instruction, known: Mapping[str, str], stages: set[str]) -> Iterator[Demand]:
    """What one instruction demands, also where it is another image's trigger."""
    word, rest = step.word, step.rest
    while word == "ONBUILD":
        word, _, rest = rest.partition(" ")
        word = word.upper()
    shown = f"{step.word} {step.rest}"[:200]
    for pattern in _FLAGS:
        flags, behind = _flags(rest, pattern)
        for flag in flags:
            name, _, value = flag.removeprefix("--").partition("=")
            name = name.lower()
            harmless = _HARMLESS.get(name, (value.lower(),))
            if word == "RUN" and (name == "device" or value.lower() not in harmless):
                yield Demand(step.line, "privilege", shown)
            source = (
                value if name == "from" else dict(_pairs(value)).get("from", "") if name == "mount" else ""
            )
            if source and (image := expanded(source, known)).lower() not in stages:
                yield Demand(step.line, "image", image)
        if word == "ADD" and any(not _is_a_file(source) for source in _sources(behind)):
            yield Demand(step.line, "fetch", shown)


def _flags(rest: str, pattern: re.Pattern[str]) -> tuple[list[str], str]:
    """``(flags, what comes behind them)``. Quotes and backslashes in a flag mean nothing to an engine."""
    found = []
    while match := pattern.match(rest):
        found.append(re.sub(r"[\"'\\`]", "", match[0]))
        rest = rest[match.end() :].lstrip()
    return found, rest


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    for part in value.split(","):
        key, _, said = part.partition("=")
        yield key.strip().lower(), said.strip()


def _sources(rest: str) -> list[str]:
    try:
        found = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        found = None
    words = [str(one) for one in found] if isinstance(found, list) else rest.split()
    return words[:-1] if len(words) > 1 else words


def _is_a_file(source: str) -> bool:
    return bool(_PLAIN.fullmatch(source)) and "://" not in source and not source.startswith("//")


def _unclear(text: str) -> Iterator[Demand]:
    """Lines that builders read otherwise than each other, or than this: what follows one could be hidden."""
    top = True
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        # Builders differ on which comments may stand above the one that says what continues a line.
        top = top and bool(_PLAIN_DIRECTIVE.fullmatch(line))
        said = line.strip()
        before, behind = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
        odd = (said.endswith(("\\", "`")) and _ODD.search(behind)) or (
            said[:1] in ("", "#") and _ODD.search(before)
        )
        if odd or _ODD_END.search(line) or (_ESCAPE.match(line) and not top):
            yield Demand(number, "unclear", ascii(line[:100]))


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
        name, sign, word = match[1] or match[2], (match[3] or "")[-1:], match[4] or ""
        if sign and match[3] == sign and known.get(name) == "":
            return match[0]  # set, and empty: only some builders tell that from not set
        if sign == "-" and not known.get(name):
            return expanded(word, known)
        if sign == "+":
            return expanded(word, known) if known.get(name) else ""
        return known.get(name, match[0])

    return _VARIABLE.sub(value, text)
