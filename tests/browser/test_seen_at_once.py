"""What somebody does in another terminal is in the open page within a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import Page

from tests import machine
from tests.browser.visitor import Visitor

ROUNDS = 5
USUAL, WORST = 1.0, 3.0
"""Seconds: the middle one of the rounds, and any of them on a machine that is busy with other tests."""
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"]


@pytest.fixture
def open_page(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> Callable[..., Page]:
    """A page that has heard that it is live."""

    def make(path: str) -> Page:
        visitor = visit(live_app, storage_state=signed_in)
        page = visitor.go(path)
        visitor.is_live()
        page.wait_for_timeout(500)
        return page

    return make


def _until(page: Page, script: str, argument: Any) -> float:
    """Seconds until the page says that it is so; it looks at each frame."""
    began = time.monotonic()
    page.wait_for_function(script, arg=argument, polling="raf", timeout=10_000)
    return time.monotonic() - began


def _judge(what: str, seconds: list[float]) -> None:
    middle = statistics.median(seconds)
    print(f"\n{what}: {middle * 1000:.0f} ms ({min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f})")  # noqa: T201
    assert middle <= USUAL, f"{what}: {seconds}"
    assert max(seconds) <= WORST, f"{what}: {seconds}"


ROW = 'name => document.querySelector(`tr[data-name="${name}"]`)'
STATUS = (
    '([name, text]) => document.querySelector(`tr[data-name="${name}"] .c-status`)?.innerText.includes(text)'
)


@pytest.mark.slow
def test_run_stop_and_rm_elsewhere_show_up_within_a_second(
    open_page: Callable[..., Page], docker_client: docker.DockerClient, busybox: str
) -> None:
    page = open_page("/containers/")
    page.evaluate("window.neverReloaded = true")
    shown: list[float] = []
    stopped: list[float] = []
    removed: list[float] = []
    for number in range(ROUNDS):
        name = f"elsewhere-{number}"
        container = docker_client.containers.run(busybox, COMMAND, name=name, detach=True)
        shown.append(_until(page, STATUS, [name, "Up"]))
        container.stop(timeout=5)
        stopped.append(_until(page, STATUS, [name, "Exited 0"]))
        container.remove()
        removed.append(_until(page, f"name => !({ROW})(name)", name))
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"
    _judge("docker run", shown)
    _judge("docker stop", stopped)
    _judge("docker rm", removed)


@pytest.mark.slow
def test_tag_and_rmi_elsewhere_show_up_within_a_second(
    open_page: Callable[..., Page], docker_client: docker.DockerClient, busybox: str
) -> None:
    page = open_page("/images/")
    page.evaluate("window.neverReloaded = true")
    image = docker_client.images.get(busybox)
    tagged: list[float] = []
    untagged: list[float] = []
    there = "name => document.querySelector('main').innerText.includes(name)"
    for number in range(ROUNDS):
        image.tag("elsewhere/copy", f"v{number}")
        tagged.append(_until(page, there, f"v{number}"))
        docker_client.images.remove(f"elsewhere/copy:v{number}")
        untagged.append(_until(page, f"name => !({there})(name)", f"v{number}"))
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"
    _judge("docker tag", tagged)
    _judge("docker rmi", untagged)
