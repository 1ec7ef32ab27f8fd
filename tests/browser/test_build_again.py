"""A build with a container behind it, made again: what follows follows, and the page tells how long others took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor

TAG, NAME = "again/app:1", "again-app"


@pytest.fixture
def free(docker_client: docker.DockerClient) -> Iterator[None]:
    """Image and container go."""
    yield
    with suppress(docker.errors.NotFound):
        docker_client.containers.get(NAME).remove(force=True)
    with suppress(docker.errors.APIError):
        docker_client.images.remove(TAG, force=True)


@pytest.mark.usefixtures("free")
def test_a_build_is_followed_by_its_container_and_made_again(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, busybox: str,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/builds/new/")
    page.get_by_label("Tags, separated by spaces").fill(TAG)
    page.locator("textarea[name=dockerfile]").fill(
        f'FROM {busybox}\nRUN echo one > /one\nRUN echo two > /two\nCMD ["sleep", "1000"]\n'
    )
    page.get_by_label("With the image").select_option("run")
    page.locator("#then_name").fill(NAME)
    pictures(visitor, "build-then")
    page.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url("**/builds/*/")
    machine.wait_for(
        lambda: docker_client.containers.list(filters={"name": NAME}), 60, "no container came of the build"
    )
    first = page.url
    page.get_by_role("button", name="Build again").click()
    page.wait_for_url(lambda url: "/builds/" in url and url != first)
    expect(page.locator(".trend g")).to_have_count(2, timeout=60_000)
    expect(page.get_by_role("button", name="Build again")).to_be_visible(timeout=60_000)
    expect(page.locator(".facts-bar")).to_contain_text("Builder")
    pictures(visitor, "build-again")
    visitor.go("/builds/")
    expect(page.locator(".trend").first).to_be_visible()
    pictures(visitor, "builds-trend")
