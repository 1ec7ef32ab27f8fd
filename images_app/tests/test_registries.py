"""Registries: who names and uses which, where a password goes, and pulls and pushes with it. With a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Actor, Denied
from accounts.models import AuditEntry, Team, User
from engine.base import Engine as EngineBackend
from engine.specs import SpecError
from images_app import operations, push, registries, registry_reads, remote_tags, sync
from images_app.models import Image, Registry
from images_app.tests.test_operations import Bench, bench
from operations import reads
from operations.models import Operation, OperationEvent
from operations.present import layer_bar
from tests.registry import PASSWORD, USER, Place
from tests.rows import make_engine

__all__ = ["bench"]
WISH = {"name": "Ours", "host": "registry.example:5000", "username": "porter", "password": "quiet hush"}


@pytest.fixture(autouse=True)
def _asked_in_this_process(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REGISTRY_HOSTS = ["127.0.0.1"]

    def read(kind: str, row: Registry, *, params: Any = None, **_: Any) -> Any:
        return dict(reads._readers[kind].look(None, row, params or {}))  # type: ignore[arg-type]

    monkeypatch.setattr(reads, "read", read)


def named(actor: Actor, owner: Team | None, place: Place | None = None, **other: Any) -> Registry:
    at = {"host": place.host, "tls": False, "username": USER, "password": PASSWORD} if place else {}
    return registries.add({**WISH, **at, **other}, actor=actor, owner=owner)


# Who may, and where the password goes


def test_a_password_goes_in_and_never_out(api_for: Callable[..., APIClient], tara: User, team: Team) -> None:
    answer = api_for(tara).post("/api/v1/registries/", {**WISH, "host": "127.0.0.1:9"}, format="json")
    assert answer.status_code == 201, answer.content
    row = Registry.objects.get()
    told = answer.json()
    assert (told["team"], told["has_password"], told["state"]) == ("blue", True, "failed")
    assert "does not answer" in told["problem"]
    assert "quiet hush" not in row.sealed
    assert registries.at(row).password == "quiet hush"
    assert "quiet" not in repr(registries.at(row))
    seen = api_for(tara).get(f"/api/v1/registries/{row.pk}/").content.decode() + answer.content.decode()
    assert "hush" not in seen + json.dumps(list(AuditEntry.objects.values("verb", "detail")), default=str)
    assert AuditEntry.objects.get(verb="registry.manage").detail["host"] == "127.0.0.1:9"


def test_a_password_is_given_again_before_it_goes_elsewhere(tara: User, team: Team) -> None:
    actor = Actor(user=tara)
    row = named(actor, team)
    for other in ({"host": "evil.example"}, {"token_host": "evil.example"}, {"username": "other"}):
        with pytest.raises(SpecError) as refused:
            registries.change(Registry.objects.get(), other, actor=actor)
        assert "password" in refused.value.errors
    assert Registry.objects.get().host == WISH["host"]
    registries.change(row, {"name": "Theirs"}, actor=actor)
    registries.change(row, {"host": "other.example", "password": "new"}, actor=actor)
    assert registries.at(Registry.objects.get()).password == "new"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"host": "https://registry.example"}, "host"),
        ({"host": "noport"}, "host"),
        ({"host": "10.0.0.5:5000"}, "host"),
        ({"host": "169.254.169.254"}, "host"),
        ({"host": "registry.example", "tls": False}, "tls"),
        ({"name": ""}, "name"),
        ({"username": "a:b"}, "username"),
        ({"username": ""}, "username"),
        ({"token_host": "https://x"}, "token_host"),
        ({"teams": ["red"]}, "teams"),
        ({"wrong": 1}, "wrong"),
    ],
)
def test_what_is_no_registry_is_refused(
    tara: User, team: Team, other_team: Team, body: Any, field: str
) -> None:
    with pytest.raises(SpecError) as refused:
        named(Actor(user=tara), team, **body)
    assert field in refused.value.errors
    assert not Registry.objects.exists()


def test_teams_see_what_they_keep_or_use_and_admins_alone_change_it(
    alice: User, tara: User, bob: User, charlie: User, team: Team, other_team: Team, client_for: Any
) -> None:
    site = named(Actor(user=alice), None, teams=["blue"])
    own = named(Actor(user=tara), team, name="Blue")
    assert set(registries.visible(Actor(user=bob))) == {site, own}
    assert not registries.visible(Actor(user=charlie)).exists()
    assert client_for(charlie).get(f"/registries/{own.pk}/").status_code == 404
    assert client_for(bob).get(f"/registries/{own.pk}/").status_code == 200
    with pytest.raises(Denied):
        registries.drop(own, actor=Actor(user=bob))
    assert registries.of_host(WISH["host"], actor=Actor(user=bob), team_id=team.pk) == own
    assert registries.of_host(WISH["host"], actor=Actor(user=charlie), team_id=other_team.pk) is None
    assert registries.of_host(WISH["host"], actor=Actor(user=bob), team_id=None) is None
    team.delete()
    assert set(Registry.objects.all()) == {site}, "what a team kept goes with it, password and all"


def test_pages_name_change_and_forget_one(tara: User, team: Team, client_for: Callable[..., Client]) -> None:
    browser = client_for(tara)
    assert "No registry yet" in browser.get("/registries/").content.decode()
    said = {"name": "Ours", "host": "127.0.0.1:9", "plain": "on", "username": "porter", "password": "hush"}
    refused = browser.post("/registries/new/", {**said, "host": "10.1.1.1"}).content.decode()
    assert "SLIPWAY_REGISTRY_HOSTS" in refused
    assert "hush" not in refused
    there = browser.post("/registries/new/", said, follow=True)
    row = Registry.objects.get()
    assert there.redirect_chain[-1][0] == f"/registries/{row.pk}/"
    page = there.content.decode()
    assert "Does not work" in page
    assert "hush" not in page
    edit = {**said, "name": "Renamed", "password": ""}
    assert browser.post(f"/registries/{row.pk}/edit/", edit).status_code == 302
    row.refresh_from_db()
    assert (row.name, registries.at(row).password) == ("Renamed", "hush")
    assert "Renamed" in browser.get("/registries/").content.decode()
    part = browser.get(f"/registries/{row.pk}/", headers={"HX-Request": "true", "HX-Target": "remote"})
    assert "did not say" in part.content.decode()
    assert browser.get(f"/registries/{row.pk}/forget/").status_code == 200
    browser.post(f"/registries/{row.pk}/forget/")
    assert not Registry.objects.exists()


# With a real one


def failed(operation: Operation, code: str) -> None:
    assert (operation.state, operation.error_code) == ("failed", code), operation.error_message


def test_an_image_is_pushed_and_pulled_with_the_account_of_its_registry(
    bench: Bench, registry_place: Place, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    client_for: Callable[..., Client], vic: User, tara: User,
) -> None:  # fmt: skip
    row = named(bench.actor, bench.team, registry_place)
    registries.check(row)
    row.refresh_from_db()
    assert (row.state, row.problem) == ("ok", "")
    image = bench.image()
    pushed = bench.done(operations.request_push(image, "shop/app:1", actor=bench.actor, registry=row))
    assert pushed.state == "succeeded", pushed.error_message
    reference = f"{registry_place.host}/shop/app:1"
    _joins_and_is_looked_up(bench, row, image, engine_backend)
    assert ">Ours</a>" in client_for(vic).get(f"/operations/{pushed.pk}/").content.decode(), "by its name"
    digest = (pushed.result or {})["digest"]
    assert registries.at(row).digest("shop/app", "1") == digest
    steps = OperationEvent.objects.filter(operation=pushed, kind="step", data__has_key="layer")
    ends = ("Pushed", "Layer already exists", "Mounted from")  # another repository there may have them
    assert [step for step in steps if step.data["status"].startswith(ends)]
    assert all(layer_bar(step.data).here == step.data["status"].startswith(ends) for step in steps)
    found = registry_reads.tags(None, row, {"repository": "shop/app", "most": 5, "after": ""})  # type: ignore[arg-type]
    assert [(tag["tag"], tag["digest"], tag["platforms"]) for tag in found["tags"]] == [
        ("1", digest, ["linux/amd64"]), ("2", digest, ["linux/amd64"]),
    ]  # fmt: skip
    _sorts_its_tags(row)
    assert found["tags"][0]["size"] > 100_000
    part = client_for(vic).get(
        f"/registries/{row.pk}/?repository=shop/app", headers={"HX-Request": "true", "HX-Target": "remote"}
    )
    assert ">here</a>" in part.content.decode(), "the list knows what is on an engine already"
    _removes_a_tag_with_its_twin(bench, row, image, client_for(tara))
    for name in (reference, f"{reference[:-1]}2", "shop/app:1"):
        docker_client.images.remove(name, force=True)
    sync.reconcile(bench.engine, engine_backend)
    pulled = bench.done(
        operations.request_pull(f"{reference.rpartition(':')[0]}@{digest}", actor=bench.actor)
    )
    assert pulled.state == "succeeded", pulled.error_message
    again = bench.done(operations.request_pull("shop/app:1", actor=bench.actor, registry=row))
    assert (again.target_name, again.state) == (reference, "succeeded"), again.error_message
    assert Image.objects.get(pk=(again.result or {})["image"]).team == bench.team
    everything = json.dumps(
        [*Operation.objects.values(), *OperationEvent.objects.values("data"), *AuditEntry.objects.values()],
        default=str,
    )
    assert PASSWORD not in everything
    _fails_in_words(bench, row, registry_place)


def _joins_and_is_looked_up(bench: Bench, row: Registry, image: Image, backend: EngineBackend) -> None:
    """A second push of the same is the first; after a lost answer what stands at the registry says how it ended."""
    asked = {
        operations.request_push(image, "shop/app:2", actor=bench.actor, registry=row).pk for _ in range(2)
    }
    assert len(asked) == 1
    pushed = bench.done(Operation.objects.get(pk=asked.pop()))
    ctx: Any = SimpleNamespace(operation=pushed, params=dict(pushed.params), engine=backend)
    assert push._is_pushed(ctx) == pushed.result
    ctx.params["reference"] = str(ctx.params["reference"]).replace("app:2", "app:3")
    backend.tag(ctx.params["native_id"], ctx.params["reference"])
    assert push._is_pushed(ctx) is None, "nothing is there under that name"
    backend.untag(ctx.params["reference"])


def _sorts_its_tags(row: Registry) -> None:
    for order, names in (("version", ["2", "1"]), ("age", ["2", "1"]), ("name", ["1", "2"])):
        params = {"repository": "shop/app", "most": 5, "after": "", "order": order}
        found = registry_reads.tags(None, row, params)  # type: ignore[arg-type]
        assert ([tag["tag"] for tag in found["tags"]], found["order"]) == (names, order)


def _removes_a_tag_with_its_twin(bench: Bench, row: Registry, image: Image, browser: Client) -> None:
    """Another repository: two tags of one image; the plan names both, and both are gone."""
    for tag in ("1", "2"):
        bench.done(operations.request_push(image, f"shop/twin:{tag}", actor=bench.actor, registry=row))
    digest = registries.at(row).digest("shop/twin", "1")
    asked = f"/registries/{row.pk}/untag/?repository=shop/twin&tag=1&digest={digest}"
    dialog = browser.get(asked).content.decode()
    assert "shop/twin:2" in dialog
    assert "points at the same image" in dialog
    other = "sha256:" + "0" * 64
    moved = bench.done(remote_tags.request_untag(row, "shop/twin", "1", actor=bench.actor, digest=other))
    failed(moved, "conflict")
    gone = bench.done(remote_tags.request_untag(row, "shop/twin", "1", actor=bench.actor, digest=digest))
    assert gone.state == "succeeded", gone.error_message
    assert registries.at(row).tags("shop/twin", 5).names == []


def _fails_in_words(bench: Bench, row: Registry, place: Place) -> None:
    """On the same registry: a tag that is not there, a wrong password, nobody's account, one that is gone."""
    missing = bench.done(operations.request_pull("shop/app:9", actor=bench.actor, registry=row))
    failed(missing, "image_not_found")
    asked = operations.request_pull(f"{place.host}/shop/app:1", actor=bench.actor, registry=row)
    Registry.objects.filter(pk=row.pk).update(host="gone.example")
    failed(bench.done(asked), "not_found")
    Registry.objects.filter(pk=row.pk).update(host=place.host)
    registries.change(row, {"password": "wrong"}, actor=bench.actor)
    registries.check(row)
    row.refresh_from_db()
    assert (row.state, row.problem) == ("failed", "The registry does not take this user name and password.")
    wrong = bench.done(operations.request_pull(f"{place.host}/shop/app:1", actor=bench.actor))
    failed(wrong, "registry_auth")
    row.delete()
    nobody = bench.done(operations.request_pull(f"{place.host}/shop/app:1", actor=bench.actor))
    failed(nobody, "registry_auth")


