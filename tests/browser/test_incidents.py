"""Whoever is on call sees a crash while it happens, reads what led to it, and says that it was seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.visitor import Visitor

SENTENCE = re.compile(r"^The last 24 hours: up \d+% of them, 1 fault\.$")
CRASHES = "echo connecting; while [ ! -e /end ]; do sleep 0.1; done; echo 'no route to <db>' >&2; exit 3"


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


def page_of(live_app: machine.LiveApp, name: str) -> str:
    token = live_app.token("admin", "read")

    def row() -> str | None:
        found = live_app.api(token, "GET", f"/api/v1/containers/?name={name}")[1]["results"]
        return found[0]["id"] if found else None

    return f"/containers/{machine.wait_for(row, 10, f'{name} did not show up')}/"


def test_a_crash_shows_up_by_itself_is_read_and_is_seen(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    made = docker_client.containers.run(busybox, ["sh", "-c", CRASHES], name="crashes", detach=True)
    address, page = page_of(live_app, "crashes"), admin.page
    admin.go(f"{address}history/")
    admin.is_live()
    expect(page.locator(".ev b", has_text="Started")).to_be_visible()
    made.exec_run(["touch", "/end"])
    incident = page.locator("li.inc")
    expect(incident.locator("b")).to_have_text("Exited 3", timeout=10_000)
    expect(incident.locator(".last-lines")).to_contain_text("no route to <db>", timeout=10_000)
    expect(incident.locator(".inc-more")).to_have_attribute("open", "")
    incident.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(incident.locator(".last-lines")).to_be_hidden()
    assert not admin.axe()
    admin.go("/containers/?view=attention")
    expect(page.locator('tr[data-name="crashes"]')).to_contain_text("Exited 3")
    admin.go(address)
    admin.is_live()
    expect(page.locator(".life-svg")).to_have_attribute("aria-label", SENTENCE)
    page.get_by_role("button", name="Seen").click()
    expect(page.locator(".toast")).to_contain_text("needs no attention")
    expect(page.get_by_role("button", name="Seen")).to_have_count(0)
    admin.go("/containers/?view=attention")
    expect(page.locator('tr[data-name="crashes"]')).to_have_count(0)
    made.remove()


def test_events_of_the_engine_come_while_one_looks(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = admin.go("/events/?type=container")
    admin.is_live()
    made = docker_client.containers.run(busybox, ["true"], name="passes-by", detach=True)
    row = page.locator("table.events tr", has_text="passes-by")
    expect(row.first).to_contain_text("exit 0", timeout=10_000)
    page.get_by_role("searchbox").fill("nothing-is-called-so")
    expect(page.get_by_role("heading", name="No event matches")).to_be_visible()
    made.remove()
