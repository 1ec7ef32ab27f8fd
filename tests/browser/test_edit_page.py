"""A container edited and duplicated by hand: judged while one types, replaced behind the gate, back when it is ill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.visitor import IN_THEME, Visitor

QUIET = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]
SECOND = 10**9


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


def variable(page: Page, name: str, value: str) -> None:
    """Types a variable's new value."""
    row = page.locator("[data-rows=env] [data-row]").filter(has=page.locator(f'input[value="{name}"]'))
    row.get_by_label("Its value").fill(value)


def plan(page: Page, *words: str) -> None:
    """Waits until the plan says these."""
    for word in words:
        expect(page.locator("[data-fate]")).to_contain_text(word)


def seen(visitor: Visitor, name: str) -> None:
    """Both sizes, by day and by night, without a fault of axe's and without a page that is wider than the window."""
    for scheme in ("light", "dark"):
        for width, height in ((1440, 900), (390, 844)):
            visitor.page.set_viewport_size({"width": width, "height": height})
            visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert visitor.axe(IN_THEME[scheme]) == [], f"{name} {width} {scheme}"
            assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{name} {width}"
            )
            visitor.shot(f"{name}-{width}-{scheme}")
    visitor.page.set_viewport_size({"width": 1440, "height": 900})


def finished(page: Page, state: str) -> None:
    """Goes on at the operation, and waits for its end."""
    page.wait_for_url("**/operations/**")
    page.locator("#state").get_by_text(state, exact=True).wait_for(timeout=60_000)


@pytest.fixture
def shop(docker_client: docker.DockerClient, busybox: str) -> int:
    """The port of container "shop", which is healthy until its MODE is ill."""
    port = machine.free_port()
    check = {
        "test": ["CMD-SHELL", '[ "$MODE" != ill ]'],
        "interval": SECOND,
        "timeout": 5 * SECOND,
        "retries": 1,
    }
    docker_client.containers.run(
        busybox, QUIET, name="shop", detach=True, environment={"MODE": "one"}, ports={"80/tcp": port}, healthcheck=check
    )  # fmt: skip
    return port


def test_a_container_is_edited_goes_back_when_ill_and_is_duplicated(
    admin: Visitor, docker_client: docker.DockerClient, shop: int, id_of: Callable[[str], str]
) -> None:
    new = machine.free_port()
    page = admin.go(f"/containers/{id_of('shop')}/")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Edit…").click()
    plan(page, "Nothing is changed yet")
    variable(page, "MODE", "two")
    page.get_by_label("Port on the engine").first.fill(str(new))
    plan(page, "MODE", str(new))
    seen(admin, "edit")
    page.get_by_role("button", name="Replace container").click()
    finished(page, "Succeeded")
    made = docker_client.containers.get("shop")
    assert "MODE=two" in made.attrs["Config"]["Env"]
    assert made.ports["80/tcp"][0]["HostPort"] == str(new)

    admin.go(f"/containers/{id_of('shop')}/edit/")
    variable(page, "MODE", "ill")
    plan(page, "MODE")
    page.get_by_role("button", name="Replace container").click()
    finished(page, "Failed")
    expect(page.locator("#state")).to_contain_text("the old one is back and runs")
    assert docker_client.containers.get("shop").id == made.id
    assert docker_client.containers.get("shop").status == "running"

    admin.go(f"/containers/{id_of('shop')}/")
    page.get_by_role("link", name="Duplicate…").first.click()
    name = page.get_by_role("textbox", name="Name optional").input_value()
    expect(page.locator("[data-plan]")).to_contain_text("Start it")
    seen(admin, "duplicate")
    page.get_by_role("button", name="Duplicate container").click()
    finished(page, "Succeeded")
    twin = docker_client.containers.get(name)
    assert "MODE=two" in twin.attrs["Config"]["Env"]
    assert twin.ports["80/tcp"][0]["HostPort"] not in (str(shop), str(new), "")
