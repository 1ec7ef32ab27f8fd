"""Texts and times of the pages' scripts, in another language and another zone than the browser's."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests import machine

_LOAD = """async sources => {
  document.documentElement.dataset.zone = 'America/New_York'
  globalThis.slipwayTexts = {
    texts: { '{name} is gone': ['{name} ist fort'], '{n} line': ['{n} Zeile', '{n} Zeilen'] }, form: n => Number(n != 1)
  }
  const [texts, zone] = await Promise.all(sources.map(source =>
    import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))))
  const march = zone.local(Date.parse('2026-03-08T06:59:59Z'))
  return {
    said: [texts.tr('{name} is gone', { name: '{n}' }), texts.tr('{n} left', { n: 2 })],
    counted: [1, 2].map(n => texts.plural(n, '{n} line', '{n} lines')).concat(texts.plural(2, '{n} row', '{n} rows')),
    zone: zone.zone, before: march.toISOString().slice(11, 19),
    after: zone.local(Date.parse('2026-03-08T07:00:00Z')).toISOString().slice(11, 19),
    shown: zone.shown(Date.parse('2026-11-24T03:05:06.007Z')),
    back: new Date(zone.instant('2026-11-23T22:05:06')).toISOString(),
  }
}"""


def test_a_script_says_it_in_the_language_and_by_the_clock_of_the_reader(chromium: Browser) -> None:
    page, scripts = chromium.new_page(), machine.ROOT / "static/js"
    try:
        found = page.evaluate(_LOAD, [(scripts / name).read_text() for name in ("texts.js", "zone.js")])
    finally:
        page.close()
    assert found["said"] == ["{n} ist fort", "2 left"]
    assert found["counted"] == ["1 Zeile", "2 Zeilen", "2 rows"]
    # The clocks go forward in between.
    assert (found["zone"], found["before"], found["after"]) == ("America/New_York", "01:59:59", "03:00:00")
    assert [found["shown"][key] for key in ("day", "minute", "second", "milli")] == [
        "2026-11-23", "22:05", "06", "007",
    ]  # fmt: skip
    assert found["back"] == "2026-11-24T03:05:06.000Z"
