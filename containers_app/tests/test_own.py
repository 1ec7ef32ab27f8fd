"""S-31: what Slipway runs in is protected from it, on a real engine; and how it finds that out."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.utils import timezone

from accounts.access import Actor, Denied, person
from accounts.models import AuditEntry, Team, User
from containers_app import consoles, files, operations, own, sync, unused
from containers_app.backed import BackupSchedule
from containers_app.backup_asks import ask_for_due
from containers_app.commit_asks import request_commit, request_export
from containers_app.edit_asks import request_duplicate
from containers_app.models import Container, Network, Volume
from containers_app.network_asks import request_network_remove
from engine.base import Engine as EngineBackend
from engine.errors import SelfProtected
from engine.specs import SpecError
from images_app import operations as images
from images_app import references
from images_app import sync as image_sync
from images_app.models import Tag
from operations import policies
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_image

ID = "a" * 64


@pytest.mark.parametrize(("cgroup", "mounts", "hostname", "found"), [
    (f"0::/system.slice/docker-{ID}.scope", "", "web", {ID}),
    (f"12:pids:/docker/{'b' * 64}/docker/{ID}", "", "web", {ID}),
    ("0::/", f"9 8 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4", "web", {ID}),
    # A host sees the mounts of every container, and is none of them.
    ("0::/user.slice", f"9 8 0:5 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs", "host", set()),
    ("0::/", "", "0123456789ab", {"0123456789ab"}),
])  # fmt: skip
def test_a_process_finds_the_container_that_it_is_in(
    cgroup: str, mounts: str, hostname: str, found: set[str]
) -> None:
    """S-31."""
    assert own.ids_in(cgroup, mounts, hostname) == found


@pytest.fixture
def db_of_ours(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, busybox: str,
    monkeypatch: pytest.MonkeyPatch, settings: Any,
) -> Container:  # fmt: skip
    """A container of the same compose project as the one that Slipway believes to be in, on a network with it."""
    settings.OWN_CONTAINERS = []
    docker_client.networks.create("ours_default")
    labels = {"com.docker.compose.project": "ours"}
    made = [
        docker_client.containers.create(
            busybox,
            ["sleep", "600"],
            name=name,
            labels=labels,
            network="ours_default",
            volumes={"ours_data": {"bind": "/data", "mode": "rw"}},
        )
        for name in ("ours-web", "ours-db")
    ]
    made[1].start()
    monkeypatch.setattr(own, "_of_this_process", lambda: frozenset({str(made[0].id)[:12]}))
    sync.reconcile(engine_row, engine_backend)
    image_sync.reconcile(engine_row, engine_backend)
    sync.reconcile(engine_row, engine_backend)
    return Container.objects.get(name="ours-db")


def _other_ways(row: Container, actor: Actor) -> list[Callable[[], object]]:
    network, volume = Network.objects.get(name="ours_default"), Volume.objects.get(native_id="ours_data")
    tag = Tag.objects.select_related("image", "engine").get(name=references.tag_of(row.image_ref))
    other = make_image(row.engine, None, "evil:1")
    mounts = [{"type": "volume", "source": "ours_data", "target": "/data"}]
    wish = {"image": "evil:1", "name": "mine", "mounts": mounts}
    return [
        lambda: operations.request_volume_remove(volume, actor=actor, force=True),
        lambda: operations.request_volume_clone(volume, {"name": "mine"}, actor=actor),
        lambda: operations.request_volume_export(volume, actor=actor),
        lambda: operations.request_volume_backup(volume, actor=actor),
        lambda: files.place_of(volume, actor),
        lambda: operations.file_changes.request_write(volume, "/x", io.BytesIO(b"x"), actor=actor),
        lambda: operations.file_changes.request_erase(volume, "/x", actor=actor),
        lambda: operations.request_run(wish, actor=actor),
        lambda: images.request_remove(tag.image, actor=actor, force=True),
        lambda: images.request_untag(tag, actor=actor),
        lambda: images.request_tag(other, tag.name, actor=actor),
        lambda: images.request_build(actor=actor, tags=[tag.name], dockerfile="FROM scratch\n"),
        lambda: request_commit(row, {"repository": "mine"}, actor=actor),
        lambda: request_export(row, actor=actor),
        lambda: operations.request_copy(row, actor=actor),
        lambda: operations.request_duplicate(row, actor=actor),
        lambda: consoles.start(row, actor, command=["sh"]),
        lambda: files.place_of(row, actor),
        lambda: request_network_remove(network, actor=actor, force=True),
    ]


def test_nothing_happens_to_its_own_containers_until_somebody_breaks_the_glass(
    db_of_ours: Container, engine_row: Engine, alice: User, api_for: Callable[..., Any],
    client_for: Callable[..., Any], docker_client: docker.DockerClient,
    run_operations: Callable[[], list[Operation]],
) -> None:  # fmt: skip
    """S-31: by every way in; a reason and a session open it for a day, and the trail has both."""
    row, actor = db_of_ours, Actor(alice, source="ui")
    params = {"rename": {"name": "mine"}, "update": {"resources": {"pids": 50}}}
    for action in ("stop", "restart", "kill", "pause", "rename", "update", "recreate", "remove"):
        with pytest.raises(SelfProtected):
            operations.request(row, action, actor=actor, params=params.get(action))
    for number, ask in enumerate(_other_ways(row, actor)):
        with pytest.raises(SelfProtected):
            pytest.fail(f"{number} was not refused: {ask()}")
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(verb="container.stop", outcome="denied", target_name="ours-db").exists()
    api, page = api_for(alice), f"/api/v1/containers/{row.pk}/"
    told = api.post(f"{page}stop/", {}, format="json")
    assert (told.status_code, told.json()["code"]) == (409, "self_protected")
    assert api.post(f"{page}stop/?dry_run=1", {}, format="json").json()["refused"]["code"] == "self_protected"
    assert api.get(page).json()["protected"] is True
    assert not unused.unused(engine_row, None).items(["containers"]), "ours-web does not run, and stays"
    browser = client_for(alice)
    assert b"protected" in browser.get("/containers/").content
    assert b"own, protected" in browser.get(f"/containers/{row.pk}/").content

    wish: dict[str, Any] = {"rule": "self_protected", "name": "ours-db", "reason": "the disk is full"}
    soon, late = (timezone.now() + timedelta(hours=hours) for hours in (2, 48))
    with pytest.raises(SpecError) as caught:
        policies.allow(None, actor=actor, **wish, expires_at=late)
    assert "a day" in caught.value.errors["expires_at"][0]
    body = {**wish, "expires_at": soon.isoformat()}
    assert api.post("/api/v1/policies/exceptions/", body, format="json").status_code == 403, (
        "a token does not"
    )
    policies.allow(None, actor=actor, **wish, expires_at=soon)
    assert AuditEntry.objects.filter(verb="policy.except", detail__reason="the disk is full").exists()
    assert api.post(f"{page}stop/", {}, format="json").status_code == 409, "nor does it use one"
    operations.request(row, "kill", actor=actor)
    (done,) = run_operations()
    assert (done.state, docker_client.containers.get("ours-db").status) == ("succeeded", "exited")


def test_what_its_own_containers_keep_is_opened_by_its_own_name(
    db_of_ours: Container, engine_row: Engine, engine_backend: EngineBackend, alice: User,
    docker_client: docker.DockerClient, busybox: str,
) -> None:  # fmt: skip
    """S-31: not by an exception for the container; nor is it seen through another container that mounts it."""
    docker_client.containers.create(
        busybox, ["true"], name="by", volumes={"ours_data": {"bind": "/d", "mode": "rw"}}
    )
    sync.reconcile(engine_row, engine_backend)
    volume, by, actor = (
        Volume.objects.get(native_id="ours_data"),
        Container.objects.get(name="by"),
        person(alice, source="ui"),
    )
    assert files.place_of(by, actor).closed == ("/d",)
    end = timezone.now() + timedelta(hours=1)
    wish: dict[str, Any] = {"rule": "self_protected", "reason": "why", "expires_at": end}
    policies.allow(None, actor=actor, **wish, name="ours-db")
    with pytest.raises(SelfProtected):
        files.place_of(volume, actor)
    BackupSchedule.objects.create(
        engine=engine_row, volume_name="ours_data", every="day", hour=3, keep=1, next_at=timezone.now()
    )
    assert ask_for_due() == 0, "and the other schedules go on"
    policies.allow(None, actor=actor, **wish, name="ours_data")
    assert files.place_of(volume, actor)
    assert files.place_of(by, actor).closed == ()
    with pytest.raises(SelfProtected):
        operations.request_volume_remove(volume, actor=replace(actor, token_key="abc"))


def test_what_mounts_what_they_keep_is_neither_started_nor_opened(
    db_of_ours: Container, engine_row: Engine, engine_backend: EngineBackend, team: Team, tara: User, alice: User,
    docker_client: docker.DockerClient, busybox: str,
) -> None:  # fmt: skip
    """S-31: made elsewhere, by whoever; it may be stopped and removed, and ours may be started. One like it would be
    no better.
    """
    shared = {"volumes": {"ours_data": {"bind": "/d", "mode": "rw"}}}
    docker_client.containers.create(busybox, ["sleep", "60"], name="asleep", **shared)
    docker_client.containers.run(
        busybox, ["sleep", "60"], name="awake", detach=True, stop_signal="KILL", **shared
    )
    sync.reconcile(engine_row, engine_backend)
    Container.objects.filter(name__in=["asleep", "awake"]).update(team=team)
    asleep, awake = Container.objects.get(name="asleep"), Container.objects.get(name="awake")
    for who in (tara, alice):
        actor = person(who, source="ui")
        with pytest.raises(SelfProtected):
            operations.request(asleep, "start", actor=actor)
        with pytest.raises(SelfProtected):
            operations.request(awake, "restart", actor=actor)
        with pytest.raises(SelfProtected):
            consoles.start(awake, actor, command=["sh"])
        with pytest.raises(SelfProtected):
            operations.request(
                awake, "recreate", actor=actor, params={"changes": {"command": ["cat", "/d/key"]}}
            )
        with pytest.raises(SelfProtected):
            request_duplicate(asleep, actor=actor, params={"changes": {"command": ["cat", "/d/key"]}})
    wish: dict[str, Any] = {
        "rule": "self_protected",
        "reason": "why",
        "expires_at": timezone.now() + timedelta(hours=1),
    }
    policies.allow(None, actor=person(alice, source="ui"), **wish, name="ours_data")
    operations.request(asleep, "start", actor=person(alice, source="ui"))
    operations.request(awake, "remove", actor=person(tara, source="ui"), params={"force": True})
    mine = Container.objects.get(name="ours-web")
    operations.request(mine, "start", actor=person(alice, source="ui"))


def test_no_label_makes_a_container_of_a_team_slipways_own(
    db_of_ours: Container, engine_row: Engine, engine_backend: EngineBackend, team: Team, tara: User,
    docker_client: docker.DockerClient, busybox: str,
) -> None:  # fmt: skip
    """S-24, S-31: an image may carry the label of our project; its team stays master of what it has run."""
    labels = {"com.docker.compose.project": "ours"}
    volumes = {"theirs": {"bind": "/d", "mode": "rw"}}
    docker_client.containers.create(busybox, ["true"], name="theirs", labels=labels, volumes=volumes)
    sync.reconcile(engine_row, engine_backend)
    row, actor = Container.objects.get(name="theirs"), person(tara, source="ui")
    assert own.ours().has(row), "while it is nobody's"
    Container.objects.filter(pk=row.pk).update(team=team)
    Volume.objects.filter(native_id="theirs").update(team=team)
    row.refresh_from_db()
    assert (own.ours().has(row), own.ours().has(db_of_ours)) == (False, True)
    operations.request(row, "remove", actor=actor)
    operations.request_volume_remove(Volume.objects.get(native_id="theirs"), actor=actor)
    assert "theirs" in {item["name"] for item in unused.unused(engine_row, None).items(["containers"])}
    mine = Container.objects.get(name="ours-web")
    Container.objects.filter(pk__in=[mine.pk, db_of_ours.pk]).update(team=team)
    db_of_ours.refresh_from_db()
    assert own.ours().has(db_of_ours), "where Slipway itself is a team's, so are its neighbours"


def test_the_worker_asks_again(
    db_of_ours: Container, alice: User, settings: Any, run_operations: Callable[[], list[Operation]]
) -> None:
    """S-31: what was asked for before anybody knew that it is ours is not done."""
    settings.OWN_CONTAINERS = ["none"]
    operations.request(db_of_ours, "stop", actor=Actor(alice, source="ui"))
    settings.OWN_CONTAINERS = ["ours-db"]
    (done,) = run_operations()
    assert (done.state, done.error_code) == ("cancelled", "denied")


def test_a_token_and_a_team_open_nothing(team: Team, alice: User, tara: User) -> None:
    """S-31."""
    row = make_container(make_engine(), team, "ours-db")
    end = timezone.now() + timedelta(hours=1)
    wish: dict[str, Any] = {"rule": "self_protected", "name": "ours-db", "reason": "why", "expires_at": end}
    with pytest.raises(Denied):
        policies.allow(None, actor=Actor(alice, source="api", token_key="abc"), **wish)
    policies.allow(team, actor=Actor(alice, source="ui"), **wish)
    assert own.open_for(row, Actor(alice, source="ui"))
    assert not own.open_for(row, Actor(tara, source="ui"))
