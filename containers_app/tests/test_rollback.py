"""A tag goes back to an earlier image: of the engine, of the trash, of its registry; with its containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import Team, User
from containers_app import drift, rollback, sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from engine.specs import SpecError
from images_app import operations as images
from images_app import sync as image_sync
from images_app.models import Image, Tag, TagMove
from images_app.tests.test_registries import _asked_in_this_process, named
from operations import trash
from operations.models import Engine, Operation
from operations.services import Refused
from tests import machine
from tests.registry import Place
from tests.rows import hex64, make_container, make_engine, make_image

__all__ = ["_asked_in_this_process"]
NAME = "shop/app:1"
WAITS = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
Run = Callable[[], list[Operation]]


def moved(engine: Engine, before: str, after: str, **more: Any) -> None:
    TagMove.objects.create(engine=engine, name=NAME, from_native_id=before, to_native_id=after, **more)


@pytest.fixture
def new(db: None, team: Team) -> Image:
    """What the tag points at; it has been elsewhere before."""
    return make_image(make_engine(), team, NAME)


def plan_of(api: APIClient, tag: Tag, to: str, **more: bool) -> Any:
    return api.post(f"/api/v1/tags/{tag.pk}/rollback/?dry_run=1", {"to": to, **more}, format="json").json()


def test_what_can_be_gone_back_to_is_told_with_what_becomes_of_everything(
    new: Image, bob: User, other_team: Team, api_for: Callable[..., APIClient], client_for: Callable[..., Client],
) -> None:  # fmt: skip
    engine, tag, gone, known = new.engine, new.tags.get(), f"sha256:{hex64()}", f"sha256:{hex64()}"
    old, foreign = make_image(engine, new.team), make_image(engine, other_team)
    for before, digest in ((foreign.native_id, ""), (gone, ""), (known, "sha256:0f"), (old.native_id, "")):
        moved(engine, before, new.native_id, from_digest=digest)
    web = make_container(engine, new.team, "web", image=new, image_ref=NAME, image_native_id=new.native_id)
    make_container(engine, new.team, "late", image=old, image_ref=NAME, image_native_id=old.native_id)
    make_container(engine, other_team, "theirs", image=new, image_ref=NAME, image_native_id=new.native_id)
    drift.images(engine)
    api = api_for(bob)
    told = api.get(f"/api/v1/tags/{tag.pk}/history/").json()
    assert [(m["from_state"], m["can_roll_back"]) for m in told[:4]] == [
        ("here", True), ("registry", True), ("gone", False), (None, False),
    ]  # fmt: skip
    plan = plan_of(api, tag, old.native_id)
    assert plan["changed"][0]["detail"].startswith(f"points at {old.short_id} again")
    assert [item["what"] for item in plan["affected"]] == ["web", "1 container of other teams"]
    assert "late" in [item["what"] for item in plan["kept"]]
    assert plan["undo_hours"] == trash.hours()
    again = plan_of(api, tag, old.native_id, recreate=True)
    assert [item["what"] for item in again["changed"]] == [NAME, "web"]
    assert plan_of(api, tag, known)["made"][0]["what"].startswith("shop/app@sha256:0f")
    assert plan_of(api, tag, gone)["refused"]["message"].startswith("That image is gone")
    assert plan_of(api, tag, new.native_id)["refused"]["code"] == "conflict"
    for never in (foreign.native_id, f"sha256:{hex64()}", "nonsense"):
        answer = api.post(f"/api/v1/tags/{tag.pk}/rollback/", {"to": never}, format="json")
        assert (answer.status_code, [*answer.json()["errors"]]) == (400, ["to"])
    page = client_for(bob).get(f"/images/{new.pk}/").content.decode()
    assert page.count("Roll back…") == 2
    assert "made from this tag still runs" in " ".join(page.split())
    dialog = client_for(bob).get(f"/tags/{tag.pk}/rollback/", {"to": old.native_id}).content.decode()
    assert "Make its running container" in dialog
    assert web.name in dialog
    assert client_for(bob).get(f"/tags/{tag.pk}/rollback/", {"to": "x"}).status_code == 404


def test_an_image_that_nobody_has_any_more_is_not_gone_back_to(new: Image, tara: User) -> None:
    moved(new.engine, "sha256:gone", new.native_id)
    with pytest.raises(Refused, match="no registry"):
        rollback.request(new.tags.get(), "sha256:gone", actor=Actor(user=tara))
    with pytest.raises(SpecError):
        rollback.request(new.tags.get(), "", actor=Actor(user=tara))


# On a real engine


class Bench:
    """Tara's images and containers on an engine, and a worker in this process."""

    def __init__(self, engine: Engine, team: Team, tara: User, client: docker.DockerClient, run: Run) -> None:
        self.engine, self.team, self.docker, self.run = engine, team, client, run
        self.actor = Actor(user=tara)

    def look(self, backend: EngineBackend) -> None:
        image_sync.reconcile(self.engine, backend)
        sync.reconcile(self.engine, backend)
        Image.everything.filter(team=None).update(team=self.team)
        Container.objects.filter(team=None).update(team=self.team)
        drift.images(self.engine)

    def done(self, operation: Operation) -> Operation:
        self.run()
        operation.refresh_from_db()
        assert operation.state == "succeeded", operation.error_message
        return operation

    def points_at(self) -> str:
        return str(self.docker.images.get(NAME).id)

    def back(self, to: str, **more: bool) -> Operation:
        return self.done(rollback.request(Tag.objects.get(name=NAME), to, actor=self.actor, **more))


