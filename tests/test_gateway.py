"""The gateway on a real engine: what happens there shows in the rows and in open pages, and outages pass."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from asgiref.sync import sync_to_async

from operations import engines
from operations.models import Engine
from streams import hub
from streams.connection import aclient
from tests import machine
from tests.gateways import aside, row, running, until
from tests.sockets import Browser

pytestmark = [pytest.mark.django_db(transaction=True)]

CHATTY = (
    "trap exit TERM; n=0; while :; do n=$((n+1)); echo line $n;"
    " [ $((n%5)) = 0 ] && echo oops $n >&2; sleep {}; done"
)


# --- Rows ----------------------------------------------------------------------------------------------


async def test_the_engine_is_found_and_its_rows_filled(gateway):
    async def online():
        return await Engine.objects.filter(status="online", synced_at__isnull=False).afirst()

    engine, _ = await until(online, 10)
    assert engine.version
    assert engine.cpus > 0
    assert engine.lease_owner == engines.owner()


async def test_what_is_done_outside_shows_within_a_second(gateway, run):
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    container = await run("outside")
    found, took = await until(row("outside"))
    assert took < 1

    async def state_is(state):
        return await until(lambda: _state(found.pk, state))

    await state_is("running")
    await aside(container.kill)
    assert (await state_is("exited"))[1] < 1
    await aside(container.rename, "renamed")
    assert (await until(row("renamed")))[1] < 1
    await aside(container.remove)

    async def gone():
        return await row("renamed")() is None

    assert (await until(gone))[1] < 1


async def _state(pk, state):
    from containers_app.models import Container

    return await Container.objects.filter(pk=pk, state=state).aexists()


async def test_a_page_hears_of_it_within_a_second(gateway, run, alice, client_for):
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    browser = Browser("/ws/live/", await sync_to_async(client_for)(alice))
    await browser.open()
    await browser.say({"subscribe": ["containers"]})
    await browser.frame()
    await browser.frames(0.3)
    await run("heard")
    began = time.monotonic()
    assert (await browser.frame())["topic"] == "containers"
    assert time.monotonic() - began < 1
    await browser.disconnect()


async def test_after_a_storm_the_rows_equal_the_engine(gateway, docker_client, busybox):
    from containers_app.models import Container

    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)

    def storm():
        for n in range(30):
            made = docker_client.api.create_container(busybox, ["true"], name=f"storm-{n}")["Id"]
            if n % 3:
                docker_client.api.rename(made, f"renamed-{n}")
            if n % 2:
                docker_client.api.remove_container(made)

    await aside(storm)

    async def equal():
        there = {
            (c["Id"], c["Names"][0].lstrip("/")) for c in await aside(docker_client.api.containers, all=True)
        }
        rows = {pair async for pair in Container.objects.values_list("native_id", "name")}
        return there == rows

    await until(equal, 5)


async def test_an_engine_that_is_away_is_said_to_be_and_comes_back_by_itself(door, settings, run, busybox):
    settings.DOCKER_HOST = door.url
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        door.shut()
        engine, took = await until(Engine.objects.filter(status="unreachable").afirst, 3)
        assert took < 2
        assert engine.status_detail
        since = engine.status_since
        await run("made-meanwhile")
        await asyncio.sleep(1.5)
        await engine.arefresh_from_db()
        assert engine.status_since == since
        door.open()
        await until(Engine.objects.filter(status="online").afirst, 6)
        await until(row("made-meanwhile"), 3)
    await hub.close()


async def test_two_gateways_share_no_engine(gateway):
    from dashboard.gateway import Gateway

    await until(Engine.objects.filter(status="online").afirst, 10)
    other = Gateway()
    other.me = "elsewhere:1"
    assert await other._do(other._take_leases) == {}
    await other._redis.aclose()


async def test_a_dead_gateways_lease_is_taken_at_once(engine_row):
    import socket

    child = await asyncio.create_subprocess_exec("true")
    await child.wait()
    engine_row.lease_owner = f"{socket.gethostname()[:60]}:{child.pid}"
    from django.utils import timezone

    engine_row.lease_until = timezone.now() + timezone.timedelta(seconds=60)
    await engine_row.asave()
    assert await sync_to_async(engines.take)(engine_row.pk, engines.owner())


# --- Logs ----------------------------------------------------------------------------------------------


async def logs_of(client, container, query=""):
    browser = Browser(f"/ws/logs/?container={container.pk}{query}", client)
    assert await browser.open()
    return browser


class Reading:
    """Lines and what else came, from a socket."""

    def __init__(self, browser):
        self.browser, self.lines, self.gaps, self.states, self.frames = browser, [], [], [], 0
        self.cursor, self.past = "", []

    async def until(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, (self.lines[-3:], self.gaps, self.states)
            frame = await self.browser.frame(max(0.1, deadline - time.monotonic()))
            self.frames += 1
            if frame["type"] == "lines":
                self.lines += frame["lines"]
                self.cursor = f"{frame['epoch']}:{frame['seq']}"
            elif frame["type"] == "past":
                self.past += frame["lines"]
            elif frame["type"] == "gap":
                self.gaps.append(frame)
            else:
                self.states.append(frame["state"])
        return self

    def numbers(self, word="line"):
        """The counters in the lines, which are without holes at the source."""
        found = (re.fullmatch(rf"{word} (\d+)", line[4]) for line in self.lines)
        return [int(m[1]) for m in found if m]


@pytest.fixture
async def viewer(gateway, alice, client_for):
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    return await sync_to_async(client_for)(alice)


async def test_lines_arrive_live_with_their_streams_apart(viewer, run):
    await run("chatty", CHATTY.format(0.05))
    container, _ = await until(row("chatty"))
    browser = await logs_of(viewer, container)
    reading = await Reading(browser).until(lambda r: len(r.numbers()) > 30)
    assert reading.numbers() == list(range(1, len(reading.numbers()) + 1))
    assert {line[3] for line in reading.lines if "oops" in line[4]} == {2}
    assert {line[3] for line in reading.lines if "line" in line[4]} == {1}
    assert "following" in reading.states
    late = [time.time() - int(line[2]) / 1e9 for line in reading.lines[-1:]]
    assert late[0] < 0.5
    await browser.disconnect()


async def test_a_finished_container_is_read_once_and_said_to_have_ended(viewer, run):
    await run("finished", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done")
    container, _ = await until(row("finished"))
    await until(lambda: _state(container.pk, "exited"))
    browser = await logs_of(viewer, container, "&tail=10000")
    reading = await Reading(browser).until(lambda r: r.states and r.states[-1] == "ended")
    assert reading.numbers() == list(range(1, 3001))
    assert reading.frames < 20
    late = await logs_of(viewer, container, "&tail=5")
    again = await Reading(late).until(lambda r: r.states and r.states[-1] == "ended")
    assert again.numbers() == list(range(2996, 3001))
    for one in (browser, late):
        await one.disconnect()


def counted(lines):
    return [int(line[4].split()[1]) for line in lines if line[4].startswith("line ")]


async def test_the_deep_past_comes_first_and_joins_what_is_kept_without_a_seam(viewer, run):
    """Stdout and stderr beside each other, while it goes on writing."""
    await run("deep", "n=0; while [ $n -lt 40000 ]; do n=$((n+1)); echo line $n; [ $((n%9)) = 0 ] && echo line $n >&2;"
                      " done; while :; do n=$((n+1)); echo line $n; sleep 0.05; done")  # fmt: skip
    container, _ = await until(row("deep"))
    await asyncio.sleep(3)
    shallow = await logs_of(viewer, container, "&tail=100")
    await Reading(shallow).until(lambda r: len(r.lines) > 100, 20)
    for query in ("&tail=100000", "&since=1h"):
        browser = await logs_of(viewer, container, query)
        reading = await Reading(browser).until(lambda r: r.lines and len(r.past) + len(r.lines) > 44_500, 30)
        both = [*reading.past, *reading.lines]
        out = counted([line for line in both if line[3] == 1])
        assert out == list(range(1, len(out) + 1))
        assert counted([line for line in both if line[3] == 2]) == list(range(9, 40_001, 9))
        assert all(line[0] == 0 for line in reading.past)
        assert not reading.gaps
        await browser.disconnect()
    browser = await logs_of(viewer, container, "&tail=20000")
    reading = await Reading(browser).until(lambda r: r.lines and len(r.past) + len(r.lines) >= 20_000, 20)
    assert len(reading.past) + len(reading.lines) < 25_500
    assert counted(reading.past)[0] > 20_000
    await browser.disconnect()
    await shallow.disconnect()


async def test_a_container_that_is_started_again_goes_on(viewer, run):
    made = await run("again", "echo line $(cat /n 2>/dev/null || echo 1); echo 2 > /n")
    container, _ = await until(row("again"))
    await until(lambda: _state(container.pk, "exited"))
    browser = await logs_of(viewer, container)
    reading = await Reading(browser).until(lambda r: r.states and r.states[-1] == "ended")
    await aside(made.start)
    await reading.until(lambda r: r.numbers() == [1, 2])
    await browser.disconnect()


async def test_one_reader_serves_all_and_ends_after_the_last(viewer, run, gateway):
    await run("shared", CHATTY.format(0.1))
    container, _ = await until(row("shared"))
    browsers = [await logs_of(viewer, container) for _ in range(20)]
    for browser in browsers:
        await Reading(browser).until(lambda r: len(r.numbers()) > 5)
    (keeper, _), *_ = gateway.keepers.values()
    assert len(keeper.watch._readers) == 1
    for browser in browsers:
        await browser.disconnect()

    async def ended():
        return not keeper.watch._readers

    assert (await until(ended, 12))[1] <= 10.5


async def test_an_emptied_redis_costs_no_line(viewer, run):
    await run("flushed", CHATTY.format(0.02))
    container, _ = await until(row("flushed"))
    browser = await logs_of(viewer, container)
    reading = await Reading(browser).until(lambda r: len(r.numbers()) > 20)
    connection = aclient()
    for _ in range(3):
        await connection.flushall()
        seen = len(reading.numbers())
        await reading.until(lambda r, seen=seen: len(r.numbers()) > seen + 50)
    assert reading.numbers() == list(range(1, len(reading.numbers()) + 1))
    assert not reading.gaps
    late = await logs_of(viewer, container)
    again = await Reading(late).until(lambda r: len(r.numbers()) > 100)
    assert again.numbers()[0] == 1
    for one in (browser, late):
        await one.disconnect()
    await connection.aclose()


async def test_another_gateway_goes_on_without_loss_or_repetition(
    engine_url, busybox, settings, run, alice, client_for
):
    settings.DOCKER_HOST = engine_url
    client = await sync_to_async(client_for)(alice)
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        await run("handed-over", CHATTY.format(0.02))
        container, _ = await until(row("handed-over"))
        browser = await logs_of(client, container)
        reading = await Reading(browser).until(lambda r: len(r.numbers()) > 50)
    await asyncio.sleep(1)
    async with running():
        seen = len(reading.numbers())
        await reading.until(lambda r: len(r.numbers()) > seen + 100, 15)
        await browser.disconnect()
    assert reading.numbers() == list(range(1, len(reading.numbers()) + 1))
    assert not reading.gaps
    await hub.close()


async def test_a_broken_connection_to_the_engine_costs_no_line(
    door, settings, run, busybox, alice, client_for
):
    settings.DOCKER_HOST = door.url
    client = await sync_to_async(client_for)(alice)
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        await run("cut-off", CHATTY.format(0.02))
        container, _ = await until(row("cut-off"))
        browser = await logs_of(client, container)
        reading = await Reading(browser).until(lambda r: len(r.numbers()) > 20)
        for _ in range(3):
            door.shut()
            await asyncio.sleep(0.3)
            door.open()
            seen = len(reading.numbers())
            await reading.until(lambda r, seen=seen: len(r.numbers()) > seen + 40, 15)
        assert reading.numbers() == list(range(1, len(reading.numbers()) + 1))
        assert "unreachable" in reading.states
        assert not reading.gaps
        await browser.disconnect()
    await hub.close()


async def test_a_reader_that_breaks_off_a_hundred_times_misses_and_repeats_nothing(
    door, settings, run, busybox, alice, client_for
):
    """Browsers drop at random places; Redis is emptied and the engine's connection cut in between."""
    settings.DOCKER_HOST = door.url
    client, dice = await sync_to_async(client_for)(alice), random.Random(16)  # noqa: S311 - cuts, not secrets
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        await run("broken-off", CHATTY.format(0.005))
        container, _ = await until(row("broken-off"))
        numbers, cursor, connection = [], "", aclient()
        for turn in range(100):
            browser = await logs_of(client, container, f"&after={cursor}" if cursor else "")
            reading, wanted = Reading(browser), dice.randrange(1, 12)
            await reading.until(lambda r, wanted=wanted: len(r.numbers()) >= wanted, 20)
            await browser.disconnect()
            assert not reading.gaps
            numbers += reading.numbers()
            cursor = reading.cursor
            if turn % 20 == 7:
                await connection.flushall()
                cursor = ""  # its epoch is gone with it: the times of the lines tell what is old
                again = await logs_of(client, container)
                had = numbers[-1]
                fresh = await Reading(again).until(
                    lambda r, had=had: r.numbers() and r.numbers()[-1] > had, 20
                )
                numbers += [number for number in fresh.numbers() if number > had]
                cursor = fresh.cursor
                await again.disconnect()
            if turn % 20 == 14:
                door.shut()
                await asyncio.sleep(0.2)
                door.open()
        assert numbers == list(range(1, len(numbers) + 1))
        await connection.aclose()
    await hub.close()


