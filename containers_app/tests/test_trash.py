"""What is removed can be taken back as it was, until it is purged. On a real engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import docker
import pytest
from django.utils import timezone

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from containers_app import operations, sync
from containers_app.models import Container, Volume
from containers_app.tests.test_operations import SLEEP, Bench, Carry, failed
from engine.base import Engine as EngineBackend
from engine.errors import EngineError
from engine.specs import UpdateSpec
from operations import endings, trash
from operations.models import Engine, Operation, TrashItem
from operations.services import Refused
from operations.tasks import run_operation
from tests.machine import free_port, said_by


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


def undo(bench: Bench, operation: Operation, by: User | None = None) -> Operation:
    return bench._done(trash.undo(operation, actor=person(by or bench.bob, source="ui")))


def remove(bench: Bench, row: Container, **params: Any) -> Operation:
    operation = bench.do(row, "remove", force=True, **params)
    assert operation.state == "succeeded", operation.error_message
    return operation


def follow(operation: Operation) -> None:
    """Its worker has died; when its lease has lapsed another one takes over."""
    Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    run_operation(str(operation.pk))
    operation.refresh_from_db()


def test_a_removed_container_comes_back_as_it_was(bench: Bench, docker_client: docker.DockerClient) -> None:
    port = free_port()
    web = bench.container(
        name="web", networks=[], ports=[{"container": 80, "host": port}],
        restart_policy={"name": "on-failure", "max_retries": 3},
        mounts=[{"type": "volume", "source": "data", "target": "/data"}],
    )  # fmt: skip
    docker_client.containers.get("web").exec_run(["sh", "-c", "echo kept > /written"])
    before = docker_client.containers.get("web").attrs
    operation = remove(bench, web)

    assert not Container.objects.filter(pk=web.pk).exists()
    aside = docker_client.containers.get(web.native_id)
    assert (aside.name, aside.status) == (f"slipway-trash-{operation.pk.hex[:12]}", "exited")
    assert aside.attrs["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    other = bench.container(name="web", networks=[], ports=[{"container": 80, "host": port}])
    failed(undo(bench, operation), "name_in_use")
    remove(bench, other, forever=True)

    back = undo(bench, operation)
    assert back.state == "succeeded", back.error_message
    web.refresh_from_db()
    assert (web.name, web.state, web.trashed_at) == ("web", "running", None)
    after = docker_client.containers.get("web").attrs
    assert after["Id"] == before["Id"]
    for part in ("Config", "HostConfig", "Mounts"):
        assert after[part] == before[part], part
    assert docker_client.containers.get("web").exec_run(["cat", "/written"]).output == b"kept\n"
    assert list(Operation.objects.filter(target_id=str(web.pk)).values_list("kind", flat=True)) == [
        "container.restore", "container.restore", "container.remove", "container.run",
    ]  # fmt: skip
    with pytest.raises(Refused, match="not in the trash any more"):
        undo(bench, operation)


def test_what_was_stopped_stays_stopped(bench: Bench) -> None:
    web = bench.container(name="web", start=False)
    undo(bench, remove(bench, web))
    web.refresh_from_db()
    assert (web.name, web.state, web.trashed_at) == ("web", "created", None)


def test_what_removes_itself_cannot_be_taken_back(bench: Bench, docker_client: docker.DockerClient) -> None:
    web = bench.container(name="web", auto_remove=True)
    operation = remove(bench, web)
    assert docker_client.containers.list(all=True) == []
    with pytest.raises(Refused) as refused:
        undo(bench, operation)
    assert refused.value.code == "not_undoable"


def test_what_has_had_its_time_is_purged_and_written_down(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    operation = remove(bench, bench.container(name="web"))
    assert trash.sweep() == 0
    TrashItem.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert trash.sweep() == 1
    assert trash.sweep() == 0
    bench.carry_out()
    assert docker_client.containers.list(all=True) == []
    assert TrashItem.objects.get(operation=operation).state == "purged"
    assert not Container.everything.exists()
    entry = AuditEntry.objects.filter(verb="container.purge").order_by("-pk")[0]
    assert (entry.actor_name, entry.outcome, entry.target_name) == ("system", "succeeded", "web")


def test_the_trash_believes_what_happens_outside(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    rows = [bench.container(name=name) for name in ("started", "renamed", "removed")]
    for row in rows:
        remove(bench, row)
    docker_client.containers.get(rows[0].native_id).start()
    docker_client.containers.get(rows[1].native_id).rename("found")
    docker_client.containers.get(rows[2].native_id).remove()
    sync.reconcile(bench.engine, engine_backend)
    assert set(Container.objects.values_list("name", "state")) == {
        (TrashItem.NAMES + f"-{TrashItem.objects.get(name='started').operation_id.hex[:12]}", "running"),
        ("found", "exited"),
    }
    assert dict(TrashItem.objects.values_list("name", "state")) == {
        "started": "restored", "renamed": "restored", "removed": "lost",
    }  # fmt: skip


@pytest.mark.parametrize("step", ["update", "rename"])
def test_a_removal_that_the_engine_refuses_half_way_leaves_it_running_as_it_was(
    bench: Bench, engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    web = bench.container(name="web", restart_policy={"name": "always"})
    real = getattr(type(engine_backend), step)

    def refuses(self: Any, native_id: str, *args: Any, **options: Any) -> None:
        if args[0] == UpdateSpec("no") or str(args[0]).startswith(TrashItem.NAMES):
            raise EngineError("Not today.")
        real(self, native_id, *args, **options)

    monkeypatch.setattr(type(engine_backend), step, refuses)
    failed(bench.do(web, "remove", force=True), "engine_error")
    web.refresh_from_db()
    assert (web.name, web.state, web.restart_policy, web.trashed_at) == ("web", "running", "always", None)
    assert not TrashItem.objects.exists()


STEPS = ("stop", "update", "rename")


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_dies_at_any_step_of_a_removal_is_followed(
    bench: Bench, engine_backend: EngineBackend, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch,
    step: str, lost: bool,
) -> None:  # fmt: skip
    """``lost``: the engine has done the step, and nobody is left to hear it."""
    web = bench.container(name="web", restart_policy={"name": "always"})
    real = getattr(type(engine_backend), step)

    def dies(self: Any, *args: Any, **options: Any) -> None:
        if lost:
            real(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), step, dies)
        with pytest.raises(KeyboardInterrupt):
            bench.do(web, "remove", force=True)
    operation = Operation.objects.get(kind="container.remove")
    follow(operation)
    assert operation.state == "succeeded", operation.error_message
    undo(bench, operation)
    web.refresh_from_db()
    assert (web.name, web.state, web.restart_policy) == ("web", "running", "always")
    assert [one.name for one in docker_client.containers.list(all=True)] == ["web"]


@pytest.mark.parametrize("step", ["rename", "update", "start"])
def test_a_worker_that_dies_while_taking_back_is_followed(
    bench: Bench, engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    web = bench.container(name="web", restart_policy={"name": "always"})
    operation = remove(bench, web)
    real = getattr(type(engine_backend), step)

    def dies(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), step, dies)
        with pytest.raises(KeyboardInterrupt):
            undo(bench, operation)
    sync.reconcile(bench.engine, engine_backend)  # the gateway sees it half done
    back = Operation.objects.get(kind="container.restore")
    follow(back)
    assert back.state == "succeeded", back.error_message
    web.refresh_from_db()
    assert (web.name, web.state, web.restart_policy) == ("web", "running", "always")


# Volumes


def volume(bench: Bench, docker_client: docker.DockerClient, tara: User) -> Volume:
    """One of the team's with a file in it."""
    row = bench.container(
        name="writer", command=["sh", "-c", "echo precious > /data/file; chown 1234:567 /data/file"],
        mounts=[{"type": "volume", "source": "data", "target": "/data"}],
    )  # fmt: skip
    docker_client.containers.get("writer").wait()
    remove(bench, row)
    return Volume.objects.get(native_id="data")


