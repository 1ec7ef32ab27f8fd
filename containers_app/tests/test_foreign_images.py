"""Whose image a reference means: what another team has built is not run, not built on, and keeps its name (S-27)."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import docker
import pytest

from accounts.access import Actor, person
from accounts.models import Membership, PermissionSet, Team, User
from containers_app import operations as containers
from containers_app.run import is_foreign
from engine.base import Engine as EngineBackend
from engine.errors import PolicyDenied
from images_app import operations, references, registries, sync
from images_app.models import Image
from operations.models import Engine, Operation
from tests.registry import PASSWORD, USER, Place
from tests.rows import make_engine, make_image

Carry = Callable[[], list[Operation]]


@pytest.mark.parametrize(("reference", "of", "expected"), [
    ("nginx:1", "nginx", True), ("docker.io/library/nginx:1", "nginx", True), ("b/web", "docker.io/b/web", True),
    ("r.example:5000/b/web:2", "r.example:5000/b/web", True), ("r.example:5000/b/web:2", "b/web", False),
    ("b/web:1", "b/other", False), ("b/web:1", "", False),
])  # fmt: skip
def test_what_a_registry_gave_is_told_by_its_digests(reference: str, of: str, expected: bool) -> None:
    assert references.from_registry(reference, [f"{of}@sha256:ab"] if of else []) is expected


def pull(reference: str, user: User, team: Team, engine: Engine) -> Operation:
    return operations.request_pull(reference, actor=person(user, source="api"), engine=engine, team=team)


def test_a_pull_takes_no_name_away(
    team: Team, other_team: Team, charlie: User, bob: User, alice: User
) -> None:
    """A team runs what it has built under that name, not what somebody has put into a registry under it."""
    engine = make_engine()
    make_image(engine, team, "blue/web:1")
    make_image(engine, team, "blue/web:2", digests=["blue/web@sha256:" + "a" * 64])
    make_image(engine, None, "tools:latest")
    for reference in ("blue/web:1", "docker.io/blue/web:1", "tools"):
        with pytest.raises(PolicyDenied) as caught:
            pull(reference, charlie, other_team, engine)
        assert caught.value.details["rule"] == "not_your_tag", reference
    assert not Operation.objects.exists()
    pull("blue/web:2", charlie, other_team, engine)
    pull("blue/web:3", charlie, other_team, engine)
    pull("blue/web:1", bob, team, engine)
    pull("tools", alice, team, engine)


def test_the_worker_sees_what_has_come_meanwhile(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, busybox: str, team: Team,
    other_team: Team, charlie: User, run_operations: Carry, settings: Any, registry_place: Place,
) -> None:  # fmt: skip
    """By pull, and by a run that pulls always; the tag stays where it was."""
    settings.REGISTRY_HOSTS = ["127.0.0.1"]
    reference = f"{registry_place.host}/late/web:1"
    repository = reference.rpartition(":")[0]
    _pushed(docker_client, busybox, repository, registry_place)
    actor = person(charlie, source="api")
    _account(actor.user, other_team, registry_place)
    pull(reference, charlie, other_team, engine_row)
    containers.request_run(
        {"image": reference, "name": "late", "pull": "always"},
        actor=actor,
        engine=engine_row,
        team=other_team,
    )
    own, _ = docker_client.images.build(
        fileobj=io.BytesIO(f"FROM {busybox}\nENV OWN=1\n".encode()), tag=reference
    )
    sync.reconcile(engine_row, engine_backend)
    Image.objects.filter(native_id=own.id).update(team=team)
    done = run_operations()
    assert [(one.state, one.error_code) for one in done] == [("failed", "policy_denied")] * 2, done[
        0
    ].error_message
    assert docker_client.images.get(reference).id == own.id
    assert not docker_client.containers.list(all=True, filters={"name": "late"})


def _pushed(client: docker.DockerClient, image: str, repository: str, place: Place) -> None:
    client.images.get(image).tag(repository, "1")
    assert "error" not in client.images.push(repository, "1", auth_config=place.auth)
    client.images.remove(f"{repository}:1")


def _account(user: User, team: Team, place: Place) -> None:
    """The registry's account, for this team alone."""
    Membership.objects.filter(user=user, team=team).update(role="admin")
    boss = Actor(user=User.objects.get(pk=user.pk))
    wish = {"name": team.name, "host": place.host, "tls": False, "username": USER, "password": PASSWORD}
    registries.add(wish, actor=boss, owner=team)


