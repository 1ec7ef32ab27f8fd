"""Bytes of a log become lines with cursors, wherever the bytes are cut."""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.docker_logs import parameters
from engine.errors import Invalid
from engine.logs import LONGEST_LINE, Dechunk, LogParser, resume_from, since_text, time_of
from engine.types import LogLine

DAY = 1_795_480_000 * 10**9  # 2026-11-24T00:26:40Z


def stamp(ns: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)).encode() + b".%09dZ " % (ns % 10**9)


def frame(stream: int, ns: int, text: bytes) -> bytes:
    payload = stamp(ns) + text
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def chunked(body: bytes, sizes: Iterator[int]) -> bytes:
    wire, position = b"", 0
    while position < len(body):
        piece = body[position : position + next(sizes)]
        position += len(piece)
        wire += b"%x\r\n" % len(piece) + piece + b"\r\n"
    return wire + b"0\r\n\r\n"


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))


def parsed(
    data: bytes, *, tty: bool = False, size: int = 0, parser: LogParser | None = None
) -> list[LogLine]:
    parser = parser or LogParser(tty=tty)
    found: list[LogLine] = []
    for piece in pieces(data, size or max(1, len(data))):
        found += parser.feed(piece)
    return found + parser.finish()


FRAMES = b"".join(
    [
        frame(1, DAY + 1, b"one\n"),
        frame(2, DAY + 2, b"err\n"),
        frame(1, DAY + 3, b"\n"),
        frame(1, DAY + 4, b"x" * 100),
        frame(1, DAY + 4, b"y" * 100),
        frame(1, DAY + 4, b"z\n"),
        frame(1, DAY + 4, b"same moment\n"),
        frame(1, DAY + 5, b"a\xff\xfe caf\xc3\xa9\n"),
    ]
)
LINES = [
    LogLine(1, DAY + 1, 1, "one"),
    LogLine(2, DAY + 2, 1, "err"),
    LogLine(1, DAY + 3, 1, ""),
    LogLine(1, DAY + 4, 1, "x" * 100 + "y" * 100 + "z"),
    LogLine(1, DAY + 4, 2, "same moment"),
    LogLine(1, DAY + 5, 1, "a\ufffd\ufffd café"),
]


def test_frames_become_lines() -> None:
    assert parsed(FRAMES) == LINES


def test_cut_at_every_byte_the_lines_are_the_same() -> None:
    for cut in range(len(FRAMES) + 1):
        parser = LogParser(tty=False)
        assert parser.feed(FRAMES[:cut]) + parser.feed(FRAMES[cut:]) + parser.finish() == LINES
    for size in (1, 2, 3, 7, 64):
        assert parsed(FRAMES, size=size) == LINES


def test_chunks_cut_at_every_byte_give_the_same_body() -> None:
    wire = chunked(FRAMES, itertools.cycle((1, 300, 8, 3, 17, 8, 1)))
    for cut in range(len(wire) + 1):
        dechunk = Dechunk()
        assert dechunk.feed(wire[:cut]) + dechunk.feed(wire[cut:]) == FRAMES
        assert dechunk.ended
    for size in (1, 2, 5, 13):
        dechunk = Dechunk()
        assert b"".join(dechunk.feed(piece) for piece in pieces(wire, size)) == FRAMES


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_any_chunks_in_any_pieces(bodies: list[bytes], size: int) -> None:
    wire = b"".join(b"%X;x=y\r\n" % len(body) + body + b"\r\n" for body in bodies if body) + b"0\r\n\r\nmore"
    dechunk = Dechunk()
    assert b"".join(dechunk.feed(piece) for piece in pieces(wire, size)) == b"".join(bodies)
    assert dechunk.ended


@pytest.mark.parametrize("bad", [b"zz\r\n", b"\r\n", b"x" * 100, b"-5\r\n"])
def test_what_is_not_chunked_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Dechunk().feed(bad)


@pytest.mark.parametrize(
    "bad", [b"\x07\0\0\0\0\0\0\x01x", b"\x01\0\0\0\xff\xff\xff\xff", b"HTTP/1.1 200 OK\r\n"]
)
def test_what_is_no_log_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="not a log stream"):
        LogParser(tty=False).feed(bad)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_lines_or_a_refusal(data: bytes, tty: bool) -> None:
    try:
        found = parsed(data, tty=tty)
    except ValueError:
        return
    assert all(isinstance(line.text, str) for line in found)


def test_a_line_without_an_end_comes_when_nothing_more_will() -> None:
    parser = LogParser(tty=False)
    assert parser.feed(frame(1, DAY, b"half")) == []
    assert parser.finish() == [LogLine(1, DAY, 1, "half")]


def test_a_half_line_and_a_new_one_are_two_lines() -> None:
    found = parsed(frame(1, DAY, b"half") + frame(1, DAY + 1, b"whole\n"))
    assert [line.text for line in found] == ["half", "whole"]


def test_long_lines_are_split_at_a_bound() -> None:
    piece = b"x" * 16384
    data = b"".join(frame(1, DAY, piece) for _ in range(100)) + frame(1, DAY, b"end\n")
    found = parsed(data, size=100_000)
    assert [line.n for line in found] == [1, 2]
    assert len(found[0].text) == LONGEST_LINE
    assert "".join(line.text for line in found) == "x" * 1638400 + "end"


def test_an_error_of_the_engine_in_the_stream_is_kept_apart() -> None:
    parser = LogParser(tty=False)
    assert parser.feed(struct.pack(">BxxxL", 3, 4) + b"oops") == []
    assert parser.error == "oops"


# --- Terminals -----------------------------------------------------------------------------------------


