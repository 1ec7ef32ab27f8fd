"""Images in a browser: a tag goes back to where it was, and its container with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
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


_DOTS = "() => [...document.querySelectorAll('.head-sub .sep')].filter(el => el.offsetWidth).length"


def no_line_ends_with_a_dot(visitor: Visitor, path: str) -> None:
    """The dots between facts about an image are a part of what follows, and none is seen where a line begins."""
    page = visitor.go(path)
    for width in (390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        visitor.shot(f"image-head-{width}")
        assert page.evaluate(_DOTS) == 0
    page.set_viewport_size({"width": 1440, "height": 900})
    page.go_back()


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
    no_line_ends_with_a_dot(visitor, new)
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


def test_images_go_out_as_a_file_and_come_in_again(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, boat: tuple[str, str],
    docker_client: docker.DockerClient, tmp_path: Path,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in, accept_downloads=True)
    page = visitor.go(boat[1])
    page.get_by_role("link", name="Export…").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("slipway-test/busybox:1").uncheck()
    pictures(visitor, "image-export")
    dialog.get_by_role("button", name="Export").click()
    page.wait_for_url("**/operations/*-*/")
    with page.expect_download(timeout=PATIENCE) as got:
        page.get_by_role("link", name="Download", exact=True).click()
    file = tmp_path / "boat.tar"
    got.value.save_as(file)
    machine.import_busybox(docker_client, NAME)
    moved = docker_client.images.get(NAME)
    try:
        page = visitor.go("/images/")
        expect(page.locator("#images")).to_contain_text(str(moved.id)[7:19], timeout=PATIENCE)
        page.get_by_role("link", name="Import images").click()
        dialog = page.locator("dialog[open]")
        dialog.get_by_label("Tar of images").set_input_files(file)
        pictures(visitor, "image-load")
        dialog.get_by_role("button", name="Send and look").click()
        expect(dialog).to_contain_text("moves from", timeout=PATIENCE)
        pictures(visitor, "image-load-plan")
        dialog.get_by_role("button", name="Import").click()
        page.wait_for_url("**/operations/*-*/")
        expect(page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=PATIENCE)
        assert docker_client.images.get(NAME).id != moved.id
    finally:
        docker_client.images.remove(moved.id, force=True)
