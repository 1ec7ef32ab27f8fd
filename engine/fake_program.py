"""What a container of the fake engine does: a small part of a shell, worked out beforehand as a timetable.

Known are echo (also ``>&2``), seq, sleep, true, false, exit, ``trap 'exit N' TERM``, ``trap '' TERM`` and wait, in
``sh -c`` scripts with ``;``, ``&&`` and ``&``, or alone. As in a real container, a first process without a trap
does not care about TERM.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

KNOWN = frozenset({"cat", "echo", "exit", "false", "seq", "sh", "sleep", "top", "trap", "true", "wait"})


@dataclass(frozen=True, slots=True)
class Output:
    """A line, ``at`` seconds after the start. ``stream`` is 1 or 2."""

    at: float
    stream: int
    text: str


@dataclass(slots=True)
class Program:
    """``ends_at`` ``None``: never by itself. ``on_term``: exit code when asked to end, ``None``: does not care."""

    output: list[Output] = field(default_factory=list)
    ends_at: float | None = 0.0
    exit_code: int = 0
    on_term: int | None = None


def exists(words: Sequence[str]) -> bool:
    """Whether the image has such a program."""
    return bool(words) and words[0].rpartition("/")[2] in KNOWN


def plan(words: Sequence[str]) -> Program:
    """The timetable of a command."""
    program = Program()
    if words[:2] in (["sh", "-c"], ["/bin/sh", "-c"]) and len(words) > 2:
        _script(program, words[2])
    elif list(words) in (["sh"], ["/bin/sh"]):
        pass  # a shell without input ends at once
    else:
        _command(program, list(words))
    return program


def _script(program: Program, script: str) -> None:
    for words, separator in _commands(script):
        if program.ends_at is None:
            return
        if separator == "&":  # in the background: the script goes on
            continue
        go_on = _command(program, words)
        if not go_on or (separator == "&&" and program.exit_code):
            return


def _commands(script: str) -> list[tuple[list[str], str]]:
    """The commands of a script, each with the separator behind it."""
    lexer = shlex.shlex(script.replace("\n", ";"), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    found: list[tuple[list[str], str]] = []
    words: list[str] = []
    for token in lexer:
        if token in (";", "&&", "&"):
            found.append((words, token))
            words = []
        else:
            words.append(token)
    return [(words, separator) for words, separator in [*found, (words, ";")] if words]


def _command(program: Program, words: list[str]) -> bool:
    """Adds one command; false where the script ends with it."""
    at = program.ends_at or 0.0
    stream = 1
    if words[-2:] == [">&", "2"]:
        words, stream = words[:-2], 2
    name, arguments = words[0].rpartition("/")[2], words[1:]
    program.exit_code = 0
    if name == "echo":
        program.output.append(Output(at, stream, " ".join(arguments)))
    elif name == "seq":
        first, last = (1, *map(int, arguments))[-2:] if len(arguments) < 2 else map(int, arguments[:2])
        program.output += [Output(at, stream, str(i)) for i in range(first, last + 1)]
    elif name == "sleep":
        program.ends_at = at + float(arguments[0])
    elif name in ("wait", "cat", "top"):
        program.ends_at = None
    elif name == "exit":
        program.exit_code = int(arguments[0]) if arguments else 0
        return False
    elif name == "trap":
        exits = arguments[0].removeprefix("exit").strip() if arguments and arguments[0] else ""
        program.on_term = int(exits or 0) if arguments and arguments[0] else None
    elif name != "true":
        program.exit_code = 1 if name == "false" else 127
    return True
