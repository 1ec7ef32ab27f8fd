"""A container as an image, and as a tar: what is in it, what is not, and who may."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import AuditEntry, Team, User
from containers_app import commit, commit_asks, sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app import operations as images
from images_app import sync as image_sync
from images_app.models import Image, Tag, TagMove
from operations.models import Engine, Operation
from tests.machine import wait_for
from tests.rows import make_container, make_engine, make_image, make_volume

Run = Callable[[], list[Operation]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"repository": ""}, "repository"), ({"repository": "app:1"}, "repository"),
        ({"repository": "App"}, "repository"),
        ({"repository": "app", "tag": "a b"}, "tag"), ({"repository": "app", "tga": "1"}, "tga"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_said_beside_its_field(body: dict[str, str], field: str) -> None:
    with pytest.raises(SpecError) as wrong:
        commit_asks.reference_of(body)
    assert list(wrong.value.errors) == [field]


def test_the_plan_says_what_is_in_it_and_what_is_not(
    db: None, team: Team, api_for: Callable[..., APIClient], tara: User
) -> None:
    engine = make_engine()
    row = make_container(
        engine, team, image_ref="app:1", environment={"API_TOKEN": commit.MASK, "COLOUR": "blue"}
    )
    make_volume(engine, team, "data", row)
    make_image(engine, team, "blue/app:2")
    answer = api_for(tara).post(
        f"/api/v1/containers/{row.pk}/commit/?dry_run=1",
        {"repository": "blue/app", "tag": "2"},
        format="json",
    )
    plan = json.loads(answer.content)
    assert [one["what"] for one in plan["kept"]] == ["1 volume", "web"]
    assert plan["kept"][0]["detail"] == "at /data: not in it"
    assert any("API_TOKEN" in one["detail"] for one in plan["affected"])
    assert any(one["what"] == "blue/app:2" for one in plan["affected"])
    assert not Operation.objects.exists()


def test_a_name_of_another_team_is_not_taken(db: None, team: Team, other_team: Team, tara: User) -> None:
    engine = make_engine()
    make_image(engine, other_team, "red/app:1")
    row = make_container(engine, team)
    with pytest.raises(PolicyDenied):
        commit_asks.request_commit(row, {"repository": "red/app", "tag": "1"}, actor=Actor(user=tara))


def test_operators_may_neither(
    db: None, team: Team, client_for: Callable[..., Client], bob: User, tara: User
) -> None:
    row = make_container(make_engine(), team)
    for verb in ("commit", "filesystem"):
        assert client_for(bob).get(f"/containers/{row.pk}/{verb}/").status_code == 403
        assert client_for(tara).get(f"/containers/{row.pk}/{verb}/").status_code == 200
    page = client_for(bob).get(f"/containers/{row.pk}/").content
    assert b"Commit to an image" not in page
    assert b"Commit to an image" in client_for(tara).get(f"/containers/{row.pk}/").content


@pytest.fixture
def web(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    team: Team,
) -> Container:
    """A container of team blue that has written a file of its own and one into a volume."""
    made = docker_client.containers.run(
        busybox, ["sh", "-c", "echo own >/own; echo kept >/data/kept; sleep 300"], name="web", detach=True,
        network_mode="none", volumes={"commit-data": {"bind": "/data"}},
    )  # fmt: skip
    wait_for(lambda: not made.exec_run(["cat", "/data/kept"]).exit_code, 20, "it has not written yet")
    image_sync.reconcile(engine_row, engine_backend)
    sync.reconcile(engine_row, engine_backend)
    Container.objects.update(team=team)
    return Container.objects.get(name="web")


def files_of(client: docker.DockerClient, image: str) -> str:
    words = ["sh", "-c", "cat /own; ls /data"]
    return client.containers.run(image, words, remove=True, network_mode="none").decode()


def test_an_image_holds_the_files_and_not_those_of_volumes(
    web: Container,
    docker_client: docker.DockerClient,
    engine_backend: EngineBackend,
    tara: User,
    team: Team,
    run_operations: Run,
) -> None:
    wish = {"repository": "blue/committed", "tag": "1", "message": "before the change"}
    commit_asks.request_commit(web, wish, actor=Actor(user=tara))
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message
    image = Image.objects.get(pk=done.result["image"])
    assert (image.team, image.name) == (team, "blue/committed:1")
    assert TagMove.objects.get(name="blue/committed:1").operation == done
    assert files_of(docker_client, "blue/committed:1") == "own\n"
    again = docker_client.images.get("blue/committed:1").history()[0]
    assert again["Comment"] == "before the change"


def test_a_second_attempt_finds_what_the_first_has_made(
    web: Container, docker_client: docker.DockerClient, tara: User, run_operations: Run
) -> None:
    asked = commit_asks.request_commit(web, {"repository": "blue/once"}, actor=Actor(user=tara))
    docker_client.containers.get("web").commit("blue/once", "latest")
    asked.params = {**asked.params, "_remembered": {"was": ""}}
    asked.attempt = 1
    asked.save()
    (done,) = run_operations()
    assert (done.state, done.result["native_id"]) == ("succeeded", docker_client.images.get("blue/once").id)
    assert Tag.objects.filter(name="blue/once:latest").count() == 1


def test_the_file_system_is_spooled_and_then_fetched(
    web: Container, api_for: Callable[..., APIClient], tara: User, bob: User, run_operations: Run
) -> None:
    api, path = api_for(tara), f"/api/v1/containers/{web.pk}/filesystem/"
    assert api.get(path).status_code == 404
    assert api.post(path, {}, format="json").status_code == 202
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message
    answer: Any = api.get(path)
    assert answer["Content-Disposition"] == 'attachment; filename="web.tar"'
    with tarfile.open(fileobj=io.BytesIO(b"".join(answer.streaming_content))) as tar:
        names = tar.getnames()
    assert "own" in names
    assert "data/kept" not in names
    assert AuditEntry.objects.filter(verb="container.download").count() == 1
    assert api_for(bob).get(path).status_code == 403
    commit.export_of(done).unlink()
    assert api.get(path).status_code == 404


def test_what_was_exported_becomes_an_image_again_by_a_build(
    web: Container, docker_client: docker.DockerClient, tara: User, team: Team, run_operations: Run
) -> None:
    actor = Actor(user=tara)
    commit_asks.request_export(web, actor=actor)
    (done,) = run_operations()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(commit.export_of(done), "web.tar")
    context.seek(0)
    images.request_build(
        actor=actor, engine=web.engine, team=team, tags=["blue/imported:1"], context=context,
        dockerfile="FROM scratch\nADD web.tar /\nCMD [\"sh\"]\n",
    )  # fmt: skip
    (built,) = run_operations()
    assert built.state == "succeeded", built.error_message
    assert files_of(docker_client, "blue/imported:1") == "own\n"


def test_more_than_there_is_room_for_ends_without_a_file(
    web: Container, tara: User, run_operations: Run, settings: Any
) -> None:
    settings.VOLUME_MB = 0
    commit_asks.request_export(web, actor=Actor(user=tara))
    (done,) = run_operations()
    assert (done.state, done.error_code) == ("failed", "too_large")
    assert not commit.export_of(done).exists()


def test_a_container_that_is_gone_is_said(
    web: Container, docker_client: docker.DockerClient, tara: User, run_operations: Run
) -> None:
    docker_client.containers.get("web").remove(force=True)
    commit_asks.request_commit(web, {"repository": "blue/gone"}, actor=Actor(user=tara))
    commit_asks.request_export(web, actor=Actor(user=tara))
    assert {(one.state, one.error_code) for one in run_operations()} == {("failed", "not_found")}
