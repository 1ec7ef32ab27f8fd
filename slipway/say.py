"""What is written to the terminal. Whatever a server says is data: nothing in it moves a cursor or colours a line."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_UNITS = ("B", "kB", "MB", "GB", "TB")


def plain(text: object) -> str:
    """Text with everything escaped that is not a letter, a sign or a space: control characters, line breaks, marks that
    turn the direction of writing."""
    return "".join(
        one if one == " " or unicodedata.category(one)[0] not in "CZ" else _escaped(one) for one in str(text)
    )


def line(text: object, *, error: bool = False) -> None:
    """One line. A tab stays; what the terminal cannot spell is escaped too."""
    where = sys.stderr if error else sys.stdout
    shown = "\t".join(plain(part) for part in str(text).split("\t"))
    encoding = where.encoding or "utf-8"
    where.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    where.flush()


def compact(found: object) -> str:
    """One object on one line of ASCII."""
    return json.dumps(found, separators=(",", ":"))


def objects(found: object) -> None:
    """JSON in pure ASCII, whose strings hold no control characters either."""
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as what is in them."""
    texts = [[plain(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(columns))]
    for row in texts:
        line("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def passing(text: str) -> None:
    """A line of progress, written over by the next one; nothing where standard error is no terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + plain(text)[:100])
        sys.stderr.flush()


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return ""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if value < 1000 else f"{value:.0f} {_UNITS[unit]}"


def ago(moment: str | None) -> str:
    """How long since, in the largest unit."""
    if not moment:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def ports(found: Sequence[Mapping[str, Any]]) -> str:
    """As docker writes them."""
    return ", ".join(
        f"{one['host_ip']}:{one['host']}->{one['container']}/{one['protocol']}"
        if one["host"]
        else f"{one['container']}/{one['protocol']}"
        for one in found
    )


def _escaped(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
