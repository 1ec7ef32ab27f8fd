"""Removed images and tags can be taken back. On a real engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import docker
import pytest
from django.utils import timezone

from accounts.models import Team, User
from engine.base import Engine as EngineBackend
from images_app import operations, sync
from images_app.models import Image, Tag, TagMove
from images_app.tests.test_operations import Bench, failed
from operations import trash
from operations.models import Engine, Operation, TrashItem


@pytest.fixture
def bench(
    engine_row: Engine, team: Team, tara: User, busybox: str, run_operations: Callable[[], list[Operation]],
) -> Bench:  # fmt: skip
    return Bench(engine_row, team, tara, busybox, run_operations)


def removed(bench: Bench, image: Image, **options: bool) -> Operation:
    operation = bench.done(operations.request_remove(image, actor=bench.actor, **options))
    assert operation.state == "succeeded", operation.error_message
    return operation


def undone(bench: Bench, operation: Operation) -> Operation:
    return bench.done(trash.undo(operation, actor=bench.actor))


def tags(docker_client: docker.DockerClient, image: Image) -> list[str]:
    return sorted(docker_client.images.get(image.native_id).tags)


def test_a_removed_image_comes_back_with_its_names(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    bench.done(operations.request_tag(image, "shop/app:stable", actor=bench.actor))
    operation = removed(bench, image, force=True)
    assert tags(docker_client, image) == [f"slipway-trash:{operation.pk.hex[:12]}"]
    assert not Image.objects.filter(pk=image.pk).exists()
    assert not Tag.objects.filter(image=image).exists()
    assert TagMove.objects.filter(name="shop/app:1", to_native_id="").count() == 1
    assert not TagMove.objects.filter(name__startswith="slipway-trash").exists()

    back = undone(bench, operation)
    assert back.state == "succeeded", back.error_message
    assert tags(docker_client, image) == ["shop/app:1", "shop/app:stable"]
    image.refresh_from_db()
    assert (image.trashed_at, image.team) == (None, bench.team)
    assert sorted(tag.name for tag in image.tags.all()) == ["shop/app:1", "shop/app:stable"]


def test_a_name_that_was_taken_meanwhile_is_left_to_its_new_owner(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    image = bench.image()
    bench.done(operations.request_tag(image, "shop/app:stable", actor=bench.actor))
    operation = removed(bench, image, force=True)
    docker_client.images.get(bench.base).tag("shop/app", "1")
    back = undone(bench, operation)
    assert (back.state, back.result["taken"]) == ("succeeded", ["shop/app:1"])
    assert tags(docker_client, image) == ["shop/app:stable"]


def test_one_tag_of_several_is_set_again(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    bench.done(operations.request_tag(image, "shop/app:stable", actor=bench.actor))
    tag = Tag.objects.get(name="shop/app:stable")
    operation = bench.done(operations.request_untag(tag, actor=bench.actor))
    assert tags(docker_client, image) == ["shop/app:1"]
    assert undone(bench, operation).state == "succeeded"
    assert tags(docker_client, image) == ["shop/app:1", "shop/app:stable"]


def test_the_last_tag_takes_the_image_into_the_trash(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    image = bench.image()
    operation = bench.done(operations.request_untag(Tag.objects.get(name="shop/app:1"), actor=bench.actor))
    assert not Image.objects.filter(pk=image.pk).exists()
    assert undone(bench, operation).state == "succeeded"
    assert tags(docker_client, image) == ["shop/app:1"]


def test_an_image_is_purged_with_its_layers(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    operation = removed(bench, image)
    item = TrashItem.objects.get(operation=operation)
    assert bench.done(trash.purge(item, actor=bench.actor)).state == "succeeded"
    assert image.native_id not in [found.id for found in docker_client.images.list(all=True)]
    assert not Image.everything.filter(pk=image.pk).exists()
    item.refresh_from_db()
    assert item.state == "purged"


def test_what_is_built_or_tagged_again_is_out_of_the_trash(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    image = bench.image()
    operation = removed(bench, image)
    docker_client.images.get(image.native_id).tag("shop/found", "1")
    sync.reconcile(bench.engine, engine_backend)
    assert Image.objects.get(pk=image.pk).name == "shop/found:1"
    assert TrashItem.objects.get(operation=operation).state == "restored"


def test_removed_for_good_is_gone_at_once(bench: Bench, docker_client: docker.DockerClient) -> None:
    image = bench.image()
    operation = removed(bench, image, forever=True)
    assert not TrashItem.objects.filter(operation=operation).exists()
    assert image.native_id not in [found.id for found in docker_client.images.list(all=True)]


@pytest.mark.parametrize("step", ["tag", "untag"])
def test_a_worker_that_dies_at_any_step_is_followed(
    bench: Bench, engine_backend: EngineBackend, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:  # fmt: skip
    from operations.tasks import run_operation

    image, real = bench.image(), getattr(type(engine_backend), step)

    def dies(self: EngineBackend, *args: object, **options: object) -> None:
        real(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), step, dies)
        with pytest.raises(KeyboardInterrupt):
            removed(bench, image)
    sync.reconcile(bench.engine, engine_backend)
    operation = Operation.objects.get(kind="image.remove")
    Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    run_operation(str(operation.pk))
    operation.refresh_from_db()
    assert operation.state == "succeeded", operation.error_message
    assert not Image.objects.filter(pk=image.pk).exists()
    assert undone(bench, operation).state == "succeeded"
    assert tags(docker_client, image) == ["shop/app:1"]


def test_an_image_that_is_used_by_then_stays_in_the_trash(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    image = bench.image()
    operation = removed(bench, image)
    docker_client.containers.run(image.native_id, ["sleep", "100"], name="user", detach=True)
    item = TrashItem.objects.get(operation=operation)
    failed(bench.done(trash.purge(item, actor=bench.actor)), "in_use")
    item.refresh_from_db()
    assert item.state == "kept"
