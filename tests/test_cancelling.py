"""Whoever cancels reads what is there now, and that is so: on a real engine, with a worker in a thread."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
from django.db import connection

from accounts.access import person
from accounts.models import Team, User
from containers_app import operations as containers
from containers_app import sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from engine.docker_load import Sent
from images_app import image_files, transfers
from images_app import operations as images
from images_app import sync as images_sync
from images_app.models import Image
from operations import services
from operations.context import RunContext
from operations.models import Engine, Operation
from operations.tasks import run_operation
from tests import machine
from tests.saved import saved

pytestmark = pytest.mark.django_db(transaction=True)
DEAF = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
NEVER = "FROM {base}\nHEALTHCHECK --interval=600s CMD true\n"


@dataclass
class Desk:
    """Bob asks for something, and cancels it once a worker is at it."""

    engine: Engine
    team: Team
    bob: User
    docker: docker.DockerClient
    backend: EngineBackend
    base: str

    @property
    def asks(self) -> dict[str, Any]:
        return {"actor": person(self.bob, source="ui"), "engine": self.engine, "team": self.team}

    def container(self, command: list[str]) -> Container:
        made = self.docker.containers.run(self.base, command, name="web", detach=True, network_mode="none")
        sync.reconcile(self.engine, self.backend)
        Container.objects.update(team=self.team)
        return Container.objects.get(native_id=made.id)

    def cancels(self, operation: Operation, when: Callable[[], Any]) -> str:
        """What the operation says at its end."""

        def work() -> None:
            try:
                run_operation(str(operation.pk))
            finally:
                connection.close()

        worker = threading.Thread(target=work)
        worker.start()
        machine.wait_for(when, 20, "nobody has begun with it")
        services.cancel(operation, actor=person(self.bob, source="ui"))
        worker.join(20)
        assert not worker.is_alive()
        operation.refresh_from_db()
        assert (operation.state, operation.error_code) == ("cancelled", "cancelled"), operation.error_message
        return operation.error_message


@pytest.fixture
def desk(
    engine_row: Engine, team: Team, bob: User, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    busybox: str,
) -> Desk:  # fmt: skip
    return Desk(engine_row, team, bob, docker_client, engine_backend, busybox)


@pytest.fixture
def silent_registry() -> Iterator[tuple[str, list[Any]]]:
    """Its address, and who has called: it takes each call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        called: list[Any] = []

        def take() -> None:
            while True:
                try:
                    called.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", called
        listening.shutdown(socket.SHUT_RDWR)
        for call in called:
            call.close()


def test_a_stop_that_is_cancelled_has_asked_and_not_killed(desk: Desk) -> None:
    web = desk.container(DEAF)
    time.sleep(0.3)
    stop = containers.request(web, "stop", actor=desk.asks["actor"], params={"timeout": 30})
    said = desk.cancels(stop, lambda: Operation.objects.get(pk=stop.pk).state == "running")
    assert said == "Cancelled: the container was asked to end, and was not killed."
    assert desk.docker.containers.get("web").status == "running"


def test_a_pull_that_is_cancelled_has_pulled_nothing(
    desk: Desk, silent_registry: tuple[str, list[Any]]
) -> None:
    address, called = silent_registry
    pull = images.request_pull(f"{address}/shop/web:1", **desk.asks)
    assert desk.cancels(pull, lambda: called) == f"Cancelled. {address}/shop/web:1 was not pulled."
    assert desk.docker.images.list(f"{address}/shop/web") == []


def test_a_push_that_is_cancelled_says_what_is_where(
    desk: Desk, silent_registry: tuple[str, list[Any]]
) -> None:
    address, called = silent_registry
    images_sync.reconcile(desk.engine, desk.backend)
    Image.objects.update(team=desk.team)
    image = Image.objects.get(tags__name=desk.base)
    push = images.request_push(image, f"{address}/shop/web:1", actor=desk.asks["actor"])
    said = desk.cancels(push, lambda: called)
    assert (
        said
        == f"Cancelled. {address}/shop/web:1 was not pushed whole; what the registry has of it, nobody names."
    )
    desk.docker.images.remove(f"{address}/shop/web:1")


