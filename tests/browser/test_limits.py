"""Limits are changed in place: prefilled, with a plan that follows what is typed, and without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests import machine
from tests.browser.test_undo import open_page
from tests.browser.visitor import Visitor

MB = 1024**2
QUIET = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


@pytest.fixture
def made(docker_client: docker.DockerClient, busybox: str) -> Iterator[Any]:
    """A container that somebody has made, with a limit of memory."""
    found = docker_client.containers.run(
        busybox,
        QUIET,
        name="limited",
        detach=True,
        network_mode="none",
        mem_limit="64m",
        memswap_limit="64m",
    )
    yield found
    found.remove(force=True)


def test_a_limit_is_raised_after_a_mistake_and_a_look_at_the_plan(
    admin: Visitor, live_app: machine.LiveApp, made: Any
) -> None:
    page = admin.page
    open_page(admin, live_app, "limited")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Change limits…").click()
    dialog = page.locator("dialog[open]")
    memory = dialog.get_by_label("Memory")
    assert memory.input_value() == "64"
    assert dialog.get_by_label("Restarts at most").is_hidden()

    memory.fill("2")
    memory.press("Enter")
    dialog.get_by_text("At least 6 MB").first.wait_for()
    memory.fill("128")
    dialog.get_by_label("Restart", exact=True).select_option("on-failure")
    dialog.get_by_label("Restarts at most").fill("3")
    dialog.get_by_label("Restarts at most").press("Tab")
    dialog.get_by_text("64 MB → 128 MB").wait_for()
    dialog.get_by_text("never → on failure, 3 times at most").wait_for()
    assert "It is not restarted" in dialog.inner_text()
    assert admin.axe() == []

    made.reload()
    before = made.attrs["State"]
    dialog.get_by_role("button", name="Change limits").click()
    dialog.wait_for(state="hidden")
    page.locator(".limits").get_by_text("of 128 MB").wait_for()
    made.reload()
    host = made.attrs["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (128 * MB, 128 * MB)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert made.attrs["State"] == before


def test_without_javascript_the_plan_is_a_button_of_its_own(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, made: Any
) -> None:
    token = live_app.token("admin", "read")

    def row() -> str | None:
        found = live_app.api(token, "GET", "/api/v1/containers/?name=limited")[1]["results"]
        return found[0]["id"] if found else None

    visitor = visit(live_app, storage_state=signed_in, java_script_enabled=False)
    page = visitor.go(f"/containers/{machine.wait_for(row, 10, 'it did not show up')}/update/")
    page.get_by_label("Processes").fill("77")
    page.get_by_role("button", name="Show what it does").click()
    assert "no limit → 77" in page.locator("main").inner_text()
    page.get_by_role("button", name="Change limits").click()

    def limited() -> bool:
        made.reload()
        return bool(made.attrs["HostConfig"]["PidsLimit"] == 77)

    machine.wait_for(limited, 10, "it has no limit of processes", every=0.1)
