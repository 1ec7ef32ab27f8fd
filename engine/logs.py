"""Pure parsers on the way of a log line: HTTP chunks → bytes → frames → lines with cursors. No input or output.

Measured on engines: every 16 KiB piece of a long line comes as a frame of its own with *the same* timestamp; stdout and
stderr are stamped by two writers, so the order of a file is not the order of time; at a rotation lines come twice.
So the cursor is one for each stream, ``(ts_ns, n)``: the time of the last line and how many lines of exactly that time
there were. Reading again from a little earlier and dropping what is not behind the cursor of its stream loses nothing
and repeats nothing (50 random cuts of 6,030 frames: no difference; "since the last time": lost frames at every fifth).
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Mapping
from struct import Struct

from engine.types import LogLine

LONGEST_LINE = 1024 * 1024
"""Bytes; what is longer is split."""

LONGEST_FRAME = 16 * 1024 * 1024
SLACK_NS = 10 * 10**9
"""Stdout and stderr may be out of order by less than this (seen: 3 ms)."""

STEP_NS = 5 * 10**9
"""A cursor further than this in the future means that the engine's clock was set back."""

_PIECE = 16384
"""Engines cut long lines into pieces of this many bytes."""

_STAMP = 31
"""Bytes of ``2026-11-24T00:46:53.213760878Z `` before a line, or before each piece of one."""

_LONGEST_TTY = LONGEST_LINE // _PIECE * (_PIECE + _STAMP)
"""Where a terminal's line is split: between two pieces, so that what follows begins with its time."""

_LENGTH = Struct(">L").unpack_from
_USUAL = re.compile(rb"[\x01\x02]\0\0\0....(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z ([^\n]+)\n", re.DOTALL)
"""A frame with one whole line that is not empty, if its length says the same."""

_NEWLINE = 10

Cursor = Mapping[int, tuple[int, int]]


