"""Which lines a stream has left out, and when its engine begins another file."""

from __future__ import annotations

import pytest

from engine.holes import ROTATION, holes, rotates_at
from engine.types import LogHole, LogLine


def lines(*times: int, stream: int = 1) -> list[LogLine]:
    return [LogLine(stream, ts, 1, f"line {ts}") for ts in times]


def test_what_was_handed_out_whole_has_no_hole() -> None:
    assert holes(lines(3, 4, 5), lines(1, 2, 3, 4, 5, 6, 7)) == []
    assert holes([], lines(1)) == []


def test_each_hole_lies_between_two_lines_that_came_and_is_counted() -> None:
    found = holes(lines(1, 4, 5, 9), lines(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    assert found == [LogHole(1, 4, 2, ROTATION), LogHole(5, 9, 3, ROTATION)]


def test_where_the_log_does_not_reach_back_nobody_knows() -> None:
    assert holes(lines(1, 2, 6), lines(4, 5, 6)) == [LogHole(1, 6, None, ROTATION)]
    assert holes(lines(1, 2), lines(8, 9)) == [LogHole(1, 2, None, ROTATION)]
    assert holes(lines(1, 2), []) == [LogHole(1, 2, None, ROTATION)]


def test_streams_that_overtake_each_other_make_no_hole() -> None:
    out, err = lines(10, 30), lines(20, stream=2)
    assert holes([*out, *err], [*out, *err]) == []
    assert holes([out[0], out[1]], [out[0], *err, out[1]]) == [LogHole(10, 30, 1, ROTATION)]


@pytest.mark.parametrize(
    ("driver", "config", "size"),
    [
        ("json-file", {"max-size": "10m", "max-file": "3"}, 10_000_000),
        ("json-file", {"max-size": "100k"}, 100_000),
        ("json-file", {"max-size": "1GB"}, 1_000_000_000),
        ("json-file", {"max-size": "-1"}, 0),
        ("json-file", {"max-size": 5}, 0),
        ("json-file", {}, 0),
        ("local", {}, 20_000_000),
        ("local", {"max-size": "2m"}, 2_000_000),
        ("syslog", None, 0),
    ],
)
def test_a_log_rotates_at_what_its_settings_say(driver: str, config: object, size: int) -> None:
    assert rotates_at({"HostConfig": {"LogConfig": {"Type": driver, "Config": config}}}) == size


@pytest.mark.parametrize("inspect", [{}, {"HostConfig": None}, {"HostConfig": {"LogConfig": []}}])
def test_an_inspection_without_log_settings_says_never(inspect: dict[str, object]) -> None:
    assert rotates_at(inspect) == 0
