"""What a real engine does is kept by the gateway: once, with who caused it, and with the holes named."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async

from containers_app.models import EngineEvent
from operations.models import Engine
from streams import hub
from tests.gateways import aside, row, running, until

pytestmark = [pytest.mark.django_db(transaction=True)]


async def online():
    """The engine's row, once it is listened to."""
    engine, _ = await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    await until(EngineEvent.objects.filter(action="reconciled").aexists)
    return engine


async def kept(container_id, last):
    """Actions of this container's events, oldest first, once the last of them is there."""
    rows = EngineEvent.objects.filter(native_id=container_id).order_by("time_ns")

    async def found():
        actions = [event.action async for event in rows.all()]
        return actions if last in actions else None

    return (await until(found))[0]


async def test_what_happens_is_kept_with_who_caused_it(gateway, run):
    await online()
    made = await run("told", "exit 3")
    assert await kept(made.id, "die") == ["create", "start", "die"]
    died = await EngineEvent.objects.aget(native_id=made.id, action="die")
    assert (died.exit_code, died.origin, died.name) == (3, "engine", "told")
    assert died.container_id == (await row("told")()).pk
    await aside(made.remove)
    await kept(made.id, "destroy")
    gone = await EngineEvent.objects.aget(native_id=made.id, action="destroy")
    assert (gone.origin, gone.container_id) == ("outside", died.container_id)


async def test_an_end_asked_for_by_an_operation_names_it(gateway, run, alice):
    from accounts.access import Actor
    from containers_app import operations
    from operations.tasks import run_operation

    await online()
    made = await run("asked")
    container, _ = await until(row("asked"))
    stop = await aside(operations.request, container, "stop", actor=Actor(user=alice))
    await aside(run_operation, str(stop.pk))
    assert (await kept(made.id, "die"))[-2:] == ["kill", "die"]
    found = EngineEvent.objects.filter(native_id=made.id, action__in=("kill", "die"))
    assert {(e.origin, e.operation_id) async for e in found} == {("operation", stop.pk)}


async def test_a_command_line_in_a_container_is_never_kept(gateway, run):
    await online()
    made = await run("secretive")
    await aside(made.exec_run, ["echo", "-pCANARY"])
    await aside(made.kill)
    await kept(made.id, "die")
    rows = [event async for event in EngineEvent.objects.values()]
    assert "CANARY" not in repr(rows)


async def test_a_hole_is_named_once_and_what_is_told_twice_is_kept_once(
    door,
    settings,
    run,
    busybox,
):
    settings.DOCKER_HOST = door.url
    async with running():
        engine = await online()
        first = await EngineEvent.objects.aget(action="reconciled")
        assert (first.blind_since, first.detail) == (None, "Slipway was not running.")
        before = await run("before")
        await kept(before.id, "start")
        door.shut()
        await until(Engine.objects.filter(status="unreachable").afirst, 3)
        missed = await run("missed")
        await asyncio.sleep(2.5)
        door.open()
        await until(row("missed"), 10)
        holes = EngineEvent.objects.filter(action="reconciled", engine=engine).order_by("time_ns")
        await until(lambda: _count(holes, 2))
        hole = await holes.alast()
        assert hole.detail == "The engine did not answer."
        assert 1 < (hole.at - hole.blind_since).total_seconds() < 20
        after = await run("after")
        await kept(after.id, "start")
    assert await EngineEvent.objects.filter(native_id=missed.id).acount() == 0
    async with running():
        await until(lambda: _count(holes, 3), 10)
        await asyncio.sleep(0.5)
    for container in (before, after):
        actions = [e.action async for e in EngineEvent.objects.filter(native_id=container.id)]
        assert sorted(actions) == ["create", "start"]
    last = await holes.alast()
    assert last.detail == "Slipway was not running."
    await hub.close()


async def _count(rows, number):
    return await rows.acount() == number


async def test_many_events_at_once_are_all_kept_and_cost_no_row_its_truth(gateway, docker_client, busybox):
    await online()

    def storm():
        made = docker_client.api.create_container(busybox, ["true"], name="storm")["Id"]
        for n in range(150):
            docker_client.api.rename(made, f"storm-{n}")
        return made

    made = await sync_to_async(storm, thread_sensitive=False)()
    await until(lambda: _count(EngineEvent.objects.filter(native_id=made, action="rename"), 150), 10)
    await until(row("storm-149"))
