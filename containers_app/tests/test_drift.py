"""Drift: what was asked for against what is, what a tag points at now, and who has changed it."""

from __future__ import annotations

import json
from collections.abc import Callable

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import AuditEntry, Team, User
from containers_app import drift, operations, sync
from containers_app.models import Container, EngineEvent
from engine.base import Engine as EngineBackend
from images_app import references
from images_app import sync as image_sync
from images_app.models import Tag
from operations import trash
from operations.models import Engine, Operation, TrashItem
from tests.rows import make_container, make_engine, make_image

Run = Callable[[], list[Operation]]


@pytest.mark.parametrize(
    ("reference", "tag"),
    [
        ("nginx", "nginx:latest"), ("nginx:1.27", "nginx:1.27"), ("docker.io/library/nginx", "nginx:latest"),
        ("registry:5000/team/app", "registry:5000/team/app:latest"), ("app@sha256:" + "a" * 64, ""),
        ("sha256:" + "a" * 64, ""), ("", ""),
    ],
)  # fmt: skip
def test_a_reference_is_the_tag_that_it_means(reference: str, tag: str) -> None:
    assert references.tag_of(reference) == tag


def test_a_container_from_elsewhere_was_asked_for_as_it_was_seen_first(db: None, team: Team) -> None:
    row = make_container(make_engine(), team, memory_limit=100, networks=[{"name": "front"}])
    drift.judge(row.engine, [row.native_id])
    row.refresh_from_db()
    assert (row.asked["resources"]["memory"], row.drift) == (100, [])
    Container.objects.update(memory_limit=200, networks=[{"name": "back"}], restart_policy="always")
    drift.judge(row.engine, [row.native_id])
    row.refresh_from_db()
    assert {one["path"]: (one["old"], one["new"]) for one in row.drift} == {
        "networks.back": (None, True), "networks.front": (True, None), "resources.memory": (100, 200),
        "restart_policy.name": ("no", "always"),
    }  # fmt: skip
    assert row.drift_at is not None
    Container.objects.update(memory_limit=100, networks=[{"name": "front"}], restart_policy="no")
    drift.judge(row.engine, [row.native_id])
    row.refresh_from_db()
    assert (row.drift, row.drift_at) == ([], None), "put back is no drift"


def test_what_slipway_names_for_a_moment_is_nobodys_wish(db: None, team: Team) -> None:
    row = make_container(make_engine(), team, "slipway-trash-web-1")
    row.asked = {"name": "web"}
    assert drift.found(row) == []


def test_a_tag_that_has_moved_is_noticed_and_one_that_came_back_is_not(db: None, team: Team) -> None:
    engine = make_engine()
    old, new = make_image(engine, team, "app:1"), make_image(engine, team)
    row = make_container(engine, team, image=old, image_ref="app:1", image_native_id=old.native_id)
    loose = make_container(
        engine, team, "loose", image=old, image_ref=old.native_id, image_native_id=old.native_id
    )
    drift.images(engine)
    row.refresh_from_db()
    assert row.drift_image == ""
    Tag.objects.filter(name="app:1").update(image=new)
    drift.images(engine)
    row.refresh_from_db()
    loose.refresh_from_db()
    assert (row.drift_image, loose.drift_image) == (new.native_id, "")
    Tag.objects.all().delete()
    drift.images(engine)
    row.refresh_from_db()
    assert row.drift_image == "", "a tag that is gone points nowhere else"


def test_pages_and_rest_filter_by_it_and_say_it(
    db: None, team: Team, client_for: Callable[..., Client], api_for: Callable[..., APIClient], bob: User
) -> None:
    engine = make_engine()
    change = [{"path": "resources.memory", "old": 2**28, "new": 2**29}]
    moved = make_container(engine, team, "moved", image_ref="app:1", drift_image="sha256:" + "e" * 64)
    other = make_container(
        engine, team, "other", drift=change, asked={"resources": {"memory": 2**28}}, memory_limit=2**29
    )
    make_container(engine, team, "same")
    rows = []
    for word, names in (
        ("image", {"moved"}),
        ("settings", {"other"}),
        ("image,settings", {"moved", "other"}),
    ):
        rows = json.loads(api_for(bob).get(f"/api/v1/containers/?drift={word}").content)["results"]
        assert {row["name"] for row in rows} == names
    assert {row["name"]: row["drift"] for row in rows} == {"moved": ["image"], "other": ["settings"]}
    assert api_for(bob).get("/api/v1/containers/?drift=sideways").status_code == 400
    page = client_for(bob).get("/containers/?drift=settings").content.decode()
    assert "Not as it was asked for: memory limit" in page
    assert 'data-name="same"' not in page
    page = client_for(bob).get(f"/containers/{other.pk}/").content.decode()
    assert "<s>256 MB</s><b>512 MB</b>" in page
    assert f"/containers/{other.pk}/update/?initial-memory=512&amp;memory=256" in page
    assert "points at another image" in client_for(bob).get(f"/containers/{moved.pk}/").content.decode()
    answer = json.loads(api_for(bob).get(f"/api/v1/containers/{other.pk}/drift/").content)
    assert (answer["settings"], answer["image"], answer["asked_by"]) == (change, None, None)


def test_accepting_it_needs_the_right_and_leaves_a_line(
    db: None, team: Team, api_for: Callable[..., APIClient], bob: User, vic: User
) -> None:
    change = [{"path": "name", "old": "web", "new": "other"}]
    row = make_container(make_engine(), team, "other", drift=change, asked={"name": "web"})
    path = f"/api/v1/containers/{row.pk}/accept/"
    assert api_for(vic).post(path, {}, format="json").status_code == 403
    assert json.loads(api_for(bob).post(path, {}, format="json").content)["drift"] == []
    row.refresh_from_db()
    assert (row.drift, row.asked["name"]) == ([], "other")
    assert AuditEntry.objects.get(verb="container.accept").detail["drift"] == change


