"""The pages of the log history in a real browser: switched on, searched, looked at around a line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.visitor import IN_THEME, Visitor

SCRIPT = (
    'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo "INFO order $i accepted for customer $((i % 7))"; '
    '[ $((i % 90)) = 0 ] && sleep 0.1 && echo "ERROR <b>payment</b> of order $i declined" >&2 && sleep 0.1; '
    "done; sleep 600"
)
GAP = (
    "from containers_app.models import KeptLog; log = KeptLog.objects.get(name='history-shop'); "
    "from containers_app.log_blocks import unpack; line = unpack(bytes(log.blocks.first().data))[100]; "
    "log.gaps.create(from_ns=line.ts_ns, to_ns=line.ts_ns + 10**6, lines=12, cause='rotation')"
)


@pytest.fixture
def shop(docker_client: docker.DockerClient, busybox: str) -> Any:
    found = docker_client.containers.run(
        busybox, ["sh", "-c", SCRIPT], name="history-shop", detach=True, network_mode="none"
    )
    yield found
    found.remove(force=True)


def looked_at(visitor: Visitor, page: Page, name: str) -> None:
    """In both themes and sizes: a picture, nothing for axe, nothing wider than the window."""
    for size, (width, height) in {"wide": (1440, 900), "narrow": (390, 844)}.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            visitor.shot(f"{name}-{theme}-{size}")
            assert visitor.axe(IN_THEME[theme]) == [], (name, size, theme)
        sideways = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert sideways <= 0, (name, size)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")


def gap_is_shown(visitor: Visitor, page: Page) -> None:
    """Among the lines, with how many and why."""
    visitor.app.manage("shell", "-c", GAP)
    page.reload()
    expect(page.locator(".hl-gap")).to_contain_text("12 lines missing · the engine had given them up")
    page.locator(".hl-gap").scroll_into_view_if_needed()
    looked_at(visitor, page, "log-history-gap")


def refused(visitor: Visitor) -> None:
    """What cannot be asked and what is not there are said."""
    page = visitor.go("/log-history/?q=order+(&regex=1")
    expect(page.get_by_text(re.compile("no regular expression"))).to_be_visible()
    page = visitor.go("/log-history/?q=nothing-like-this")
    expect(page.get_by_role("heading", name="No line matches")).to_be_visible()


def test_a_log_is_kept_found_and_read(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, shop: Any
) -> None:
    token = live_app.token("admin", "admin")

    def row() -> str | None:
        _, found = live_app.api(token, "GET", "/api/v1/containers/?name=history-shop")
        return found["results"][0]["id"] if found["results"] else None

    id_ = machine.wait_for(row, 10, "the container did not show up")
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/log-history/")
    expect(page.get_by_role("heading", name="No log is kept yet")).to_be_visible()
    looked_at(visitor, page, "log-history-empty")
    page = visitor.go(f"/containers/{id_}/logs/")
    page.get_by_role("button", name="More of the log").click()
    page.get_by_role("button", name="Keep history").click()
    expect(page.get_by_text("History is kept")).to_be_visible()

    def kept() -> bool:
        _, found = live_app.api(token, "GET", "/api/v1/log-history/")
        return bool(found["results"]) and found["results"][0]["lines"] == 404

    machine.wait_for(kept, 30, "its lines were not kept")
    page.reload()
    looked_at(visitor, page, "log-history-of-container")
    page.get_by_role("link", name="Kept lines").click()
    expect(page.locator(".hl-line")).to_have_count(100)
    page = visitor.go("/log-history/")
    page.keyboard.press("/")
    page.keyboard.type("payment")
    page.keyboard.press("Enter")
    expect(page.locator(".hl-line")).to_have_count(4)
    expect(page.locator(".hl-line mark").first).to_have_text("payment")
    assert page.locator(".hl-line").first.inner_text().endswith("<b>payment</b> of order 360 declined")
    looked_at(visitor, page, "log-history-found")
    page.locator(".hl-at").first.click()
    expect(page.locator(".hl-line.here")).to_contain_text("order 360 declined")
    expect(page.locator(".hl-line")).to_have_count(141)
    page.get_by_role("link", name="Older").click()
    expect(page.locator(".hl-line").first).to_contain_text("order 64 accepted")
    looked_at(visitor, page, "log-history-around")
    gap_is_shown(visitor, page)
    refused(visitor)
    page = visitor.go("/log-history/kept/")
    expect(page.get_by_role("row").filter(has_text="history-shop")).to_contain_text("404")
    looked_at(visitor, page, "log-history-kept")
    page.get_by_role("button", name="Stop keeping the log of history-shop").click()
    expect(page.get_by_role("button", name="Stop keeping the log of history-shop")).to_have_count(0)
