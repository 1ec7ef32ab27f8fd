"""Somebody gets an authenticator app and a passkey, and comes back by each of them: in a browser, with a real key."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.tests.test_second_factors import code_of
from tests import machine
from tests.browser.visitor import Visitor

NAME = "pia"
MAKE = """from accounts.models import User
User.objects.create_user("pia", password="{password}")"""
GONE = """from accounts.models import User
User.objects.get(username="pia").delete()"""


@pytest.fixture
def by_name(live_app: machine.LiveApp) -> Any:
    """The app at an address for which there can be passkeys, and Pia, new."""
    live_app.manage("shell", "-v", "0", "-c", MAKE.format(password=machine.PASSWORD))
    yield SimpleNamespace(url=f"http://localhost:{live_app.port}")
    live_app.manage(
        "shell",
        "-v",
        "0",
        "-c",
        'from accounts.models import User\nUser.objects.get(username="pia").delete()',
    )


def with_a_key(visitor: Visitor) -> None:
    """A machine with a fingerprint reader, whose finger is always there."""
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def look(visitor: Visitor, name: str) -> None:
    """By day on a desk and by night on a phone: a picture, nothing for axe, nothing wider than the window."""
    for width, height, theme in ((1440, 900, "light"), (390, 844, "dark")):
        visitor.page.set_viewport_size({"width": width, "height": height})
        visitor.page.emulate_media(color_scheme=theme)
        visitor.shot(f"{name}-{theme}")
        assert visitor.axe() == [], (name, theme)
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visitor.page.evaluate(wider) <= 0, name
    visitor.page.set_viewport_size({"width": 1440, "height": 900})
    visitor.page.emulate_media(color_scheme="light")


def password(page: Page) -> None:
    """The first step."""
    page.get_by_label("User name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(machine.PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(visitor: Visitor) -> Page:
    """Back to the door."""
    page = visitor.go("/account/security/")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/login/")
    return page


def test_an_app_and_a_passkey_open_the_door(by_name: Any, visit: Callable[..., Visitor]) -> None:
    visitor = visit(by_name)
    with_a_key(visitor)
    page = visitor.go("/account/security/")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    look(visitor, "sign-in")
    page.get_by_role("link", name="Forgot it?").click()
    expect(page.get_by_text("--reset-link")).to_be_visible()
    look(visitor, "forgot")
    page = visitor.go("/account/security/")
    password(page)
    page.wait_for_url("**/account/security/")
    look(visitor, "security-none")
    secret = _sets_up_the_app(visitor, page)
    _adds_the_passkey(visitor, page)

    page = sign_out(visitor)
    password(page)
    page.wait_for_url("**/login/code/")
    look(visitor, "second-step")
    # The code that set up the app is used: the next one is good too, ahead of its time.
    page.get_by_label("Code", exact=True).fill(code_of(secret, 1))
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/containers/**")

    page = sign_out(visitor)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/containers/**")
    page = visitor.go("/account/security/")
    expect(page.get_by_text("last used")).to_have_count(2)
    expect(page.get_by_text("this one")).to_be_visible()
    look(visitor, "security-all")

    page = visitor.go("/account/confirm/?next=/account/codes/")
    look(visitor, "confirm")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/account/codes/")


def _sets_up_the_app(visitor: Visitor, page: Page) -> str:
    page.get_by_role("link", name="Set up…").click()
    page.wait_for_url("**/account/app/")
    page.get_by_text("Type the secret instead").click()
    secret = re.sub(r"\s", "", page.locator("#secret").inner_text())
    look(visitor, "app")
    page.get_by_label("Code", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    look(visitor, "codes")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert len(download.value.path().read_text().split()) == 10
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url("**/account/security/")
    return secret


def _adds_the_passkey(visitor: Visitor, page: Page) -> None:
    page.get_by_role("link", name="Add…").click()
    page.wait_for_url("**/account/passkeys/")
    look(visitor, "passkey")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url("**/account/security/")
    page.get_by_role("link", name="Rename the passkey My laptop").click()
    page.get_by_label("Name").fill("The old laptop")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("The old laptop", exact=True)).to_be_visible()
