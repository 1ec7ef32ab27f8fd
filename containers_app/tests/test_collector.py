"""Who is read when, at what cost; what is kept of it, and for how long."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from containers_app.blocks import RESOLUTIONS, Block
from containers_app.collector import MOST_OTHERS, MOST_SEEN, due
from containers_app.history import History
from containers_app.models import StatsBlock
from operations.models import Engine

NAMES = [f"{n:064x}" for n in range(300)]


def sweeps(
    seconds: float, running: list[str], seen: set[str], cheap: set[str], *, watched: bool
) -> tuple[dict[str, int], list[int]]:
    """Who was read how often in that time, and how many each sweep asked the engine for."""
    last = dict.fromkeys(running, -1000.0)
    times, asked, now = dict.fromkeys(running, 0), [], 0.0
    while now < seconds:
        chosen = due(last, seen, cheap, now, watched=watched)
        for one in (*chosen.cheap, *chosen.asked):
            last[one] = now
            times[one] += 1
        asked.append(len(chosen.asked))
        assert not set(chosen.asked) & cheap
        now += chosen.again
    return times, asked


def test_what_is_seen_comes_every_two_seconds_and_the_rest_slower() -> None:
    seen = set(NAMES[:20])
    times, asked = sweeps(300, NAMES[:50], seen, set(NAMES), watched=True)
    assert {times[one] for one in seen} <= {149, 150, 151}
    assert {times[one] for one in NAMES[20:50]} <= {19, 20, 21}
    assert not any(asked)


def test_nobody_looks_slower_still() -> None:
    times, _ = sweeps(600, NAMES, set(), set(NAMES), watched=False)
    assert set(times.values()) <= {19, 20, 21}
    times, asked = sweeps(600, NAMES[:50], set(), set(), watched=False)
    assert set(times.values()) <= {9, 10, 11}
    assert max(asked) <= MOST_OTHERS


@pytest.mark.parametrize("seen", [0, 10, 100, 300])
def test_an_engine_that_must_be_asked_is_asked_for_a_bounded_number(seen: int) -> None:
    times, asked = sweeps(300, NAMES, set(NAMES[:seen]), set(), watched=True)
    assert max(asked) <= MOST_SEEN + MOST_OTHERS
    # 7 ms of the engine for each at worst: at most 18 % of a core.
    assert sum(asked) / 300 * 0.007 < 0.18
    assert min(times.values()) >= 5, "everybody has a turn"
    if seen == 10:
        assert min(times[one] for one in NAMES[:10]) >= 148


def test_those_read_longest_ago_come_first() -> None:
    last = {one: float(n) for n, one in enumerate(NAMES)}
    chosen = due(last, set(), set(), 10_000, watched=True)
    assert chosen.asked == NAMES[:MOST_OTHERS]


# --- What is kept --------------------------------------------------------------------------------------


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock")


Row = Callable[..., list[object]]


@pytest.fixture
def row() -> Row:
    def make(id_: str, at: float, cpu: float | None = 0.5) -> list[object]:
        return [id_, cpu, 1_000_000, 2_000_000, 1, 2, 3, 4, 5, int(at * 1000)]

    return make


def written(history: History, *, everything: bool = True) -> int:
    taken = history.take(everything=everything)
    count = history.write(taken)
    history.written(taken)
    return count


def test_figures_are_written_in_batches_and_go_on_after_a_restart(engine: Engine, row: Row) -> None:
    ids, now = [str(uuid.uuid4()) for _ in range(30)], 1_795_500_000 // 3600 * 3600
    history = History(engine.pk, lambda: now)
    history.begin(history.load(history.unknown(ids)))
    for second in range(0, 120, 15):
        history.add([row(id_, now + second) for id_ in ids])
    with CaptureQueriesContext(database) as queries:
        assert written(history) == 30 * len(RESOLUTIONS)
    assert len([q for q in queries if q["sql"].startswith("INSERT")]) == 1
    again = History(engine.pk, lambda: now + 150)
    again.begin(again.load(ids))
    again.add([row(id_, now + 180) for id_ in ids])
    written(again)
    assert StatsBlock.objects.count() == 30 * len(RESOLUTIONS)
    kept = StatsBlock.objects.get(subject=ids[0], step=15)
    slots = [slot.at - now for slot in Block.unpack(kept.start, RESOLUTIONS[0], bytes(kept.data))]
    assert slots == [*range(0, 120, 15), 180]


def test_coarse_blocks_are_written_now_and_then(engine: Engine, row: Row) -> None:
    history = History(engine.pk)
    id_ = str(uuid.uuid4())
    history.begin(history.load([id_]))
    counts = []
    for minute in range(10):
        history.add([row(id_, 1_795_500_000 + minute * 60)])
        counts.append(written(history, everything=False))
    assert sorted(counts)[-2:] == [4, 4]
    assert min(counts) <= 2


def test_what_has_ended_is_written_with_its_break_and_forgotten(engine: Engine, row: Row) -> None:
    id_, at = str(uuid.uuid4()), 1_795_500_000.0
    history = History(engine.pk)
    history.begin(history.load([id_]))
    history.add([row(id_, at)])
    history.end([id_], at + 1)
    assert written(history, everything=False) == len(RESOLUTIONS)
    assert history.unknown([id_]) == [id_]
    kept = StatsBlock.objects.get(subject=id_, step=60)
    assert [s.average[0] for s in Block.unpack(kept.start, RESOLUTIONS[1], bytes(kept.data))] == [
        0.5,
        float("inf"),
    ]


def test_a_block_of_another_version_is_begun_anew(engine: Engine, row: Row) -> None:
    id_, now = uuid.uuid4(), time.time()
    StatsBlock.objects.create(
        engine=engine, subject=id_, step=15, start=RESOLUTIONS[0].start(now), data=b"\x09what"
    )
    history = History(engine.pk)
    history.begin(history.load([str(id_)]))
    history.add([row(str(id_), now)])
    written(history)
    assert bytes(StatsBlock.objects.get(subject=id_, step=15).data)[:1] == b"\x01"


def test_what_is_old_goes(engine: Engine) -> None:
    now = time.time()
    for resolution in RESOLUTIONS:
        for age in (0, resolution.kept, resolution.kept + 2 * resolution.length):
            start = resolution.start(now - age)
            StatsBlock.objects.create(
                engine=engine, subject=uuid.uuid4(), step=resolution.step, start=start, data=b""
            )
    assert History(engine.pk).prune() == len(RESOLUTIONS)
    assert StatsBlock.objects.count() == 2 * len(RESOLUTIONS)
