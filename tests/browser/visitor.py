"""A person in front of a browser: signs in, looks, clicks; and notices what goes wrong behind the page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Response

from tests.machine import ROOT, LiveApp

SHOTS = Path(__file__).parent / "shots"
SHAKEN = "ERR_NETWORK_CHANGED"
TRIES = 4
AXE = ROOT / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast"]
IN_THEME = {"light": RULES, "dark": COLOURS}
"""What axe is asked of a page in one theme and then the other: they differ in nothing but their colours."""
_RUN_AXE = """async (rules) => {
  const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  return found.violations.flatMap((rule) => rule.nodes.map((node) => [
    rule.id, node.target.join(" "),
    node.any.concat(node.all, node.none).map((check) => check.message).join("; "),
  ])).filter(([rule, target]) => !(rule === "target-size" && target.includes(".ln-")));
}"""
"""Buttons in log lines are as low as a line is: rows of 24 px would show a fifth fewer lines."""


@dataclass
class Troubles:
    """What the browser complained of."""

    said: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Console errors and warnings, faults in scripts, answers of 500 and above."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"script fault on {page.url}: {error}"))
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(f"{message.type} on {message.location.get('url', '')}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.said.append(f"{response.status} for {response.url}")

    def expect(self, pattern: str) -> None:
        """Complaints like this are part of the test."""
        self.expected.append(re.compile(pattern))

    def left(self) -> list[str]:
        """Those that nobody expected, once each. An engine that makes a bridge beside it is no fault of a page."""
        said = {line for line in self.said if SHAKEN not in line}
        return sorted({line for line in said if not any(pattern.search(line) for pattern in self.expected)})


class Visitor:
    """One page of one person on one Slipway."""

    def __init__(self, context: BrowserContext, app: LiveApp) -> None:
        self.context = context
        self.app = app
        self.troubles = Troubles()
        self.page = context.new_page()
        self.troubles.watch(self.page)

    def go(self, path: str) -> Page:
        """Opens a page of the app; again where it was cut off by an engine that made or removed a bridge beside it."""
        for _ in range(TRIES):
            said = len(self.troubles.said)
            try:
                self.page.goto(f"{self.app.url}{path}")
            except Error as error:
                if SHAKEN not in str(error):
                    raise
                continue
            if not any(SHAKEN in line for line in self.troubles.said[said:]):
                break
            del self.troubles.said[said:]
        return self.page

    def sign_in(self, name: str, password: str) -> None:
        """Through the form."""
        page = self.go("/login/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/containers/**")

    def is_live(self) -> None:
        """Waits until the page hears the bells."""
        self.page.locator('[data-live-state="live"]').first.wait_for(state="attached", timeout=10_000)

    def shot(self, name: str) -> None:
        """Keeps a picture of what is in the window."""
        SHOTS.mkdir(exist_ok=True)
        self.page.evaluate("document.fonts.ready")
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def axe(self, rules: list[str] = RULES) -> list[str]:
        """What axe finds, a line a fault; with ``rules=COLOURS`` in the colours alone."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE.read_text())
        found: list[list[str]] = self.page.evaluate(_RUN_AXE, rules)
        return sorted({f"{rule} | {where} | {why}" for rule, where, why in found})

    def seconds_until(self, look: Callable[[], Any], most: float = 10) -> float:
        """How long until ``look()`` is true, seen by the page itself every 10 ms."""
        began = time.monotonic()
        while time.monotonic() - began < most:
            if look():
                return time.monotonic() - began
            self.page.wait_for_timeout(10)
        raise AssertionError(f"not within {most} s; the page:\n{self.page.inner_text('body')[:3000]}")