def test_a_terminal_has_one_stream_and_no_frames() -> None:
    data = stamp(DAY) + b"one\r\n" + stamp(DAY + 1) + b"\r\n" + stamp(DAY + 2) + b"tw"
    for size in (1, 5, 1000):
        assert parsed(data, tty=True, size=size) == [
            LogLine(1, DAY, 1, "one"),
            LogLine(1, DAY + 1, 1, ""),
            LogLine(1, DAY + 2, 1, "tw"),
        ]


def test_a_long_line_of_a_terminal_loses_the_repeated_times() -> None:
    mark = stamp(DAY)
    data = mark + b"x" * 16384 + mark + b"y" * 16384 + mark + b"z\r\n" + stamp(DAY + 1) + b"next\r\n"
    for size in (1000, 100_000):
        found = parsed(data, tty=True, size=size)
        assert [line.text for line in found] == ["x" * 16384 + "y" * 16384 + "z", "next"]


def test_an_endless_line_of_a_terminal_is_split_between_pieces() -> None:
    mark = stamp(DAY)
    data = (mark + b"x" * 16384) * 150 + mark + b"end\r\n"
    for size in (4096, 262_144, 10**7):
        found = parsed(data, tty=True, size=size)
        assert [line.n for line in found] == [1, 2, 3]
        assert "".join(line.text for line in found) == "x" * (16384 * 150) + "end"


# --- Cursors -------------------------------------------------------------------------------------------


def test_a_cursor_drops_what_was_had_on_each_stream() -> None:
    for cut in range(len(LINES) + 1):
        cursor = {line.stream: (line.ts_ns, line.n) for line in LINES[:cut]}
        parser = LogParser(tty=False, cursor=cursor)
        assert parsed(FRAMES, parser=parser, size=50) == LINES[cut:]
        assert parser.repeated == cut
        assert parser.cursor == {1: (DAY + 5, 1), 2: (DAY + 2, 1)}


def test_streams_out_of_order_lose_nothing() -> None:
    data = frame(1, DAY + 9, b"out\n") + frame(2, DAY + 3, b"err\n") + frame(1, DAY + 10, b"more\n")
    assert [line.text for line in parsed(data)] == ["out", "err", "more"]
    rest = parsed(data, parser=LogParser(tty=False, cursor={1: (DAY + 9, 1)}))
    assert [line.text for line in rest] == ["err", "more"]


def test_lines_that_come_again_at_a_rotation_are_dropped() -> None:
    data = b"".join(frame(1, DAY + i, b"%d\n" % i) for i in (1, 2, 3, 4, 2, 3, 4, 5))
    assert [line.text for line in parsed(data)] == ["1", "2", "3", "4", "5"]


def test_the_last_line_alone_may_come_again() -> None:
    data = b"".join(frame(1, DAY + i, b"%d\n" % i) for i in (1, 2, 2, 3))
    assert [line.text for line in parsed(data)] == ["1", "2", "3"]
    other = frame(1, DAY + 1, b"a\n") + frame(1, DAY + 1, b"b\n")
    assert [line.n for line in parsed(other)] == [1, 2]


def test_engines_that_tell_whole_seconds_may_repeat_a_text() -> None:
    found = parsed(frame(1, DAY, b"same\n") * 3)
    assert [line.n for line in found] == [1, 2, 3]


def test_after_the_clock_was_set_back_lines_still_come() -> None:
    now = DAY + 100 * 10**9
    clock = [now]
    parser = LogParser(tty=False, clock=lambda: clock[0])
    assert len(parser.feed(frame(1, now, b"before\n"))) == 1
    clock[0] = now - 3600 * 10**9
    assert [line.text for line in parser.feed(frame(1, clock[0], b"after\n"))] == ["after"]


def test_where_to_read_again() -> None:
    assert resume_from({1: (DAY, 1)}) == DAY - 10 * 10**9
    assert resume_from({1: (DAY, 1), 2: (DAY - 5, 1)}) == DAY - 5
    assert resume_from({1: (DAY, 1), 2: (5, 1)}) == DAY - 10 * 10**9


# --- Times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"2026-11-24T00:26:40.123456789Z", DAY + 123456789),
        (b"2026-11-24T00:26:40Z", DAY),
        (b"2026-11-24T01:26:40.5+01:00", DAY + 500_000_000),
        (b"2026-11-23T23:56:40-00:30", DAY),
    ],
)
def test_times_keep_their_nanoseconds(text: bytes, ns: int) -> None:
    assert time_of(text) == ns
    whole = struct.pack(">BxxxL", 1, len(text) + 3) + text + b" x\n"
    assert parsed(whole) == [LogLine(1, ns, 1, "x")]


@given(st.integers(0, 2**62))
def test_since_keeps_its_nanoseconds(ns: int) -> None:
    seconds, _, rest = since_text(ns).partition(".")
    assert int(seconds) * 10**9 + int(rest) == ns
    assert len(rest) == 9


def test_a_line_without_a_time_belongs_to_the_one_before() -> None:
    plain = b"no time here\n"
    data = frame(1, DAY, b"a\n") + struct.pack(">BxxxL", 1, len(plain)) + plain
    assert parsed(data) == [LogLine(1, DAY, 1, "a"), LogLine(1, DAY, 2, "no time here")]


def test_a_log_is_never_read_without_a_bound() -> None:
    assert parameters(10, since_ns=DAY)["tail"] == "10"
    for bad in ({"tail": -1}, {"tail": 10**7}, {"tail": 1, "since_ns": -1}):
        with pytest.raises(Invalid):
            parameters(**bad)