def test_a_removed_volume_comes_back_with_what_was_in_it(
    bench: Bench, docker_client: docker.DockerClient, tara: User, settings: Any
) -> None:
    row = volume(bench, docker_client, tara)
    operation = bench._done(operations.request_volume_remove(row, actor=person(tara, source="ui")))
    assert (operation.state, operation.result["undoable"]) == ("succeeded", True), operation.error_message
    assert docker_client.volumes.list() == []
    assert docker_client.containers.list(all=True) == [], "the writer in the trash went with it"
    item = TrashItem.objects.get(kind="volume")
    assert item.size
    assert trash.file_of(item.path).stat().st_mode & 0o777 == 0o600

    back = undo(bench, operation, tara)
    assert back.state == "succeeded", back.error_message
    assert Volume.objects.get(native_id="data").team == bench.team
    look = ["sh", "-c", "cat /data/file; stat -c %u:%g /data/file"]
    said = said_by(docker_client, bench.image, look, volumes=["data:/data"])
    assert said == b"precious\n1234:567\n"
    assert not trash.file_of(item.path).exists()


def test_a_volume_that_is_back_is_back_although_its_worker_died_before_it_said_so(
    bench: Bench,
    docker_client: docker.DockerClient,
    tara: User,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = volume(bench, docker_client, tara)
    removed = bench._done(operations.request_volume_remove(row, actor=person(tara, source="ui")))
    back = trash.undo(removed, actor=person(tara, source="ui"))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(endings, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            run_operation(str(back.pk))
    assert TrashItem.objects.get(kind="volume").state == "restored"
    Operation.objects.filter(pk=back.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    run_operation(str(back.pk))
    back.refresh_from_db()
    assert back.state == "succeeded", back.error_message
    said = said_by(docker_client, bench.image, ["cat", "/data/file"], volumes=["data:/data"])
    assert said == b"precious\n"


def test_a_volume_too_large_to_keep_stays_until_it_is_removed_for_good(
    bench: Bench, docker_client: docker.DockerClient, tara: User, settings: Any
) -> None:
    row, actor = volume(bench, docker_client, tara), person(tara, source="ui")
    settings.UNDO_MB = 0
    failed(bench._done(operations.request_volume_remove(row, actor=actor)), "too_large")
    assert [found.name for found in docker_client.volumes.list()] == ["data"]
    assert not TrashItem.objects.filter(kind="volume").exists()
    operation = bench._done(operations.request_volume_remove(row, actor=actor, forever=True))
    assert (operation.state, operation.result["undoable"]) == ("succeeded", False)
    assert docker_client.volumes.list() == []


# Copies


def test_a_copy_holds_exactly_what_would_be_lost(
    bench: Bench, docker_client: docker.DockerClient, tara: User
) -> None:
    import tarfile

    from containers_app.written import copy_of

    row = bench.container(
        name="writer", command=["sh", "-c", f"echo one > /srv/one; echo two > /data/two; {SLEEP[2]}"],
        mounts=[{"type": "volume", "source": "data", "target": "/data"}],
    )  # fmt: skip
    docker_client.containers.get("writer").exec_run(["sh", "-c", "mkdir -p /srv; echo one > /srv/one"])
    operation = bench._done(operations.request_copy(row, actor=person(tara, source="ui")))
    assert (operation.state, operation.result["bytes"]) == ("succeeded", 4), operation.error_message
    with tarfile.open(copy_of(operation.pk)) as archive:
        assert [member.name for member in archive if member.isreg()] == ["srv/one"]
