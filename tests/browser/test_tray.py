"""What takes its time stays in sight on every page, until it has ended and, where it failed, was put away."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import Locator, Page, expect

from tests import machine
from tests.browser.visitor import IN_THEME, Visitor

PATIENCE = 20_000
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
QUICK = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"]
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


@pytest.fixture(params=["wide"])
def visitor(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, request: pytest.FixtureRequest
) -> Visitor:
    """The administrator's window, with nothing left in its tray."""
    width, height = SIZES[request.param]
    visitor = visit(live_app, width=width, height=height, storage_state=signed_in)
    page = visitor.go("/account/")
    buttons = page.locator("#tray").get_by_role("button", name=re.compile("^Dismiss:"))
    while left := buttons.count():
        buttons.first.click()
        expect(buttons).to_have_count(left - 1)
    return visitor


def build(page: Page, tag: str, *commands: str, base: str) -> None:
    """Asks for a build by the form, and stays until its page is there."""
    page.goto(re.sub(r"(://[^/]+).*", r"\1/builds/new/", page.url))
    page.get_by_role("textbox", name="Dockerfile").fill("\n".join([f"FROM {base}", *commands]))
    page.get_by_label("Tags").fill(tag)
    page.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url("**/builds/*-*/")


def tray_row(page: Page, name: str) -> Locator:
    """What the tray says of that."""
    return page.locator(".tray-op", has_text=name)


@pytest.mark.slow
@pytest.mark.parametrize("visitor", SIZES, indirect=True)
def test_a_build_goes_along_to_the_next_page_and_is_cancelled_there(visitor: Visitor, busybox: str) -> None:
    page = visitor.page
    build(page, "slow:1", "RUN sleep 300", "RUN echo one", base=busybox)
    expect(tray_row(page, "slow:1")).to_be_hidden()  # the page itself shows it
    visitor.go("/images/")
    row = tray_row(page, "slow:1")
    expect(row).to_be_visible()
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "2 of 3", timeout=PATIENCE)
    expect(page.locator("#tray summary")).to_contain_text("1 running")
    width = visitor.page.viewport_size["width"] if visitor.page.viewport_size else 0
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        visitor.shot(f"tray-running-{theme}-{width}")
        assert visitor.axe(IN_THEME[theme]) == [], theme
    tabs = page.locator(".tabbar")
    if tabs.is_visible():
        below, above = tabs.bounding_box(), page.locator("#tray").bounding_box()
        assert below
        assert above
        assert above["y"] + above["height"] <= below["y"]

    page.evaluate("window.neverReloaded = true")
    row.get_by_role("button", name="Cancel: Build slow:1").click()
    expect(row).to_contain_text("Cancelled", timeout=PATIENCE)
    expect(page.locator("#tray-said")).to_contain_text("Build slow:1: cancelled")
    page.mouse.move(10, 10)  # what somebody points at stays
    expect(row).to_be_hidden(timeout=PATIENCE)
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"


@pytest.mark.slow
@pytest.mark.parametrize("visitor", SIZES, indirect=True)
def test_a_failure_stays_with_its_cause_until_it_is_dismissed(visitor: Visitor, busybox: str) -> None:
    page = visitor.page
    build(page, "broken:2", "RUN cat /no/such/file", base=busybox)
    visitor.go("/volumes/")
    row = tray_row(page, "broken:2")
    expect(row).to_have_attribute("data-phase", "failed", timeout=PATIENCE)
    expect(row.locator("small.bad")).to_contain_text(re.compile("exit|code|step", re.IGNORECASE))
    expect(row.get_by_role("button", name="Retry: Build broken:2")).to_be_visible()
    expect(page.locator("#tray summary")).to_contain_text("1 failed")
    width = visitor.page.viewport_size["width"] if visitor.page.viewport_size else 0
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        visitor.shot(f"tray-failed-{theme}-{width}")
        assert visitor.axe(IN_THEME[theme]) == [], theme

    visitor.go("/networks/")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Dismiss: Build broken:2").click()
    expect(page.locator("#tray")).to_be_hidden()
    visitor.go("/volumes/")
    expect(page.get_by_role("heading", name="Volumes", exact=True)).to_be_visible()
    expect(page.locator("#tray")).to_be_hidden()


@pytest.mark.slow
def test_a_toast_acknowledges_and_the_tray_takes_over(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    container = docker_client.containers.run(busybox, STUBBORN, name="stubborn", detach=True)
    page = visitor.go("/containers/")
    page.locator('tr[data-name="stubborn"]').get_by_role("link", name="stubborn", exact=True).click()
    page.get_by_role("button", name="Stop", exact=True).click()
    toast = page.locator(".toast", has_text="Stopping stubborn")
    expect(toast).to_be_visible()
    expect(page.locator("#tray")).to_be_hidden()
    row = tray_row(page, "stubborn")
    expect(row).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".toast", has_text="stubborn")).to_have_count(0)
    bar = row.get_by_role("progressbar")
    expect(bar).not_to_have_attribute("aria-valuenow", re.compile(".*"))
    expect(bar.locator(".num")).to_have_text(re.compile(r"^\d+:\d\d$"))
    visitor.shot("tray-stopping")
    expect(row).to_contain_text("Done in", timeout=PATIENCE)
    expect(page.locator("#tray-said")).to_contain_text("Stop stubborn: done")
    expect(page.locator("#tray")).to_be_hidden(timeout=PATIENCE)
    container.reload()
    assert container.status == "exited"