async def test_what_a_rotating_log_loses_lies_inside_what_is_announced(viewer, run):
    """A flood into small files: each hole in the counters is a hole in the numbers or between the times of a gap."""
    await run("flooding", "n=0; while :; do n=$((n+1)); echo line $n; done",
              log_config={"Type": "json-file", "Config": {"max-size": "100k", "max-file": "3"}})  # fmt: skip
    container, _ = await until(row("flooding"))
    browser = await logs_of(viewer, container)
    reading = await Reading(browser).until(lambda r: len(r.lines) > 50_000, 60)
    await browser.disconnect()
    lines = [line for line in reading.lines if line[4].startswith("line ")]
    jumps = [(a, b) for a, b in itertools.pairwise(lines) if int(b[4].split()[1]) != int(a[4].split()[1]) + 1]
    holes = [(int(gap["from"]), int(gap["to"])) for gap in reading.gaps if gap["cause"] != "load"]
    assert jumps, "nothing was lost: this shows nothing"
    assert not [
        (a, b)
        for a, b in jumps
        if not any(start <= int(a[2]) and int(b[2]) <= end for start, end in holes)
        and not any(gap["cause"] == "load" and a[0] <= gap["seq"] < b[0] for gap in reading.gaps)
    ]


async def test_a_browser_that_reads_nothing_never_holds_up_the_container(viewer, run):
    made = await run(
        "flood", "trap exit TERM; while :; do echo 0123456789012345678901234567890123456789; done"
    )
    container, _ = await until(row("flood"))
    slow, quick = await logs_of(viewer, container), await logs_of(viewer, container)
    reading = await Reading(quick).until(lambda r: len(r.lines) > 2000)
    await asyncio.sleep(2)
    began = time.monotonic()
    await aside(made.stop, timeout=5)
    assert time.monotonic() - began < 5
    # What was skipped and what came add up: each number is either had or announced to be missing.
    await reading.until(lambda r: r.states and r.states[-1] == "ended", 30)
    had = [line[0] for line in reading.lines]
    assert had == sorted(set(had))
    # What the engine itself left out has a number of its own, and no count.
    missing = sum(gap["lines"] if gap["cause"] == "load" else 1 for gap in reading.gaps)
    assert had[-1] - had[0] + 1 - len(had) == missing
    for one in (slow, quick):
        await one.disconnect()


