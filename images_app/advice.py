"""What a Dockerfile and its context are told beside the grammar: one table of lines, and three looks at the whole."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _lazy

LARGE = 100_000_000
"""Bytes of a context without a `.dockerignore` that are worth a word."""
UNWANTED = (".git", "node_modules", ".env")
"""What a context holds by accident, mostly."""


@dataclass(frozen=True, slots=True)
class Rule:
    """For lines of these ``words`` that match ``like`` and not ``unless``. ``say`` has why, and what to do instead."""

    words: tuple[str, ...]
    like: re.Pattern[str]
    say: Any
    unless: re.Pattern[str] | None = None


def _rule(words: str, like: str, unless: str, say: Any) -> Rule:
    return Rule(tuple(words.split()), re.compile(like), say, re.compile(unless) if unless else None)


_APT = r"\bapt(-get)? (-\S+ )*install\b"
TABLE = (
    _rule("ADD", r"\bhttps?://", "--checksum=",
          _lazy("ADD takes whatever that address answers. Fetch it in a RUN that checks its sum.")),
    _rule("RUN", _APT, "/var/lib/apt/lists",
          _lazy("The package lists stay in this layer. End the RUN with rm -rf /var/lib/apt/lists/*.")),
    _rule("RUN", _APT, "--no-install-recommends",
          _lazy("It installs what is recommended too, which is rarely needed. Say --no-install-recommends.")),
    _rule("RUN", r"\bapk (-\S+ )*add\b", "--no-cache|/var/cache/apk",
          _lazy("The package index stays in this layer. Say apk add --no-cache.")),
    _rule("RUN", r"\bpip3? install\b", r"--no-cache-dir|PIP_NO_CACHE_DIR|--mount=type=cache",
          _lazy("The downloads stay in this layer. Say pip install --no-cache-dir.")),
    _rule("CMD ENTRYPOINT", r"^(?!\[|exec )\S", "",
          _lazy('A shell stands before this, and a stop does not reach it. Write it as a list: %(word)s ["…"].')),
)  # fmt: skip
_INSTALLS = (
    (r"\bpip3? install\b.*(-r|--requirement)\b", "requirements.txt"),
    (r"\b(npm (ci|i|install)|yarn install|pnpm (i|install))\b", "package*.json"),
    (r"\bbundle install\b", "Gemfile*"), (r"\bcomposer install\b", "composer.*"), (r"\bgo mod download\b", "go.*"),
    (r"\b(poetry install|uv sync)\b", _lazy("pyproject.toml and its lock")), (r"\bcargo (fetch|build)\b", "Cargo.*"),
)  # fmt: skip
_EVERYTHING = re.compile(r"^(--\S+\s+)*\.{1,2}/?\s+\S+$")
_FROM = re.compile(r"--from=(\S+)")


def of_line(word: str, rest: str) -> Iterator[str]:
    """What the table says to one line."""
    for rule in TABLE:
        if word in rule.words and rule.like.search(rest) and not (rule.unless and rule.unless.search(rest)):
            yield rule.say % {"word": word}


def of_order(steps: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """A copy of everything before what installs the dependencies: each change of a file installs them anew."""
    copied: Any = None
    for step in steps:
        if step.word == "FROM":
            copied = None
        elif step.word in ("COPY", "ADD") and "--from=" not in step.rest and _EVERYTHING.search(step.rest):
            copied = copied or step
        elif step.word == "RUN" and copied:
            for like, files in _INSTALLS:
                if re.search(like, step.rest):
                    said = gettext(
                        "Each change of any file installs all of line %(line)s anew. "
                        "Copy %(files)s first, install, then copy the rest."
                    )
                    yield copied.line, said % {"line": step.line, "files": files}
                    copied = None
                    break


def of_stages(steps: Sequence[Any]) -> Iterator[tuple[int, str, str, str]]:
    """``(line, level, text, fix)`` for a stage that is not there."""
    names, count = list[str](), 0
    for step in steps:
        if step.word == "FROM":
            if name := re.search(r"\sas\s+(\S+)\s*$", step.rest, re.IGNORECASE):
                names.append(name[1].lower())
            count += 1
        elif step.word in ("COPY", "ADD") and (found := _FROM.search(step.rest)):
            wanted = found[1]
            if wanted.isdigit() and int(wanted) >= count - 1:
                said = gettext("There is no stage %(stage)s before this one.") % {"stage": wanted}
                yield step.line, "bad", said, ""
            elif not wanted.isdigit() and wanted.lower() not in names and not re.search(r"[/:$@]", wanted):
                near = difflib.get_close_matches(wanted.lower(), names, 1, 0.6)
                said = gettext("“%(stage)s” is no stage before this one.") % {"stage": wanted[:40]}
                if near:
                    mean = gettext("Did you mean %(name)s?") % {"name": near[0]}
                else:
                    mean = gettext("It is taken for the name of an image.")
                fix = f"{step.word} {step.rest.replace(found[0], f'--from={near[0]}')}" if near else ""
                yield step.line, "bad" if near else "warn", f"{said} {mean}", fix


def of_health(steps: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """What serves a port, and cannot be asked whether it is well."""
    last = max((i for i, step in enumerate(steps) if step.word == "FROM"), default=0)
    words = {step.word: step for step in steps[last:]}
    if "EXPOSE" in words and "HEALTHCHECK" not in words:
        yield words["EXPOSE"].line, gettext("Nothing tells whether it is well. A HEALTHCHECK would.")


def of_context(source: Mapping[str, Any], steps: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """What a context holds that a build does not need: at the line that copies everything, or the first."""
    line = next((s.line for s in steps if s.word in ("COPY", "ADD") and _EVERYTHING.search(s.rest)), 1)
    for name in source.get("unwanted", []):
        said = gettext("The context holds %(name)s. A line %(name)s in .dockerignore leaves it out.")
        yield line, said % {"name": name}
    if not source.get("ignores") and (source.get("bytes") or 0) > LARGE:
        size = round(source["bytes"] / 1e6)
        said = gettext(
            "The context holds %(size)s MB. A .dockerignore leaves out what the build does not need."
        )
        yield line, said % {"size": f"{size:,}"}