class Dechunk:
    """The body of a chunked HTTP answer: `feed` returns what is whole so far; ``ended`` after its last chunk."""

    __slots__ = ("_left", "_rest", "ended")

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a line with a size
        self._left = 0  # bytes of this chunk still to come, with the line end behind it
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Raises `ValueError` where this is not a chunked body."""
        if self.ended:
            return b""
        data = self._rest + data if self._rest else data
        self._rest = b""
        parts: list[bytes] = []
        position, size, left = 0, len(data), self._left
        while True:
            if left:
                if left > 2:
                    parts.append(data[position : position + left - 2])
                taken = min(left, size - position)
                position += taken
                left -= taken
                if left:
                    break
            end = data.find(b"\r\n", position)
            if end < 0:
                self._rest = data[position:]
                if len(self._rest) > 64:
                    raise ValueError("not a chunked body")
                break
            told = data[position:end].partition(b";")[0].strip()
            if not told or told.strip(b"0123456789abcdefABCDEF"):
                raise ValueError("not a chunked body")
            length = int(told, 16)
            position = end + 2
            if not length:
                self.ended = True
                break
            left = length + 2
        self._left = left
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Stream:
    """Where one of stdout and stderr is."""

    __slots__ = ("had_n", "had_ts", "number", "open_size", "open_ts", "parts", "run_n", "run_raw", "run_ts")

    def __init__(self, number: int, had: tuple[int, int]) -> None:
        self.number = number
        self.had_ts, self.had_n = had  # the last line that was given out
        self.run_ts, self.run_n = -1, 0  # the line being looked at: its time, and the how manieth of it
        self.run_raw: bytes | None = None
        self.parts: list[bytes] = []  # the pieces so far of a line that has not ended
        self.open_ts, self.open_size = -1, 0


class LogParser:
    """Bytes of ``/logs?timestamps=1`` → lines. One for each connection; carry ``cursor`` to the next one.

    ``clock`` is the engine's time in nanoseconds.
    """

    def __init__(
        self, *, tty: bool, cursor: Cursor | None = None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.tty = tty
        self.clock = clock
        self.error = ""
        self.first_ns = 0
        self.repeated = 0
        self._rest = b""
        self._streams = {number: _Stream(number, had) for number, had in (cursor or {}).items()}
        self._day = b""
        self._seconds = 0

    @property
    def cursor(self) -> dict[int, tuple[int, int]]:
        """Stream → ``(ts_ns, n)`` of the last line that was given out."""
        return {number: (s.had_ts, s.had_n) for number, s in self._streams.items() if s.had_n}

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that are whole now. Raises `ValueError` where this is not a log."""
        data = self._rest + data if self._rest else data
        return self._feed_tty(data) if self.tty else self._feed_frames(data)

    def finish(self) -> list[LogLine]:
        """What is left when nothing more will come: lines without an end."""
        found: list[LogLine] = []
        if self.tty and self._rest:
            self._tty_line(self._rest, found)
        for stream in self._streams.values():
            self._flush(stream, found)
        self._rest = b""
        return found

    def _feed_frames(self, data: bytes) -> list[LogLine]:
        found: list[LogLine] = []
        position, size = 0, len(data)
        streams, stamp = self._streams, self._stamp
        while (position := self._usual(data, position, found)) + 8 <= size:
            length = _LENGTH(data, position + 4)[0]
            start, end = position + 8, position + 8 + length
            number = data[position]
            if length > LONGEST_FRAME or number > 3 or data[position + 1 : position + 4] != b"\0\0\0":
                raise ValueError("not a log stream")
            if end > size:
                break
            position = end
            if number == 3:
                self.error = data[start:end].decode("utf-8", "replace")
                continue
            stream = streams.get(number)
            if stream is None:
                stream = streams[number] = _Stream(number, (0, 0))
            ts, start = stamp(data, start, end, stream)
            if stream.parts and ts != stream.open_ts:
                self._flush(stream, found)
            if data[end - 1] == _NEWLINE and start < end:
                if stream.parts:
                    stream.parts.append(data[start : end - 1])
                    self._flush(stream, found)
                else:
                    self._line(stream, ts, data[start : end - 1], found, whole=True)
            else:
                self._hold(stream, ts, data[start:end], found)
        self._rest = data[position:]
        return found

    def _usual(self, data: bytes, position: int, found: list[LogLine]) -> int:
        """Takes whole lines that are younger than all before them, and returns where something else begins.

        The same as the long way says (`_line`), at two thirds of the time a line: there are millions of them.
        """
        match, append = _USUAL.match, found.append
        while usual := match(data, position):
            stream = self._streams.get(data[position])
            end = usual.end()
            if stream is None or stream.parts or _LENGTH(data, position + 4)[0] != end - position - 8:
                break
            day, nanoseconds, raw = usual.groups()
            if day != self._day:
                self._day, self._seconds = day, seconds_of(day) * 10**9
            ts = self._seconds + int(nanoseconds)
            if ts <= stream.had_ts or ts <= stream.run_ts:
                break
            stream.had_ts = stream.run_ts = ts
            stream.had_n = stream.run_n = 1
            stream.run_raw = raw
            self.first_ns = self.first_ns or ts
            append(LogLine(stream.number, ts, 1, raw.decode("utf-8", "replace")))
            position = end
        return position

    def _hold(self, stream: _Stream, ts: int, piece: bytes, found: list[LogLine]) -> None:
        if stream.open_size + len(piece) > LONGEST_LINE:
            self._flush(stream, found)
        stream.parts.append(piece)
        stream.open_ts = ts
        stream.open_size += len(piece)

    def _flush(self, stream: _Stream, found: list[LogLine]) -> None:
        if stream.parts:
            parts, stream.parts, stream.open_size = stream.parts, [], 0
            self._line(stream, stream.open_ts, b"".join(parts), found)

    def _line(
        self, stream: _Stream, ts: int, raw: bytes, found: list[LogLine], *, whole: bool = False
    ) -> None:
        """``whole``: it came in one piece, so that the same again is no further piece of a long line."""
        if ts != stream.run_ts:
            stream.run_ts, stream.run_n = ts, 1
        elif whole and raw == stream.run_raw and ts % 10**9:
            # At a rotation the last line may come again. Two writes never have the same nanosecond; engines that tell
            # whole seconds are another matter.
            self.repeated += 1
            return
        else:
            stream.run_n += 1
        stream.run_raw = raw if whole else None
        if not self.first_ns:
            self.first_ns = ts
        had = ts < stream.had_ts or (ts == stream.had_ts and stream.run_n <= stream.had_n)
        if had and (ts == stream.had_ts or stream.had_ts < self.clock() + STEP_NS):
            self.repeated += 1
            return
        stream.had_ts, stream.had_n = ts, stream.run_n
        found.append(LogLine(stream.number, ts, stream.run_n, raw.decode("utf-8", "replace")))

    def _stamp(self, data: bytes, start: int, end: int, stream: _Stream) -> tuple[int, int]:
        """The time at the start of a line, and where its text begins."""
        text = start + _STAMP
        if text <= end and data[start + 29 : text] == b"Z ":
            day = data[start : start + 19]
            if day != self._day:
                self._seconds = seconds_of(day) * 10**9
                self._day = day
            return self._seconds + int(data[start + 20 : start + 29]), text
        space = data.find(b" ", start, min(end, start + 40))
        try:
            return time_of(data[start:space]), space + 1
        except ValueError:  # a line without a time: it belongs to the one before
            return max(stream.run_ts, stream.had_ts, 0), start

    # A container with a terminal: one stream, no frames

    def _feed_tty(self, data: bytes) -> list[LogLine]:
        found: list[LogLine] = []
        position = 0
        while True:
            end = data.find(b"\n", position)
            if end < 0:
                break
            self._tty_line(data[position:end], found)
            position = end + 1
        self._rest = data[position:]
        while len(self._rest) > _LONGEST_TTY:
            self._tty_line(self._rest[:_LONGEST_TTY], found)
            self._rest = self._rest[_LONGEST_TTY:]
        return found

    def _tty_line(self, line: bytes, found: list[LogLine]) -> None:
        whole = len(line) < _LONGEST_TTY
        for start in range(0, len(line) or 1, _LONGEST_TTY):
            self._tty_piece(line[start : start + _LONGEST_TTY], found, whole=whole)

    def _tty_piece(self, line: bytes, found: list[LogLine], *, whole: bool) -> None:
        stream = self._streams.setdefault(1, _Stream(1, (0, 0)))
        ts, start = self._stamp(line, 0, len(line), stream)
        stamp, text = line[:start], line[start:]
        if stamp and text[_PIECE : _PIECE + len(stamp)] == stamp:
            text = _without_stamps(text, stamp)
        self._line(stream, ts, text.removesuffix(b"\r"), found, whole=whole)