async def test_a_removed_container_says_so(viewer, run):
    made = await run("removed", "echo line 1; sleep 100")
    container, _ = await until(row("removed"))
    browser = await logs_of(viewer, container)
    await Reading(browser).until(lambda r: r.numbers() == [1])
    await aside(made.remove, force=True)
    assert await browser.closed(10) == 4410


async def test_hostile_lines_arrive_as_they_are(viewer, run):
    await run(
        "hostile",
        r"printf '<script>alert(1)</script>\n\033]0;x\007\n\xff\xfe\x00bad\n\xed\xa0\x80\n\n'; sleep 60",
    )
    container, _ = await until(row("hostile"))
    browser = await logs_of(viewer, container)
    reading = await Reading(browser).until(lambda r: len(r.lines) == 5)
    assert reading.lines[0][4] == "<script>alert(1)</script>"
    assert reading.lines[4][4] == ""
    await browser.disconnect()


# --- Figures -------------------------------------------------------------------------------------------


async def test_figures_come_while_somebody_looks(viewer, run, gateway):
    await run("busy", "while :; do :; done", nano_cpus=300_000_000)
    container, _ = await until(row("busy"))
    await until(lambda: _state(container.pk, "running"))
    browser = Browser("/ws/live/", viewer)
    await browser.open()
    await browser.say({"subscribe": ["stats"], "rows": [str(container.pk)]})
    await browser.frame()
    rows = []
    while not rows or rows[-1][1] is None:
        rows += (await browser.frame(10))["rows"]
    assert rows[-1][0] == str(container.pk)
    # At most 0.3 of a core are allowed; on a busy machine it gets less.
    assert 0.01 < rows[-1][1] < 0.6
    assert rows[-1][2] > 0
    from streams.stats import latest_stats

    assert (await aside(latest_stats, [container.pk]))[str(container.pk)][1] > 0
    await browser.disconnect()


# --- The process ---------------------------------------------------------------------------------------


def test_the_process_beats_and_ends_on_a_signal(engine_url, redis_server, transactional_db, tmp_path):
    from streams.health import last_beat

    environment = {**os.environ, "DOCKER_HOST": engine_url, "SLIPWAY_HOME": str(machine.short_folder())}
    python = [sys.executable, "manage.py"]
    subprocess.run(
        [*python, "migrate", "-v0", "--skip-checks"], cwd=machine.ROOT, env=environment, check=True
    )
    process = subprocess.Popen([*python, "gateway"], cwd=machine.ROOT, env=environment)
    try:
        machine.wait_for(lambda: last_beat("gateway") is not None, 20, "it did not beat")
    finally:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert time.monotonic() - began < 3