@pytest.mark.slow
def test_what_is_quick_is_told_by_the_toast_alone(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    docker_client.containers.create(busybox, QUICK, name="quick")
    page = visitor.go("/containers/")
    page.locator('tr[data-name="quick"]').get_by_role("link", name="quick", exact=True).click()
    page.evaluate(
        """() => {
          window.seen = 0
          const row = '#tray:not([hidden]) [data-title="Start quick"]:not([hidden])'
          new MutationObserver(() => { window.seen += document.querySelectorAll(row).length })
            .observe(document.querySelector('.app'), { attributes: true, childList: true, subtree: true })
        }"""
    )
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".toast", has_text="Started quick")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".toast")).to_have_count(0, timeout=PATIENCE)
    assert page.evaluate("window.seen") == 0, "the tray said it too"


@pytest.mark.slow
def test_the_tray_is_left_folded_and_reached_by_keyboard(
    visitor: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    docker_client.containers.run(busybox, STUBBORN, name="slowly", detach=True)
    page = visitor.go("/containers/")
    page.locator('tr[data-name="slowly"]').wait_for()
    token = live_app.token("admin", "admin")
    (found,) = live_app.api(token, "GET", "/api/v1/containers/?name=slowly")[1]["results"]
    status, operation = live_app.api(
        token, "POST", f"/api/v1/containers/{found['id']}/stop/", {"timeout": 200}
    )
    assert status == 202
    row = tray_row(page, "slowly")
    expect(row).to_be_visible(timeout=PATIENCE)

    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.locator("#tray summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row).to_be_hidden()
    visitor.shot("tray-pill")
    assert visitor.axe() == []
    visitor.go("/images/")
    expect(page.locator("#tray summary")).to_be_visible()
    expect(row).to_be_hidden()
    page.locator("#tray summary").click()
    expect(row).to_be_visible()

    # The list of operations says it itself.
    visitor.go("/operations/")
    expect(page.locator(f"#op-{operation['id']}")).to_be_visible()
    expect(page.locator("#tray")).to_be_hidden()
    live_app.api(token, "POST", f"/api/v1/operations/{operation['id']}/cancel/")
    expect(page.locator(f"#op-{operation['id']}")).to_contain_text("Cancelled", timeout=PATIENCE)


@pytest.mark.slow
def test_the_bar_of_a_selection_stands_free_of_the_tray(
    visitor: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    docker_client.containers.run(busybox, STUBBORN, name="held", detach=True)
    page = visitor.go("/containers/")
    page.locator('tr[data-name="held"]').wait_for()
    token = live_app.token("admin", "admin")
    (found,) = live_app.api(token, "GET", "/api/v1/containers/?name=held")[1]["results"]
    operation = live_app.api(token, "POST", f"/api/v1/containers/{found['id']}/stop/", {"timeout": 200})[1]
    expect(tray_row(page, "held")).to_be_visible(timeout=PATIENCE)
    page.locator('tr[data-name="held"]').hover()
    page.locator('tr[data-name="held"] input.check').check()
    expect(page.locator(".bulk")).to_be_visible()
    tray, bulk = page.locator("#tray").bounding_box(), page.locator(".bulk").bounding_box()
    assert tray
    assert bulk
    assert bulk["y"] + bulk["height"] <= tray["y"]
    live_app.api(token, "POST", f"/api/v1/operations/{operation['id']}/cancel/")


def test_the_tray_works_without_javascript(
    live_app: machine.LiveApp,
    visit: Callable[..., Visitor],
    signed_in: Any,
    docker_client: docker.DockerClient,
    busybox: str,
) -> None:
    docker_client.containers.run(busybox, STUBBORN, name="plain", detach=True)
    token = live_app.token("admin", "admin")

    def rows() -> Any:
        return live_app.api(token, "GET", "/api/v1/containers/?name=plain")[1]["results"]

    (found,) = machine.wait_for(rows, 10, "it did not appear")
    live_app.api(token, "POST", f"/api/v1/containers/{found['id']}/stop/", {"timeout": 200})
    visitor = visit(live_app, storage_state=signed_in, java_script_enabled=False)
    page = visitor.go("/images/")
    expect(tray_row(page, "plain")).to_be_visible()
    page.get_by_role("button", name="Cancel: Stop plain").click()
    expect(page.get_by_text("Asked to cancel: Stop plain")).to_be_visible()
    assert page.url.endswith("/images/")