def _without_stamps(text: bytes, stamp: bytes) -> bytes:
    """A long line of a terminal carries its time again before each further piece."""
    parts = [text[:_PIECE]]
    position = _PIECE
    while text[position : position + len(stamp)] == stamp:
        position += len(stamp)
        parts.append(text[position : position + _PIECE])
        position += _PIECE
    parts.append(text[position:])
    return b"".join(parts)


def seconds_of(stamp: bytes) -> int:
    """``b"2026-11-24T00:46:53"`` → seconds since 1970."""
    return calendar.timegm(time.strptime(stamp.decode("ascii"), "%Y-%m-%dT%H:%M:%S"))


def time_of(stamp: bytes) -> int:
    """RFC 3339 with up to nine digits and any offset → nanoseconds; `ValueError` where it is not one."""
    seconds = seconds_of(stamp[:19])
    rest = stamp[19:].decode("ascii")
    fraction = ""
    if rest.startswith("."):
        digits = len(rest[1:]) - len(rest[1:].lstrip("0123456789"))
        fraction, rest = rest[1 : 1 + digits], rest[1 + digits :]
    if rest != "Z":
        if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
            raise ValueError("not a time")
        offset = int(rest[1:3]) * 3600 + int(rest[4:6]) * 60
        seconds -= offset if rest[0] == "+" else -offset
    return seconds * 10**9 + int(fraction[:9].ljust(9, "0"))


def resume_from(cursor: Cursor) -> int:
    """The time in nanoseconds from which to read again so that nothing behind ``cursor`` is missed."""
    newest = max(ts for ts, _ in cursor.values())
    oldest = min(ts for ts, _ in cursor.values()) if len(cursor) > 1 else 0
    return max(oldest, newest - SLACK_NS, 0)


def since_text(ns: int) -> str:
    """Nanoseconds as engines want them in ``since=``. A float would lose nanoseconds, and with them lines."""
    return f"{ns // 10**9}.{ns % 10**9:09d}"
