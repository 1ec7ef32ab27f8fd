"""Reads a Dockerfile just far enough to name its steps and to hint at what will hurt later. It is never run here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from images_app import advice

LEVELS = ("bad", "warn", "low")

WORDS = (
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
)
_SECRET = re.compile(
    r"\b([A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)[A-Z0-9_]*)[= ]\s*\S", re.IGNORECASE
)
_BUILDKIT = re.compile(r"^(?:--\S+\s+)*?(--(?:mount|network|security|link|chmod|checksum|parents|exclude)\b)")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. ``line`` is its first, 1-based; ``rest`` has no line breaks; ``stage`` is a name or number."""

    line: int
    word: str
    rest: str
    stage: str

    def __str__(self) -> str:
        return f"{self.word} {self.rest}"


@dataclass(frozen=True, slots=True)
class Hint:
    """What to look at in a line. ``level`` is bad (it will not build), warn or low; ``fix`` replaces the whole line."""

    line: int
    level: str
    text: str
    fix: str = ""


def instructions(text: str, *, heredocs: bool = True) -> list[Instruction]:
    """The instructions in order, with continued lines joined and comments left out.

    Without ``heredocs`` text between << marks is instructions too, as for builders that do not know it.
    """
    found: list[Instruction] = []
    stage, stages = "", 0
    for line, joined in _joined(text, heredocs):
        word, _, rest = " ".join(joined.split()).partition(" ")
        word = word.upper()
        if word == "FROM":
            name = re.search(r"\sas\s+(\S+)\s*$", rest, re.IGNORECASE)
            stage, stages = (name[1] if name else ("" if not stages else str(stages))), stages + 1
        found.append(Instruction(line, word, rest.strip(), stage))
    return found


def hints(
    text: str,
    *,
    local_tags: Sequence[str] = (),
    has_files: bool = True,
    source: Mapping[str, Any] | None = None,
) -> list[Hint]:
    """At most one hint a line, in order of lines, then those on the context, of which ``source`` tells.

    ``local_tags`` are names that could be used instead.
    """
    steps = instructions(text)
    if not steps:
        return []
    found = [*_beginning(steps)]
    stages: set[str] = set()
    for step in steps:
        if step.word == "FROM":
            found += _base(step, stages, local_tags)
            if name := re.search(r"\sas\s+(\S+)\s*$", step.rest, re.IGNORECASE):
                stages.add(name[1].lower())
        else:
            found += _step(step, has_files)
    found += _user(steps)
    found += [Hint(*one) for one in advice.of_stages(steps)]
    found += [Hint(line, "warn", say) for line, say in advice.of_order(steps)]
    found += [Hint(line, "low", say) for line, say in advice.of_health(steps)]
    first: dict[int, Hint] = {}
    for hint in sorted(found, key=lambda h: (h.line, LEVELS.index(h.level))):
        first.setdefault(hint.line, hint)
    return [
        *first.values(),
        *(Hint(line, "warn", say) for line, say in advice.of_context(source or {}, steps)),
    ]


def needs_buildkit(text: str) -> tuple[int, str] | None:
    """The first line that the classic builder cannot carry out, and what it is that it lacks."""
    for number, raw in enumerate(text.splitlines(), 1):
        if re.match(r"#\s*syntax\s*=", raw.strip(), re.IGNORECASE):
            return number, "# syntax="
        if raw.strip() and not raw.lstrip().startswith("#"):
            break
    for step in instructions(text):
        if found := _BUILDKIT.search(step.rest):
            return step.line, found[1]
        if step.word in ("RUN", "COPY", "ADD") and _HEREDOC.search(step.rest):
            return step.line, gettext("text between << marks")
    return None


def escape_of(text: str) -> str:
    """What continues a line: a backslash, or what ``# escape=`` at the very top says."""
    for line in text.removeprefix("\ufeff").split("\n"):
        match = re.match(r"#\s*([a-z][a-z0-9]*)\s*=\s*(\S+)\s*$", line.strip(), re.IGNORECASE)
        if match is None:
            break
        if match[1].lower() == "escape" and match[2] in ("`", "\\"):
            return match[2]
    return "\\"