@pytest.fixture
def bench(
    engine_row: Engine, team: Team, tara: User, docker_client: docker.DockerClient, run_operations: Run, busybox: str
) -> Bench:  # fmt: skip
    return Bench(engine_row, team, tara, docker_client, run_operations)


def imported(client: docker.DockerClient, name: str) -> str:
    """Another image each time."""
    machine.import_busybox(client, name)
    return str(client.images.get(name).id)


def two(bench: Bench, backend: EngineBackend, busybox: str) -> tuple[str, str]:
    """The tag pointed at the first, and points at the second now."""
    old = imported(bench.docker, NAME)
    bench.look(backend)
    bench.docker.images.get(busybox).tag("shop/app", "1")
    bench.look(backend)
    return old, bench.points_at()


def test_a_tag_goes_back_with_the_containers_that_run_it_and_forth_again(
    bench: Bench, engine_backend: EngineBackend, busybox: str
) -> None:
    old, new = two(bench, engine_backend, busybox)
    web = bench.docker.containers.run(NAME, WAITS, name="web", detach=True, network_mode="none")
    bench.docker.containers.create(NAME, WAITS, name="idle", network_mode="none")
    bench.look(engine_backend)
    operation = bench.back(old, recreate=True)
    assert bench.points_at() == old
    assert TagMove.objects.filter(name=NAME).first().operation == operation
    (again,) = operation.result["recreated"]
    assert (again["container"], Operation.objects.get(pk=again["operation"]).state) == ("web", "succeeded")
    now = bench.docker.containers.get("web")
    assert (now.attrs["Image"], now.id != web.id) == (old, True)
    bench.look(engine_backend)
    assert Container.objects.get(name="idle").drift_image == old, "it goes on with what it was made from"

    bench.done(trash.undo(operation, actor=bench.actor))
    assert bench.points_at() == new
    bench.look(engine_backend)
    assert Container.objects.get(name="web").drift_image == new


def test_an_image_comes_out_of_the_trash_and_a_tag_that_moved_meanwhile_stays(
    bench: Bench, engine_backend: EngineBackend, busybox: str
) -> None:
    old, new = two(bench, engine_backend, busybox)
    bench.done(images.request_remove(Image.objects.get(native_id=old), actor=bench.actor))
    assert Image.everything.get(native_id=old).trashed_at
    first = rollback.request(Tag.objects.get(name=NAME), old, actor=bench.actor)
    third = imported(bench.docker, NAME)
    bench.run()
    first.refresh_from_db()
    assert (first.state, bench.points_at()) == ("failed", third)
    assert "another image by now" in first.error_message
    assert not trash.TrashItem.objects.filter(operation=first).exists()

    bench.look(engine_backend)
    bench.back(old)
    assert bench.docker.images.get(old).tags == [NAME], "the name that held it there is gone"
    assert Image.objects.get(native_id=old).trashed_at is None
    bench.back(new)
    assert bench.points_at() == new


def test_an_image_that_is_gone_is_pulled_by_its_digest(
    bench: Bench, engine_backend: EngineBackend, busybox: str, registry_place: Place
) -> None:
    repository = f"{registry_place.host}/shop/app"
    old = imported(bench.docker, f"{repository}:1")
    bench.look(engine_backend)
    said = [
        *bench.docker.api.push(repository, "1", stream=True, decode=True, auth_config=registry_place.auth)
    ]
    assert not [line for line in said if "error" in line]
    bench.look(engine_backend)
    bench.docker.images.get(busybox).tag(repository, "1")
    bench.docker.images.remove(old, force=True)
    bench.look(engine_backend)
    assert not Image.everything.filter(native_id=old).exists()
    tag = Tag.objects.get(name=f"{repository}:1")
    named(bench.actor, bench.team, registry_place)
    operation = bench.done(rollback.request(tag, old, actor=bench.actor))
    assert bench.docker.images.get(f"{repository}:1").id == old
    assert Image.objects.get(native_id=old).team == bench.team
    assert operation.result["image"] == str(Image.objects.get(native_id=old).pk)
    bench.docker.images.remove(f"{repository}:1")