def test_a_registry_of_another_team_serves_nobody_else(
    charlie: User, tara: User, team: Team, other_team: Team
) -> None:
    make_engine()
    row = named(Actor(user=tara), team)
    stranger = Actor(user=charlie)
    with pytest.raises(SpecError):
        operations.request_pull("a:1", actor=stranger, registry=row)
    with pytest.raises(SpecError):
        operations.request_pull("other.example/a:1", actor=Actor(user=tara), registry=row)
    assert registries.auth(f"{WISH['host']}/a:1", actor=stranger, team_id=other_team.pk) is None
    assert registries.auth(f"{WISH['host']}/a:1", actor=Actor(user=tara), team_id=team.pk) == {
        "username": "porter", "password": "quiet hush", "serveraddress": WISH["host"],
    }  # fmt: skip
    assert not Operation.objects.exists()


def test_tags_of_versions_are_sorted_as_numbers() -> None:
    tags = ["1.9", "1.10", "v1.10.1", "latest", "1.10-rc1", "1.10-rc2", "2", "alpha", "9" * 40, "2.0.0"]
    ordered = sorted(tags, key=registry_reads.by_version, reverse=True)
    assert ordered == [
        "2.0.0",
        "2",
        "v1.10.1",
        "1.10",
        "1.10-rc2",
        "1.10-rc1",
        "1.9",
        "latest",
        "alpha",
        "9" * 40,
    ]
