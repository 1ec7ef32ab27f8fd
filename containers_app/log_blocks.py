"""Pure: lines of a log packed into blocks, and what a block cannot hold told without unpacking it.

A block is a version byte and, deflated, the number of lines, the steps between their times, their streams and their
texts. Beside it stands a filter: a bit for each group of three characters that occurs in it, in any case. A search
unpacks only blocks that have all bits of what is looked for, so that it finds parts of words and not only words.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.types import LogLine

FULL = 256 * 1024
"""Bytes of text, times and streams at which a block is full."""

SPAN_NS = 3600 * 10**9
"""Nor does it reach over more than this: what is searched from new to old must not jump about in time."""

VERSION = 1
BITS = 1 << 16
LEVEL = 3
_HEAD = struct.Struct("<Iq")
_REPEAT = re.compile(r"\{[0-9]+(,[0-9]*)?\}")
_SWAP = sys.byteorder != "little"


class Line(NamedTuple):
    """A line of a block; ``text`` in UTF-8."""

    ts_ns: int
    stream: int
    text: bytes


class Block:
    """A block that is being filled."""

    def __init__(self) -> None:
        self.first_ns = self.last_ns = 0
        self.raw = 0
        self._times: list[int] = []
        self._streams = bytearray()
        self._texts: list[bytes] = []
        self._bits = bytearray(BITS // 8)

    def __len__(self) -> int:
        return len(self._times)

    @staticmethod
    def fits(first_ns: int, last_ns: int, raw: int, line: LogLine) -> bool:
        """Whether a block of these has room for the line."""
        if not raw:
            return True
        return raw < FULL and max(last_ns, line.ts_ns) - min(first_ns, line.ts_ns) <= SPAN_NS

    def add(self, lines: Sequence[LogLine]) -> None:
        """More of them, as they were handed out."""
        for line in lines:
            text = line.text.encode("utf-8", "replace").replace(b"\n", b" ")
            self._put(line.ts_ns, line.stream, text)
        _mark(self._bits, "\n".join(line.text for line in lines))

    def resume(self, data: bytes) -> None:
        """Goes on with a packed one. Raises `ValueError` where it is not readable."""
        for line in unpack(data):
            self._put(*line)
        _mark(self._bits, b"\n".join(self._texts).decode())

    def _put(self, ts_ns: int, stream: int, text: bytes) -> None:
        self.first_ns = min(self.first_ns or ts_ns, ts_ns)
        self.last_ns = max(self.last_ns, ts_ns)
        self._times.append(ts_ns)
        self._streams.append(stream)
        self._texts.append(text)
        self.raw += len(text) + 10

    def pack(self) -> tuple[bytes, bytes]:
        """The block and its filter."""
        first = self._times[0]
        steps = array("q", (now - before for before, now in zip(self._times, self._times[1:], strict=False)))
        if _SWAP:
            steps.byteswap()
        head = _HEAD.pack(len(self._times), first)
        body = b"".join((head, steps.tobytes(), self._streams, b"\n".join(self._texts)))
        return bytes([VERSION]) + zlib.compress(body, LEVEL), zlib.compress(bytes(self._bits), 1)


def unpack(data: bytes) -> list[Line]:
    """The lines, as they were handed out. Raises `ValueError`."""
    if not data or data[0] != VERSION:
        raise ValueError("not a block of this version")
    try:
        body = zlib.decompress(data[1:])
        count, ts = _HEAD.unpack_from(body)
        place = _HEAD.size + 8 * (count - 1)
        steps = array("q", body[_HEAD.size : place])
        if _SWAP:
            steps.byteswap()
        texts = body[place + count :].split(b"\n")
        lines = [Line(ts, body[place], texts[0])]
        for number in range(1, count):
            ts += steps[number - 1]
            lines.append(Line(ts, body[place + number], texts[number]))
    except (zlib.error, struct.error, IndexError, ValueError) as error:
        raise ValueError("not a block") from error
    return lines


def text_of(data: bytes) -> bytes:
    """All texts of a block in one, a newline between two. Raises `ValueError`."""
    if not data or data[0] != VERSION:
        raise ValueError("not a block of this version")
    try:
        body = zlib.decompress(data[1:])
        count, _ = _HEAD.unpack_from(body)
    except (zlib.error, struct.error) as error:
        raise ValueError("not a block") from error
    return body[_HEAD.size + 8 * (count - 1) + count :]


def _mark(bits: bytearray, text: str) -> None:
    low = text.casefold()
    for three in set(map("".join, zip(low, low[1:], low[2:], strict=False))):
        place = _place(three)
        bits[place >> 3] |= 1 << (place & 7)


def _place(three: str) -> int:
    return zlib.crc32(three.encode("utf-8", "replace")) & (BITS - 1)


def places(texts: Iterable[str]) -> frozenset[int]:
    """The bits of a filter that a block has which holds all of these texts."""
    found = set()
    for text in texts:
        low = text.casefold()
        found |= {_place(low[i : i + 3]) for i in range(len(low) - 2)}
    return frozenset(found)


def may_hold(words: bytes, wanted: frozenset[int]) -> bool:
    """False where the block of this filter cannot hold what has these `places`."""
    if not wanted:
        return True
    try:
        bits = zlib.decompress(words)
    except zlib.error:
        return True
    return len(bits) * 8 < BITS or all(bits[place >> 3] >> (place & 7) & 1 for place in wanted)


def literals(pattern: str) -> list[str]:
    """Texts that whatever matches this regular expression holds for certain. Rather too few than too many."""
    if any(f"\\{mark}" in pattern for mark in "QxpPC0123456789") or "|" in pattern:
        return []
    found, run, depth, at = [], "", 0, 0
    while at < len(pattern):
        char, taken = pattern[at], 1
        literal = ""
        if char == "\\":
            taken, escaped = 2, pattern[at + 1 : at + 2]
            literal = "" if escaped.isalnum() else escaped
        elif char == "[":
            taken = _class_end(pattern, at) - at
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "{" and (repeat := _REPEAT.match(pattern, at)):
            taken = len(repeat[0])
        elif char not in ".^$*+?{}":
            literal = char
        at += taken
        if literal and not depth and pattern[at : at + 1] not in ("*", "?", "{"):
            run += literal
            continue
        found.append(run)
        run = ""
    return [text for text in (*found, run) if len(text) > 2]


def _class_end(pattern: str, at: int) -> int:
    """Behind the bracket that closes the one there."""
    place = at + 1
    if pattern[place : place + 1] == "^":
        place += 1
    if pattern[place : place + 1] == "]":
        place += 1
    while place < len(pattern) and pattern[place] != "]":
        if pattern.startswith("[:", place):
            place = max(place, pattern.find(":]", place) + 1)
        elif pattern[place] == "\\":
            place += 1
        place += 1
    return place + 1
