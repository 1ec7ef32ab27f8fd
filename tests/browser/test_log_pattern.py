"""The page's own matcher: what it finds is what the browser's finds, in a time that no pattern can stretch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import machine

SAME = [
    r"a|b", r"ab*c", r"(a|ab)(c|bcd)", r"\bfoo\b", r"^x", r"x$", r"[a-c]+?d", r"\d{2,3}", r"a{0,2}b", r"(a*)*",
    r"(a+)+$", r"[^a-z]", r"\w+@\w+", r".*b", r"a??b", r"(?:ab|a)(?:bc|c)?", r"[\d-]+", r"\.", r"a.c", r"x*",
    r"(a|b)*c|d", r"\Bo", r"[^\s@]+", r"(?:)", r"\x41|\t", r"o{2,}", r"[a-f0-9]{3}", r"é|Ü",
]  # fmt: skip
WRONG = {
    "(a": "without its )", "a)": "without its (", "[a": "without its ]", r"\1": "References back",
    "(?=a)": "Looking ahead", "(?<!a)": "Looking ahead", "a**": "Nothing to repeat", "*a": "Nothing to repeat",
    "a{2,1}": "repetition", "\\": "at the end", r"\q": "not known", "((a{30}){30}){3}": "too large", "a" * 257: "256",
}  # fmt: skip
_COMPARE = """source => {
  const letters = [...'abcdxfoAB 12@.-\\n\\téÜ😀'], mine = new pattern.Pattern(source)
  const theirs = new RegExp(source, 'iu')
  const found = new Set(), wrong = []
  for (let i = 0; i < 3000; i++) {
    const any = () => letters[Math.random() * letters.length | 0]
    const text = Array.from({ length: Math.random() * 14 | 0 }, any).join('')
    const is = theirs.exec(text), want = is && [is.index, is.index + is[0].length], got = mine.find(text)
    found.add(Boolean(want))
    if (JSON.stringify(want) !== JSON.stringify(got) || mine.test(text) !== Boolean(want)) wrong.push([text, want, got])
  }
  return wrong.slice(0, 3)
}"""
_WHY = "source => { try { new pattern.Pattern(source); return '' } catch (error) { return error.message } }"
_TIME = """([source, text]) => { const it = new pattern.Pattern(source), began = performance.now()
  it.test(text); return performance.now() - began }"""


@pytest.fixture(scope="module")
def pattern(chromium: Browser) -> Iterator[Page]:
    """A page with the matcher as ``pattern``: one module with the texts that it imports."""
    page, scripts = chromium.new_page(), machine.ROOT / "static/js"
    own = re.sub(r"^import .*$", "", (scripts / "pattern.js").read_text(), flags=re.MULTILINE)
    page.evaluate(
        "async source => { const blob = new Blob([source], {type: 'text/javascript'});"
        " window.pattern = await import(URL.createObjectURL(blob)) }",
        (scripts / "texts.js").read_text() + own,
    )
    yield page
    page.close()


@pytest.mark.parametrize("source", SAME)
def test_it_finds_what_the_browser_finds(pattern: Page, source: str) -> None:
    assert pattern.evaluate(_COMPARE, source) == []


@pytest.mark.parametrize(("source", "why"), WRONG.items())
def test_what_it_does_not_know_is_said(pattern: Page, source: str, why: str) -> None:
    assert why in pattern.evaluate(_WHY, source)


@pytest.mark.parametrize("mean", [r"(a+)+$", r"(.*a){30}b", r"(x+x+)+y", r"(a|aa)+$", r"([a-z]+)*[0-9]{50}b"])
def test_a_mean_pattern_takes_no_longer(pattern: Page, mean: str) -> None:
    short, long = (
        min(pattern.evaluate(_TIME, [mean, "a" * n + "!"]) for _ in range(3)) for n in (2000, 16000)
    )
    assert long < 30 * max(short, 1), (short, long)


def test_only_its_own_syntax_has_a_meaning_of_its_own(pattern: Page) -> None:
    def find(source: str, text: str, **options: Any) -> Any:
        return pattern.evaluate(
            "([source, text, options]) => pattern.pieces(pattern.searching(source, options), text)",
            [source, text, options],
        )

    assert find("(?i)ERR", "an err", regex=True, cased=True) == [[3, 6]]
    assert find("err", "an ERR", regex=True, cased=True) == []
    assert find("[[:digit:]]+", "a 12 b 3", regex=True) == [[2, 4], [7, 8]]
    assert find(r"\p{Greek}+", "a λόγος", regex=True) == [[2, 7]]
    assert find("(?P<n>a)(?-i:B)", "AB Ab", regex=True) == [[0, 2]]
    assert find("a.b", "a.b axb") == [[0, 3]]
    assert find("log", "log logs a-log", whole=True) == [[0, 3], [11, 14]]
