"""The main job in a browser, from the set-up link to the removal, on a Slipway that nobody has used yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine, readme
from tests.browser.visitor import Visitor

PATIENCE = 20_000
"""Milliseconds for what a worker and an engine do on a busy machine."""


@pytest.fixture
def fresh_app(engine_url: str, docker_client: docker.DockerClient, busybox: str) -> Iterator[machine.LiveApp]:
    """Started for the first time, on an engine that holds what the README's Dockerfile starts from."""
    machine.import_busybox(docker_client, "demo/base:1")
    app = machine.LiveApp(engine_url)
    try:
        yield app.start()
    finally:
        app.discard()


def _set_up(visitor: Visitor) -> Page:
    page = visitor.page
    page.goto(visitor.app.setup_link())
    page.get_by_label("User name").fill("mara")
    page.get_by_label("Password", exact=True).fill(machine.PASSWORD)
    page.get_by_label("Password again").fill(machine.PASSWORD)
    visitor.shot("main-job-1-set-up")
    page.get_by_role("button", name="Set up").click()
    page.wait_for_url("**/containers/**")
    visitor.is_live()
    return page


def _sign_out_and_in(visitor: Visitor) -> None:
    """The link made the person; the form lets them in."""
    page = visitor.page
    page.get_by_role("button", name="mara").click()
    # What the page was just asking for comes too late, and the move to the next page is cut short.
    visitor.troubles.expect(r"/(frame|operations/tray)/.*401|Transition was aborted")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login/**")
    visitor.sign_in("mara", machine.PASSWORD)
    visitor.is_live()


def _build(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("link", name="Builds").click()
    page.get_by_role("link", name="New build").click()
    page.get_by_role("textbox", name="Dockerfile").fill(readme.dockerfile())
    page.get_by_label("Tags").fill("hello:1")
    page.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url("**/builds/*-*/")
    expect(page.get_by_text("Built in")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".steps li.done")).to_have_count(3)
    expect(page.get_by_text("naming to docker.io/library/hello:1")).to_be_attached()
    page.get_by_label("Find in the log").fill("NAMING")
    expect(page.locator("[data-log-hits]")).to_have_text("1 line")
    expect(page.locator("#log .ln:visible")).to_have_count(1)
    page.get_by_label("Find in the log").fill("")
    visitor.shot("main-job-2-built")


def _run(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("textbox", name="Name optional").fill("hello")
    visitor.shot("main-job-3-run")
    page.get_by_role("button", name="Run container").click()
    page.wait_for_url("**/operations/*-*/", timeout=PATIENCE)
    page.get_by_role("link", name="Open container").click(timeout=PATIENCE)
    page.wait_for_url("**/containers/*-*/")
    expect(page.get_by_role("heading", name="hello")).to_be_visible()
    expect(page.locator(".head-sub")).to_contain_text("Running", timeout=PATIENCE)
    visitor.shot("main-job-4-running")


def _watch_logs(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("link", name="Logs", exact=True).first.click()
    page.evaluate("window.neverReloaded = true")
    lines = page.get_by_text("UTC 20")
    expect(lines.first).to_be_visible(timeout=PATIENCE)
    had = lines.count()
    page.wait_for_function(
        "had => (document.body.innerText.match(/UTC 20\\d\\d/g) || []).length > had + 1",
        arg=had,
        timeout=PATIENCE,
    )
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"
    visitor.shot("main-job-5-logs")


def _stop_and_remove(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".head-sub")).to_contain_text("Exited 0", timeout=PATIENCE)
    visitor.shot("main-job-6-stopped")
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Remove…").click()
    dialog = page.get_by_role("dialog", name="Remove hello")
    expect(dialog).to_be_visible()
    visitor.shot("main-job-7-remove")
    dialog.locator("button.danger.solid").click()
    page.wait_for_url("**/containers/", timeout=PATIENCE)
    expect(page.locator('tr[data-name="hello"]')).to_have_count(0, timeout=PATIENCE)
    visitor.shot("main-job-8-removed")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_from_the_set_up_link_to_the_removal(
    fresh_app: machine.LiveApp, visit: Callable[..., Visitor], docker_client: docker.DockerClient
) -> None:
    visitor = visit(fresh_app)
    _set_up(visitor)
    _sign_out_and_in(visitor)
    _build(visitor)
    _run(visitor)
    _watch_logs(visitor)
    assert docker_client.containers.get("hello").status == "running"
    # The page of what was removed asks for itself once more, and is told that it is gone.
    visitor.troubles.expect("404.*/containers/[0-9a-f-]{36}/")
    _stop_and_remove(visitor)
    assert not docker_client.containers.list(all=True, filters={"name": "^hello$"})
    assert docker_client.images.get("hello:1")
    # The link was good for one person.
    stranger = visit(fresh_app)
    stranger.troubles.expect("404")
    stranger.page.goto(fresh_app.setup_link())
    expect(stranger.page.get_by_role("button", name="Set up")).to_have_count(0)
