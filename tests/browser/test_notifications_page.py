"""Somebody has a channel of messages made, tried out, told of a crash, and put right, in a browser."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import docker
from playwright.sync_api import Page, expect

from operations import messages
from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.receiver import Receiver, receiver


def _add(visitor: Visitor, hook: Receiver) -> str:
    """Makes it, and returns the secret that is shown once."""
    page = visitor.go("/notifications/")
    page.get_by_role("link", name="Add a channel").click()
    page.wait_for_url("**/new/")
    page.get_by_label("Name", exact=True).fill("On call")
    page.get_by_label("Address").fill("https://10.0.0.1/")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("a network of its own")).to_be_visible()
    page.get_by_label("Address").fill(hook.url)
    page.get_by_label("A registry has a newer image").uncheck()
    pictures(visitor, "notifications-new")
    page.get_by_role("button", name="Add", exact=True).click()
    secret = page.locator("#new-secret").inner_text()
    assert hook.url.rpartition("/")[2] not in page.content()
    pictures(visitor, "notifications-made")
    return secret


def _tried(page: Page, words: str) -> None:
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text(words, timeout=20_000)


def _crash(client: docker.DockerClient, image: str, hook: Receiver) -> None:
    client.containers.run(image, ["sh", "-c", "exit 3"], name="falls", detach=True, network_mode="none")
    machine.wait_for(lambda: any("falls" in got.json["title"] for got in hook.got), 20, "nobody was told")


def test_a_channel_is_made_tried_out_told_and_put_right(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, docker_client: docker.DockerClient,
    busybox: str, id_of: Callable[[str], str],
) -> None:  # fmt: skip
    with receiver() as hook:
        visitor = visit(live_app, storage_state=signed_in)
        visitor.go("/notifications/")
        pictures(visitor, "notifications-empty")
        secret = _add(visitor, hook)
        page = visitor.page
        page.get_by_role("link", name="Notifications").first.click()
        page.get_by_role("link", name="On call").click()
        try:
            _tried(page, "took it and answered 204")
            hook.mood = 500
            _tried(page, "It answered 500.")
            hook.mood = 204
            _crash(docker_client, busybox, hook)
            told = hook.got[-1]
            at, _, digest = told.headers["Slipway-Signature"].removeprefix("t=").partition(",v1=")
            assert (
                digest == hmac.new(secret.encode(), f"{at}.".encode() + told.body, hashlib.sha256).hexdigest()
            )
            expect(page.get_by_text("falls ended with exit code 3")).to_be_visible(timeout=10_000)
            pictures(visitor, "notifications-channel")
            page.get_by_role("link", name="Given up").click()
            page.get_by_role("button", name="Send again: A test of On call").click()
            expect(page.get_by_text("None.", exact=True)).to_be_visible(timeout=10_000)
            page.get_by_role("button", name="Mute").click()
            page.get_by_role("button", name="For 4 hours").click()
            expect(page.get_by_role("button", name="Unmute")).to_be_visible()
            visitor.go("/notifications/")
            pictures(visitor, "notifications-list")
            _mute(visitor, id_of("falls"))
            _hook(visitor, id_of("falls"))
        finally:
            _forget(visitor)


def _mute(visitor: Visitor, container: str) -> None:
    page = visitor.go(f"/containers/{container}/")
    page.get_by_role("button", name="Mute messages about falls").click()
    expect(page.get_by_text("muted until")).to_be_visible()
    pictures(visitor, "notifications-muted-container")
    page.get_by_role("button", name="Unmute").click()
    expect(page.get_by_text("as the channels say")).to_be_visible()


def _hook(visitor: Visitor, container: str) -> None:
    """Somebody else's system is given an address, and calls it."""
    page = visitor.go(f"/containers/{container}/")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Redeploy on push…").click()
    page.get_by_label("Branches").fill("main, release/*")
    page.get_by_role("button", name="Make").click()
    address, secret = (page.locator(name).inner_text() for name in ("#hook-address", "#hook-secret"))
    pictures(visitor, "hook-made")
    for branch, status in (("draft", 200), ("main", 202)):
        body = json.dumps({"ref": f"refs/heads/{branch}"})
        signature = messages.signature(secret, int(time.time()), body.encode())
        answer = page.request.post(address, data=body, headers={"Slipway-Signature": signature})
        assert answer.status == status, answer.text()
    page = visitor.go(f"/containers/{container}/hooks/")
    expect(page.locator(".hook-call a")).to_be_visible()
    pictures(visitor, "hook-called")


def _forget(visitor: Visitor) -> None:
    page = visitor.go("/notifications/")
    page.get_by_role("link", name="On call").click()
    page.get_by_role("link", name="Forget…").click()
    page.locator("dialog[open]").get_by_role("button", name="Forget").click()
    expect(page.get_by_text("Nobody is told yet")).to_be_visible()