def test_a_run_that_is_cancelled_while_it_pulls_has_made_nothing(
    desk: Desk, silent_registry: tuple[str, list[Any]]
) -> None:
    address, called = silent_registry
    body = {"image": f"{address}/shop/web:1", "name": "web", "networks": ["none"]}
    said = desk.cancels(containers.request_run(body, **desk.asks), lambda: called)
    assert said == f"Cancelled. {address}/shop/web:1 was not pulled, and no container was touched."
    assert desk.docker.containers.list(all=True) == []


def test_a_build_that_is_cancelled_has_made_no_image(desk: Desk) -> None:
    text = f"FROM {desk.base}\nRUN sleep 60\n"
    build = images.request_build(tags=["shop/app:1"], dockerfile=text, builder="classic", **desk.asks)
    said = desk.cancels(
        build, lambda: [c for c in desk.docker.api.containers() if "sleep 60" in c["Command"]]
    )
    assert said == "Cancelled. No image was made."
    assert desk.docker.images.list("shop/app") == []
    assert desk.docker.containers.list() == []


def _spooled() -> list[str]:
    return [path.name for path in image_files.file_of("x").parent.iterdir()]


@pytest.mark.parametrize("when", ["queued", "amid"])
def test_an_import_that_is_cancelled_leaves_neither_a_file_nor_half_an_image(
    when: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {image.id for image in desk.docker.images.list(all=True)}
    archive = image_files.spool(
        io.BytesIO(saved({"shop/in:1": b"x" * 3_000_000, "shop/in:2": b"y" * 3_000_000}))
    )
    asked = transfers.request_import(archive, **desk.asks)
    kept = [name for name in _spooled() if name == asked.params["file"]]
    assert kept
    if when == "queued":
        services.cancel(asked, actor=desk.asks["actor"])
        transfers.forget_unasked(older=0)
    else:
        begun, heard = threading.Event(), threading.Event()
        read, should_stop = Sent.readinto, RunContext.should_stop

        def halfway(self: Sent, buffer: Any) -> int:
            """The engine has a part of it, and gets no more before the worker has heard that it is cancelled."""
            if self.count > self.len / 2:
                begun.set()
                assert heard.wait(20)
                raise OSError("cut off")
            return read(self, buffer)

        def asked_to_stop(self: RunContext) -> bool:
            if stop := should_stop(self):
                heard.set()
            return stop

        monkeypatch.setattr(Sent, "readinto", halfway)
        monkeypatch.setattr(RunContext, "should_stop", asked_to_stop)
        said = desk.cancels(asked, begun.is_set)
        assert said == "Cancelled. What the engine had taken by then stays, and names may have moved."
    assert asked.params["file"] not in _spooled()
    images_sync.reconcile(desk.engine, desk.backend)
    assert {image.id for image in desk.docker.images.list(all=True)} == before
    assert {image.native_id for image in Image.everything.all()} == before
    assert not Image.everything.filter(tags__name__startswith="shop/in").exists()


def test_a_recreation_that_is_cancelled_says_that_the_old_one_serves_again(desk: Desk) -> None:
    web = desk.container(["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"])
    images_before = images.request_build(
        tags=["shop/never:1"], dockerfile=NEVER.format(base=desk.base), **desk.asks
    )
    run_operation(str(images_before.pk))
    params = {"image": "shop/never:1", "pull": False, "gate": {"timeout": 60}}
    again = containers.request(web, "recreate", actor=desk.asks["actor"], params=params)
    waits = Operation.objects.filter(
        pk=again.pk, progress__message__startswith="Waiting for a healthy answer"
    )
    said = desk.cancels(again, waits.exists)
    assert said == (
        "Cancelled while Slipway waited for the new container;"
        " the new one was removed, and the old one is back and runs."
    )
    (left,) = desk.docker.containers.list(all=True)
    assert (left.id, left.name, left.status) == (web.native_id, "web", "running")
    desk.docker.images.remove("shop/never:1", force=True)
