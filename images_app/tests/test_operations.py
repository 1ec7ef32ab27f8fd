"""Each verb of images from the wish to the engine, as the worker carries it out. On a real engine."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from django.conf import settings
from django.db import connection

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from engine.base import Engine as EngineBackend
from engine.errors import DeadlineExceeded, PolicyDenied
from engine.specs import SpecError
from images_app import operations, sync
from images_app.models import Build, Image, Tag, TagMove
from operations import services
from operations.models import Engine, Operation
from operations.services import Refused
from operations.tasks import run_operation
from tests import machine
from tests.machine import said_by

Carry = Callable[[], list[Operation]]


@dataclass
class Bench:
    """Tara, who may everything in team blue, an engine, and a worker in this process."""

    engine: Engine
    team: Team
    tara: User
    base: str
    carry_out: Carry

    @property
    def actor(self) -> Any:
        return person(self.tara, source="ui")

    def ask(self, dockerfile: str, tag: str = "shop/app:1", **options: Any) -> Operation:
        text = dockerfile.format(base=self.base)
        return operations.request_build(actor=self.actor, tags=[tag], dockerfile=text, **options)

    def build(self, dockerfile: str = "FROM {base}\nRUN echo hello\n", **options: Any) -> Operation:
        return self.done(self.ask(dockerfile, **options))

    def image(self, **options: Any) -> Image:
        operation = self.build(**options)
        assert operation.state == "succeeded", operation.error_message
        assert operation.result is not None
        return Image.objects.get(pk=operation.result["image"])

    def done(self, operation: Operation) -> Operation:
        self.carry_out()
        operation.refresh_from_db()
        return operation


@pytest.fixture
def bench(engine_row: Engine, team: Team, tara: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, tara, busybox, run_operations)


@pytest.fixture(autouse=True)
def _own_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)


def failed(operation: Operation, code: str) -> None:
    assert (operation.state, operation.error_code) == ("failed", code), operation.error_message


def log(operation: Operation) -> str:
    return "\n".join(e.data["text"] for e in operation.events.filter(kind="log"))


def contexts() -> list[Path]:
    return list((Path(settings.HOME) / "contexts").glob("*"))


# Building


def test_a_build_makes_an_image_of_the_team_with_its_steps_and_log(bench: Bench) -> None:
    operation = bench.build("FROM {base}\nRUN echo hello there\nCMD true\n", builder="classic")
    assert operation.state == "succeeded", operation.error_message
    build = Build.objects.get(operation=operation)
    assert operation.target_id == str(build.pk)
    assert build.image == Image.objects.get(tags__name="shop/app:1")
    assert build.image.team == bench.team
    assert [step["n"] for step in build.steps] == [1, 2, 3]
    assert {step["state"] for step in build.steps} == {"done"}
    assert build.steps[1]["instruction"] == "RUN echo hello there"
    assert build.steps[1]["seconds"] > 0
    assert "hello there" in log(operation)
    assert operation.progress["current"] == operation.progress["total"] == 3
    move = TagMove.objects.filter(name="shop/app:1").get()
    assert move.operation == operation
    assert contexts() == []


def test_a_step_comes_before_what_it_says(bench: Bench) -> None:
    operation = bench.build("FROM {base}\nRUN echo one\nRUN echo two\n", builder="classic")
    story = [
        e.data["n"] if e.kind == "step" else e.data["text"]
        for e in operation.events.filter(kind__in=("step", "log"))
        if e.kind == "step" or e.data["text"] in ("one", "two")
    ]
    assert story == [1, 2, "one", 3, "two"]


def test_the_second_build_comes_from_the_cache(bench: Bench) -> None:
    bench.build(builder="classic")
    operation = bench.build(tag="shop/app:2", builder="classic")
    assert [step["cached"] for step in Build.objects.get(operation=operation).steps] == [False, True]


def test_a_broken_dockerfile_fails_with_its_step_in_the_log(bench: Bench) -> None:
    operation = bench.build("FROM {base}\nRUN echo before; no-such-program\nRUN echo after\n")
    failed(operation, "build_failed")
    assert "no-such-program" in log(operation)
    assert "before" in log(operation)
    steps = Build.objects.get(operation=operation).steps
    assert [step["state"] for step in steps] == ["done", "failed"]
    assert not Image.objects.filter(tags__name="shop/app:1").exists()
    assert contexts() == []


def test_a_dockerfile_that_cannot_be_read_fails_and_says_why(bench: Bench) -> None:
    operation = bench.build("FRUM {base}\n")
    assert operation.state == "failed"
    assert "FRUM" in operation.error_message.upper()


def test_a_context_brings_its_files(bench: Bench, docker_client: docker.DockerClient) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (
            ("Dockerfile", f"FROM {bench.base}\nCOPY note /note\n"),
            ("note", "from the context"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data.encode()))
    packed.seek(0)
    operation = bench.done(operations.request_build(actor=bench.actor, tags=["shop/app:1"], context=packed))
    assert operation.state == "succeeded", operation.error_message
    assert said_by(docker_client, "shop/app:1", ["cat", "/note"]) == b"from the context"


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
@pytest.mark.django_db(transaction=True)
def test_a_cancelled_build_stops_and_leaves_no_image(
    bench: Bench, docker_client: docker.DockerClient, builder: str
) -> None:
    operation = bench.ask("FROM {base}\nRUN echo begun; sleep 60\n", builder=builder)

    def work() -> None:
        try:
            run_operation(str(operation.pk))
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 20
    while "begun" not in log(operation).splitlines() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "begun" in log(operation).splitlines(), "the log is live"
    began = time.monotonic()
    services.cancel(operation, actor=bench.actor)
    worker.join(15)
    assert not worker.is_alive()
    operation.refresh_from_db()
    assert (operation.state, operation.error_message) == ("cancelled", "Cancelled. No image was made.")
    assert time.monotonic() - began < 12
    assert docker_client.containers.list() == []
    assert not machine.running("echo begun; sleep 60"), "it runs on at the engine"
    assert not Tag.objects.filter(name="shop/app:1").exists()
    assert [step["state"] for step in Build.objects.get().steps] == ["done", "cancelled"]
    assert contexts() == []


def test_a_build_cancelled_in_the_queue_leaves_no_context_for_long(bench: Bench) -> None:
    services.cancel(bench.ask("FROM {base}\n"), actor=bench.actor)
    assert len(contexts()) == 1
    bench.build(tag="shop/other:1")
    assert contexts() == []


def test_the_same_build_at_once_joins_and_keeps_one_context(bench: Bench) -> None:
    first = bench.ask("FROM {base}\n")
    assert bench.ask("FROM {base}\n") == first
    assert Build.objects.count() == 1
    assert len(contexts()) == 1
    with pytest.raises(Refused):
        bench.ask("FROM {base}\nRUN true\n")
    assert len(contexts()) == 1
    bench.carry_out()


def test_the_same_key_gives_the_same_build(bench: Bench) -> None:
    first = bench.build(idempotency_key="k")
    assert bench.ask("FROM {base}\nRUN echo hello\n", idempotency_key="k") == first
    with pytest.raises(Refused):
        bench.ask("FROM {base}\nRUN echo other\n", idempotency_key="k")


def test_a_failed_build_can_be_tried_again(bench: Bench) -> None:
    first = bench.build("FROM {base}\nRUN false\n")
    again = services.retry(first, actor=bench.actor)
    assert again != first
    assert Build.objects.get(operation=again).dockerfile == Build.objects.get(operation=first).dockerfile
    failed(bench.done(again), "build_failed")


def test_secret_build_arguments_are_in_no_row(bench: Bench) -> None:
    operation = bench.build(
        "FROM {base}\nARG API_TOKEN\nRUN test $API_TOKEN = canary\n", build_args={"API_TOKEN": "canary"}
    )
    assert operation.state == "succeeded", log(operation)
    rows = [
        *Build.objects.values("build_args"),
        *Operation.objects.values("params", "result"),
        *AuditEntry.objects.values("detail"),
    ]
    assert "canary" not in repr(rows)
    assert Build.objects.get().build_args == {"API_TOKEN": "********"}
    assert Operation.objects.get().sealed == ""


def test_a_tag_of_another_team_cannot_be_built_over(
    bench: Bench, other_team: Team, engine_backend: EngineBackend, docker_client: docker.DockerClient
) -> None:
    docker_client.images.get(bench.base).tag("red/app", "1")
    failed(
        bench.build(tag="red/app:1"), "policy_denied"
    )  # the rows did not know it yet: the worker looks again
    Image.objects.update(team=other_team)
    with pytest.raises(PolicyDenied, match="not your team's"):
        bench.ask("FROM {base}\n", tag="red/app:1")
    assert contexts() == []


def test_a_wish_that_is_not_valid_keeps_nothing(bench: Bench) -> None:
    for options in ({"tag": "UPPER"}, {"dockerfile_path": "../x"}, {"labels": {"io.slipway.x": "y"}}):
        with pytest.raises(SpecError):
            bench.ask("FROM {base}\n", **options)  # type: ignore[arg-type]
    with pytest.raises(SpecError):
        operations.request_build(actor=bench.actor, tags=["a:1"])
    assert not Operation.objects.exists()
    assert contexts() == []


# Pulling


def test_an_image_that_no_registry_has_is_said_so(bench: Bench) -> None:
    operation = bench.done(operations.request_pull("127.0.0.1:1/nowhere:1", actor=bench.actor))
    assert operation.state == "failed"
    assert operation.error_message
    assert "/" not in operation.error_message.replace("127.0.0.1:1/nowhere", "")


def test_a_reference_that_is_none_is_told(bench: Bench) -> None:
    with pytest.raises(SpecError) as wrong:
        operations.request_pull("Not A Reference", actor=bench.actor)
    assert list(wrong.value.errors) == ["reference"]


# Tags and removal


def test_tag_untag_and_remove(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    operation = bench.done(operations.request_tag(image, "shop/app:stable", actor=bench.actor))
    assert (operation.state, operation.result["changed"]) == ("succeeded", True)
    tag = Tag.objects.get(name="shop/app:stable")
    assert tag.image == image
    assert TagMove.objects.get(name="shop/app:stable").operation == operation

    failed(bench.done(operations.request_remove(image, actor=bench.actor)), "in_use")

    operation = bench.done(operations.request_untag(tag, actor=bench.actor))
    assert operation.state == "succeeded", operation.error_message
    assert not Tag.objects.filter(name="shop/app:stable").exists()
    assert Image.objects.filter(pk=image.pk).exists()

    operation = bench.done(operations.request_remove(image, actor=bench.actor))
    assert operation.state == "succeeded", operation.error_message
    assert not Image.objects.filter(pk=image.pk).exists()
    assert not docker_client.images.list("shop/app")


def test_a_tag_that_has_moved_meanwhile_is_not_taken_away(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    tag = bench.image().tags.get()
    operation = operations.request_untag(tag, actor=bench.actor)
    docker_client.images.get(bench.base).tag("shop/app", "1")
    failed(bench.done(operation), "conflict")
    assert docker_client.images.get("shop/app:1").id == docker_client.images.get(bench.base).id


def test_an_image_in_use_stays(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    docker_client.containers.create("shop/app:1", name="user")
    failed(bench.done(operations.request_remove(image, actor=bench.actor)), "in_use")
    assert Image.objects.filter(pk=image.pk).exists()


def test_what_somebody_else_has_removed_is_removed(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    docker_client.images.remove("shop/app:1")
    operation = bench.done(operations.request_remove(image, actor=bench.actor))
    assert (operation.state, operation.result["changed"]) == ("succeeded", False)


def test_a_lost_answer_to_a_build_is_found_by_its_tag(
    bench: Bench, engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = type(engine_backend).build

    def build_silently(self: Any, *args: Any, **options: Any) -> str:
        build(self, *args, **options)
        raise DeadlineExceeded("No answer.")

    monkeypatch.setattr(type(engine_backend), "build", build_silently)
    operation = bench.build()
    assert operation.state == "succeeded"
    assert Build.objects.get().image == Image.objects.get(tags__name="shop/app:1")


def test_an_engine_that_is_away_changes_nothing_and_says_so(bench: Bench) -> None:
    Engine.objects.update(endpoint="unix:///tmp/slipway-nobody.sock")
    failed(bench.build(), "engine_unreachable")
    sync.Image.objects.all().delete()
