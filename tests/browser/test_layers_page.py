"""The layers of an image in a browser: read, opened folder by folder, searched, filtered."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor

PATIENCE = 30_000
# Names in an image are anybody's: this one would be an element of the page, and turns what stands behind it around.
HOSTILE = "<img src=x onerror=alert(1)>\u202etxt"
DOCKERFILE = """\
FROM {base}
RUN mkdir -p /data/deep && echo two >/data/deep/two && head -c 50000 /dev/zero >/data/big && touch "/data/{hostile}"
RUN rm -r /data/deep && chmod 600 /data/big
"""


@pytest.fixture
def image(live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str) -> Iterator[str]:
    """One with two layers of files over its base; its id in Slipway."""
    text = DOCKERFILE.format(base=busybox, hostile=HOSTILE)
    docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag="layered:1", rm=True, forcerm=True)
    token = live_app.token("admin", "read")

    def seen() -> Any:
        rows = live_app.api(token, "GET", "/api/v1/images/?q=layered")[1]["results"]
        return rows and rows[0]["id"]

    yield str(machine.wait_for(seen, 20, "the image did not appear"))
    docker_client.images.remove("layered:1", force=True)


def test_the_files_of_layers_are_read_and_looked_through(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, image: str
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(f"/images/{image}/")
    page.get_by_role("navigation", name="layered:1").get_by_role("link", name="Layers").click()
    visitor.is_live()
    pictures(visitor, "layers-unread")
    page.get_by_role("button", name="Read the files").click()
    files = page.locator(".layer-files")
    expect(files).to_contain_text("hides", timeout=PATIENCE)
    expect(page.get_by_role("complementary", name="Waste")).to_contain_text("/data/big")
    # By keyboard: a folder opens in its place.
    files.locator("summary").first.press("Enter")
    expect(files.get_by_text("mode or owner")).to_be_visible()
    expect(files.get_by_text("removed, 2 entries")).to_be_visible()
    pictures(visitor, "layers")
    # From the bar to the layer below.
    page.locator(".layers.pick a").last.focus()
    below = page.locator(".lays > li").nth(1).get_by_role("link")
    below.click()
    page.wait_for_url("**layer=*")
    files.locator("summary").first.click()
    expect(files).to_contain_text("onerror")
    assert page.locator("img").count() == 0
    assert "\u202e" not in page.locator("#tab").inner_html()
    page.get_by_role("link", name="Removed 0").click()
    expect(files).to_contain_text("Nothing removed here")
    page.get_by_role("searchbox").fill("data TWO")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=data**")
    expect(files).to_contain_text("No path matches")
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("link", name="/data/deep/two", exact=True).click()
    expect(files.locator(".path")).to_contain_text("deep")
    expect(files).to_contain_text("two")
    assert visitor.axe() == []
    assert visitor.troubles.left() == []


def test_two_images_are_selected_and_compared(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, image: str,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    text = "FROM layered:1\nENV PORT=8080\nRUN mkdir -p /new/er && echo more >/new/er/file && echo longer >/data/big\n"
    docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag="layered:2", rm=True, forcerm=True)
    try:
        visitor = visit(live_app, storage_state=signed_in)
        page = visitor.go("/images/?q=layered")
        page.get_by_role("checkbox", name="Select layered:2").check()
        page.get_by_role("checkbox", name="Select layered:1").check()
        expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
        pictures(visitor, "images-selected")
        page.get_by_role("button", name="Compare").click()
        visitor.is_live()
        expect(page.get_by_role("heading", level=1)).to_contain_text("layered:1→layered:2")
        expect(page.get_by_role("row", name="Environment PORT")).to_contain_text("8080")
        pictures(visitor, "compare-unread")
        page.get_by_role("button", name="Read the files").click()
        expect(page.get_by_role("row", name="/new 3 entries added")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_role("row", name="/data/big changed 50 KB 7 B")).to_be_visible()
        pictures(visitor, "compare")
        page.get_by_role("link", name="Swap").click()
        expect(page.get_by_role("row", name="/new 3 entries removed")).to_be_visible()
        page.get_by_role("searchbox").fill("FILE new")
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="/new/er/file removed")).to_be_visible()
        page.get_by_role("link", name="Another…").click()
        expect(page.get_by_role("link", name="layered:1", exact=True)).to_be_visible()
        pictures(visitor, "compare-choose")
        assert visitor.troubles.left() == []
    finally:
        docker_client.images.remove("layered:2", force=True)
