"""The gateway in this process, for tests: it runs on the test engine for as long as a test does.

Named as a plug-in by the tests that want its fixtures.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from asgiref.sync import sync_to_async

from streams import hub
from tests import machine
from tests.chaos import Door


@pytest.fixture
def door(engine_url):
    """The engine, behind a door that can be shut."""
    folder = machine.short_folder()
    found = Door(folder / "door.sock", engine_url).open()
    yield found
    found.shut()
    folder.rmdir()


@contextlib.asynccontextmanager
async def running():
    from dashboard.gateway import Gateway

    gateway = Gateway()
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        gateway.stop()
        await asyncio.wait_for(task, 5)


@pytest.fixture
async def gateway(engine_url, busybox, settings, transactional_db):
    settings.DOCKER_HOST = engine_url
    async with running() as found:
        yield found
    await hub.close()


async def until(condition, seconds=5.0):
    """The first true value of an async condition, and after how many seconds."""
    began = time.monotonic()
    while True:
        if found := await condition():
            return found, time.monotonic() - began
        assert time.monotonic() - began < seconds, "it did not come to pass"
        await asyncio.sleep(0.02)


def row(name):
    from containers_app.models import Container

    async def find():
        return await Container.objects.filter(name=name).select_related("engine").afirst()

    return find


@pytest.fixture
def run(docker_client, busybox):
    """``run(name, command)``: as from somebody else's terminal."""

    async def start(name, command="trap exit TERM; while :; do sleep 0.1; done", **options):
        def work():
            return docker_client.containers.run(
                busybox, ["sh", "-c", command], name=name, detach=True, network_mode="none", **options
            )

        return await sync_to_async(work, thread_sensitive=False)()

    return start


async def aside(work, *arguments, **options):
    return await sync_to_async(work, thread_sensitive=False)(*arguments, **options)
