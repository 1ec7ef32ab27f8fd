"""A registry is named, an image is pushed to it and found there, in a browser and with a real registry."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import docker
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.registry import PASSWORD, USER, Place

PATIENCE = 30_000


def _name_it(page: Page, place: Place, password: str) -> None:
    page.get_by_label("Name", exact=True).fill("Shipyard")
    page.get_by_label("Host", exact=True).fill(place.host)
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password or token").fill(password)
    page.get_by_role("switch").check()


def test_a_registry_is_named_pushed_to_and_browsed(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, registry_place: Place,
    docker_client: docker.DockerClient, busybox: str,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/registries/")
    page.get_by_role("link", name=re.compile("^Add")).click()  # "Add a registry" where there is none
    page.wait_for_url("**/new/")
    _name_it(page, registry_place, "wrong")
    pictures(visitor, "registry-new")
    page.get_by_role("button", name="Add and check").click()
    expect(page.get_by_text("does not take this user name")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Change…").click()
    page.wait_for_url("**/edit/")
    page.get_by_label("Password or token").fill(PASSWORD)
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text("It takes the user name")).to_be_visible(timeout=PATIENCE)
    shipyard = page.url.removeprefix(live_app.url)
    try:
        _push(visitor, live_app)
        _another_goes_there(docker_client, registry_place, busybox)
        page.get_by_role("link", name="Open image").click()
        page.get_by_role("button", name="Check now").click()
        expect(page.locator(".at-registry")).to_contain_text("a newer image", timeout=PATIENCE)
        pictures(visitor, "image-newer")
        visitor.go(shipyard)
        page.locator("#remote").get_by_role("link", name="boats/rowing").click()
        expect(page.locator(".remote-tags")).to_contain_text("linux/amd64", timeout=PATIENCE)
        expect(page.locator(".reg-order [aria-current]")).to_have_text("Version")
        pictures(visitor, "registry-tags")
        _pushes(live_app, docker_client, busybox, f"{registry_place.host}/boats/rowing:1.10")
        expect(page.locator(".remote-tags tbody tr").first).to_contain_text("1.10", timeout=PATIENCE)
        page.locator("#remote").get_by_role("link", name=re.compile(r"^Pull .*:1…$")).click()
        expect(page.locator("dialog[open]")).to_contain_text("Shipyard")
        page.keyboard.press("Escape")
        page.locator("#remote").get_by_role("link", name=re.compile(r"^Remove .*:1…$")).click()
        expect(page.locator("dialog[open]")).to_contain_text("at the registry", timeout=PATIENCE)
        pictures(visitor, "registry-untag")
        page.locator("dialog[open]").get_by_role("button", name="Remove tag").click()
        expect(page.locator("#tray")).to_contain_text("Remove remote tag", timeout=PATIENCE)
        visitor.go("/registries/")
        visitor.go(shipyard)
        page.get_by_role("link", name="Forget…").click()
        page.locator("dialog[open]").get_by_role("button", name="Forget").click()
        expect(page.get_by_text("No registry yet")).to_be_visible(timeout=PATIENCE)
    finally:
        for tag in ("1", "1.10"):
            with suppress(docker.errors.ImageNotFound):
                docker_client.images.remove(f"{registry_place.host}/boats/rowing:{tag}", force=True)


def _pushes(live_app: machine.LiveApp, client: docker.DockerClient, image: str, reference: str) -> None:
    """By REST, while the page is open: it shows the new tag by itself."""
    client.images.get(image).tag(*reference.rsplit(":", 1))
    token, native_id = live_app.token("admin", "write"), client.images.get(reference).id
    rows = machine.wait_for(
        lambda: live_app.api(token, "GET", f"/api/v1/images/?q={native_id}")[1]["results"], 20, "no image"
    )
    status, _ = live_app.api(token, "POST", f"/api/v1/images/{rows[0]['id']}/push/", {"reference": reference})
    assert status == 202


def _another_goes_there(docker_client: docker.DockerClient, place: Place, busybox: str) -> None:
    """Somebody else pushes another image under that tag; here the tag stays where it was."""
    reference = f"{place.host}/boats/rowing"
    machine.import_busybox(docker_client, f"{reference}:1")
    said = list(docker_client.api.push(reference, "1", stream=True, decode=True, auth_config=place.auth))
    assert not [line for line in said if "error" in line]
    docker_client.images.get(busybox).tag(reference, "1")


def _push(visitor: Visitor, live_app: machine.LiveApp) -> None:
    token = live_app.token("admin", "read")

    def found() -> Any:
        rows = live_app.api(token, "GET", "/api/v1/images/?q=slipway-test/busybox")[1]["results"]
        return rows and rows[0]["id"]

    page = visitor.go(f"/images/{machine.wait_for(found, 20, 'no image')}/")
    page.get_by_role("link", name="Push…").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Shipyard")
    dialog.get_by_label("Name there").fill("boats/rowing:1")
    dialog.get_by_role("button", name="Push", exact=True).click()
    page.wait_for_url("**/operations/*-*/")
    expect(page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=PATIENCE)
