"""What tests of pages of logs look for in them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

COUNTER = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo \"INFO line $n\"; {} sleep {}; done"


def state(page: Page, wanted: str) -> None:
    page.locator(f'[data-log-state="{wanted}"]').wait_for(timeout=15_000)


def last(page: Page) -> str:
    return page.evaluate("[...document.querySelectorAll('#log .msg')].at(-1)?.textContent ?? ''")


def number(page: Page) -> int:
    found = re.search(r"line (\d+)", last(page))
    return int(found[1]) if found else 0


def shown(page: Page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('#log .ln')].map(el => el.querySelector('.msg').textContent)"
    )


def until(page: Page, look: Callable[[], Any], seconds: float = 10) -> Any:
    began = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - began < seconds, page.inner_text("main")[-1500:]
        page.wait_for_timeout(50)
    return found
