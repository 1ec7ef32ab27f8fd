"""The log history on a real engine: what is kept, of whom, with what gaps, and for how long."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from asgiref.sync import sync_to_async

from accounts.access import SYSTEM
from containers_app import keep_rules, keeping
from containers_app.log_blocks import unpack
from containers_app.models import Container, KeptLog, LogBlock, LogGap, LogRule
from engine.docker_streams import DockerStreams
from operations.models import Engine
from streams import hub
from tests.gateways import running, until
from tests.sockets import Browser

pytestmark = [pytest.mark.django_db(transaction=True)]

COUNT = "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; %s done; %s"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(keeping, "EVERY", 0.1)
    monkeypatch.setattr(keeping, "FLUSH_EVERY", 0.5)
    monkeypatch.setattr(keeping, "ASK_EVERY", 0.2)


@pytest.fixture
async def engine(gateway):
    found, _ = await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    return found


@pytest.fixture
def followed(monkeypatch):
    """How many streams are open for each container, and the most that were at once."""
    now, most = {}, {}
    original = DockerStreams.logs

    @contextlib.asynccontextmanager
    async def logs(self, native_id, *, follow, **options):
        async with original(self, native_id, follow=follow, **options) as batches:
            if follow:
                now[native_id] = now.get(native_id, 0) + 1
                most[native_id] = max(most.get(native_id, 0), now[native_id])
            try:
                yield batches
            finally:
                if follow:
                    now[native_id] -= 1

    monkeypatch.setattr(DockerStreams, "logs", logs)
    return most


async def keep(name):
    """Switches it on for the container of that name, and returns its row."""
    row, _ = await until(Container.objects.filter(name=name).select_related("engine").afirst, 10)
    await sync_to_async(keep_rules.switch)(row, on=True, actor=SYSTEM)
    return row


def lines_of(name):
    blocks = LogBlock.objects.filter(log__name=name).order_by("id")
    return [line.text.decode() for block in blocks for line in unpack(bytes(block.data))]


async def kept(name, count, seconds=15):
    """The lines, once there are so many of them."""

    async def enough():
        found = await sync_to_async(lines_of)(name)
        return found if len(found) >= count else None

    found, _ = await until(enough, seconds)
    return found


def numbered(count):
    return [f"line {n}" for n in range(1, count + 1)]


async def test_nothing_is_kept_unless_it_is_asked_for(engine, run):
    await run("plain", COUNT % (10, "", "sleep 60"))
    await until(Container.objects.filter(name="plain", state="running").afirst, 10)
    await asyncio.sleep(2.5)
    assert not await KeptLog.objects.aexists()


async def test_lines_stay_when_the_container_is_gone(engine, run):
    made = await run("short", COUNT % (300, "", "sleep 60"))
    await keep("short")
    assert await kept("short", 300) == numbered(300)
    await asyncio.to_thread(made.remove, force=True)
    await until(sync_to_async(lambda: not Container.objects.filter(name="short").exists()), 10)
    log = await KeptLog.objects.aget()
    assert (log.name, log.lines) == ("short", 300)
    assert await kept("short", 300) == numbered(300)


async def test_a_container_that_is_made_anew_goes_on(engine, run):
    made = await run("again", COUNT % (5, "", "sleep 60"))
    await keep("again")
    await kept("again", 5)
    await asyncio.to_thread(made.remove, force=True)
    await run("again", COUNT % (7, "", "sleep 60"))
    assert len(await kept("again", 12)) == 12
    assert await KeptLog.objects.acount() == 2


async def test_people_and_history_share_one_stream(engine, run, followed, alice, client_for):
    made = await run("shared", COUNT % (100_000, "sleep 0.01;", ""))
    row = await keep("shared")
    await kept("shared", 20)
    browser = Browser(f"/ws/logs/?container={row.pk}", await sync_to_async(client_for)(alice))
    assert await browser.open()
    seen = await browser.frame(5)
    while seen["type"] != "lines":
        seen = await browser.frame(5)
    await kept("shared", 200)
    assert followed[made.id] == 1
    await browser.disconnect()
    await hub.close()


async def test_switching_it_on_beside_a_viewer_loses_and_repeats_nothing(engine, run, alice, client_for):
    await run("seen", COUNT % (600, "sleep 0.01;", "sleep 60"))
    row, _ = await until(Container.objects.filter(name="seen").afirst, 10)
    browser = Browser(f"/ws/logs/?container={row.pk}", await sync_to_async(client_for)(alice))
    assert await browser.open()
    shown = []
    for _ in range(20):
        shown += (await browser.frame(5)).get("lines") or []
    await keep("seen")
    while len(shown) < 600:
        frame = await browser.frame(15)
        assert frame["type"] in ("lines", "state"), frame
        shown += frame.get("lines") or []
    assert [line[4] for line in shown] == numbered(600)
    assert await kept("seen", 600) == numbered(600)
    await browser.disconnect()
    await hub.close()


async def test_a_gateway_that_was_away_loses_and_repeats_nothing(
    engine_url, busybox, settings, transactional_db, run
):
    settings.DOCKER_HOST = engine_url
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        await run("steady", COUNT % (1000, "sleep 0.005;", "sleep 60"))
        await keep("steady")
        await kept("steady", 50)
    await asyncio.sleep(3)
    async with running():
        assert await kept("steady", 1000, 30) == numbered(1000)
    await hub.close()
    assert not await LogGap.objects.aexists()


async def test_what_the_engine_gave_up_meanwhile_is_a_gap(
    engine_url, busybox, settings, transactional_db, run
):
    settings.DOCKER_HOST = engine_url
    small = {"type": "json-file", "config": {"max-size": "20k", "max-file": "1"}}
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        pace = "[ $((i%50)) = 0 ] && sleep 0.2;"
        made = await run("rotated", COUNT % (3000, pace, "sleep 60"), log_config=small)
        await keep("rotated")
        await kept("rotated", 50)
    await until(lambda: asyncio.to_thread(lambda: b"line 3000\n" in made.logs(tail=5)), 40)
    had = len(await sync_to_async(lines_of)("rotated"))
    async with running():

        async def last():
            found = await sync_to_async(lines_of)("rotated")
            return found if found[-1] == "line 3000" else None

        found, _ = await until(last, 20)
    await hub.close()
    gap = await LogGap.objects.alast()
    assert (gap.cause, gap.lines) == ("rotation", None)
    assert gap.from_ns < gap.to_ns
    assert len(found) == len(set(found)) < 3000, "lines are missing, and none is there twice"
    assert had < len(found)


async def test_what_is_removed_while_nobody_reads_ends_in_a_gap(
    engine_url, busybox, settings, transactional_db, run
):
    settings.DOCKER_HOST = engine_url
    async with running():
        await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
        made = await run("gone", COUNT % (100_000, "sleep 0.02;", ""))
        await keep("gone")
        await kept("gone", 20)
    await asyncio.to_thread(made.remove, force=True)
    async with running():
        gap, _ = await until(LogGap.objects.filter(cause="removed").afirst, 15)
    await hub.close()
    log = await KeptLog.objects.aget()
    assert gap.from_ns == log.last_ns
    assert not log.open


async def test_switched_off_it_is_not_followed_any_more(engine, run, followed):
    await run("off", COUNT % (100_000, "sleep 0.01;", ""))
    row = await keep("off")
    await kept("off", 20)
    await sync_to_async(keep_rules.switch)(row, on=False, actor=SYSTEM)
    await until(KeptLog.objects.filter(open=False).afirst, 10)
    before = await sync_to_async(lines_of)("off")
    await asyncio.sleep(1.5)
    assert await sync_to_async(lines_of)("off") == before
    assert not await LogRule.objects.aexists()
    assert not await LogGap.objects.aexists()
