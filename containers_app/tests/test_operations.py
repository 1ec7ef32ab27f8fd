"""Each verb of containers and volumes from the wish to the engine, as the worker carries it out. On a real engine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from containers_app import operations, sync
from containers_app.models import Container, Volume
from engine.base import Engine as EngineBackend
from engine.errors import DeadlineExceeded, PolicyDenied
from engine.specs import SpecError
from images_app import sync as image_sync
from images_app.models import Image
from operations.models import Engine, Operation
from operations.services import Refused
from operations.tasks import run_operation

SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
Carry = Callable[[], list[Operation]]


@dataclass
class Bench:
    """Bob of team blue, an engine, and a worker in this process."""

    engine: Engine
    team: Team
    bob: User
    image: str
    carry_out: Carry

    def run(self, *, by: User | None = None, team: Team | None = None, **body: Any) -> Operation:
        """Runs a container to the end of the operation."""
        wish = {"image": self.image, "command": SLEEP, "networks": ["none"], **body}
        operation = operations.request_run(
            wish, actor=person(by or self.bob, source="ui"), engine=self.engine, team=team or self.team
        )
        return self._done(operation)

    def container(self, **body: Any) -> Container:
        operation = self.run(**body)
        assert operation.state == "succeeded", operation.error_message
        return Container.objects.get(pk=operation.target_id)

    def do(self, container: Container, action: str, **params: Any) -> Operation:
        actor = person(self.bob, source="ui")
        return self._done(operations.request(container, action, actor=actor, params=params))

    def _done(self, operation: Operation) -> Operation:
        self.carry_out()
        operation.refresh_from_db()
        return operation


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


def failed(operation: Operation, code: str) -> None:
    assert (operation.state, operation.error_code) == ("failed", code), operation.error_message


# Running


def test_a_container_that_was_run_is_the_teams_at_once(bench: Bench, engine_backend: EngineBackend) -> None:
    operation = bench.run(name="web", mounts=[{"type": "volume", "source": "data", "target": "/data"}])
    assert operation.state == "succeeded", operation.error_message
    row = Container.objects.get(name="web")
    assert operation.result == {"container": str(row.pk), "name": "web"}
    assert (operation.target_id, operation.target_name) == (str(row.pk), "web")
    assert (row.team, row.state) == (bench.team, "running")
    assert Volume.objects.get(native_id="data").team == bench.team
    assert engine_backend.container(row.native_id).labels["io.slipway.operation"] == str(operation.pk)
    assert list(AuditEntry.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "accepted",
        "succeeded",
    ]


def test_a_name_in_use_is_refused_before_and_by_the_engine(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    docker_client.containers.create(bench.image, name="web")
    failed(bench.run(name="web"), "name_in_use")
    sync.reconcile(bench.engine, engine_backend)
    with pytest.raises(Refused) as refused:
        bench.run(name="web")
    assert (refused.value.code, refused.value.status) == ("name_in_use", 409)


def test_a_port_in_use_leaves_nothing_behind(bench: Bench, docker_client: docker.DockerClient) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - as an engine binds
        taken.listen()
        port = taken.getsockname()[1]
        operation = bench.run(name="web", networks=[], ports=[{"container": 80, "host": port}])
    failed(operation, "port_in_use")
    assert str(port) in operation.error_message
    assert docker_client.containers.list(all=True) == []
    assert not Container.objects.exists()


def test_an_image_that_nobody_has_is_not_found(bench: Bench) -> None:
    failed(bench.run(image="slipway-test/nowhere:1", pull="never"), "image_not_found")


def test_a_command_that_is_not_there_leaves_nothing_behind(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    operation = bench.run(command=["/no/such/program"])
    assert operation.state == "failed"
    assert docker_client.containers.list(all=True) == []


def test_a_container_may_be_made_without_being_started(bench: Bench) -> None:
    assert bench.container(start=False).state == "created"


def test_an_attempt_that_died_in_the_middle_is_found_again(
    bench: Bench, engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    create = type(engine_backend).create

    def create_and_die(self: Any, *args: Any, **options: Any) -> str:
        made.append(create(self, *args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(type(engine_backend), "create", create_and_die)
    with pytest.raises(KeyboardInterrupt):
        bench.run(name="web")
    assert Operation.objects.get().state == "running"
    monkeypatch.undo()
    Operation.objects.update(lease_until=None)
    operation = Operation.objects.get()
    run_operation(str(operation.pk))
    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == ("succeeded", 2)
    assert [row.native_id for row in Container.objects.all()] == made


def test_a_lost_answer_to_the_creation_is_found_by_the_label(
    bench: Bench, engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = type(engine_backend).create

    def create_silently(self: Any, *args: Any, **options: Any) -> str:
        create(self, *args, **options)
        raise DeadlineExceeded("No answer.")

    monkeypatch.setattr(type(engine_backend), "create", create_silently)
    operation = bench.run(name="web")
    assert operation.state == "succeeded"
    assert [e.data["state"] for e in operation.events.filter(kind="state")] == [
        "queued", "running", "unknown", "succeeded",
    ]  # fmt: skip
    assert Container.objects.get().state == "running"


def test_secrets_reach_the_container_and_no_row(bench: Bench, docker_client: docker.DockerClient) -> None:
    operation = bench.run(
        name="web", environment={"DB_PASSWORD": "canary-1", "MODE": "fast"}, secrets={"TOKEN": "canary-2"}
    )
    environment = docker_client.containers.get("web").attrs["Config"]["Env"]
    assert {"DB_PASSWORD=canary-1", "MODE=fast", "TOKEN=canary-2"} <= set(environment)
    models = (Operation, AuditEntry, Container)
    assert "canary" not in repr([list(model.objects.values()) for model in models])
    assert "canary" not in repr(list(operation.events.values()))


@pytest.mark.parametrize(
    ("wish", "rule"),
    [
        ({"privileged": True}, "no_privileged"),
        ({"mounts": [{"type": "bind", "source": "/etc", "target": "/x"}]}, "no_host_paths"),
        ({"ports": [{"container": 80, "host": 80}], "networks": []}, "no_low_ports"),
        ({"networks": ["host"]}, "no_host_network"),
    ],
)
def test_guard_rails_hold_before_anything_happens_and_are_written_down(
    bench: Bench, wish: dict[str, Any], rule: str
) -> None:
    with pytest.raises(PolicyDenied) as denied:
        bench.run(**wish)
    assert denied.value.details["rule"] == rule
    assert not Operation.objects.exists()
    assert AuditEntry.objects.get().outcome == "denied"


def test_guard_rails_hold_again_in_the_worker(bench: Bench, alice: User) -> None:
    wish = {"image": bench.image, "mounts": [{"type": "bind", "source": "/tmp", "target": "/x"}]}
    operation = operations.request_run(
        wish, actor=person(alice, source="ui"), engine=bench.engine, team=bench.team
    )
    Operation.objects.update(actor=bench.bob)
    bench.carry_out()
    operation.refresh_from_db()
    failed(operation, "policy_denied")
    assert not Container.objects.exists()


@pytest.mark.parametrize("owner", ["nobody", "other"])
def test_a_volume_that_is_not_ours_cannot_be_mounted(
    bench: Bench,
    docker_client: docker.DockerClient,
    engine_backend: EngineBackend,
    other_team: Team,
    owner: str,
) -> None:
    docker_client.volumes.create("theirs")
    mount = {"type": "volume", "source": "theirs", "target": "/x"}
    # The rows do not know it yet: the worker looks before it acts.
    failed(bench.run(mounts=[mount]), "policy_denied")
    Volume.objects.update(team=other_team if owner == "other" else None)
    with pytest.raises(PolicyDenied, match="not your team's"):
        bench.run(mounts=[mount])


def test_an_image_that_another_team_built_does_not_exist_for_us(
    bench: Bench, engine_backend: EngineBackend, other_team: Team
) -> None:
    image_sync.reconcile(bench.engine, engine_backend)
    Image.objects.update(team=other_team)
    failed(bench.run(pull="never"), "image_not_found")


def test_what_is_not_valid_is_told_field_by_field(bench: Bench) -> None:
    with pytest.raises(SpecError) as wrong:
        bench.run(imagee="x", ports=[{"container": 99999}])
    assert {"imagee", "ports.0.container"} <= set(wrong.value.errors)
    assert not Operation.objects.exists()


def test_running_twice_at_once_joins(bench: Bench) -> None:
    actor = person(bench.bob, source="ui")
    wish = {"image": bench.image, "name": "web", "command": SLEEP}
    first = operations.request_run(wish, actor=actor)
    assert operations.request_run(wish, actor=actor) == first
    assert first.team == bench.team


def test_an_engine_that_is_away_changes_nothing_and_says_so(bench: Bench) -> None:
    Engine.objects.update(endpoint="unix:///tmp/slipway-nobody.sock")
    bench.engine.refresh_from_db()
    failed(bench.run(name="web"), "engine_unreachable")


# Living


def test_stop_start_restart_kill_pause_unpause(bench: Bench) -> None:
    web = bench.container(name="web")

    def after(action: str, **params: Any) -> str:
        operation = bench.do(web, action, **params)
        assert operation.state == "succeeded", (action, operation.error_message)
        assert operation.result["container"] == str(web.pk)
        web.refresh_from_db()
        return web.state

    assert after("stop", timeout=5) == "exited"
    assert web.exit_code == 0
    assert after("start") == "running"
    before = web.started_at
    assert after("restart", timeout=5) == "running"
    assert web.started_at > before
    assert after("pause") == "paused"
    assert after("unpause") == "running"
    assert after("kill") == "exited"
    assert web.exit_code == 137


def test_what_is_so_already_succeeds_and_says_that_nothing_changed(bench: Bench) -> None:
    web = bench.container()
    assert bench.do(web, "start").result == {"container": str(web.pk), "changed": False, "state": "running"}
    bench.do(web, "stop", timeout=5)
    assert bench.do(web, "stop").result["changed"] is False


def test_a_container_that_does_not_want_to_end_is_killed(bench: Bench) -> None:
    web = bench.container(command=["sleep", "100"])
    assert bench.do(web, "stop", timeout=1).state == "succeeded"
    web.refresh_from_db()
    assert (web.state, web.exit_code) == ("exited", 137)


def test_rename(bench: Bench, docker_client: docker.DockerClient) -> None:
    web = bench.container(name="web")
    assert bench.do(web, "rename", name="shop").state == "succeeded"
    web.refresh_from_db()
    assert web.name == "shop"
    docker_client.containers.create(bench.image, name="taken")
    failed(bench.do(web, "rename", name="taken"), "name_in_use")


def test_a_running_container_is_removed_only_by_force(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web")
    failed(bench.do(web, "remove"), "conflict")
    operation = bench.do(web, "remove", force=True, forever=True)
    assert (operation.state, operation.result["state"]) == ("succeeded", "removed")
    assert not Container.everything.exists()
    assert docker_client.containers.list(all=True) == []


def test_what_somebody_else_has_removed_is_removed(bench: Bench, docker_client: docker.DockerClient) -> None:
    web = bench.container(name="web")
    docker_client.containers.get("web").remove(force=True)
    assert bench.do(web, "remove").result["changed"] is False
    assert not Container.objects.exists()


def test_what_somebody_else_has_removed_cannot_be_started(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web")
    docker_client.containers.get("web").remove(force=True)
    failed(bench.do(web, "start"), "not_found")
    assert not Container.objects.exists()


def test_a_restart_whose_worker_died_is_not_done_twice(bench: Bench) -> None:
    web = bench.container(name="web")
    operation = operations.request(web, "restart", actor=person(bench.bob, source="ui"))
    Operation.objects.filter(pk=operation.pk).update(state="running", fence=1, attempt=1, lease_until=None)
    run_operation(str(operation.pk))
    operation.refresh_from_db()
    failed(operation, "lost")
    before = web.started_at
    web.refresh_from_db()
    assert web.started_at == before


@pytest.mark.parametrize(
    ("action", "params", "field"),
    [
        ("stop", {"timeout": -1}, "timeout"),
        ("stop", {"timeout": "5"}, "timeout"),
        ("kill", {"signal": "KILL; rm -rf /"}, "signal"),
        ("rename", {}, "name"),
        ("rename", {"name": "../x"}, "name"),
        ("remove", {"force": "yes"}, "force"),
        ("start", {"timeout": 1}, "timeout"),
        ("explode", {}, "action"),
    ],
)
def test_a_wish_that_is_not_valid_changes_nothing(
    bench: Bench, action: str, params: dict[str, Any], field: str
) -> None:
    row = Container.objects.create(
        engine=bench.engine, native_id="a" * 64, team=bench.team, name="web", state="running"
    )
    with pytest.raises(SpecError) as wrong:
        bench.do(row, action, **params)
    assert list(wrong.value.errors) == [field]
    assert not Operation.objects.exists()


# Volumes


def test_volumes_are_made_and_removed(bench: Bench, tara: User, docker_client: docker.DockerClient) -> None:
    actor = person(tara, source="ui")
    operation = operations.request_volume_create({"name": "data", "labels": {"a": "b"}}, actor=actor)
    bench.carry_out()
    operation.refresh_from_db()
    volume = Volume.objects.get()
    assert (operation.state, operation.target_id) == ("succeeded", str(volume.pk))
    assert (volume.name, volume.team, volume.labels["a"]) == ("data", bench.team, "b")

    with pytest.raises(Refused):
        operations.request_volume_create({"name": "data"}, actor=actor)

    operation = operations.request_volume_remove(volume, actor=actor)
    bench.carry_out()
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    assert not Volume.objects.exists()
    assert docker_client.volumes.list() == []


def test_a_volume_name_in_use_is_said_by_the_engine_too(
    bench: Bench, tara: User, docker_client: docker.DockerClient
) -> None:
    docker_client.volumes.create("data")
    operation = operations.request_volume_create({"name": "data"}, actor=person(tara, source="ui"))
    bench.carry_out()
    operation.refresh_from_db()
    failed(operation, "name_in_use")


def test_a_volume_in_use_stays(bench: Bench, tara: User) -> None:
    bench.container(mounts=[{"type": "volume", "source": "data", "target": "/data"}])
    operation = operations.request_volume_remove(Volume.objects.get(), actor=person(tara, source="ui"))
    bench.carry_out()
    operation.refresh_from_db()
    failed(operation, "in_use")
    assert Volume.objects.exists()
