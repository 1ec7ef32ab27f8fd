"""Watching, from end to end: four containers in one page with a hundred thousand lines, and then everything that goes
wrong; and an editor in the console, in a window that changes its size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from docker.types import LogConfig
from playwright.sync_api import Page

from tests import machine
from tests.browser.logs import until
from tests.browser.visitor import Visitor
from tests.processes import killed

MANY = 100_000
LONG = f"awk 'BEGIN {{ for (i = 1; i <= {MANY}; i++) printf \"INFO old line %d\\n\", i }}'; "
SLOW = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo \"INFO count $n\"; sleep 0.1 & wait $!; done"
FLOOD = "while [ ! -e /stop ]; do echo 'WARN flood flood flood flood flood'; done; exec sleep 1000"
WAITS = "while [ ! -e /go ]; do sleep 0.1; done; "
SMALL = LogConfig(type="json-file", config={"max-size": "50k", "max-file": "2"})
SCREEN = "() => document.querySelector('.xterm-rows')?.innerText ?? ''"


@pytest.fixture
def four(docker_client: docker.DockerClient, busybox: str) -> Iterator[dict[str, Container]]:
    """One with a long past, one that counts, one that stays still so far, and one whose log is small."""
    commands = {
        "past": f"{LONG} exec sleep 1000",
        "count": SLOW,
        "flood": f"{WAITS}{FLOOD}",
        "small": f"{WAITS}{FLOOD}",
    }
    made = {
        name: docker_client.containers.run(
            busybox, ["sh", "-c", command], name=f"journey-{name}", detach=True, network_mode="none",
            log_config=SMALL if name == "small" else None,
        )
        for name, command in commands.items()
    }  # fmt: skip
    yield made
    for container in made.values():
        container.remove(force=True)


def held(page: Page) -> int:
    return int(page.evaluate("log.view.all.length"))


def counted(page: Page) -> list[int]:
    texts = page.evaluate(
        "log.view.all.map(item => item.text ?? '').filter(text => text.startsWith('INFO count'))"
    )
    return [int(text.split()[-1]) for text in texts]


def searched(visitor: Visitor) -> None:
    """A pattern is looked for, and its matches are gone through."""
    page = visitor.page
    page.keyboard.press("/")
    page.keyboard.type("/old line 99.{3}$/")
    until(page, lambda: re.sub(r"\D", "", page.inner_text("[data-hits]").partition(" of ")[2]) == "1000", 20)
    page.keyboard.press("Enter")
    until(page, lambda: page.evaluate("CSS.highlights.get('hit').size") >= 1)
    visitor.shot("journey-search")
    page.fill("input[name=q]", "")


def narrowed_in_time(visitor: Visitor) -> None:
    """The histogram leads to a piece of time, and back."""
    page = visitor.page
    box = page.locator("[data-histogram] svg").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 10, steps=4)
    page.mouse.up()
    until(page, lambda: page.is_visible("[data-range-text]"))
    visitor.shot("journey-range")
    page.click("[data-range-off]")


def test_a_hundred_thousand_lines_and_everything_that_happens_to_them(
    visit: Callable[..., Visitor],
    live_app: machine.LiveApp,
    signed_in: Any,
    four: dict[str, Container],
    id_of: Callable[[str], str],
) -> None:
    ids = "&".join(f"container={id_of(container.name or '')}" for container in four.values())
    visitor = visit(live_app, storage_state=signed_in)
    visitor.troubles.expect("WebSocket connection|htmx:|ERR_CONNECTION_REFUSED|Failed to load resource")
    page = visitor.go(f"/logs/?{ids}&tail={MANY}")
    until(page, lambda: held(page) >= MANY - 1000, 60)
    assert page.locator("#log .ln").count() < 150
    assert len(page.locator("[data-source]").all_inner_texts()) == 4
    visitor.shot("journey-four")

    searched(visitor)
    narrowed_in_time(visitor)

    # The connection drops: nothing of the one that counts is missing afterwards, and nothing is there twice.
    with killed(live_app.process, "uvicorn"):
        page.wait_for_timeout(1500)
    before = max(counted(page))
    until(page, lambda: max(counted(page)) > before + 20, 30)
    numbers = counted(page)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))

    # A flood, and a log that is rotated away under the reader.
    for name in ("flood", "small"):
        assert four[name].exec_run(["touch", "/go"]).exit_code == 0
    until(
        page,
        lambda: "rotated" in page.evaluate("log.view.all.map(item => item.gap ? item.text : '').join()"),
        60,
    )
    assert held(page) <= MANY + 2000
    assert page.locator("#log .ln").count() < 150
    visitor.shot("journey-flood")
    for name in ("flood", "small"):
        assert four[name].exec_run(["touch", "/stop"]).exit_code == 0
    last = max(counted(page), default=0)
    until(page, lambda: max(counted(page), default=0) > last, 30)


def test_an_editor_fills_the_console_and_follows_the_size_of_the_window(
    visit: Callable[..., Visitor],
    live_app: machine.LiveApp,
    signed_in: Any,
    four: dict[str, Container],
    id_of: Callable[[str], str],
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(f"/containers/{id_of('journey-count')}/console/")
    page.get_by_role("button", name="Connect").click()
    state_ = page.locator("[data-console-state=open]")
    state_.wait_for(timeout=15_000)
    page.wait_for_function("() => document.activeElement?.matches('.xterm-helper-textarea')", timeout=15_000)
    page.wait_for_function(f"() => /[#$] *$/m.test(({SCREEN})())", timeout=15_000)
    page.keyboard.type("stty size\n")
    page.wait_for_function(f"() => /\\d+ \\d+/.test(({SCREEN})())", timeout=30_000)
    page.keyboard.type("vi /note\n")
    tildes = "() => document.querySelector('.xterm-rows').innerText.split('\\n').filter(line => line[0] === '~').length"
    # Its name alone is on the screen as soon as it is typed: the editor is there with its empty lines.
    until(page, lambda: page.evaluate(tildes) > 10, 30)
    page.keyboard.type("ihello from the page")
    page.keyboard.press("Escape")
    page.wait_for_function(f"() => ({SCREEN})().includes('hello from the page')", timeout=15_000)
    tall = page.evaluate(tildes)
    visitor.shot("journey-vi")
    page.set_viewport_size({"width": 1000, "height": 520})

    def is_drawn_smaller() -> bool:
        page.keyboard.press("Control+l")
        page.wait_for_timeout(300)
        return bool(0 < page.evaluate(tildes) < tall - 5)

    until(page, is_drawn_smaller, 30)
    visitor.shot("journey-vi-small")
    page.keyboard.type(":wq\n")
    page.wait_for_function(f"() => !({SCREEN})().includes('~')", timeout=15_000)
    assert four["count"].exec_run(["cat", "/note"]).output == b"hello from the page\n"
    page.keyboard.type("stty size\n")
    page.wait_for_function(f"() => (({SCREEN})().match(/^\\d+ \\d+$/gm) ?? []).length > 0", timeout=15_000)
