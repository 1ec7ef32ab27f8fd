"""Newer images at registries: who is asked when, what is said of it, and the flags on tags and containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Actor, Denied
from accounts.models import AuditEntry, Team, User
from containers_app import drift
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from engine.errors import EngineError, ImageNotFound, RegistryBusy, RegistryUnreachable
from images_app import newer, operations, registries, sync
from images_app.models import Image, Tag, TagCheck
from images_app.tests.test_operations import Bench, bench
from operations import reads
from operations.models import Engine
from tests import rows
from tests.registry import PASSWORD, USER, Place

__all__ = ["bench"]
OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "abc")


@dataclass
class Answers:
    """Stands for every registry: what it says, and what it was asked."""

    say: str | EngineError = NEW
    asked: list[str] = field(default_factory=list)

    def digest(self, repository: str, tag: str) -> str:
        self.asked.append(f"{repository}:{tag}")
        if isinstance(self.say, EngineError):
            raise self.say
        return self.say


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    found = Answers()
    monkeypatch.setattr(newer, "_at", lambda host, tag: found)

    def read(kind: str, row: Any, *, params: Any = None, **_: Any) -> Any:
        return dict(reads._readers[kind].look(None, row, params or {}))  # type: ignore[arg-type]

    monkeypatch.setattr(reads, "read", read)
    return found


@pytest.fixture
def engine(db: None) -> Engine:
    return rows.make_engine()


@pytest.fixture
def tag(engine: Engine, team: Team) -> Tag:
    """One that came from a registry, beside one that was built here and one of a name that it never had there."""
    digests = [f"shop.example/web@{OLD}"]
    image = rows.make_image(engine, team, "shop.example/web:1", "local/web:1", digests=digests)
    rows.make_image(engine, team, "shop.example/built:1")
    found: Tag = image.tags.get(name="shop.example/web:1")
    return found


def again(engine: Engine) -> int:
    TagCheck.objects.update(next_at=timezone.now())
    return newer.round_()


def test_only_what_came_from_a_registry_is_asked_for_and_once_in_its_time(tag: Tag, answers: Answers) -> None:
    assert newer.round_() == 1
    assert newer.round_() == 0, "its time has not come"
    assert answers.asked == ["web:1"]
    row = TagCheck.objects.get()
    assert (row.name, row.digest, row.newer) == (tag.name, NEW, True)
    answers.say = OLD
    assert again(tag.engine) == 1
    row.refresh_from_db()
    assert (row.digest, row.newer) == (OLD, False)
    answers.say = ImageNotFound("The registry has no such repository or tag.")
    again(tag.engine)
    row.refresh_from_db()
    assert row.problem == "The registry has no such repository or tag."


@pytest.mark.parametrize("error", [RegistryBusy("Less often.", seconds=4000), RegistryUnreachable("Away.")])
def test_a_registry_that_is_busy_or_away_is_left_alone_with_all_its_tags(
    tag: Tag, answers: Answers, error: EngineError, team: Team
) -> None:
    rows.make_image(tag.engine, team, "shop.example/z:1", digests=[f"shop.example/z@{OLD}"])
    answers.say = error
    assert newer.round_() == 1
    waits = [row.next_at - timezone.now() for row in TagCheck.objects.all()]
    assert len(waits) == 2
    most = timedelta(seconds=4000) if isinstance(error, RegistryBusy) else newer.interval()
    assert all(most - timedelta(minutes=5) < wait <= most for wait in waits)


def test_a_version_is_skipped_and_a_tag_left_alone(
    tag: Tag, answers: Answers, bob: User, vic: User, client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
) -> None:  # fmt: skip
    actor, address = Actor(user=bob), f"/api/v1/tags/{tag.pk}/check/"
    assert api_for(bob).get(address).status_code == 404
    assert api_for(bob).post(address, {}, format="json").json()["newer"] is True
    assert "newer at the registry" in client_for(vic).get("/images/").content.decode()
    labels = {"org.opencontainers.image.source": "https://github.com/acme/shop"}
    Image.objects.filter(pk=tag.image_id).update(labels=labels)
    page = client_for(bob).get(f"/images/{tag.image_id}/").content.decode()
    assert "a newer image" in page
    assert 'href="https://github.com/acme/shop/releases" target="_blank" rel="noopener noreferrer"' in page
    assert "Release notes at github.com" in page
    with pytest.raises(Denied):
        newer.say(tag, actor=Actor(user=vic), skip=True)
    assert newer.say(tag, actor=actor, skip=True).newer is False
    again(tag.engine)
    assert not TagCheck.objects.get().newer, "the same version stays skipped"
    answers.say = OTHER
    again(tag.engine)
    assert TagCheck.objects.get().newer, "another one is not"
    assert api_for(bob).patch(address, {"never": True}, format="json").json()["newer"] is False
    assert again(tag.engine) == 0
    client_for(bob).post(f"/tags/{tag.pk}/say/", {"never": "0"})
    said = client_for(bob).post(f"/tags/{tag.pk}/check/", headers={"HX-Request": "true"})
    assert "newer image" in said.headers["HX-Trigger"]
    assert AuditEntry.objects.filter(verb="image.check").count() == 4


def test_containers_carry_the_flag_until_they_run_it(
    bench: Bench, registry_place: Place, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    settings: Any,
) -> None:  # fmt: skip
    settings.REGISTRY_HOSTS = ["127.0.0.1"]
    said = {"name": "x", "host": registry_place.host, "tls": False, "username": USER, "password": PASSWORD}
    registries.add(said, actor=bench.actor, owner=bench.team)
    name = f"{registry_place.host}/shop/newer:1"
    first = bench.image(tag="newer/a:1")
    bench.done(operations.request_push(first, name, actor=bench.actor))
    second = bench.image(dockerfile="FROM {base}\nRUN echo newer\n", tag="newer/b:1")
    bench.done(operations.request_push(second, name, actor=bench.actor))
    docker_client.images.get(first.native_id).tag(name)
    sync.reconcile(bench.engine, engine_backend)
    old = rows.make_container(
        bench.engine, bench.team, "old", image_ref=name, image=first, image_native_id=first.native_id
    )
    tag = Tag.objects.get(name=name)
    assert newer.look(tag).newer
    drift.note_newer()
    old.refresh_from_db()
    assert old.drift_remote == TagCheck.objects.get(name=name).digest
    assert list(Container.objects.exclude(drift_remote="")) == [old]
    pulled = bench.done(operations.request_pull(name, actor=bench.actor))
    assert pulled.state == "succeeded", pulled.error_message
    assert not TagCheck.objects.get(name=name).newer, "what was pulled is the newest, without asking"
    Container.objects.filter(pk=old.pk).update(image=second, image_native_id=second.native_id)
    drift.note_newer()
    old.refresh_from_db()
    assert old.drift_remote == ""


def test_rest_and_list_tell_which_are_newer_at_their_registry(
    tag: Tag,
    answers: Answers,
    bob: User,
    client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
) -> None:
    newer.round_()
    api = api_for(bob)
    for kind, of in (("images", tag.image_id), ("tags", tag.pk)):
        said = {row["id"]: row["newer"] for row in api.get(f"/api/v1/{kind}/").json()["results"]}
        assert [key for key, value in said.items() if value] == [str(of)]
        found = api.get(f"/api/v1/{kind}/?newer=true").json()["results"]
        assert [row["id"] for row in found] == [str(of)]
        assert api.get(f"/api/v1/{kind}/{of}/").json()["newer"] is True
    page = client_for(bob).get("/images/?view=newer").content.decode()
    assert "shop.example" in page
    assert "built" not in page.partition('id="images"')[2]