def _joined(text: str, heredocs: bool) -> Iterator[tuple[int, str]]:
    """``(first line, instruction)`` with continuations joined, as an engine joins them: nothing is put in between."""
    start, parts, until, escape = 0, list[str](), "", escape_of(text)
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if until:
            until = "" if line == until else until
            continue
        if not line or line.startswith("#"):
            continue
        start = start or number
        if line.endswith(escape) and not line.endswith(escape * 2):
            parts.append(raw.rstrip()[:-1])
            continue
        parts.append(raw)
        joined = "".join(parts)
        if heredocs and (heredoc := _HEREDOC.search(joined)):
            until = heredoc[1]
        yield start, joined
        start, parts = 0, []
    if parts:
        yield start, "".join(parts)


def _beginning(steps: Sequence[Instruction]) -> Iterator[Hint]:
    first = next((s for s in steps if s.word != "ARG"), steps[0])
    if first.word in WORDS and first.word != "FROM":
        said = gettext("A Dockerfile starts with FROM: the image to build on, or scratch for none.")
        yield Hint(first.line, "bad", said)
    for step in steps:
        if step.word not in WORDS:
            near = difflib.get_close_matches(step.word, WORDS, 1, 0.6)
            said = gettext("“%(word)s” is no instruction.") % {"word": step.word[:40]}
            if near:
                said += " " + gettext("Did you mean %(name)s?") % {"name": near[0]}
            fix = f"{near[0]} {step.rest}" if near else ""
            yield Hint(step.line, "bad", said, fix)


def _base(step: Instruction, stages: set[str], local_tags: Sequence[str]) -> Iterator[Hint]:
    words = [word for word in step.rest.split() if not word.startswith("--")]
    base = words[0] if words else ""
    if not base:
        yield Hint(step.line, "bad", gettext("FROM needs the name of an image, or scratch."))
        return
    name, colon, tag = base.rpartition("/")[2].partition(":")
    if (
        "$" in base
        or "@" in base
        or base.lower() in stages
        or base == "scratch"
        or (colon and tag != "latest")
    ):
        return
    repository = base[: len(base) - len(tag) - 1] if colon else base
    here = next((t for t in local_tags if t.startswith(f"{repository}:") and not t.endswith(":latest")), "")
    fix = f"FROM {' '.join(here if word == base else word for word in step.rest.split())}" if here else ""
    if colon:
        why = gettext("%(image)s is another image tomorrow.") % {"image": f"{name}:latest"}
    else:
        why = gettext("%(image)s without a version is another image tomorrow.") % {"image": repository}
    instead = gettext("Name a version, such as %(tag)s.") if here else gettext("Name a version.")
    yield Hint(step.line, "warn", f"{why} {instead % {'tag': here}}", fix)


def _step(step: Instruction, has_files: bool) -> Iterator[Hint]:
    rest, line = step.rest, step.line
    if step.word in ("ADD", "COPY") and not has_files and "--from=" not in rest and "://" not in rest:
        if step.word == "ADD":
            said = gettext("There are no files to add. Attach them beside it, or send an archive.")
        else:
            said = gettext("There are no files to copy. Attach them beside it, or send an archive.")
        yield Hint(line, "bad", said)
    if step.word in ("ENV", "ARG") and (secret := _SECRET.search(rest)):
        said = gettext("%(name)s stays readable in the image. Give it to the container when it runs.")
        yield Hint(line, "warn", said % {"name": secret[1]})
    for text in advice.of_line(step.word, rest):
        yield Hint(line, "warn", text)


def _user(steps: Sequence[Instruction]) -> Iterator[Hint]:
    """The last stage is what runs; without USER it runs as whatever the base says, which is root nearly always."""
    last = max((i for i, s in enumerate(steps) if s.word == "FROM"), default=None)
    if last is None:
        return
    users = [s for s in steps[last:] if s.word == "USER"]
    runs = any(s.word in ("CMD", "ENTRYPOINT") for s in steps[last:])
    if users and users[-1].rest.partition(":")[0] in ("root", "0"):
        said = gettext("What runs, runs as root. Switch to another user at the end.")
        yield Hint(users[-1].line, "warn", said)
    elif not users and runs:
        end = next(s for s in reversed(steps) if s.word in ("CMD", "ENTRYPOINT"))
        said = gettext("It runs as the user of the base, mostly root. A USER line before this changes that.")
        yield Hint(end.line, "warn", said)
