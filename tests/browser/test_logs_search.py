"""Finding a line in the page of logs: patterns, what is shown of them, times, addresses, all that an engine holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.logs import shown, state, until
from tests.browser.visitor import Visitor

FEW = (
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo INFO line $i Wort; done;"
    " echo 'ERROR line-up (a+)+$ Word' >&2; exec sleep 100"
)
MANY = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo INFO line $i; done; while :; do echo INFO now; sleep 1; done"


_ADDRESS = """async () => {
  const id = log.dataset.container, headers = { Accept: 'application/x-ndjson' }
  const found = await fetch(`/api/v1/containers/${id}/logs/?q=line+77&whole=1`, { headers })
  const { ts } = JSON.parse((await found.text()).split('\\n')[0])
  return `#${id}:${Date.parse(ts.slice(0, 19) + 'Z') / 1000}${ts.slice(20, 29)}:1`
}"""
_LOCAL = "ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19)"


def texts(page: Page) -> list[str]:
    return page.evaluate("log.view.list.items.filter(item => !item.gap).map(item => item.text)")


def hits(page: Page) -> str:
    return page.inner_text("[data-hits]").replace("\u202f", " ")


def at(page: Page) -> str:
    return page.evaluate("document.querySelector('#log .ln.at .msg')?.textContent ?? ''")


def menu(page: Page, what: str) -> None:
    page.click(".log-do")
    page.click(what)


def test_patterns_words_and_cases_are_searched_for(logs_of: Callable[..., Visitor]) -> None:
    page = logs_of("patterns", FEW).page
    until(page, lambda: len(texts(page)) == 13, 20)
    search = page.locator("input[name=q]")
    search.fill("line 1")
    until(page, lambda: hits(page) == "4 of 4")
    page.click("[data-option=whole]")
    until(page, lambda: hits(page) == "1 of 1")
    page.click("[data-option=whole]")
    search.fill("wor[dt]$")
    until(page, lambda: hits(page) == "None")
    page.click("[data-option=regex]")
    until(page, lambda: hits(page) == "13 of 13")
    page.click("[data-option=cased]")
    until(page, lambda: hits(page) == "None")
    search.fill("Wor[dt]$")
    until(page, lambda: hits(page) == "13 of 13")
    assert page.evaluate("[...CSS.highlights.get('hit')].map(range => range.toString())").count("Word") == 1
    search.fill("(a")
    until(page, lambda: page.locator("[data-log-wrong]").is_visible())
    assert page.inner_text("[data-log-wrong]") == "A ( without its )"
    page.click("[data-option=regex]")
    search.fill("/LINE.*(\\(a|12)/")
    until(page, lambda: hits(page) == "None")
    page.click("[data-option=cased]")
    until(page, lambda: hits(page) == "2 of 2")


def test_matches_alone_or_everything_but_them_and_the_address_knows(logs_of: Callable[..., Visitor]) -> None:
    page = logs_of("modes", FEW).page
    until(page, lambda: len(texts(page)) == 13, 20)
    page.fill("input[name=q]", "line 1")
    until(page, lambda: hits(page) == "4 of 4")
    page.click("[data-mode=only]")
    until(page, lambda: [text.split()[2] for text in texts(page)] == ["1", "10", "11", "12"])
    page.click("[data-mode=not]")
    until(page, lambda: len(texts(page)) == 9 and any("ERROR" in text for text in texts(page)))
    page.click("[data-off=err]")
    until(page, lambda: len(texts(page)) == 8)
    assert re.search(r"q=line\+1&show=not&off=err$", page.url)
    page.reload()
    until(page, lambda: len(texts(page)) == 8, 20)
    assert page.get_attribute("[data-mode=not]", "aria-pressed") == "true"
    page.fill("input[name=q]", "e")
    page.locator("[data-log-nothing]").wait_for()
    page.click("[data-show-all]")
    until(page, lambda: len(texts(page)) == 13)
    assert page.url.endswith("/logs/")


def test_all_that_the_engine_holds_is_searched_and_shown_in_its_place(
    logs_of: Callable[..., Visitor],
) -> None:
    visitor = logs_of("long-ago", MANY)
    page = visitor.page
    until(page, lambda: "INFO now" in texts(page), 30)
    assert "INFO line 1234" not in texts(page)
    page.fill("input[name=q]", "line 1234")
    menu(page, "[data-search-all]")
    said = page.locator("[data-found-said]")
    until(page, lambda: said.inner_text().startswith("Searched"), 60)
    assert re.fullmatch(r"Searched 30 \d{3} lines: 11 matches\.", said.inner_text().replace("\u202f", " "))
    rows = page.locator("[data-found-list] button")
    assert rows.count() == 11
    rows.nth(0).click()
    until(page, lambda: at(page) == "INFO line 1234", 30)
    state(page, "paused")
    assert [f"INFO line {n}" for n in range(1230, 1240)] == [
        text for text in shown(page) if text in {f"INFO line {n}" for n in range(1230, 1240)}
    ]
    assert not visitor.axe()
    visitor.shot("logs-found")
    page.click("[data-found-close]")
    gap = page.evaluate("log.view.list.items.findIndex(item => item.hole)")
    assert page.evaluate(f"log.view.list.items[{gap}].text") == "What it wrote after this is not in the page"
    last = page.evaluate(f"log.view.list.items[{gap - 1}].text")
    page.evaluate(f"log.view.list.reveal({gap})")
    page.click("[data-line=more]")
    number = int(last.split()[-1])
    until(page, lambda: f"INFO line {number + 200}" in texts(page), 30)
    lines = [int(text.split()[-1]) for text in texts(page) if text.startswith("INFO line")]
    assert lines == sorted(set(lines))


def test_a_line_has_an_address_that_loads_it_again(logs_of: Callable[..., Visitor]) -> None:
    visitor = logs_of("addressed", MANY)
    page = visitor.page
    until(page, lambda: "INFO now" in texts(page), 30)
    page.evaluate("navigator.clipboard.writeText = text => { window.copied = text }")
    first = page.evaluate("log.view.all[0].text")
    page.evaluate("log.view.list.reveal(0)")
    page.locator("#log .ln time").first.click()
    address = page.evaluate("window.copied")
    assert re.search(r"#[0-9a-f-]{36}:\d{19}:1$", address)
    assert page.url == address
    page.goto("about:blank")
    page.goto(address)
    until(page, lambda: at(page) == first, 30)
    page.focus("#log")
    page.keyboard.press("Shift+ArrowDown")
    following = at(page)
    assert int(following.split()[-1]) == int(first.split()[-1]) + 1
    page.evaluate("navigator.clipboard.writeText = text => { window.copied = text }")
    page.keyboard.press("y")
    assert page.evaluate("window.copied") == page.url != address
    # One that left the page long ago comes from the engine.
    earlier = page.evaluate(_ADDRESS)
    page.goto("about:blank")
    page.goto(address.partition("#")[0] + earlier)
    until(page, lambda: at(page) == "INFO line 77", 30)


def test_earlier_lines_come_when_the_reader_arrives_at_the_beginning(logs_of: Callable[..., Visitor]) -> None:
    page = logs_of("earlier", MANY).page
    until(page, lambda: "INFO now" in texts(page), 30)
    first = int(texts(page)[0].split()[-1])
    page.focus("#log")
    page.keyboard.press("Home")
    until(page, lambda: int(texts(page)[0].split()[-1]) == first - 1000, 30)
    lines = [int(text.split()[-1]) for text in texts(page) if text.startswith("INFO line")]
    assert lines == list(range(first - 1000, 30001))
    assert f"INFO line {first}" in shown(page)  # what was looked at is still there


def test_a_range_of_time_is_drawn_and_a_time_is_gone_to(logs_of: Callable[..., Visitor]) -> None:
    page = logs_of("times", "n=0; while :; do n=$((n+1)); echo INFO line $n; sleep 0.1; done").page
    until(page, lambda: len(texts(page)) > 50, 30)
    page.keyboard.press("Space")
    page.wait_for_timeout(2200)
    box = page.locator("[data-histogram] svg").bounding_box()
    assert box
    everything = len(texts(page))
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 10, steps=4)
    page.mouse.up()
    until(page, lambda: 0.1 * everything < len(texts(page)) < 0.4 * everything)
    assert re.fullmatch(r"\d\d:\d\d:\d\d – \d\d:\d\d:\d\d", page.inner_text("[data-range-text]"))
    page.click("[data-range-off]")
    until(page, lambda: len(texts(page)) == everything)
    page.mouse.click(box["x"] + box["width"] * 0.1, box["y"] + 10)
    until(page, lambda: texts(page)[0] in shown(page))
    wanted = page.evaluate("log.view.list.items.at(-5).ms - log.view.list.items.at(-5).ms % 1000")
    page.click(".log-do")
    local = page.evaluate(_LOCAL, wanted)
    page.fill("#log-at", local)
    page.click("[data-goto] button")
    until(page, lambda: at(page) != "")
    assert page.evaluate("log.view.at.ms") >= wanted
    assert page.evaluate("log.view.all[log.view.all.indexOf(log.view.at) - 1].ms") < wanted


def test_json_opens_and_long_lines_are_shown_in_steps(logs_of: Callable[..., Visitor]) -> None:
    doc = '{"level":"error","nested":{"list":[1,2],"html":"<b>"},"message":"a message"}'
    long = "printf 'begin'; head -c 1000000 /dev/zero | tr '\\0' x; echo end"
    page = logs_of("opens", f"echo '{doc}'; echo INFO; {long}; echo INFO last; exec sleep 100").page
    until(page, lambda: len(texts(page)) == 4, 30)
    page.click("#log .ln.err .ln-turn")
    formatted = page.inner_text("#log .ln-json")
    assert formatted.splitlines()[:4] == ["{", '  "level": "error",', '  "nested": {', '    "list": [']
    assert '"html": "<b>"' in formatted
    tall = "document.querySelector('#log .ln.err')?.offsetHeight"
    assert page.evaluate(tall) > 150
    assert page.evaluate("log.view.list.top(1)") == page.evaluate(tall)
    page.click("#log .ln.err .ln-turn")
    until(page, lambda: page.evaluate(tall) == 20)
    row = "[...document.querySelectorAll('#log .msg')][2].textContent.length"
    assert page.evaluate(row) < 2100
    page.click(".ln-open:not(.ln-turn)")
    until(page, lambda: 16384 < page.evaluate(row) < 16500)
    page.click(".ln-whole")
    until(page, lambda: 262144 < page.evaluate(row) < 262300, 20)
    assert "737,864" in page.inner_text("#log .ln-note").replace("\u202f", ",")


def test_a_long_line_is_cut_once_and_shown_whole_in_german(logs_of: Callable[..., Visitor]) -> None:
    long = "head -c 50000 /dev/zero | tr '\\0' x; echo"
    page = logs_of("cut", f"{long}; echo last; exec sleep 100", locale="de-DE").page
    until(page, lambda: len(texts(page)) == 2, 30)
    assert page.evaluate("[log.view.all[0].text.length, log.view.all[0].cut]") == [16384, 33616]
    page.click(".ln-open:not(.ln-turn)")
    expect(page.locator("#log .msg").first).to_contain_text("… (33\u202f616 weitere Zeichen)")
    page.get_by_role("button", name="Die ganze Zeile zeigen").click()
    until(page, lambda: page.evaluate("document.querySelector('#log .msg').textContent.length") == 50000, 20)
    # Lines of the past that came whole are cut here, others are not cut again.
    kept = page.evaluate("""() => ['x'.repeat(20000), `${'y'.repeat(16384)}… (7 more characters)`].map(text => {
      const [line] = [...log.view.sources.values()][0].past([[1, '1000000', text]])
      return [line.text.length, line.cut]
    })""")
    assert kept == [[16384, 3616], [16384, 7]]


def test_fields_of_json_are_columns_and_lines_have_numbers(logs_of: Callable[..., Visitor]) -> None:
    lines = [
        '{"level":"error","http":{"status":502},"msg":"no answer"}',
        "plain words",
        '{"level":"info","msg":"ok"}',
    ]
    visitor = logs_of("fields", "; ".join(f"echo '{line}'" for line in lines) + "; exec sleep 100")
    page = visitor.page
    until(page, lambda: len(texts(page)) == 3, 30)
    page.get_by_role("button", name="Line numbers").click()
    page.get_by_role("button", name="Fields of JSON lines").click()
    ticks = page.locator("#log-fields label")
    expect(ticks).to_contain_text(["http.status", "level", "msg"])
    page.get_by_role("checkbox", name="http.status").check()
    page.get_by_role("checkbox", name="level").check()
    visitor.shot("logs-fields-menu")
    page.keyboard.press("Escape")

    def seen() -> list[Any]:
        return page.evaluate("""() => [...document.querySelectorAll('#log .ln')].map(row => [
          row.querySelector('.gut').dataset.no, [...row.querySelectorAll('.flds > span')].map(cell => cell.textContent),
          row.querySelector('.msg').textContent])""")

    def stands() -> None:
        until(page, lambda: seen() == [
            ["1", ["502", "error"], lines[0]], ["2", [], lines[1]], ["3", ["", "info"], lines[2]],
        ])  # fmt: skip
        lefts = "els => els.map(el => Math.round(el.getBoundingClientRect().left))"
        heads = page.locator("[data-field-heads] > span").evaluate_all(lefts)
        assert page.locator("#log .ln").first.locator(".flds > span").evaluate_all(lefts) == heads

    stands()
    assert not visitor.axe()
    visitor.shot("logs-fields")
    page.fill("input[name=q]", "ok")
    page.locator("[data-mode=only]").click()
    until(page, lambda: [row[0] for row in seen()] == ["3"])
    page.goto(page.url.partition("?")[0])
    stands()
    page.get_by_role("button", name="Times").click()
    stands()
    for name in ("times", "numbers"):
        page.evaluate("name => localStorage.removeItem(`log-${name}`)", name)


def test_bytes_that_are_no_text_are_shown_as_such(logs_of: Callable[..., Visitor]) -> None:
    lines: list[tuple[str, str]] = [
        (r"a\377\376b", "a\ufffd\ufffdb"), (r"nul\000nul", "nulnul"), (r"\303\050", "\ufffd("),
        (r"\355\240\200", "\ufffd\ufffd\ufffd"), (r"rtl\342\200\256cba\342\201\246x", "rtl[U+202E]cba[U+2066]x"),
        (r"\033[5A\033[2K\033[999Dup", "up"), (r"\033]52;c;aGk=\007clip", "clip"),
        (r"\033[?1049h\033cscreen", "screen"),
        (r"\033Ptmux;\033\033]0;t\007\033\\done", "done"), (r"&lt;b&gt;<b>\042\047", "&lt;b&gt;<b>\"'"),
    ]  # fmt: skip
    visitor = logs_of("bytes", "".join(f"printf '{raw}\\n';" for raw, _ in lines) + " exec sleep 100")
    page: Any = visitor.page
    until(page, lambda: len(shown(page)) == len(lines), 20)
    assert shown(page) == [text for _, text in lines]
    assert page.title().startswith("Logs of bytes")
