"""Packed figures: what goes in comes out, coarse slots are made of fine ones, and a gap stays a gap."""

from __future__ import annotations

import math
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.blocks import (
    BREAK,
    NOTHING,
    RESOLUTIONS,
    VERSION,
    WIDTH,
    Block,
    Series,
    Slot,
    rolled_up,
)

FINE, MINUTE, QUARTER, HOUR = RESOLUTIONS
T0 = 1_795_500_000 // HOUR.length * HOUR.length


def values(cpu: float, memory: float = 1e6) -> list[float]:
    return [cpu, memory, 1, 2, 3, 4, 5]


def blocks_of(series: Series) -> dict[int, list[Block]]:
    found: dict[int, list[Block]] = {}
    for step, block in series.take_dirty():
        found.setdefault(step, []).append(block)
    return found


def cpu(block: Block) -> dict[int, tuple[float, float]]:
    """Slot → average and most."""
    return {slot.at: (round(slot.average[0], 4), round(slot.most[0], 4)) for slot in block}


@given(
    st.lists(st.floats(0, 2**43, width=32) | st.just(NOTHING), min_size=WIDTH, max_size=WIDTH),
    st.integers(0, 59),
)
def test_what_is_packed_comes_out_again(figures: list[float], index: int) -> None:
    block = Block(T0, FINE)
    block.put(Slot(T0 + index * 15, figures, figures))
    again = Block.unpack(T0, FINE, block.pack())
    assert [c.tobytes() for c in again.columns] == [c.tobytes() for c in block.columns]
    known = any(not math.isnan(value) for value in figures)
    assert [slot.at for slot in again] == ([T0 + index * 15] if known else [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + zlib.compress(b"1"),
        VERSION + b"no stream",
        VERSION + zlib.compress(b"1"),
        VERSION + zlib.compress(bytes(10_000_000)),
    ],
)
def test_what_is_no_block_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"block|decompress"):
        Block.unpack(T0, FINE, data)


def test_a_block_is_small() -> None:
    series = Series()
    for second in range(0, 900, 15):
        series.add(T0 + second, [0.0004, 5_242_880, 0, 0, 0, 0, 3])
    (block,) = blocks_of(series)[15]
    assert len(block.pack()) < 15 * 60


def test_coarse_slots_hold_the_average_and_the_most_of_fine_ones() -> None:
    series = Series()
    for second in range(0, 7200, 5):
        series.add(T0 + second, values(2.0 if 600 <= second < 660 else 0.5))
    found = blocks_of(series)
    assert cpu(found[60][0])[T0 + 600] == (2.0, 2.0)
    assert cpu(found[60][0])[T0 + 660] == (0.5, 0.5)
    # One minute of fifteen at 2, the others at 0.5.
    assert cpu(found[900][0])[T0] == (0.6, 2.0)
    assert cpu(found[900][0])[T0 + 900] == (0.5, 0.5)
    assert cpu(found[3600][0])[T0] == (0.525, 2.0)
    assert [block.start for block in found[15]] == [T0 + n * 900 for n in range(8)]


def test_a_moment_that_was_read_often_weighs_no_more() -> None:
    series = Series()
    for tenth in range(150):
        series.add(T0 + tenth / 10, values(1.0))
    for second in range(15, 60, 15):
        series.add(T0 + second, values(0.0))
    series.add(T0 + 60, values(0.0))
    assert cpu(blocks_of(series)[60][0])[T0] == (0.25, 1.0)


def test_what_is_not_known_is_left_out() -> None:
    series = Series()
    series.add(T0, [NOTHING, 100, NOTHING, NOTHING, NOTHING, NOTHING, 3])
    series.add(T0 + 2, [0.5, 200, 1, 1, 1, 1, 3])
    (slot,) = blocks_of(series)[15][0]
    assert list(slot.average) == [0.5, 150, 1, 1, 1, 1, 3]
    assert slot.most[1] == 200


def test_nothing_is_made_up_for_the_time_between() -> None:
    series = Series()
    series.add(T0, values(1))
    series.add(T0 + 600, values(2))
    assert cpu(blocks_of(series)[15][0]) == {T0: (1, 1), T0 + 600: (2, 2)}


def test_an_end_is_a_break_unless_it_goes_on_at_once() -> None:
    series = Series()
    series.add(T0, values(1))
    series.end(T0 + 1)
    series.add(T0 + 16, values(2))
    series.end(T0 + 17)
    series.add(T0 + 61, values(3))
    fine = {slot.at: slot.average[0] for slot in blocks_of(series)[15][0]}
    assert fine == {T0: 1, T0 + 15: 2, T0 + 30: BREAK, T0 + 60: 3}


def test_a_break_is_kept_in_every_resolution() -> None:
    series = Series()
    for second in range(0, 60, 15):
        series.add(T0 + second, values(1))
    series.end(T0 + 46)
    found = blocks_of(series)
    assert [slot.at for slot in found[60][0] if slot.average[0] == BREAK] == [T0 + 60]
    assert [slot.at for slot in found[900][0] if slot.average[0] == BREAK] == [T0 + 900]


def test_a_series_goes_on_where_it_was_left() -> None:
    """The process was killed in the middle of an hour; only what was not written is lost."""
    whole, first, second = Series(), Series(), Series()
    for at in range(0, 2400, 15):
        whole.add(T0 + at, values(at / 1000))
        if at < 1500:
            first.add(T0 + at, values(at / 1000))
    kept = {step: found[-1] for step, found in blocks_of(first).items()}
    again = {
        step: Block.unpack(block.start, next(r for r in RESOLUTIONS if r.step == step), block.pack())
        for step, block in kept.items()
    }
    second.known(again, T0 + 1500)
    for at in range(1500, 2400, 15):
        second.add(T0 + at, values(at / 1000))
    mine, there = blocks_of(second), blocks_of(whole)
    for step in (60, 900, 3600):
        for one, other in zip(mine[step][-1], there[step][-1], strict=True):
            assert one.at == other.at
            assert one.average[0] == pytest.approx(other.average[0], abs=0.01)
            assert one.most[0] == pytest.approx(other.most[0], abs=0.02)


def test_what_could_not_be_written_is_written_the_next_time_and_never_piles_up() -> None:
    series = Series()
    for at in range(0, 4 * FINE.length, 15):
        series.add(T0 + at, values(1))
    taken = series.take_dirty()
    assert len([1 for step, _ in taken if step == 15]) == 4
    assert series.take_dirty(coarse=False) != []  # the slot that is not over
    series.put_back(taken)
    starts = sorted({block.start for step, block in series.take_dirty() if step == 15})
    assert starts == [T0 + 2 * FINE.length, T0 + 3 * FINE.length]


def test_fewer_points_for_a_plot() -> None:
    slots = [Slot(T0 + n * 60, values(n), values(n * 2)) for n in range(10)]
    slots[7] = Slot(T0 + 7 * 60, [BREAK, *[NOTHING] * 6], [NOTHING] * 7)
    found = rolled_up(slots, 300)
    assert [slot.at - T0 for slot in found] == [0, 300, 420, 300]
    assert found[0].average[0] == 2
    assert found[0].most[0] == 8
    assert found[2].average[0] == BREAK
