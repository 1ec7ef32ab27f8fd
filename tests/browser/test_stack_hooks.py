"""Redeploy on push of a stack in a browser: an address is made, called with its secret, told of, and closed."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import docker
import pytest
from playwright.sync_api import expect

from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.machine import LiveApp, wait_for

TAG = "slipway-test/pushed:1"
WAITS = "trap exit TERM; while :; do sleep 0.1; done"


@pytest.fixture
def build(
    docker_client: docker.DockerClient, busybox: str, id_of: Callable[[str], str]
) -> Iterator[Callable[[int], str]]:
    """``build(2)`` moves the tag to a new image; its id. The stack ``pushed`` runs from it: web, which needs db."""

    def make(version: int) -> str:
        text = f"FROM {busybox}\nENV VERSION={version}\n"
        return str(docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag=TAG, rm=True)[0].id)

    make(1)
    for name, needs in (("web", "db:service_started:true"), ("db", "")):
        labels = {
            "com.docker.compose.project": "pushed", "com.docker.compose.service": name,
            "com.docker.compose.depends_on": needs,
        }  # fmt: skip
        docker_client.containers.run(
            TAG, ["sh", "-c", WAITS], name=f"pushed-{name}-1", labels=labels, detach=True, network_mode="none"
        )
        id_of(f"pushed-{name}-1")
    yield make
    for name in ("web", "db"):
        docker_client.containers.get(f"pushed-{name}-1").remove(force=True)


def push(address: str, secret: str) -> int:
    """As GitHub says it of a push to main; the status of the answer."""
    body = b'{"ref": "refs/heads/main"}'
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={digest}",
    }  # fmt: skip
    with urlopen(Request(address, body, headers)) as answer:  # noqa: S310 - the test's own server
        return int(answer.status)


def test_a_push_brings_the_new_image_to_a_stack(
    live_app: LiveApp, docker_client: docker.DockerClient, build: Callable[[int], str],
    visit: Callable[..., Visitor], signed_in: Any,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/stacks/")
    page.get_by_role("link", name="pushed").first.click()
    page.get_by_text("2 of 2 up").first.wait_for()
    page.get_by_role("button", name="More actions").click()
    expect(page.get_by_role("link", name="Redeploy on push…")).to_be_visible()
    pictures(visitor, "stack-menu")
    page.get_by_role("link", name="Redeploy on push…").click()
    expect(page.get_by_role("heading", name="Redeploy pushed on push")).to_be_visible()
    pictures(visitor, "stack-hooks-none")
    page.get_by_label("Who calls").select_option("github")
    page.get_by_label("Branches").fill("main")
    page.get_by_role("button", name="Make").click()
    address, secret = (page.locator(f"#hook-{what}").inner_text() for what in ("address", "secret"))
    pictures(visitor, "stack-hooks-made")

    new, here = build(2), page.url
    assert push(address, secret) == 202
    token = live_app.token("admin", "read")

    def ended() -> bool:
        rows = live_app.api(token, "GET", "/api/v1/operations/?kind=container.recreate")[1]["results"]
        return [row["state"] for row in rows if row["target"]["name"].startswith("pushed-")] == [
            "succeeded"
        ] * 2

    wait_for(ended, 90, "it did not end")
    found = docker_client.containers.list(filters={"label": "com.docker.compose.project=pushed"})
    assert [one.image.id for one in found] == [new, new]
    visitor.go(here[here.index("/stacks/") :])
    expect(page.get_by_role("link", name="pushed-db-1: Succeeded")).to_be_visible()
    expect(page.get_by_role("link", name="pushed-web-1: Succeeded")).to_be_visible()
    expect(page.get_by_text("Pushes to main alone")).to_be_visible()
    pictures(visitor, "stack-hooks")
    page.get_by_role("link", name="Close the address").click()
    expect(page.locator("dialog[open]")).to_contain_text("its secret is forgotten")
    pictures(visitor, "stack-hook-close")
    page.get_by_role("button", name="Close address").click()
    expect(page.get_by_text("Its address is closed")).to_be_visible()
    expect(page.get_by_text("Pushes to main alone")).to_have_count(0)