# On a real engine


@pytest.fixture
def web(
    engine_row: Engine,
    engine_backend: EngineBackend,
    busybox: str,
    team: Team,
    bob: User,
    run_operations: Run,
) -> Container:
    """A container of team blue that Slipway has run, with limits."""
    body = {
        "image": busybox, "name": "web", "command": ["sleep", "300"], "resources": {"memory": 2**26, "cpus": 0.5},
        "restart_policy": {"name": "unless-stopped"},
    }  # fmt: skip
    operations.request_run(body, actor=Actor(user=bob), engine=engine_row, team=team)
    assert [one.state for one in run_operations()] == ["succeeded"]
    return Container.objects.get(name="web")


def look(row: Container, engine: EngineBackend) -> Container:
    sync.reconcile(row.engine, engine)
    sync.look_at_all(row.engine, engine)
    row.refresh_from_db()
    return row


def test_a_change_from_outside_is_drift_and_the_plan_puts_it_back(
    web: Container,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    client_for: Callable[..., Client],
    bob: User,
    run_operations: Run,
) -> None:
    assert (web.drift, web.asked["resources"]["memory"]) == ([], 2**26)
    there = docker_client.containers.get("web")
    there.update(mem_limit="128m", memswap_limit="256m", restart_policy={"Name": "always"})
    assert {one["path"] for one in look(web, engine_backend).drift} == {
        "resources.memory",
        "restart_policy.name",
    }
    EngineEvent.objects.create(
        engine=web.engine, type="container", action="update", native_id=web.native_id, name="web", container=web,
        origin="outside", time_ns=1, at=timezone.now(), heard_at=timezone.now(), team=web.team,
    )  # fmt: skip
    page = client_for(bob).get(f"/containers/{web.pk}/").content.decode()
    assert "changed by somebody outside" in page
    assert "bob asked for it in" in page
    link = page.split("/update/?initial-memory", 1)[1].split('"', 1)[0].replace("&amp;", "&")
    plan = client_for(bob).get(f"/containers/{web.pk}/update/?initial-memory{link}").content.decode()
    assert "128 MB → 64 MB" in plan
    assert "always → unless stopped" in plan
    wish = {"resources": {"memory": 2**26}, "restart_policy": {"name": "unless-stopped"}}
    operations.request(web, "update", actor=Actor(user=bob), params=wish)
    assert [one.state for one in run_operations()] == ["succeeded"]
    assert look(web, engine_backend).drift == []


def test_rows_from_before_are_taken_as_they_are(web: Container, engine_backend: EngineBackend) -> None:
    Container.objects.update(asked={})
    look(web, engine_backend)
    assert (web.asked["resources"]["memory"], web.drift) == (2**26, [])


def test_our_own_changes_are_no_drift_and_leave_that_of_others(
    web: Container,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    bob: User,
    run_operations: Run,
) -> None:
    docker_client.containers.get("web").update(restart_policy={"Name": "always"})
    look(web, engine_backend)
    for action, params in (("update", {"resources": {"pids": 50}}), ("rename", {"name": "site"})):
        operations.request(web, action, actor=Actor(user=bob), params=params)
        assert [one.state for one in run_operations()] == ["succeeded"]
        web.refresh_from_db()
    assert [one["path"] for one in look(web, engine_backend).drift] == ["restart_policy.name"]
    assert (web.asked["name"], web.asked["resources"]["pids"]) == ("site", 50)


def test_removal_undo_and_recreation_are_no_drift(
    web: Container, engine_backend: EngineBackend, bob: User, run_operations: Run
) -> None:
    actor = Actor(user=bob)
    operations.request(web, "remove", actor=actor, params={"force": True})
    run_operations()
    gone = Container.everything.get(pk=web.pk)
    sync.reconcile(web.engine, engine_backend)
    gone.refresh_from_db()
    assert (gone.drift, gone.name.startswith("slipway-trash")) == ([], True)
    trash.restore(TrashItem.objects.get(), actor=actor)
    assert [one.state for one in run_operations()] == ["succeeded"]
    assert look(web, engine_backend).drift == []
    operations.request(web, "recreate", actor=actor, params={"pull": False, "gate": {"steady": 1}})
    assert [one.state for one in run_operations()] == ["succeeded"]
    new = Container.objects.get(name="web")
    assert (look(new, engine_backend).drift, new.pk != web.pk) == ([], True)
    assert new.asked["restart_policy"]["name"] == "unless-stopped"


def test_a_tag_that_moves_on_the_engine_flags_the_container_until_it_is_made_anew(
    web: Container,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    bob: User,
    run_operations: Run,
) -> None:
    docker_client.images.get("slipway-test/busybox:1").tag("drifting", "1")
    body = {"image": "drifting:1", "name": "old", "command": ["sleep", "300"]}
    operations.request_run(body, actor=Actor(user=bob), engine=web.engine, team=web.team)
    run_operations()
    docker_client.containers.create("slipway-test/busybox:1", "true", name="base").commit("drifting", "1")
    image_sync.reconcile(web.engine, engine_backend)
    row = look(Container.objects.get(name="old"), engine_backend)
    assert row.drift_image == docker_client.images.get("drifting:1").id
    wish = {"pull": False, "gate": {"steady": 1}}
    operations.request(row, "recreate", actor=Actor(user=bob), params=wish)
    assert [one.state for one in run_operations()] == ["succeeded"]
    image_sync.reconcile(web.engine, engine_backend)
    assert look(Container.objects.get(name="old"), engine_backend).drift_image == ""
