"""The rows of containers, volumes and networks equal the engine, whoever changed it. On a real engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.db import transaction

from accounts.models import Team
from containers_app import sync
from containers_app.models import Container, Mount, Network, Volume
from engine.base import Engine as EngineBackend
from engine.types import Event
from images_app import sync as image_sync
from images_app.models import Image
from operations.models import Engine
from streams import bell

Run = Callable[..., Any]
SLEEP = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Topics that were rung; a test's transaction never commits, so they ring at once."""
    topics: list[str] = []
    monkeypatch.setattr(transaction, "on_commit", lambda function, robust=False: function())
    monkeypatch.setattr(bell, "ring", lambda *names: topics.extend(names))
    return topics


@pytest.fixture
def outside(docker_client: docker.DockerClient, busybox: str) -> Run:
    """``outside(**options)`` runs a container as somebody's terminal does."""

    def run(command: list[str] | None = None, **options: Any) -> Any:
        return docker_client.containers.run(
            busybox,
            command or SLEEP,
            detach=True,
            network_mode=options.pop("network_mode", "none"),
            **options,
        )

    return run


def happened(engine: Engine, backend: EngineBackend, kind: str, action: str, native_id: str) -> None:
    """What the gateway does with an event."""
    sync.apply(engine, backend, [Event(kind, action, native_id, time.time_ns())])


def truth(engine: Engine, backend: EngineBackend) -> None:
    """Each row equals the inspection of today, and nothing is missing or too much."""
    listed = {summary.native_id for summary in backend.containers()}
    rows = {row.native_id: row for row in Container.objects.filter(engine=engine)}
    assert rows.keys() == listed
    for native_id, row in rows.items():
        info = backend.container(native_id)
        assert (row.name, row.state, row.image_native_id) == (info.name, info.state.value, info.image_id)
        assert {m.target for m in row.mounts.all()} == {m.target for m in info.mounts}


