"""Who asks their system for more contrast gets it: 7 to 1 for every text, in light and dark (WCAG 1.4.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import machine
from tests.browser.visitor import Visitor

ENHANCED = """async () => {
  const found = await axe.run(document, {
    runOnly: { type: "rule", values: ["color-contrast-enhanced"] }, resultTypes: ["violations"],
  });
  return found.violations.flatMap((rule) => rule.nodes.map((node) => [node.target.join(" "), node.any[0]?.message]));
}"""


@pytest.mark.slow
def test_more_contrast_is_seven_to_one(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, writes: Callable[..., None],
    id_of: Callable[[str], str],
) -> None:  # fmt: skip
    writes("bright", "echo one; echo two >&2; sleep 600")
    one = id_of("bright")
    visitor = visit(live_app, storage_state=signed_in)
    visitor.page.emulate_media(contrast="more")
    for path in ("/containers/", f"/containers/{one}/", "/containers/run/", "/operations/", "/guard-rails/"):
        page = visitor.go(path)
        visitor.axe(["cat.language"])  # brings axe in
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            visitor.shot(f"contrast-{path.strip('/').replace('/', '-').replace(one, 'one')}-{theme}")
            assert page.evaluate(ENHANCED) == [], (path, theme)
    page = visitor.go("/containers/")
    visitor.axe(["cat.language"])
    page.emulate_media(contrast="no-preference")
    assert page.evaluate(ENHANCED) != [], "without asking there is less"
    page.emulate_media(forced_colors="active", color_scheme="dark")
    visitor.shot("forced-colours")
    style = "getComputedStyle(document.querySelector('nav [aria-current]')).outlineStyle"
    assert page.evaluate(style) == "solid", "where one is, is seen without a wash"
