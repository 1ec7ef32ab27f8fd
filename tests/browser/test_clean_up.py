"""Cleaning up in a browser: the list follows the switches, and what was shown goes. With and without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor

PATIENCE = 20_000
"""Milliseconds for what a worker and an engine do on a busy machine."""


@pytest.fixture
def left_over(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> Iterator[list[str]]:
    """Two containers that have ended and a volume with something in it, which Slipway has seen."""
    for name in ("left-1", "left-2"):
        made = docker_client.containers.run(
            busybox, ["sh", "-c", "head -c 1500 /dev/zero > /out; head -c 900 /dev/zero > /data/x"], name=name,
            detach=True, network_mode="none", volumes=["kept:/data"] if name == "left-1" else ["left-data:/data"],
        )  # fmt: skip
        made.wait()
    docker_client.volumes.create("left-alone")
    token = live_app.token("admin", "admin")

    def seen(kind: str) -> set[str]:
        return {row["name"] for row in live_app.api(token, "GET", f"/api/v1/{kind}/?limit=200")[1]["results"]}

    machine.wait_for(lambda: {"left-1", "left-2"} <= seen("containers"), 20, "the containers did not appear")
    machine.wait_for(lambda: "left-alone" in seen("volumes"), 20, "the volume did not appear")
    yield ["left-1", "left-2"]
    for name in ("left-1", "left-2"):
        for found in docker_client.containers.list(all=True, filters={"name": name}):
            found.remove(force=True)
    for name in ("kept", "left-data", "left-alone"):
        for volume in docker_client.volumes.list(filters={"name": name}):
            volume.remove(force=True)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_what_the_switches_show_goes(
    scripts: bool, live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any,
    left_over: list[str], docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in, java_script_enabled=scripts)
    page = visitor.go("/prune/?chosen=1&kinds=containers")
    expect(page.locator("#found")).to_contain_text("left-1")
    expect(page.locator("#found")).not_to_contain_text("left-alone")
    page.get_by_role("switch", name="Named volumes").check()
    if not scripts:
        page.get_by_role("button", name="Show").click()
    expect(page.locator("#found")).to_contain_text("left-alone")
    expect(page.locator("#found")).to_contain_text("left-2")
    assert "kinds=named_volumes" in page.url
    page.locator("#found").get_by_role("button", name="Remove 3 things, 3 KB").click()
    page.wait_for_url("**/operations/*-*/")
    expect(page.get_by_role("heading", name="Clean up")).to_be_visible()
    if not scripts:
        machine.wait_for(lambda: not docker_client.api.containers(all=True), 20, "nothing happened")
        machine.wait_for(
            lambda: page.reload() and page.get_by_text("Succeeded").count(), 20, "it did not end"
        )
    expect(page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Removed 3 of 3, freed 3000 bytes").first).to_be_visible(timeout=PATIENCE)
    visitor.shot(f"prune-done-{'with' if scripts else 'without'}-scripts")
    assert docker_client.containers.list(all=True) == []
    assert {volume.name for volume in docker_client.volumes.list()} == {"kept", "left-data"}


def test_a_policy_shows_what_it_would_do_and_what_it_has_done(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, left_over: list[str],
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/prune/policies/new/")
    would = page.locator("#would")
    expect(would).to_contain_text("left-2")
    page.get_by_label("Keep these").fill("*-2")
    page.get_by_label("Name", exact=True).fill("Nightly")
    page.get_by_label("Name", exact=True).blur()
    expect(would).not_to_contain_text("left-2")
    expect(would).to_contain_text("left-1")
    expect(page.locator("#would.htmx-request")).to_have_count(0)
    pictures(visitor, "policy-new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Nightly")).to_be_visible()
    expect(page.locator("#runs")).to_contain_text("None yet")
    page.get_by_role("link", name="Remove these now…").click()
    expect(page.locator("dialog[open]")).to_contain_text("not into the trash")
    pictures(visitor, "policy-run")
    page.get_by_role("button", name="Remove 1 thing").click()
    expect(page.locator("#runs")).to_contain_text("2 KB freed", timeout=PATIENCE)
    expect(would).to_contain_text("Nothing would go now", timeout=PATIENCE)
    expect(page.locator(".htmx-request")).to_have_count(0)
    pictures(visitor, "policy")
    assert [one.name for one in docker_client.containers.list(all=True)] == ["left-2"]
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    expect(would).to_contain_text("Nothing would go now", timeout=PATIENCE)
    page.get_by_role("link", name="Remove…").click()
    expect(page.locator(".htmx-request")).to_have_count(0)  # what is under way would be cut off
    page.get_by_role("button", name="Remove policy").click()
    expect(page.get_by_text("Nothing is cleaned up by itself")).to_be_visible()