def test_what_was_there_before_us_appears_with_what_it_is_linked_to(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    made = outside(
        name="db",
        volumes={"pgdata": {"bind": "/data", "mode": "rw"}},
        labels={"com.docker.compose.project": "shop"},
        environment={"PASSWORD": "canary", "PORT": "80"},
    )
    image_sync.reconcile(engine_row, engine_backend)
    report = sync.reconcile(engine_row, engine_backend)
    row = Container.objects.get(name="db")
    assert report.added >= 1
    assert (row.native_id, row.state, row.stack, row.team) == (made.id, "running", "shop", None)
    assert row.image == Image.objects.get(native_id=row.image_native_id)
    assert row.environment["PORT"] == "80"
    assert "canary" not in repr(Container.objects.filter(pk=row.pk).values().get())
    mount = row.mounts.get()
    assert (mount.type, mount.source, mount.target, mount.read_only) == ("volume", "pgdata", "/data", False)
    assert mount.volume == Volume.objects.get(native_id="pgdata")
    assert {"bridge", "host", "none"} <= set(Network.objects.values_list("name", flat=True))
    truth(engine_row, engine_backend)


def test_a_second_look_finds_nothing_to_write(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    outside()
    sync.reconcile(engine_row, engine_backend)
    before = list(Container.objects.values())
    assert sync.reconcile(engine_row, engine_backend).quiet
    assert list(Container.objects.values()) == before


def test_links_are_made_in_either_order(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    made = outside()
    sync.reconcile(engine_row, engine_backend)
    assert Container.objects.get(native_id=made.id).image is None
    image_sync.reconcile(engine_row, engine_backend)
    sync.reconcile(engine_row, engine_backend)
    assert Container.objects.get(native_id=made.id).image is not None


def test_run_stop_rename_and_rm_outside_show_up_by_their_events(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run, rung: list[str]
) -> None:
    made = outside(name="first")
    happened(engine_row, engine_backend, "container", "start", made.id)
    row = Container.objects.get(native_id=made.id)
    assert (row.name, row.state) == ("first", "running")
    assert {"containers", f"container:{row.pk}"} <= set(rung)

    made.stop(timeout=5)
    happened(engine_row, engine_backend, "container", "die", made.id)
    row.refresh_from_db()
    assert (row.state, row.exit_code) == ("exited", 0)

    made.rename("second")
    happened(engine_row, engine_backend, "container", "rename", made.id)
    row.refresh_from_db()
    assert row.name == "second"

    made.remove()
    rung.clear()
    happened(engine_row, engine_backend, "container", "destroy", made.id)
    assert not Container.objects.filter(pk=row.pk).exists()
    assert {"containers", f"container:{row.pk}"} <= set(rung)


def test_what_happens_inside_a_container_rings_nothing(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run, rung: list[str]
) -> None:
    made = outside()
    sync.reconcile(engine_row, engine_backend)
    rung.clear()
    happened(engine_row, engine_backend, "container", "exec_die", made.id)
    happened(engine_row, engine_backend, "container", "resize", made.id)
    assert rung == []


def test_a_restart_is_noticed_without_its_events(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    made = outside()
    sync.reconcile(engine_row, engine_backend)
    long_ago = Container.objects.get(native_id=made.id).started_at - timedelta(days=2)  # type: ignore[operator]
    Container.objects.update(started_at=long_ago)
    sync.reconcile(engine_row, engine_backend)
    assert Container.objects.get(native_id=made.id).started_at > long_ago + timedelta(days=1)  # type: ignore[operator]


def test_after_a_storm_without_any_event_the_inventory_equals_the_engine(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run, docker_client: docker.DockerClient
) -> None:
    made = [outside(name=f"storm-{n}") for n in range(6)]
    sync.reconcile(engine_row, engine_backend)
    made[0].remove(force=True)
    made[1].kill()
    made[2].pause()
    made[3].rename("other")
    made[4].restart(timeout=0)
    outside(name="new", volumes={"fresh": {"bind": "/v", "mode": "ro"}})
    docker_client.networks.create("front")
    sync.reconcile(engine_row, engine_backend)
    truth(engine_row, engine_backend)
    assert Network.objects.filter(name="front").exists()
    assert Mount.objects.get(volume__native_id="fresh").read_only
    made[2].unpause()


def test_volumes_and_networks_follow_their_events(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, rung: list[str]
) -> None:
    volume = docker_client.volumes.create("notes", labels={"a": "b"})
    happened(engine_row, engine_backend, "volume", "create", "notes")
    assert Volume.objects.get(native_id="notes").labels == {"a": "b"}
    volume.remove()
    happened(engine_row, engine_backend, "volume", "destroy", "notes")
    assert not Volume.objects.filter(native_id="notes").exists()
    network = docker_client.networks.create("back", driver="bridge")
    happened(engine_row, engine_backend, "network", "create", network.id)
    assert Network.objects.get(native_id=network.id).subnets
    assert {"volumes", "networks"} <= set(rung)


def test_connecting_a_running_container_shows_up(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, outside: Run
) -> None:
    network = docker_client.networks.create("side")
    made = outside(network_mode="bridge")
    sync.reconcile(engine_row, engine_backend)
    network.connect(made)
    happened(engine_row, engine_backend, "network", "connect", network.id)
    assert "side" in [n["name"] for n in Container.objects.get(native_id=made.id).networks]


def test_our_owner_outlasts_what_the_engine_says(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run, team: Team
) -> None:
    made = outside()
    row = sync.refresh(engine_row, engine_backend, made.id, team=team)
    assert row is not None
    assert row.team == team
    made.stop(timeout=0)
    sync.reconcile(engine_row, engine_backend)
    row.refresh_from_db()
    assert (row.state, row.team) == ("exited", team)


def test_a_label_says_nothing_about_who_owns_it(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run, team: Team
) -> None:
    """S-24, S-53."""
    made = outside(labels={"io.slipway.team": team.slug, "io.slipway.operation": "x"})
    sync.reconcile(engine_row, engine_backend)
    assert Container.objects.get(native_id=made.id).team is None


def test_volumes_that_came_with_a_container_are_its_teams_and_older_ones_are_not(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    outside: Run,
    team: Team,
) -> None:
    docker_client.volumes.create("older")
    time.sleep(1.1)  # volumes have whole seconds
    made = outside(volumes={"older": {"bind": "/a"}, "newer": {"bind": "/b"}})
    sync.refresh(engine_row, engine_backend, made.id, team=team)
    assert Volume.objects.get(native_id="newer").team == team
    assert Volume.objects.get(native_id="older").team is None


def test_an_older_look_does_not_overwrite_a_later_one(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    made = outside()
    sync.reconcile(engine_row, engine_backend)
    stale = engine_backend.container(made.id)
    looked = Container.objects.get(native_id=made.id).seen_at
    made.stop(timeout=0)
    sync.reconcile(engine_row, engine_backend)
    sync._save(engine_row, looked, [stale], sync.Report(), None)
    assert Container.objects.get(native_id=made.id).state == "exited"
    sync._forget(engine_row, [made.id], looked, sync.Report())
    assert Container.objects.filter(native_id=made.id).exists()


def test_texts_longer_than_their_columns_are_cut(
    engine_row: Engine, engine_backend: EngineBackend, outside: Run
) -> None:
    info = engine_backend.container(outside().id)
    long = replace(info, name="n" * 300, error="e" * 900, labels={sync.facts.STACK_LABEL: "s" * 300})
    sync._save(engine_row, sync.timezone.now(), [long], sync.Report(), None)
    row = Container.objects.get()
    assert (len(row.name), len(row.error), len(row.stack)) == (255, 500, 120)


def test_sizes_come_only_when_asked_for(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient
) -> None:
    docker_client.volumes.create("big")
    sync.reconcile(engine_row, engine_backend)
    assert Volume.objects.get(native_id="big").size is None
    sync.put_sizes(engine_row, engine_backend.volume_sizes())
    assert Volume.objects.get(native_id="big").size == 0
