"""A stack in a browser: stopped, started and removed as one, by the page alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker

from tests.browser.visitor import Visitor
from tests.machine import LiveApp, wait_for

WAITS = "trap exit TERM; while :; do sleep 0.1; done"


def test_a_stack_is_stopped_started_and_removed_as_one(
    live_app: LiveApp,
    docker_client: docker.DockerClient,
    writes: Callable[..., None],
    visit: Callable[..., Visitor],
    signed_in: Any,
    id_of: Callable[[str], str],
) -> None:
    for name, needs in (("web", "db:service_started:true"), ("db", "")):
        labels = {
            "com.docker.compose.project": "pair", "com.docker.compose.service": name,
            "com.docker.compose.depends_on": needs,
        }  # fmt: skip
        writes(f"pair-{name}-1", WAITS, labels=labels)
        id_of(f"pair-{name}-1")
    page = visit(live_app, storage_state=signed_in).go("/stacks/")
    page.get_by_role("link", name="pair").first.click()
    page.get_by_text("2 of 2 up").first.wait_for()
    page.get_by_text("needs db").wait_for()

    page.get_by_role("link", name="Stop…").click()
    page.locator("dialog[open]").get_by_text("step 1 of 2").wait_for()
    page.get_by_role("button", name="Stop 2 containers").click()
    page.get_by_text("0 of 2 up").first.wait_for(timeout=30_000)
    assert {row.status for row in docker_client.containers.list(all=True, filters={"name": "pair-"})} == {
        "exited"
    }

    page.locator("main").get_by_role("button", name="Start").click()
    page.get_by_text("2 of 2 up").first.wait_for(timeout=30_000)

    page.get_by_role("link", name="Remove…").click()
    page.locator("dialog[open]").get_by_text("Lost in").wait_for()
    page.get_by_role("button", name="Remove 2 containers").click()
    page.wait_for_url("**/stacks/", timeout=30_000)
    wait_for(
        lambda: not docker_client.containers.list(filters={"name": "^pair-"}), 15, "something still runs"
    )
