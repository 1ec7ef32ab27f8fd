"""Figures through the gateway on a real engine: they come, end, go on, and are kept."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async

from containers_app import collector
from containers_app.blocks import RESOLUTIONS, Block
from containers_app.models import Container, StatsBlock
from engine.cgroups import Cgroups
from engine.docker_streams import DockerStreams
from operations.models import Engine
from streams import hub, stats
from tests.gateways import aside, running, until
from tests.sockets import Browser

pytestmark = [pytest.mark.django_db(transaction=True)]

BUSY = "trap exit TERM; while :; do :; done"


@pytest.fixture
async def viewer(gateway, alice, client_for):
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    return await sync_to_async(client_for)(alice)


@pytest.fixture
def asked(monkeypatch):
    """Which containers' figures the engine was asked for."""
    found, original = [], DockerStreams.stats

    async def stats_of(self, native_ids, **options):
        found.extend(native_ids)
        return await original(self, native_ids, **options)

    monkeypatch.setattr(DockerStreams, "stats", stats_of)
    return found


async def is_running(name):
    found, _ = await until(Container.objects.filter(name=name, state="running").afirst, 10)
    return found


async def figures_of(viewer, container):
    browser = Browser(f"/ws/stats/?container={container.pk}", viewer)
    assert await browser.open()
    return browser


async def frame(browser, wanted, seconds=12):
    """The next frame of that kind that has a rate, or says of an end."""
    async with asyncio.timeout(seconds):
        while True:
            found = await browser.frame(seconds)
            if found["type"] == wanted and (wanted == "ended" or found["cpu"] is not None):
                return found


@pytest.mark.parametrize("cheap", [True, False])
async def test_they_come_by_both_ways(viewer, run, asked, monkeypatch, cheap):
    if not cheap:
        elsewhere = property(lambda self: False, lambda self, value: None)
        monkeypatch.setattr(Cgroups, "possible", elsewhere, raising=False)
    made = await run("busy", BUSY, nano_cpus=300_000_000, mem_limit="64m")
    browser = await figures_of(viewer, await is_running("busy"))
    first, second = await frame(browser, "stats"), await frame(browser, "stats")
    assert (made.id not in asked) is cheap
    # At most 0.3 of a core are allowed; on a busy machine it gets less.
    assert 0.01 < second["cpu"] < 0.6
    assert 0 < second["memory"] < second["memory_limit"] == 64 * 2**20
    assert second["pids"] == 1
    assert 1000 < second["time_ms"] - first["time_ms"] < 6000
    await browser.disconnect()


async def test_a_stream_ends_with_its_container_and_goes_on_with_it(viewer, run):
    made = await run("busy", BUSY, nano_cpus=300_000_000)
    container = await is_running("busy")
    browser = await figures_of(viewer, container)
    await frame(browser, "stats")
    await aside(made.pause)
    async with asyncio.timeout(12):
        while (await frame(browser, "stats"))["cpu"] > 0.001:
            continue
    await aside(made.unpause)
    await aside(made.stop)
    ended = await frame(browser, "ended", 8)
    assert ended["container"] == str(container.pk)
    assert await aside(stats.latest, [container.pk]) == []
    await aside(made.start)
    again = await frame(browser, "stats")
    # Its counters began anew: no rate was made of that.
    assert 0 <= again["cpu"] < 0.6
    await browser.disconnect()


async def test_they_are_kept_over_a_restart_with_the_sum_of_the_engine(
    engine_url, busybox, settings, transactional_db, run, monkeypatch
):
    settings.DOCKER_HOST = engine_url
    monkeypatch.setattr(collector, "UNWATCHED", 0.5)
    monkeypatch.setattr(collector, "TOTAL_EVERY", 0.5)
    async with running():
        await run("busy", BUSY, nano_cpus=300_000_000)
        container = await is_running("busy")
        await until(lambda: aside(lambda: len(stats.recent(container.pk)) >= 3), 15)
    async with running():
        count = await aside(lambda: len(stats.recent(container.pk)))
        await until(lambda: aside(lambda: len(stats.recent(container.pk)) > count), 15)
    await hub.close()
    for subject in (container.pk, container.engine_id):
        kept = await StatsBlock.objects.filter(subject=subject, step=15).alatest("start")
        slots = list(Block.unpack(kept.start, RESOLUTIONS[0], bytes(kept.data)))
        assert 0.01 < max(slot.most[0] for slot in slots) < 0.6
        assert max(slot.most[1] for slot in slots) > 0


async def test_redis_that_is_emptied_costs_no_more_than_the_last_minutes(viewer, run):
    from streams.connection import aclient

    await run("busy", BUSY, nano_cpus=300_000_000)
    browser = await figures_of(viewer, await is_running("busy"))
    await frame(browser, "stats")
    connection = aclient()
    await connection.flushall()
    await connection.aclose()
    await frame(browser, "stats")
    await frame(browser, "stats")
    await browser.disconnect()
