"""The main pages in German on a phone, in both themes: nothing too wide, nothing for axe, no English left over.

On a phone, since German words are longer; what is the same in each language is in `test_screens`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import machine
from tests.browser.screens import SCREENS, Screen, Things
from tests.browser.test_screens import SIZES, things  # noqa: F401 - a fixture
from tests.browser.visitor import COLOURS, RULES, Visitor

# What is not among the screens, or has to be found first.
MORE = {
    "audit": "/audit/",
    "account": "/account/",
    "account-language": "/account/language/",
    "account-security": "/account/security/",
    "registries": "/registries/",
    "registry-new": "/registries/new/",
    "notifications": "/notifications/",
    "notification-new": "/notifications/new/",
    "teams": "/teams/",
    "people": "/teams/people/",
    "rails": "/guard-rails/",
    "rails-rules": "/guard-rails/rules/",
    "rails-edit": "/guard-rails/rules/edit/",
    "rails-exceptions": "/guard-rails/exceptions/",
    "permission-sets": "/teams/permission-sets/",
    "permission-set-new": "/teams/permission-sets/new/",
    "unowned": "/teams/unowned/",
    "group-mappings": "/teams/group-mappings/",
    "stores": "/volumes/stores/",
    "logs-many": "/logs/",
    "variable-new": "/variables/new/",
    "variables": "/variables/",
    "backups": "/volumes/backups/",
    "prune-policies": "/prune/policies/",
    "prune-policy-new": "/prune/policies/new/",
    "networks-map": "/networks/map/",
    "network-create": "/networks/create/",
    "nothing": "/nowhere/",
    "admin": "/admin/",
    "admin-operations": "/admin/operations/operation/",
    "admin-containers": "/admin/containers/container/",
    "admin-audit": "/admin/accounts/auditentry/",
}
PLAIN = {
    name: screen.path
    for name, screen in SCREENS.items()
    if screen.signed_in and screen.ours and not screen.expect
}
# English that readers of German must not meet: small words of sentences, in no name and no engine's text.
ENGLISH = re.compile(r"\b(the|and|with|which|from|this|these|its|were|has|have|not|nothing|your)\b")
# Where engines, containers, the trail or files speak.
OTHERS = "code, pre, .log, .xterm, td, [translate=no], .ev-t, textarea, .why, option, .tl-note, dd"
AXE = {
    "containers", "container", "container-logs", "container-history", "images", "image", "build-new", "builds",
    "volumes",
    "networks", "engines", "operations", "audit", "account-language", "teams", "notifications", "rails", "run", "trash",
    "variables", "registries", "prune", "events", "stack", "stack-hooks",
}  # fmt: skip
PATHS = {
    path: name for name, path in [*MORE.items(), *reversed(PLAIN.items())] if name in AXE or name in MORE
}
_TEXT = """(others) => {
  const copy = document.querySelector('main, body').cloneNode(true)
  copy.querySelectorAll(others + ', script, style, noscript, template, [hidden]').forEach(one => one.remove())
  const said = copy.querySelectorAll('h1, h2, h3, button, label, th, p, legend, summary, a.btn, dt')
  return [...said].map(one => one.textContent.replace(/„[^“]*“/g, '').replace(/\\s+/g, ' ').trim())
    .filter(Boolean)
}"""


@pytest.fixture(scope="module")
def phone(chromium: Browser, live_app: machine.LiveApp, signed_in: Any) -> Iterator[Callable[[], Visitor]]:
    """A new page of a browser that asks for German, somewhere else than in UTC."""
    width, height = SIZES["narrow"]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, locale="de-DE", timezone_id="Europe/Berlin",
        has_touch=True, color_scheme="light", reduced_motion="reduce", storage_state=signed_in,
    )  # fmt: skip
    yield lambda: Visitor(context, live_app)
    context.close()


def _sideways(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=PATHS.values())
def test_a_page_in_german_is_in_order(path: str, phone: Callable[[], Visitor], things: Things) -> None:  # noqa: F811
    visitor, name = phone(), PATHS[path]
    if name == "nothing":
        visitor.troubles.expect("404")
    page = visitor.go(things.path(Screen(path)))
    try:
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.lang") == "de"
        visitor.shot(f"german-{name}-light")
        if name in AXE:
            assert visitor.axe(RULES) == []
        page.emulate_media(color_scheme="dark")
        visitor.shot(f"german-{name}-dark")
        if name in AXE:
            assert visitor.axe(COLOURS) == []
        assert _sideways(page) <= 0
        english = [text for text in page.evaluate(_TEXT, OTHERS) if ENGLISH.search(text)]
        assert not english, english
    finally:
        page.close()
    assert visitor.troubles.left() == []
