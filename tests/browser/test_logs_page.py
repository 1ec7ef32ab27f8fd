"""The page of logs in a real browser: it follows, stays small, searches, and never believes what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import docker
import pytest
from playwright.sync_api import Browser, Page

from tests import machine
from tests.browser.logs import COUNTER, number, shown, state, until
from tests.browser.visitor import Visitor
from tests.processes import killed

ANSI = machine.ROOT / "static/js/ansi.js"


def test_lines_come_live_and_the_page_stays_small(logs_of: Callable[..., Visitor]) -> None:
    many = "i=0; while [ $i -lt 12000 ]; do i=$((i+1)); echo past $i; done; " + COUNTER.format("", 0.1)
    visitor = logs_of("counting", many)
    page = visitor.page
    until(page, lambda: number(page) > 5, 20)
    state(page, "live")
    before = number(page)
    until(page, lambda: number(page) > before + 10)
    assert page.evaluate("document.querySelectorAll('#log .ln').length") < 150
    assert page.evaluate("log.scrollHeight") > 4000 * 20
    at_end = "log.scrollHeight - log.scrollTop - log.clientHeight"
    assert page.evaluate(at_end) < 2


def test_it_stops_following_when_the_reader_scrolls_up_and_says_what_came(
    logs_of: Callable[..., Visitor],
) -> None:
    visitor = logs_of("scrolled", COUNTER.format("", 0.05))
    page = visitor.page
    until(page, lambda: number(page) > 60, 20)
    box = page.locator("#log").bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, -500)
    page.locator("[data-jump]:not([hidden])").wait_for()
    place, rows = page.evaluate("log.scrollTop"), shown(page)
    page.wait_for_timeout(700)
    assert page.evaluate("log.scrollTop") == place
    assert shown(page)[:20] == rows[:20]
    assert re.fullmatch(r"\d+ new lines?", page.inner_text("[data-jump]").strip())
    page.click("[data-jump]")
    page.locator("[data-jump]").wait_for(state="hidden")
    now = number(page)
    until(page, lambda: number(page) > now)


def test_keys_pause_show_times_and_wrap(logs_of: Callable[..., Visitor]) -> None:
    visitor = logs_of("keys", COUNTER.format("", 0.05))
    page = visitor.page
    until(page, lambda: number(page) > 10, 20)
    page.focus("#log")
    page.keyboard.press("Space")
    state(page, "paused")
    paused = number(page)
    page.locator("[data-jump]:not([hidden])").wait_for()
    assert number(page) == paused
    page.keyboard.press("Space")
    state(page, "live")
    until(page, lambda: number(page) > paused)
    assert page.locator("#log .ln time").last.is_visible()
    page.keyboard.press("t")
    assert not page.locator("#log .ln time").last.is_visible()
    page.keyboard.press("w")
    assert page.get_attribute("[data-toggle=wrap]", "aria-pressed") == "true"
    now = number(page)
    until(page, lambda: number(page) > now)


def test_search_counts_and_goes_from_match_to_match(logs_of: Callable[..., Visitor]) -> None:
    # It falls silent: what is found must not change while it is looked at. The engine tells stdout and stderr
    # apart before it stamps them, so that the last line of the one may come before the last of the other.
    lines = 'if [ $((n % 10)) = 0 ]; then echo "ERROR Payment Gateway says no $n" >&2; else echo line $n; fi'
    visitor = logs_of("searched", f"n=0; while [ $n -lt 205 ]; do n=$((n+1)); {lines}; done; exec sleep 100")
    page = visitor.page
    counted = [page.locator(f"[data-count='{stream}']") for stream in ("inf", "err")]
    until(page, lambda: [one.inner_text() for one in counted] == ["185", "20"], 20)
    page.keyboard.press("/")
    page.keyboard.type("payment gateway")
    total = 20
    until(page, lambda: page.inner_text("[data-hits]") == f"{total} of {total}")
    assert page.evaluate("CSS.highlights.get('hit').size") >= 1
    page.keyboard.press("Enter")
    until(page, lambda: page.inner_text("[data-hits]").startswith(f"{total - 1} of"))
    page.focus("#log")
    page.keyboard.press("n")
    until(page, lambda: page.inner_text("[data-hits]").startswith(f"{total} of"))
    assert "Payment Gateway" in page.inner_text("#log .ln.at")
    page.fill("input[name=q]", "nowhere to be found")
    until(page, lambda: page.inner_text("[data-hits]") == "None")


def test_streams_and_levels_are_filtered(logs_of: Callable[..., Visitor]) -> None:
    extra = '[ $((n % 3)) = 0 ] && echo "WARN slow $n" >&2;'
    visitor = logs_of("filtered", COUNTER.format(extra, 0.05))
    page = visitor.page
    until(page, lambda: number(page) > 20, 20)
    page.click("[data-off='1']")
    until(page, lambda: shown(page) and all("slow" in line for line in shown(page)))
    page.click("[data-off='1']")
    page.click("[data-off='wrn']")
    until(page, lambda: shown(page) and all("line" in line for line in shown(page)))
    assert int(page.inner_text("[data-count=wrn]").replace("\u202f", "").replace(" ", "")) > 5


def test_nothing_that_a_program_prints_becomes_part_of_the_page(logs_of: Callable[..., Visitor]) -> None:
    hostile = [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div></main><h1>gone</h1>", "{{7*7}}",
        "\\033]0;title\\007after a title", "\\033]8;;javascript:alert(1)\\033\\\\link\\033]8;;\\033\\\\",
        "\\033[2J\\033[Hscreen", "a\\342\\200\\256b", "\\033[31mred\\033[0m",
    ]  # fmt: skip
    visitor = logs_of("hostile", "".join(f"printf '{line}\\n';" for line in hostile) + " sleep 100")
    page = visitor.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    until(page, lambda: len(shown(page)) == len(hostile))
    assert shown(page) == [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div></main><h1>gone</h1>", "{{7*7}}",
        "after a title", "link", "screen", "a[U+202E]b", "red",
    ]  # fmt: skip
    assert page.evaluate("document.querySelectorAll('#log script, #log img, #log h1, #log a').length") == 0
    red = page.locator("#log .msg span", has_text="red")
    assert red.get_attribute("class") == "t-fg1"
    assert not asked


def test_a_web_process_that_dies_costs_no_line(
    logs_of: Callable[..., Visitor], live_app: machine.LiveApp
) -> None:
    visitor = logs_of("outlives", COUNTER.format("", 0.05))
    visitor.troubles.expect("WebSocket connection|htmx:|ERR_CONNECTION_REFUSED|Failed to load resource")
    page = visitor.page
    until(page, lambda: number(page) > 20, 20)
    with killed(live_app.process, "uvicorn"):
        state(page, "reconnecting")
        assert "Reconnecting, last seen" in page.inner_text("[data-log-text]")
        until(page, lambda: page.inner_text("[data-live-text]").startswith("Reconnecting, last seen"))
    state(page, "live")
    until(page, lambda: page.inner_text("[data-live-text]") == "Live")
    before = number(page)
    until(page, lambda: number(page) > before + 10)
    page.evaluate("navigator.clipboard.writeText = text => { window.copied = text }")
    page.click(".log-do")
    page.click("[data-copy-log]")
    numbers = [int(found) for found in re.findall(r"line (\d+)", page.evaluate("window.copied"))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert "missing" not in page.evaluate("window.copied")


def test_an_end_is_said(logs_of: Callable[..., Visitor], docker_client: docker.DockerClient) -> None:
    visitor = logs_of("ends", "echo line 1")
    state(visitor.page, "ended")
    docker_client.containers.get("ends").start()
    until(visitor.page, lambda: [line for line in shown(visitor.page) if line == "line 1"] == ["line 1"] * 2)


def test_axe_finds_nothing(logs_of: Callable[..., Visitor]) -> None:
    extra = "[ $((n % 5)) = 0 ] && printf 'WARN \\033[1;35mcolours\\033[0m \\033[38;5;226mand more\\033[0m\\n' >&2;"
    for name, options in (
        ("light", {"color_scheme": "light"}), ("dark", {"color_scheme": "dark"}),
        ("phone", {"width": 390, "height": 844, "is_mobile": True, "has_touch": True}),
    ):  # fmt: skip
        visitor = logs_of(f"axe-{name}", COUNTER.format(extra, 0.02), **options)
        until(visitor.page, lambda page=visitor.page: number(page) > 60, 20)
        assert not visitor.axe()
        visitor.shot(f"logs-{name}")


# --- Escapes, by themselves ----------------------------------------------------------------------------

ESCAPES = [
    ("plain", "plain"),
    ("\x1b[31mred\x1b[0m x", "red{1} x"),
    ("\x1b[1;4;38;5;196mx", "x{rgb(255 0 0),b u}"),
    ("\x1b[38;2;1;2;3mx\x1b[48:2::9:8:7my", "x{rgb(1 2 3)}y{rgb(1 2 3),on rgb(9 8 7)}"),
    ("\x1b[38;5;300mx\x1b[38;2;1my", "xy"),
    ("\x1b[91mx\x1b[107my\x1b[39;49mz", "x{9}y{9,on 15}z"),
    ("a\x1b[2Jb\x1b[10;10Hc\x1b[?25ld\x1b[6ne", "abcde"),
    ("a\x1b]0;title\x07b", "ab"),
    ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
    ("a\x1bPdcs\x1b\\b\x1b_apc\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e", "abcde"),
    ("a\x9b31mred\x9d0;t\x9cb\x90x\x9cc\x85d", "ared{1}b{1}c{1}d{1}"),
    ("a\x07\x08\x00\x7fb\x1bcc\x1b(0d", "abcd"),
    ("end\x1b[3", "end"),
    ("end\x1b", "end"),
    ("x\x1b]0;" + "y" * 5000 + "z", "x" + "y" * 906 + "z"),
    ("a\u202eb\u2066c", "a[U+202E]b[U+2066]c"),
    ("10%\r50%\r100%\r", "100%"),
    ("a\tb", "a\tb"),
    ("\x1b[" + "1;" * 50_000 + "mx", "x{b}"),
]  # fmt: skip
_TELL = """text => ansi.parse(text).runs.map(({text, style}) => {
  const all = [style.fg, style.bg === null ? null : `on ${style.bg}`, style.flags || null]
  const parts = all.filter(part => part !== null)
  return parts.length ? `${text}{${parts.join(',')}}` : text
}).join('')"""


@pytest.fixture(scope="module")
def ansi(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.evaluate(
        "async source => { const blob = new Blob([source], {type: 'text/javascript'});"
        " window.ansi = await import(URL.createObjectURL(blob)) }",
        ANSI.read_text(),
    )
    yield page
    page.close()


@pytest.mark.parametrize(("text", "told"), ESCAPES)
def test_colours_stay_and_every_other_escape_goes(ansi: Page, text: str, told: str) -> None:
    """S-61, S-62."""
    merged = ansi.evaluate(_TELL, text)
    assert re.sub(r"\{([^}]*)\}(?=[^{]*\{\1\})", "", merged) == re.sub(
        r"\{([^}]*)\}(?=[^{]*\{\1\})", "", told
    )
    assert ansi.evaluate("text => ansi.stripped(text)", text) == re.sub(r"\{[^}]*\}", "", told)


def test_hostile_escapes_take_no_time(ansi: Page) -> None:
    """S-61."""
    took = ansi.evaluate(
        "() => { const began = performance.now(); for (const one of ['\\x1b[', '\\x1b]', '\\x1b', '\\x9b1;', '\\r'])"
        " ansi.parse(one.repeat(50000)); return performance.now() - began }"
    )
    assert took < 2000
