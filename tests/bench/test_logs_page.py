"""The page of logs in a real browser: a hundred thousand lines, a flood, and how long the page stands still."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from docker.models.containers import Container
from playwright.sync_api import CDPSession, Page

from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site
from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

Run = Callable[..., Container]
HELD = 100_000
LONGEST_TASK = 50
"""Milliseconds: what takes longer is felt."""
FRAME = 1000 / 60
LINE = "request method=GET path=/products/%d status=200 dur=%dms and some words of a usual line"
MANY = f"awk 'BEGIN {{ for (i = 1; i <= {HELD + 5000}; i++) printf \"INFO {LINE}\\n\", i, i % 97 }}'; exec sleep 1000"
FLOOD = (
    "awk 'BEGIN { for (;;) { for (i = 1; i <= 100; i++) printf \"INFO flood "
    + LINE
    + '\\n", i, i % 97; fflush(); system("usleep 20000") } }\''
)
_WATCH = """window.tasks = []
new PerformanceObserver(list => tasks.push(...list.getEntries().map(task => task.duration)))
  .observe({ type: 'longtask' })"""
_SEARCH = (
    """() => new Promise(done => {
  tasks.length = 0
  const began = performance.now()
  let took = 0
  log.view.search('dur=9\\\\dms|nothing', { regex: true })
  const look = () => {
    if (log.view.job) { setTimeout(look, 5); return }
    took = performance.now() - began
    setTimeout(() => done({ took, hits: log.view.hits.length, tasks: [...tasks] }), 300)
  }
  look()
})"""
    ""
)
# Goes up and down through all of it, a good piece a frame, as a wheel that is turned hard.
_SCROLL = """frames => new Promise(done => {
  tasks.length = 0
  const took = [], step = log.scrollHeight / frames * 2
  let last = performance.now(), n = 0
  const turn = now => {
    took.push(now - last)
    last = now
    log.scrollTop += n++ < frames / 2 ? -step : step
    if (n < frames) requestAnimationFrame(turn); else done({ took, tasks: [...tasks] })
  }
  requestAnimationFrame(turn)
})"""


@pytest.fixture
def reader(site: Site, visit: Callable[..., Visitor]) -> Page:
    """Somebody who reads logs, with a watch on tasks that take long."""
    visitor = visit(site.app)
    visitor.sign_in("admin", PASSWORD)
    visitor.page.add_init_script(_WATCH)
    return visitor.page


def devtools(page: Page) -> CDPSession:
    """What measures the page."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return session


def heap(session: CDPSession) -> float:
    """Megabytes of the page's own, once what is not needed has been taken away."""
    session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"]) / 1e6


def held(page: Page) -> int:
    return int(page.evaluate("log.view.all.length"))


def until(page: Page, look: Callable[[], Any], seconds: float) -> None:
    for _ in range(int(seconds * 5)):
        if look():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"not within {seconds} s: {held(page)} lines")


def longest(tasks: list[float]) -> float:
    return max(tasks, default=0)


@contextmanager
def traced(page: Page) -> Iterator[list[float]]:
    """Milliseconds of processor that the page's longest task takes: on a busy machine it lasts longer than that."""
    browser, found = page.context.browser, list[float]()
    assert browser
    browser.start_tracing(
        page=page, categories=["-*", "devtools.timeline", "disabled-by-default-devtools.timeline"]
    )
    yield found
    events = json.loads(browser.stop_tracing())["traceEvents"]
    busy = Counter(event["pid"] for event in events if event["name"] == "FireAnimationFrame")
    ours = busy.most_common(1)[0][0]
    tasks = [event.get("tdur", 0) for event in events if event["name"] == "RunTask" and event["pid"] == ours]
    found.append(max(tasks) / 1000)


def in_words(wall: float, processor: list[float]) -> str:
    return f"longest task {wall:.0f} ms ({processor[0]:.0f} ms of processor)"


def test_a_hundred_thousand_lines_are_scrolled(site: Site, run: Run, tell: Tell, reader: Page) -> None:
    made = run("bench-many", MANY)
    last = f"path=/products/{HELD + 5000} ".encode()
    wait_for(lambda: last in made.logs(tail=1), 60, "it goes on writing", every=0.5)
    session = devtools(reader)
    reader.goto(f"{site.app.url}/containers/{site.row('bench-many')['id']}/logs/?tail={HELD}")
    until(reader, lambda: held(reader) >= HELD, 120)
    reader.wait_for_timeout(1500)
    loading = reader.evaluate("tasks")
    rows = reader.evaluate("document.querySelectorAll('#log .ln').length")
    for wrapped in (False, True):
        if wrapped:
            reader.click("[data-toggle=wrap]")
            reader.wait_for_timeout(500)
        with traced(reader) as processor:
            found = reader.evaluate(_SCROLL, 300)
        slow, usual = longest(found["tasks"]), percentile(found["took"], 0.5)
        what = f"page with {held(reader):,} lines{', wrapped' if wrapped else ''}: scrolled through all"
        how = f"{in_words(slow, processor)}, frame {usual:.1f} ms"
        tell(what, how, "", f"< {LONGEST_TASK} ms", slow < LONGEST_TASK)
    found = reader.evaluate(_SEARCH)
    slow = longest(found["tasks"])
    said = f"{found['took']:.0f} ms, longest task {slow:.0f} ms"
    tell(
        f"page: a pattern over {held(reader):,} lines", said, "", f"< {LONGEST_TASK} ms", slow < LONGEST_TASK
    )
    tell("page: while they come", f"longest task {longest(loading):.0f} ms", "")
    size = f"{rows} rows, {heap(session):.0f} MB"
    tell(f"page: rows in it, JS heap for {held(reader):,} lines", size, "", "< 150 rows", rows < 150)
    assert rows < 150
    assert found["hits"] > 1000


def test_a_flood_is_shown_and_the_page_goes_on(site: Site, run: Run, tell: Tell, reader: Page) -> None:
    run("bench-flood", FLOOD)
    session = devtools(reader)
    reader.goto(f"{site.app.url}/containers/{site.row('bench-flood')['id']}/logs/")
    until(reader, lambda: held(reader) > 5000, 60)
    reader.evaluate("tasks.length = 0")
    first = held(reader)
    with traced(reader) as processor:
        reader.wait_for_timeout(10_000)
    rate = (held(reader) - first) / 10
    slow = longest(reader.evaluate("tasks"))
    what = f"page: {rate:,.0f} lines a second come"
    tell(what, in_words(slow, processor), "", f"< {LONGEST_TASK} ms", slow < LONGEST_TASK)
    until(reader, lambda: held(reader) >= HELD, 300)
    before = heap(session)
    reader.wait_for_timeout(10_000)
    after = heap(session)
    size = f"{before:.0f}, {after:.0f} MB"
    tell("page: heap when full, and after 10 s more of it", size, "", "no growth", after < before * 1.1)
    assert held(reader) <= HELD + 2000
    assert after < before * 1.25
