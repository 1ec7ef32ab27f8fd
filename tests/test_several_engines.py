"""Two real engines at once: one comes while the gateway runs, over TLS, hangs and is forgotten; the other goes on."""

from __future__ import annotations

import socket

import pytest
from django.utils import timezone

from accounts.access import SYSTEM
from containers_app import operations
from containers_app.models import Container
from operations import engine_asks, runner, secrets, tasks
from operations.models import Engine, EngineKeys, Operation
from tests import machine, tls
from tests.gateways import aside, row, until

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def far():
    """``(address, certificates, terminal)`` of an engine of its own behind TLS."""
    authority = tls.Authority()
    with machine.engine_of_our_own() as url, tls.door(authority, url) as address:
        client = machine.docker_client(url)
        machine.import_busybox(client, "far:1")
        yield address, authority.client(), client
        client.close()


def _added(address: str, keys: dict[str, str], native_id: str) -> Engine:
    engine = Engine.objects.create(name="far", endpoint=address, native_id=native_id, keys_at=timezone.now())
    EngineKeys.objects.create(engine=engine, sealed=secrets.seal(engine.pk, keys))
    return engine


def _run(engine: Engine) -> Operation:
    body = {"name": "asked", "image": "far:1", "command": ["sleep", "1"], "start": False}
    operation = operations.request_run(body, actor=SYSTEM, engine=engine, team=None)
    tasks.run_operation(str(operation.pk))
    operation.refresh_from_db()
    return operation


async def test_an_engine_comes_and_goes_while_another_goes_on(gateway, run, far):
    address, keys, terminal = far
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 10)
    native_id = (await aside(terminal.info))["ID"]
    engine = await aside(_added, address, keys, native_id)
    await until(Engine.objects.filter(pk=engine.pk, status="online", synced_at__isnull=False).afirst, 10)

    made = await aside(terminal.containers.create, "far:1", name="there")
    found, took = await until(row("there"))
    assert (found.engine_id, took < 2) == (engine.pk, True)
    operation = await aside(_run, engine)
    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert {one.name for one in await aside(terminal.containers.list, True)} == {"there", "asked"}

    # It answers no more, at an address that takes connections: the other is none the slower.
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    await Engine.objects.filter(pk=engine.pk).aupdate(endpoint=f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    await run("near")
    found, took = await until(row("near"))
    assert (found.engine_id != engine.pk, took < 1) == (True, True)
    await until(Engine.objects.filter(pk=engine.pk, status="unreachable").afirst, 25)
    assert await Engine.objects.filter(status="online").acount() == 1

    silent.close()
    await Operation.objects.filter(engine=engine).aupdate(state="succeeded")
    await aside(lambda: engine_asks.forget_engine(engine, actor=SYSTEM))

    async def dropped():
        return engine.pk not in gateway.keepers

    await until(dropped, 10)
    assert not await Container.objects.filter(engine_id=engine.pk).aexists()
    await aside(made.reload)  # it is there as before
    runner._backend.cache_clear()