def build(text: str, user: User, team: Team, engine: Engine, **args: str) -> Operation:
    return operations.request_build(
        actor=person(User.objects.get(pk=user.pk), source="api"), engine=engine, team=team, tags=["red/x:1"],
        dockerfile=text, build_args=args,
    )  # fmt: skip


@pytest.fixture
def private(team: Team) -> Image:
    """What blue has built, of which red is not to know."""
    engine = make_engine()
    make_image(engine, None, "base:1")
    make_image(engine, None, "trap:1", config={"OnBuild": ["COPY --from=blue/web:1 / /x"]})
    return make_image(engine, team, "blue/web:1", "blue/web:latest")


@pytest.mark.parametrize("text", [
    "FROM blue/web:1\n", "FROM blue/web\n", "FROM docker.io/blue/web:1\n", 'FROM blu"e/web:1"\n',
    "FROM base:1\nCOPY --from=blue/web:1 / /\n", "FROM base:1\nRUN --mount=type=bind,from=blue/web,target=/b ls /b\n",
    "ARG B=blue/web:1\nFROM $B\n", "FROM blue/web:$V\n", "ARG R\nFROM ${R:-${X}}/web\n", "FROM $ANY\n",
    "FROM {id}\n", "FROM {short}\n", "FROM trap:1\n", "FROM base:1\nRUN x \\\f\nCOPY --from=blue/web:1 / /\n",
])  # fmt: skip
def test_nothing_is_built_on_what_is_another_teams(
    text: str, private: Image, charlie: User, other_team: Team, bob: User, team: Team
) -> None:
    text = text.replace("{id}", private.native_id).replace("{short}", private.native_id[7:19])
    with pytest.raises(PolicyDenied) as caught:
        build(text, charlie, other_team, private.engine)
    assert caught.value.details["rule"] == "not_your_image"
    assert not Operation.objects.exists()
    build(text, bob, team, private.engine)


def test_variables_that_fit_no_image_of_others_are_nobodys_business(
    private: Image, charlie: User, other_team: Team
) -> None:
    for text in (
        "FROM base:1 AS base-amd64\nFROM base-${TARGETARCH}\n",
        "FROM base:$V\n",
        "FROM nowhere:1\n",
    ):
        build(text, charlie, other_team, private.engine)
        Operation.objects.all().delete()


def test_who_builds_on_what_others_have_pulled_gets_it_from_there(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, busybox: str, team: Team,
    other_team: Team, charlie: User, bob: User, run_operations: Carry, settings: Any, registry_place: Place,
) -> None:  # fmt: skip
    settings.REGISTRY_HOSTS = ["127.0.0.1"]
    reference = f"{registry_place.host}/paid/base:1"
    docker_client.images.build(fileobj=io.BytesIO(f"FROM {busybox}\nENV PAID=1\n".encode()), tag="paid:1")
    _pushed(docker_client, "paid:1", reference.rpartition(":")[0], registry_place)
    docker_client.images.remove("paid:1")
    _account(bob, team, registry_place)
    pull(reference, bob, team, engine_row)
    assert [one.state for one in run_operations()] == ["succeeded"]
    assert Image.objects.get(tags__name=reference).team == team

    build(f"FROM {reference}\n", charlie, other_team, engine_row)
    (failed,) = run_operations()
    assert failed.state == "failed", "no account, no image"
    assert not Image.objects.filter(tags__name="red/x:1").exists()
    _account(charlie, other_team, registry_place)
    build(f"FROM {reference}\n", charlie, other_team, engine_row)
    (built,) = run_operations()
    assert built.state == "succeeded", built.error_message


def test_a_teams_own_is_its_own_whatever_a_member_may_look_at(team: Team, bob: User) -> None:
    """Who may recreate and not look at images pulls no stranger's image of that name."""
    image = make_image(make_engine(), team, "shop/web:2")
    rights = ["container.read", "container.recreate"]
    chosen = PermissionSet.objects.create(team=team, name="deployers", permissions=rights)
    Membership.objects.filter(user=bob).update(role="custom", permission_set=chosen)
    actor = person(User.objects.get(pk=bob.pk), source="api")
    assert not is_foreign(image.engine, image.native_id, actor=actor, team_id=team.pk)
