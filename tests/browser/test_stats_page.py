"""The page of a container's figures: drawn, live, in both themes, and readable without the plots."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import docker
import pytest
from playwright.sync_api import Page

from tests import machine
from tests.browser.visitor import Visitor

BUSY = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; sleep 0.2; done",
]
DRAWN = "() => document.querySelectorAll('.plot canvas').length === 4"


@pytest.fixture
def busy(docker_client: docker.DockerClient, busybox: str) -> Any:
    """A container that uses some CPU."""
    return docker_client.containers.run(
        busybox, BUSY, name="busy", detach=True, mem_limit="64m", nano_cpus=500_000_000, network_mode="none"
    )


@pytest.fixture
def stats(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, busy: Any) -> Visitor:
    """Its page, with the plots drawn."""
    visitor = visit(live_app, storage_state=signed_in)
    visitor.go("/containers/")
    visitor.page.locator("tr[data-name=busy] .name a").click()
    visitor.page.get_by_role("link", name="Stats").click()
    visitor.page.wait_for_function(DRAWN)
    return visitor


def now(page: Page, chart: str) -> str:
    return page.locator(f"[data-chart={chart}] [data-now]").inner_text()


def shows(page: Page, chart: str, pattern: str, seconds: float = 15) -> None:
    page.wait_for_function(
        "([chart, pattern]) => new RegExp(pattern)"
        ".test(document.querySelector(`[data-chart=${chart}] [data-now]`)?.innerText ?? '')",
        arg=[chart, pattern],
        timeout=seconds * 1000,
    )


def test_figures_come_live_and_end_with_the_container(stats: Visitor, busy: Any) -> None:
    page = stats.page
    shows(page, "cpu", r"^[0-9.]+ %$")
    shows(page, "memory", r"^[0-9.]+ [KM]B$")
    assert "of 64 MB" in page.locator("[data-chart=memory] [data-sub]").inner_text()
    page.get_by_text("Every 2 s").wait_for()
    busy.stop()
    page.get_by_text("Does not run").wait_for()
    shows(page, "cpu", "^–$")
    page.wait_for_function(DRAWN)
    busy.start()
    shows(page, "cpu", r"^[0-9.]+ %$")
    # What happened came along, without a reload.
    page.get_by_role("heading", name="What happened").wait_for()
    page.locator(".marks").get_by_text("Ended").first.wait_for()
    page.wait_for_function(DRAWN)


def test_the_cursor_reads_all_plots_at_once(stats: Visitor) -> None:
    page = stats.page
    page.get_by_role("link", name="5 min").click()
    page.wait_for_function(DRAWN)
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('#stats-data').dataset.figures).t.length || true"
    )
    shows(page, "cpu", r"^[0-9.]+ %$")
    page.wait_for_timeout(4500)
    box = page.locator("#plot-cpu .u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 40)
    times = page.locator("[data-sub]").all_inner_texts()
    assert len({text.rpartition(", ")[2] for text in times}) == 1
    assert times[0][-8:].count(":") == 2
    page.mouse.move(5, 5)
    page.wait_for_function("() => !/[0-9]:[0-9]/.test(document.querySelector('[data-sub]').innerText)")


def test_the_range_is_in_the_address(stats: Visitor) -> None:
    page = stats.page
    for name, words in (("24 h", "24 hours"), ("7 d", "7 days"), ("30 d", "30 days"), ("1 h", "hour")):
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_function(DRAWN)
        assert page.locator("[aria-label=Range] [aria-current]").inner_text() == name
        assert f"over the last {words}:" in str(page.locator("#plot-cpu").get_attribute("aria-label"))


def test_both_themes_are_drawn(stats: Visitor) -> None:
    page = stats.page
    shows(page, "cpu", r"^[0-9.]+ %$")
    assert not stats.axe()
    page.get_by_role("button", name="Switch between light and dark").click()
    page.wait_for_function(DRAWN)
    assert page.locator(".plot .uplot").count() == 4
    assert not stats.axe()


def test_a_phone_shows_them_one_below_the_other(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, stats: Visitor
) -> None:
    phone = visit(live_app, storage_state=signed_in, width=390, height=844)
    phone.go(stats.page.url.removeprefix(live_app.url))
    phone.page.wait_for_function(DRAWN)
    lefts = {box["x"] for one in phone.page.locator(".chart").all() if (box := one.bounding_box())}
    assert len(lefts) == 1
    assert not phone.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not phone.axe()


def test_without_the_plots_there_is_a_table(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, stats: Visitor
) -> None:
    stats.page.wait_for_timeout(3000)
    plain = visit(live_app, storage_state=signed_in, java_script_enabled=False)
    plain.go(stats.page.url.removeprefix(live_app.url))
    page = plain.page
    assert "drawn by JavaScript" in page.locator("noscript").inner_text()
    page.locator("#as-table summary").click()
    line = page.locator("#as-table tbody tr").first
    assert "MB" in line.inner_text() or "KB" in line.inner_text()
    assert page.locator("#as-table thead th").count() == 10
    assert stats.page.locator("#as-table").count() == 1


@pytest.mark.parametrize(
    ("browser", "named", "clock"),
    [("Asia/Kolkata", "America/St_Johns", "America/St_Johns"), ("Asia/Kathmandu", "", "Asia/Kathmandu")],
)
def test_the_plots_stand_by_the_readers_clock_wherever_the_browser_is(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, stats: Visitor,
    browser: str, named: str, clock: str,
) -> None:  # fmt: skip
    """Zones that are off by a half and a quarter of an hour: round hours of another zone are none of theirs."""
    person = visit(live_app, storage_state=signed_in, timezone_id=browser)
    said = f"from accounts.models import User; User.objects.filter(username='admin').update(zone={named!r})"
    live_app.manage("shell", "-v", "0", "-c", said)
    try:
        # What is written on the canvas, as uPlot hands it over.
        person.page.add_init_script(
            "window.written = []; const fill = CanvasRenderingContext2D.prototype.fillText;"
            "CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {"
            " window.written.push(String(text)); return fill.call(this, text, ...rest) }"
        )
        person.go(stats.page.url.removeprefix(live_app.url) + "?range=24h")
        person.page.wait_for_function(DRAWN)
        person.page.wait_for_function("window.written.some(text => /^\\d\\d:\\d\\d$/.test(text))")
        written = person.page.evaluate("window.written")
        hours = {text for text in written if re.fullmatch(r"\d\d:\d\d", text)}
        assert len(hours) > 3, written
        assert all(text.endswith(":00") for text in hours), hours
        now = datetime.now(ZoneInfo(clock))
        assert hours <= {f"{(now - timedelta(hours=n)):%H}:00" for n in range(25)}
        cookies = {one["name"]: one["value"] for one in person.context.cookies()}
        # Chromium has older names for some.
        assert ZoneInfo(cookies["zone"]).utcoffset(now) == ZoneInfo(browser).utcoffset(now)
    finally:
        live_app.manage(
            "shell", "-v", "0", "-c", "from accounts.models import User; User.objects.update(zone='')"
        )
