"""A person names a time zone: the pages' times go by it, in the browser too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.machine import LiveApp

FORGET = "from accounts.models import User; User.objects.update(language='', zone='')"


@pytest.fixture
def forgotten(live_app: LiveApp) -> Iterator[None]:
    yield
    live_app.manage("shell", "-v", "0", "-c", FORGET)


def test_times_go_by_the_zone_that_somebody_has_named(
    live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any, forgotten: None
) -> None:
    person = visit(live_app, storage_state=signed_in)
    page = person.go("/account/language/")
    pictures(person, "account-language")
    zone, now = page.get_by_label("Time zone"), page.locator("aside time")
    zone.fill("Pacific/Nowhere")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("There is no such time zone.")).to_be_visible()
    pictures(person, "account-language-wrong")
    zone.fill("Pacific/Kiritimati")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("Saved")
    at = datetime.fromisoformat(now.get_attribute("datetime") or "").astimezone(UTC)
    expect(now).to_have_text(f"{at.astimezone(ZoneInfo('Pacific/Kiritimati')):%Y-%m-%d %H:%M}")
    expect(zone).to_have_value("Pacific/Kiritimati")
