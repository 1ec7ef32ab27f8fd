"""What a plot is made of: the right blocks, the last minutes, gaps, and those whose place a container took."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.conf import settings
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import Team, User
from containers_app.blocks import RESOLUTIONS
from containers_app.history import History
from containers_app.models import Container
from containers_app.plots import RANGES, Point, columns, points
from operations.models import Engine
from streams import stats

NOW = 1_795_500_000.0
OLD, NEW = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock")


Keep = Callable[..., None]


@pytest.fixture
def keep(engine: Engine) -> Keep:
    """``keep(id, [(seconds ago, cpu), …])``: as the collector would have kept it; ``None`` where it ended."""

    def write(id_: str, readings: list[tuple[float, float | None]], *, now: float = NOW) -> None:
        history = History(engine.pk, lambda: now)
        history.begin(history.load([id_]))
        for ago, cpu in readings:
            if cpu is None:
                history.end([id_], now - ago)
                continue
            history.add([[id_, cpu, 1000 * cpu, 0, 1, 2, 3, 4, 5, int((now - ago) * 1000)]])
        history.write(history.take(everything=True))

    return write


def recent(id_: str, readings: list[tuple[float, float | None]]) -> None:
    """The last minutes, in Redis."""
    with Redis.from_url(settings.REDIS_URL) as client:
        for ago, cpu in readings:
            values = [float("nan")] * 7 if cpu is None else [cpu, 1000 * cpu, 1, 2, 3, 4, 5]
            client.rpush(stats._recent_key(id_), stats._READING.pack(int((NOW - ago) * 1000), *values))


def drawn(found: list[Point]) -> list[tuple[int, float | None]]:
    """Seconds ago → CPU."""
    return [(round(NOW - point.at), point.average[0]) for point in found]


def test_the_last_five_minutes_are_readings_as_they_were(keep: Keep) -> None:
    keep(NEW, [(ago, 1.0) for ago in range(280, 190, -15)])
    recent(NEW, [(180, 0.5), (178, 0.25), (176, 0.75)])
    found = points([NEW], RANGES["5m"], now=NOW)
    assert drawn(found)[-3:] == [(180, 0.5), (178, 0.25), (176, 0.75)]
    assert len(found) == 9
    assert found[0].most == found[0].average


@pytest.mark.parametrize("name", ["1h", "24h", "7d", "30d"])
def test_every_range_reaches_from_its_beginning_to_now(keep: Keep, name: str) -> None:
    wanted = RANGES[name]
    pause = max(15, wanted.step // 4)
    ago = 1.2 * wanted.seconds
    readings = []
    while ago > 100:
        readings.append((ago, 0.5))
        ago -= pause
    keep(NEW, readings)
    recent(NEW, [(20, 1.5), (10, 2.5)])
    found = points([NEW], wanted, now=NOW)
    assert not any(point.gap for point in found)
    assert NOW - wanted.seconds - wanted.step < found[0].at <= NOW - wanted.seconds + wanted.step
    assert NOW - found[-1].at <= max(wanted.step, 120)
    assert wanted.seconds / wanted.step * 0.9 < len(found) <= wanted.seconds / wanted.step + 2
    assert found[1].average == (0.5, 500, 1, 2, 3, 4, 5)
    fewer = points([NEW], wanted, now=NOW, step=wanted.drawn)
    assert len(fewer) <= 360
    assert not any(point.gap for point in fewer)


def test_a_minute_that_nobody_looked_is_no_gap_and_an_hour_is(keep: Keep) -> None:
    keep(NEW, [(3000, 1.0), (2940, 1.0), (2880, 1.0), (600, 1.0)])
    assert [(cpu) for _, cpu in drawn(points([NEW], RANGES["1h"], now=NOW))] == [1.0, 1.0, 1.0, None, 1.0]


def test_the_end_of_a_container_is_a_gap_however_short(keep: Keep) -> None:
    keep(NEW, [(900, 1.0), (899, None), (860, 2.0)])
    assert [cpu for _, cpu in drawn(points([NEW], RANGES["1h"], now=NOW))] == [1.0, None, 2.0]
    recent(NEW, [(100, 0.5), (99, None), (90, 0.5)])
    assert [cpu for _, cpu in drawn(points([NEW], RANGES["5m"], now=NOW))] == [0.5, None, 0.5]


def test_those_whose_place_it_took_come_before_it(keep: Keep) -> None:
    keep(OLD, [*((ago, 1.0) for ago in range(1200, 600, -15)), (600, None)])
    keep(NEW, [(ago, 2.0) for ago in range(615, 0, -15)])
    found = points([NEW, OLD], RANGES["1h"], now=NOW)
    assert [point.average[0] for point in found] == [1.0] * 39 + [2.0] * 41
    assert points([NEW], RANGES["1h"], now=NOW)[0].average[0] == 2.0


def test_nothing_is_known_of_nobody(db: None) -> None:
    assert points([NEW], RANGES["24h"], now=NOW) == []
    assert points([], RANGES["24h"], now=NOW) == []
    assert columns([])["cpu"] == []


# --- REST ----------------------------------------------------------------------------------------------


def test_rest_gives_arrays_of_one_length(
    api_for: Callable[..., APIClient], vic: User, charlie: User, team: Team, engine: Engine, keep: Keep
) -> None:
    now = datetime.now(UTC).timestamp()
    web = Container.objects.create(
        engine=engine, native_id="a" * 64, name="web", state="running", team=team, memory_limit=4096
    )
    keep(str(web.pk), [(3000, 0.5), (2985, 1.5), (30, 1.0)], now=now)
    address = f"/api/v1/containers/{web.pk}/stats/?range="
    arrays = api_for(vic).get(address + "1h").json()
    assert arrays["cpu"] == [0.5, 1.5, None, 1.0]
    assert arrays["cpu_max"] == [0.5, 1.5, None, 1.0]
    assert arrays["memory_limit"] == [4096, 4096, None, 4096]
    assert {len(values) for values in arrays.values()} == {4}
    assert all(text.endswith("Z") for text in arrays["t"])
    assert len(api_for(vic).get(address + "30d").json()["t"]) >= 1
    assert api_for(vic).get(address + "2h").status_code == 400
    assert api_for(charlie).get(address + "1h").status_code == 404


def test_every_range_is_kept_long_enough() -> None:
    kept = {resolution.step: resolution.kept for resolution in RESOLUTIONS}
    for wanted in RANGES.values():
        if wanted.step:
            assert kept[wanted.step] > wanted.seconds
            assert wanted.drawn % wanted.step == 0
