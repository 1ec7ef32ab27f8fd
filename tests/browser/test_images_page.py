"""Images in a browser: a tag goes back to where it was, and its container with it."""

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

PATIENCE = 30_000
NAME = "harbour/boat:1"
WAITS = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def boat(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> Iterator[tuple[str, str]]:
    """Where the tag was and where it is, as pages; a container runs from it."""
    token = live_app.token("admin", "read")

    def seen(native_id: str) -> Any:
        rows = live_app.api(token, "GET", f"/api/v1/images/?q={native_id}")[1]["results"]
        return rows and NAME in rows[0]["tags"] and f"/images/{rows[0]['id']}/"

    machine.import_busybox(docker_client, NAME)
    ids = [str(docker_client.images.get(NAME).id)]
    old = machine.wait_for(lambda: seen(ids[0]), 20, "no image")
    docker_client.images.get(busybox).tag("harbour/boat", "1")
    ids.append(str(docker_client.images.get(NAME).id))
    new = machine.wait_for(lambda: seen(ids[1]), 20, "the tag did not move")
    docker_client.containers.run(NAME, WAITS, name="boat", detach=True, network_mode="none")
    yield old, new
    for found in docker_client.containers.list(all=True, filters={"name": "boat"}):
        found.remove(force=True)
    for name in (NAME, ids[0]):
        with suppress(docker.errors.APIError):
            docker_client.images.remove(name, force=True)


def test_a_tag_goes_back_with_its_container(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, boat: tuple[str, str],
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    old, new = boat
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/images/")
    page.get_by_role("link", name="Unique").click()
    expect(page.get_by_role("columnheader", name="Unique")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("td.i-unique").first).to_contain_text("all shared")
    pictures(visitor, "images-unique")
    page = visitor.go(new)
    moves = page.locator(".moves")
    expect(moves).to_contain_text(NAME)
    expect(page.locator(".users")).to_contain_text("boat", timeout=PATIENCE)
    pictures(visitor, "image-moves")
    moves.get_by_role("link", name="Roll back harbour/boat:1").first.click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("goes on as it is")
    dialog.get_by_role("switch").check()
    expect(dialog).to_contain_text("is made anew from it")
    pictures(visitor, "image-rollback")
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.locator(".tagl")).not_to_contain_text("boat", timeout=PATIENCE)
    page = visitor.go(old)
    expect(page.locator(".users")).to_contain_text("boat", timeout=PATIENCE)
    pictures(visitor, "image-moves-after")
    assert docker_client.containers.get("boat").attrs["Image"] == docker_client.images.get(NAME).id
