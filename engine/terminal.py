"""What is known of a program at a terminal, whatever the engine: how it is asked for, and how it is really ended.

Engines have no way to end what an exec has started, and closing its connection leaves it running for ever. So each is
given a mark in its environment, which its children inherit, and is looked for by it from inside the container.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from engine.errors import Invalid
from engine.files import begins_inside
from engine.words import gettext

MARK = "SLIPWAY_CONSOLE"
"""The variable whose value tells whose process it is."""

MOST_WORDS = 64
LONGEST_COMMAND = 4096
LARGEST_SIDE = 500
"""Columns or rows."""

_MARK = re.compile(r"[0-9a-f-]{16,64}", re.ASCII)
_USER = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63})?", re.ASCII)

ENDER = r"""
signal=$1 mark=SLIPWAY_CONSOLE=$2 round=0
look() {
  hits=' ' sessions=' ' all=
  for d in /proc/[0-9]*; do
    p=${d#/proc/}
    { IFS= read -r s <"$d/stat"; } 2>/dev/null || continue
    set -- ${s##*\) }
    case $1 in Z|X) continue;; esac
    all="$all $p:$2:${4:-0}"
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in *"$mark"*)
        [ "$p" -gt 1 ] && hits="$hits$p "
        [ "${4:-0}" -gt 1 ] && sessions="$sessions$4 "
        break;;
      esac
    done <"$d/environ"
  done 2>/dev/null
  more=1
  while [ $more = 1 ]; do
    more=0
    for r in $all; do
      p=${r%%:*} s=${r##*:} r=${r#*:}
      [ "$p" -gt 1 ] && [ "$p" != $$ ] || continue
      case $hits in *" $p "*) continue;; esac
      case $hits in *" ${r%%:*} "*) hits="$hits$p "; more=1; continue;; esac
      case $sessions in *" $s "*) hits="$hits$p "; more=1;; esac
    done
  done
  set -- $hits
  found=$#
}
while look; [ $found -gt 0 ] && [ $round -lt 8 ]; do
  kill -$signal $hits 2>/dev/null
  [ $signal = KILL ] || break
  round=$((round+1))
done
echo left $found
"""
"""Run by ``sh -c`` inside the container with a signal and a mark: nothing but the shell itself is needed.

Meant are processes with the mark, those of their sessions and all that these have started: somebody may have emptied
the environment (``env -i``), become another user or asked for a session of their own. Never the first process.
"""

LEFT = re.compile(rb"left (\d{1,6})\s*$")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run at a terminal of ``columns`` × ``rows``. ``mark`` must be unguessable. Empty: as the image says."""

    command: tuple[str, ...]
    mark: str
    user: str = ""
    folder: str = ""
    columns: int = 80
    rows: int = 24

    @classmethod
    def of(
        cls,
        command: Sequence[str],
        mark: str,
        *,
        user: str = "",
        folder: str = "",
        columns: int = 80,
        rows: int = 24,
    ) -> Self:
        """Raises `Invalid` with a sentence for people."""
        words = tuple(command)
        if not words or not words[0] or len(words) > MOST_WORDS:
            raise Invalid(gettext("A command has from 1 to %(n)s words.") % {"n": MOST_WORDS})
        if sum(map(len, words)) > LONGEST_COMMAND or any("\0" in word for word in words):
            said = gettext("A command has at most %(n)s characters, and no NUL.")
            raise Invalid(said % {"n": LONGEST_COMMAND})
        if user and not _USER.fullmatch(user):
            raise Invalid(
                gettext("A user is a name or a number, perhaps with a group: app, 1000 or 1000:1000.")
            )
        if folder and (not folder.startswith("/") or len(folder) > 500 or "\0" in folder):
            raise Invalid(gettext("A folder is an absolute path inside the container, such as /app."))
        if not begins_inside(folder):
            raise Invalid(
                gettext(
                    "Nothing begins in what the kernel shows of open files: choose a folder of the container."
                )
            )
        return cls(words, marked(mark), user, folder, *size(columns, rows))


def marked(mark: str) -> str:
    """The mark as it was, or `Invalid`."""
    if not _MARK.fullmatch(mark):
        raise Invalid(gettext("A mark is a UUID."))
    return mark


def size(columns: int, rows: int) -> tuple[int, int]:
    """Within what terminals can be."""
    return max(2, min(LARGEST_SIDE, columns)), max(1, min(LARGEST_SIDE, rows))


@runtime_checkable
class Console(Protocol):
    """Bytes both ways. Whoever holds one must read without pause: an engine waits for its slowest reader."""

    leader: int
    """The program's process as the engine's host numbers it, 0 where that is not known."""

    async def read(self) -> bytes:
        """What it writes, as a terminal takes it; empty at the end, also where the connection breaks."""

    async def write(self, data: bytes) -> None:
        """Waits while the program does not take what is typed."""

    async def resize(self, columns: int, rows: int) -> None: ...

    async def exit_code(self) -> int | None:
        """After the end: how it ended; ``None`` where it has not, or the engine does not say."""

    async def is_up(self) -> bool:
        """Whether its container runs. One that stops is said to run for a moment after its programs have ended."""


class Demultiplexer:
    """Output of a container without a terminal, as a terminal takes it: both streams, and lines that return."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Frames have a head of eight bytes: stream, three zeros, length."""
        data, found = self._rest + data, []
        while len(data) >= 8 and len(data) >= (end := 8 + int.from_bytes(data[4:8], "big")):
            found.append(data[8:end])
            data = data[end:]
        self._rest = data
        return b"".join(found).replace(b"\n", b"\r\n")
