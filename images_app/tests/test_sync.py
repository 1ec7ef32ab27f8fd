"""The rows of images, tags and layers equal the engine, and each movement of a tag is kept. On a real engine."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import timedelta

import docker
import pytest
from django.utils import timezone

from accounts.models import Team, User
from engine.base import Engine as EngineBackend
from engine.types import Event
from images_app import sync
from images_app.models import Image, Layer, Tag, TagMove
from operations.models import Engine, Listing, Operation

Build = Callable[..., str]


@pytest.fixture
def build(docker_client: docker.DockerClient, busybox: str) -> Build:
    """``build(text, tag)`` as somebody's terminal does; the image's id."""

    def make(text: str = "one", tag: str = "shop/app:1") -> str:
        dockerfile = f"FROM {busybox}\nLABEL text={text}\nENV DB_PASSWORD=canary\nCMD echo {text}\n"
        image, _ = docker_client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True)
        return str(image.id)

    return make


def happened(engine: Engine, backend: EngineBackend, action: str = "tag") -> None:
    sync.apply(engine, backend, [Event("image", action, "whatever", time.time_ns())])


def test_an_image_comes_with_its_tags_layers_and_configuration(
    engine_row: Engine, engine_backend: EngineBackend, build: Build
) -> None:
    native_id = build()
    sync.reconcile(engine_row, engine_backend)
    row = Image.objects.get(native_id=native_id)
    assert (row.name, row.team, row.labels["text"]) == ("shop/app:1", None, "one")
    tag = row.tags.get()
    assert (tag.name, tag.repository, tag.tag) == ("shop/app:1", "shop/app", "1")
    layers = list(row.layers.all())
    assert [layer.index for layer in layers] == list(range(len(layers)))
    assert sum(layer.size for layer in layers) == row.size
    assert "canary" not in repr(row.config)


def test_a_second_look_finds_nothing_to_write(
    engine_row: Engine, engine_backend: EngineBackend, build: Build
) -> None:
    build()
    sync.reconcile(engine_row, engine_backend)
    layers = list(Layer.objects.values())
    assert sync.reconcile(engine_row, engine_backend).quiet
    assert list(Layer.objects.values()) == layers


def test_what_was_there_before_us_has_not_moved(
    engine_row: Engine, engine_backend: EngineBackend, build: Build
) -> None:
    build()
    sync.reconcile(engine_row, engine_backend)
    assert Tag.objects.filter(name="shop/app:1").exists()
    assert not TagMove.objects.exists()


def test_tag_and_rmi_outside_show_up_and_each_movement_is_kept(
    engine_row: Engine, engine_backend: EngineBackend, build: Build, docker_client: docker.DockerClient
) -> None:
    one = build("one")
    sync.reconcile(engine_row, engine_backend)
    docker_client.images.get(one).tag("shop/app", "stable")
    happened(engine_row, engine_backend)
    two = build("two", "shop/app:stable")
    happened(engine_row, engine_backend)
    assert Tag.objects.get(name="shop/app:stable").image.native_id == two
    docker_client.images.remove("shop/app:stable")
    happened(engine_row, engine_backend, "untag")
    moves = TagMove.objects.filter(name="shop/app:stable").order_by("pk")
    assert [(move.from_native_id, move.to_native_id) for move in moves] == [("", one), (one, two), (two, "")]
    assert not Image.objects.filter(native_id=two).exists()
    assert not Tag.objects.filter(name="shop/app:stable").exists()


def test_our_own_movement_is_put_down_to_its_operation_whoever_sees_it_first(
    engine_row: Engine,
    engine_backend: EngineBackend,
    build: Build,
    docker_client: docker.DockerClient,
    bob: User,
    team: Team,
) -> None:
    one = build()
    sync.reconcile(engine_row, engine_backend)
    operation = Operation.objects.create(
        kind="image.tag", engine=engine_row, actor=bob, team=team, params={"reference": "shop/app:live"}
    )
    docker_client.images.get(one).tag("shop/app", "live")
    happened(engine_row, engine_backend)
    row = sync.refresh(engine_row, engine_backend, one, operation=operation)
    assert TagMove.objects.get(name="shop/app:live").operation == operation
    assert row is not None
    assert row.team == team


def test_an_image_that_has_an_owner_keeps_it(
    engine_row: Engine, engine_backend: EngineBackend, build: Build, bob: User, team: Team, other_team: Team
) -> None:
    one = build()
    sync.reconcile(engine_row, engine_backend)
    Image.objects.filter(native_id=one).update(team=other_team)
    operation = Operation.objects.create(kind="image.pull", engine=engine_row, actor=bob, team=team)
    row = sync.refresh(engine_row, engine_backend, one, operation=operation)
    assert row is not None
    assert row.team == other_team


def test_a_list_older_than_the_one_written_last_is_dropped(
    engine_row: Engine, engine_backend: EngineBackend, build: Build
) -> None:
    build()
    sync.reconcile(engine_row, engine_backend)
    Listing.objects.update(at=timezone.now() + timedelta(seconds=30))
    build("two", "shop/app:1")
    sync.reconcile(engine_row, engine_backend)
    assert not TagMove.objects.exists()


def test_a_clock_that_was_put_right_does_not_stop_us(
    engine_row: Engine, engine_backend: EngineBackend, build: Build
) -> None:
    build()
    sync.reconcile(engine_row, engine_backend)
    Listing.objects.update(at=timezone.now() + timedelta(hours=3))
    build("two", "shop/app:1")
    sync.reconcile(engine_row, engine_backend)
    assert TagMove.objects.count() == 1


def test_what_is_an_images_own_is_what_the_engine_says(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, busybox: str
) -> None:
    for name in ("one", "two"):
        text = f"FROM {busybox}\nRUN head -c 3000 /dev/zero > /shared\nRUN head -c 70{len(name)}0 /dev/zero > /{name}\n"
        docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag=f"shop/{name}:1", rm=True)
    sync.reconcile(engine_row, engine_backend)
    usage = {row["Id"]: row["Size"] - row["SharedSize"] for row in docker_client.api.df()["Images"]}
    assert {row.native_id: row.unique_size for row in Image.objects.all()} == usage
    assert sorted(row.unique_size for row in Image.objects.filter(name__startswith="shop/")) == [7030, 7030]
    docker_client.images.remove("shop/two:1")
    sync.reconcile(engine_row, engine_backend)
    one = Image.objects.get(name="shop/one:1")
    assert (one.unique_size, one.size) == (10030, one.shared_size + 10030), "the other one shares no more"
