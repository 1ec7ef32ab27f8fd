"""Chromium for the browser tests.

A browser is started for each module and ended with it: while one runs, its event loop is the thread's running
loop, and neither Django's database nor asyncio tests work beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, LiveApp, wait_for

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Its own sandbox does not work for root; the rest keeps it from talking to anybody but us.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--font-render-hinting=none",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("No Chromium for the browser tests: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """``visit(app, …)``: somebody opens a window. What the browser complains of fails the test at its end."""
    visitors = []

    def make(app: LiveApp, *, width: int = 1440, height: int = 900, **options: Any) -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        visitor = Visitor(context, app)
        visitors.append(visitor)
        return visitor

    yield make
    left = [line for visitor in visitors for line in visitor.troubles.left()]
    for visitor in visitors:
        visitor.context.close()
    assert not left, "the browser complained:\n  " + "\n  ".join(left)


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, live_app: LiveApp) -> Any:
    """The cookies of the administrator, for ``visit(app, storage_state=signed_in)``."""
    context = chromium.new_context()
    Visitor(context, live_app).sign_in("admin", PASSWORD)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def id_of(live_app: LiveApp) -> Callable[[str], str]:
    """``id_of(name)``: under which id Slipway knows a container, once it does."""
    token = live_app.token("admin", "read")

    def find(name: str) -> str:
        def row() -> Any:
            _, found = live_app.api(token, "GET", f"/api/v1/containers/?name={name}")
            return found["results"][0]["id"] if found["results"] else None

        return str(wait_for(row, 10, f"{name} did not show up"))

    return find


@pytest.fixture
def writes(docker_client: docker.DockerClient, busybox: str) -> Callable[..., None]:
    """``writes(name, command)``: runs it elsewhere, as a container of that name."""

    def make(name: str, command: str, **options: Any) -> None:
        docker_client.containers.run(
            busybox, ["sh", "-c", command], name=name, detach=True, network_mode="none", **options
        )

    return make


@pytest.fixture
def logs_of(
    live_app: LiveApp,
    visit: Callable[..., Visitor],
    signed_in: Any,
    writes: Callable[..., None],
    id_of: Callable[[str], str],
) -> Callable[..., Visitor]:
    """``logs_of(name, command)``: runs it elsewhere and opens the page of its logs."""

    def make(name: str, command: str, **options: Any) -> Visitor:
        writes(name, command)
        id_ = id_of(name)
        visitor = visit(live_app, storage_state=signed_in, **options)
        visitor.go(f"/containers/{id_}/logs/")
        return visitor

    return make
