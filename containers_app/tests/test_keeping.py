"""What a tap takes, leaves out and says about it, without an engine."""

from __future__ import annotations

import uuid

import pytest

from containers_app import keeping
from containers_app.keeping import Keeping, Tap, _put
from containers_app.log_blocks import unpack
from containers_app.models import Container, KeptLog, LogBlock, LogGap
from engine.types import LogHole, LogLine
from operations.models import Engine

T0 = 1_764_300_000 * 10**9


@pytest.fixture
def container(db):
    engine = Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock")
    return Container.objects.create(engine=engine, native_id="a" * 64, name="web", state="running")


def lines(*numbers):
    return [LogLine(1, T0 + n, 1, f"line {n}") for n in numbers]


def tap_of(container):
    return Tap(Keeping(uuid.uuid4()), container)


def write(tap, end=None):
    waiting, tap.waiting = tap.waiting, []
    _put(tap, waiting, end)


def kept():
    return [
        line.text.decode() for block in LogBlock.objects.order_by("id") for line in unpack(bytes(block.data))
    ]


def test_what_there_is_no_room_for_is_counted_in_a_gap(container, monkeypatch) -> None:
    tap = tap_of(container)
    tap.lines(lines(1, 2))
    monkeypatch.setattr(keeping, "MOST_WAITING", 0)
    tap.lines(lines(3, 4))
    tap.lines(lines(5))
    monkeypatch.setattr(keeping, "MOST_WAITING", 10**6)
    tap.lines(lines(6))
    write(tap)
    assert kept() == ["line 1", "line 2", "line 6"]
    gap = LogGap.objects.get()
    assert (gap.from_ns, gap.to_ns, gap.lines, gap.cause) == (T0 + 2, T0 + 6, 3, "load")


def test_lines_that_are_kept_already_are_not_taken_again(container) -> None:
    first = tap_of(container)
    first.lines(lines(1, 2, 3))
    write(first)
    second = tap_of(container)
    keeping._begin(container.engine_id, second)
    second.lines(lines(2, 3, 4))
    second.lines(lines(5))
    write(second)
    assert kept() == [f"line {n}" for n in range(1, 6)]
    assert LogBlock.objects.count() == 1, "the small block is written again"
    log = KeptLog.objects.get()
    assert (log.lines, log.size, log.cursor) == (5, LogBlock.objects.get().size, {"1": [T0 + 5, 1]})


def test_a_write_that_failed_is_made_good_without_repetition(container, monkeypatch) -> None:
    tap = tap_of(container)
    tap.lines(lines(1, 2))
    write(tap)
    tap.lines(lines(3))
    waiting, tap.waiting = tap.waiting, []
    monkeypatch.setattr(KeptLog.objects, "select_for_update", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _put(tap, waiting, None)
    monkeypatch.undo()
    tap.put_back(waiting, 0.0, None)
    write(tap)
    assert kept() == ["line 1", "line 2", "line 3"]


def test_a_block_whose_row_was_purged_is_written_anew(container) -> None:
    tap = tap_of(container)
    tap.lines(lines(1))
    write(tap)
    LogBlock.objects.all().delete()
    tap.lines(lines(2))
    write(tap)
    assert kept()[-1] == "line 2"


def test_only_what_was_not_read_to_its_end_ends_in_a_gap(container) -> None:
    whole, torn = tap_of(container), tap_of(container)
    for tap in (whole, torn):
        tap.opened()
        tap.lines(lines(1))
    whole.ended()
    whole.removed()
    torn.removed()
    assert [type(one) for one in whole.waiting] == [LogLine]
    assert [type(one) for one in torn.waiting] == [LogLine, LogHole]


def test_lines_of_a_clock_that_was_set_back_are_kept(container) -> None:
    tap = tap_of(container)
    tap.lines(lines(10**12))
    tap.lines(lines(5))
    write(tap)
    assert kept() == [f"line {10**12}", "line 5"]
