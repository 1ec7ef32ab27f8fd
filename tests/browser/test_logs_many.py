"""Several containers in one page of logs: in the order of time, each with its colour, gaps in their places."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.logs import shown, state, until
from tests.browser.visitor import Visitor

NAMES = ("shop-web", "shop-worker", "shop-db", "shop-cache")
SAYS = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo \"INFO {} line $n\"; sleep {}; done"
# Hands lines to the page as its socket would: [milliseconds after the first, text, stream] of a source.
_GIVE = """([at, lines]) => {
  const sources = [...log.view.sources.values()], source = sources[at], first = source.seq + 1
  window.began ??= Math.max(Date.now() + 60000, ...sources.map(one => one.last || 0))
  window.ns ??= ms => `${BigInt(Math.floor(began)) * 1000000n + BigInt(Math.round(ms * 1e6))}`
  const rows = lines.map(([ms, text, stream], i) => [first + i, source.id, ns(ms), stream ?? 1, text])
  log.view.take({ type: 'lines', container: source.id, epoch: source.epoch || 1, lines: rows })
}"""
_COLOURS = """Object.fromEntries([...document.querySelectorAll('#log .ln')].map(
  row => [row.querySelector('b').textContent, row.className.match(/s\\d/)[0]]))"""
_TOP = """[...document.querySelectorAll('#log .msg')].find(
  text => text.getBoundingClientRect().top > log.getBoundingClientRect().top).textContent"""
_WHERE = """wanted => [...document.querySelectorAll('#log .msg')].find(
  text => text.textContent === wanted).getBoundingClientRect().top - log.getBoundingClientRect().top"""
"""Within the log: the plot above it comes when it has something to show."""


@pytest.fixture
def many(
    live_app: machine.LiveApp,
    visit: Callable[..., Visitor],
    signed_in: Any,
    writes: Callable[..., None],
    id_of: Callable[[str], str],
) -> Callable[..., Visitor]:
    """``many(command, …)``: a container for each, and the page of them all."""

    def make(*commands: str, query: str = "", **options: Any) -> Visitor:
        for name, command in zip(NAMES, commands, strict=False):
            writes(name, command, labels={"com.docker.compose.project": "shop"})
        ids = "&".join(f"container={id_of(name)}" for name in NAMES[: len(commands)])
        visitor = visit(live_app, storage_state=signed_in, **options)
        visitor.go(f"/logs/?{ids}{query}")
        return visitor

    return make


def give(page: Page, at: int, *lines: list[Any]) -> None:
    page.evaluate(_GIVE, [at, list(lines)])
    page.wait_for_timeout(80)


def texts(page: Page) -> list[str]:
    return page.evaluate("log.view.list.items.map(item => item.text)")


def test_four_containers_stand_in_the_order_of_time(many: Callable[..., Visitor]) -> None:
    visitor = many(
        *(SAYS.format(name, wait) for name, wait in zip(NAMES, (0.1, 0.15, 0.2, 0.25), strict=True))
    )
    page = visitor.page
    until(page, lambda: len(texts(page)) > 60, 20)
    state(page, "live")
    assert page.evaluate("log.view.all.every((item, i, all) => !i || all[i - 1].at <= item.at)")
    colours = page.evaluate(_COLOURS)
    assert colours == dict(zip(NAMES, ("s1", "s2", "s3", "s4"), strict=True))
    page.click("[data-name=shop-web]")
    until(page, lambda: shown(page) and not any("shop-web" in line for line in shown(page)))
    assert "hide=" in page.url
    page.reload()
    until(page, lambda: len(texts(page)) > 20, 20)
    assert page.get_attribute("[data-name=shop-web]", "aria-pressed") == "false"
    assert not any("shop-web" in line for line in texts(page))
    visitor.shot("logs-many")
    assert not visitor.axe()


def test_where_engines_are_several_a_name_says_which(many: Callable[..., Visitor]) -> None:
    visitor = many("echo INFO found here; exec sleep 100", "exec sleep 100")
    page = visitor.page
    # The first of them is of another engine.
    page.add_init_script("""new MutationObserver(() => {
      const chip = document.querySelector('[data-source]')
      if (chip) chip.dataset.engine = 'far'
    }).observe(document, { childList: true, subtree: true })""")
    page.reload()
    until(page, lambda: "INFO found here" in texts(page), 20)
    expect(page.locator("#log .gut b").first).to_have_text("shop-web · far")
    page.fill("input[name=q]", "found")
    page.click(".log-do")
    page.click("[data-search-all]")
    expect(page.locator("[data-found-list] b")).to_have_text("shop-web · far", timeout=20_000)


def test_a_late_line_goes_to_its_place_and_the_reader_stays(many: Callable[..., Visitor]) -> None:
    page = many("exec sleep 100", "exec sleep 100").page
    until(page, lambda: page.evaluate("log.view.connected"))
    give(page, 0, *([i * 10, f"a {i}"] for i in range(400)))
    page.evaluate("log.scrollTop = 4000")
    until(page, lambda: not page.evaluate("log.view.list.following"))
    page.wait_for_timeout(100)
    top = page.evaluate(_TOP)
    place = page.evaluate(_WHERE, top)
    give(page, 1, *([i * 10 + 5, f"b {i}"] for i in range(50)))
    assert texts(page)[:6] == ["a 0", "b 0", "a 1", "b 1", "a 2", "b 2"]
    assert abs(page.evaluate(_WHERE, top) - place) <= 1


def test_lines_of_one_stream_keep_their_order_whatever_the_clock_does(many: Callable[..., Visitor]) -> None:
    page = many("exec sleep 100", "exec sleep 100").page
    until(page, lambda: page.evaluate("log.view.connected"))
    give(page, 0, [1000, "one"], [2000, "two"], [500, "set back"], [2100, "three"])
    give(page, 1, [1500, "other"])
    assert texts(page) == ["one", "other", "two", "set back", "three"]


def test_what_is_missing_stands_where_it_is_missing_and_says_why(many: Callable[..., Visitor]) -> None:
    page = many("exec sleep 100", "exec sleep 100").page
    until(page, lambda: page.evaluate("log.view.connected"))
    give(page, 0, [0, "first"], [5000, "last"])
    page.evaluate(
        """() => { const [one, two] = log.view.sources.values()
        log.view.take({ type: 'gap', container: one.id, lines: 1252, cause: 'rotation', from: ns(1000), to: ns(2000) })
        log.view.take({ type: 'gap', container: one.id, lines: null, cause: 'rotation', from: ns(3000), to: ns(4000) })
        log.view.take({ type: 'gap', container: two.id, lines: 3, cause: 'load' }) }"""
    )
    page.wait_for_timeout(100)
    rows = [row.replace("\u202f", " ") for row in texts(page)]
    assert rows == [
        "3 lines skipped of shop-worker: faster than they could be sent", "first",
        "1 252 lines skipped of shop-web: the log file was rotated before they were read",
        "Lines skipped of shop-web: the log file was rotated before they were read", "last",
    ]  # fmt: skip


TRACES = {
    "java": ["ERROR Could not pay", "java.lang.IllegalStateException: no gateway", "\tat shop.Pay.pay(Pay.java:88)",
             "Caused by: java.net.SocketTimeoutException: Read timed out", "\tat java.net.Socket.read(Socket.java:1)",
             "\t... 12 more"],
    "python": ["Traceback (most recent call last):", '  File "/app/pay.py", line 88, in pay', "    raise Late(order)",
               "TimeoutError: 3 s", "", "During handling of the above exception, another exception occurred:", "",
               "Traceback (most recent call last):", '  File "/app/x.py", line 1, in x', "shop.errors.Late: order 7"],
    "go": ["panic: runtime error: index out of range [3] with length 3", "", "goroutine 1 [running]:", "main.pay(0x3)",
           "\t/app/main.go:88 +0x1d", "main.main()", "\t/app/main.go:12 +0x2f", "exit status 2"],
    "node": ["TypeError: Cannot read properties of undefined (reading 'id')", "    at pay (/app/pay.js:88:14)",
             "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {", "  code: 'E'", "}"],
}  # fmt: skip


@pytest.mark.parametrize("language", TRACES)
def test_a_stack_trace_is_one_with_its_error_and_folds(many: Callable[..., Visitor], language: str) -> None:
    page = many("exec sleep 100", "exec sleep 100").page
    until(page, lambda: page.evaluate("log.view.connected"))
    trace = TRACES[language]
    give(
        page,
        0,
        [0, "INFO before"],
        *([1 + i / 1000, text, 2] for i, text in enumerate(trace)),
        [50, "INFO after", 2],
    )
    give(page, 1, [1.001, "INFO between"])
    assert texts(page) == ["INFO before", *trace, "INFO between", "INFO after"]
    assert page.evaluate("log.view.counts") == {
        "err": len(trace),
        "wrn": 0,
        "inf": 3,
        "dbg": 0,
        "1": 2,
        "2": len(trace) + 1,
    }
    page.click(".ln-turn")
    until(page, lambda: texts(page) == ["INFO before", trace[0], "INFO between", "INFO after"])
    until(page, lambda: f"+ {len(trace) - 1} lines" in page.inner_text("#log .ln.err"))
    page.click(".ln-turn")
    until(page, lambda: len(texts(page)) == len(trace) + 3)


def test_a_selection_in_the_list_and_a_stack_lead_there(
    many: Callable[..., Visitor], live_app: machine.LiveApp
) -> None:
    visitor = many(*(SAYS.format(name, 0.2) for name in NAMES[:3]))
    page = visitor.go("/containers/")
    page.get_by_label("Select shop-web").check()
    page.get_by_label("Select shop-db").check()
    page.click("[data-bulk-logs]")
    page.wait_for_url("**/logs/?container=*")
    assert sorted(page.locator("[data-source]").all_inner_texts()) == ["shop-db", "shop-web"]
    page.click("[aria-label='Add a container']")
    page.get_by_role("link", name="shop-worker").click()
    page.wait_for_url(re.compile(r"(container=[^&]+&?){3}"))
    assert page.locator("[data-source]").count() == 3
    visitor.go("/containers/")
    page.get_by_label("Logs of shop").click()
    page.wait_for_url("**/logs/?stack=shop")
    assert page.locator("[data-source]").count() == 3
