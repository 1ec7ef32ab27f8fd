"""The one door, seen from every side: pages, REST, the admin and sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from accounts import factors, sessions, tokens
from accounts.models import User
from accounts.tests.test_second_factors import code_of
from operations import sockets
from operations.sockets import actor_by
from streams import hub
from tests import machine
from tests.sockets import Browser

ClientFor = Callable[..., Client]


def test_s_08_who_must_have_a_second_factor_gets_nothing_but_the_pages_that_add_it(
    client_for: ClientFor, alice: User, tara: User, bob: User, settings: Any
) -> None:
    settings.SECOND_FACTOR = "staff"
    for person in (alice, tara):
        client = client_for(person)
        assert client.get("/containers/")["Location"] == "/account/security/"
        refused = client.get("/api/v1/containers/")
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        assert client.get("/admin/").status_code == 403
        assert actor_by(("session", client.session.session_key or ""), None) is None
        page = client.get("/account/app/").context
        code = code_of(page["secret"].replace(" ", ""))
        assert client.post("/account/app/", {"sealed": page["sealed"], "code": code}).context["codes"]
        assert client.get("/containers/").status_code == 200
        assert actor_by(("session", client.session.session_key or ""), None) is not None
        app = factors.of(person).app
        assert app is not None
        client.post(f"/account/factors/{app.pk}/remove/")
        assert factors.of(person).second
    assert client_for(bob).get("/containers/").status_code == 200
    settings.SECOND_FACTOR = "everybody"
    assert client_for(bob).get("/containers/").status_code == 302


# --- What the environment says ------------------------------------------------------------------------


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Reads the settings in a process of its own; prints some of them."""
    shown = (
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_NAME",
        "SESSION_COOKIE_DOMAIN",
        "EMAIL_PORT",
    )
    code = f"import dashboard.settings as s, json; print(json.dumps([getattr(s, n, None) for n in {shown}]))"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=plain | environment,
        cwd=machine.ROOT,
        capture_output=True,
        text=True,
    )


def test_s_10_over_https_cookies_are_bound_to_the_host(tmp_path: Path) -> None:
    done = start(
        SLIPWAY_HOME=str(tmp_path), SLIPWAY_PUBLIC_URL="https://slipway.example",
        SLIPWAY_EMAIL_URL="smtp+tls://mail.example",
    )  # fmt: skip
    assert json.loads(done.stdout) == ["__Host-session", True, "__Host-csrf", None, 587]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "environment",
    [
        {"SLIPWAY_SECRET_KEY": "short"},
        {"SLIPWAY_EMAIL_URL": "http://mail.example"},
        {"SLIPWAY_OIDC_ISSUER": "http://id.example"},
        {"SLIPWAY_OIDC_ISSUER": "https://id.example"},
        {"SLIPWAY_SECOND_FACTOR": "sometimes"},
    ],
)
def test_s_02_a_weak_or_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = start(SLIPWAY_HOME=str(tmp_path), **environment)
    assert done.returncode != 0
    assert next(iter(environment)) in done.stderr


# --- Passwords ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("fourteen chars", False), ("fifteen chars !", True), ("a quiet otter " * 9 + "xy", True),
        ("passwordpassword1", True), ("slipwayslipway1", False), ("vic-vic-vic-the-user", False),
        ("123456789987654321", False), ("1q2w3e4r5t6y7u8i9o0p", False), ("aaaaaaaaaaaaaaaaa slipway", True),
    ],
)  # fmt: skip
def test_s_03_what_a_password_may_be(vic: User, password: str, fine: bool) -> None:
    """15 to 128 characters, none of the common ones, not the user's name, not ours; no rule of composition."""
    User.objects.filter(pk=vic.pk).update(username="vic-the-user")
    vic.refresh_from_db()
    try:
        validate_password(password, vic)
    except ValidationError:
        assert not fine, password
    else:
        assert fine, password


def test_s_04_whoever_is_asked_for_costs_one_hash(
    client: Client, vic: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argon2 is what takes the time: who is unknown or disabled takes as long as who is wrong."""
    User.objects.filter(pk=bob.pk).update(is_active=False)
    hashed: list[str] = []
    hash_, verify = Argon2PasswordHasher.encode, Argon2PasswordHasher.verify
    monkeypatch.setattr(Argon2PasswordHasher, "encode", lambda *a: hashed.append("new") or hash_(*a))
    monkeypatch.setattr(Argon2PasswordHasher, "verify", lambda *a: hashed.append("look") or verify(*a))
    for name in ("vic", "bob", "nobody"):
        client.post("/login/", {"username": name, "password": "wrong"})
        assert len(hashed) == 1, (name, hashed)
        hashed.clear()


# --- Sockets ------------------------------------------------------------------------------------------


@pytest.fixture
async def quick(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> AsyncIterator[None]:
    """Looks often whether people still may; none of it goes on after the test."""
    monkeypatch.setattr(sockets, "RECHECK", 0.2)
    yield
    await hub.close()


async def test_s_11_a_session_that_nobody_uses_loses_its_sockets_unasked(
    quick: None, bob: User, client_for: ClientFor
) -> None:
    client = await sync_to_async(client_for)(bob)
    browser = Browser("/ws/live/", client)
    await browser.open()
    await sync_to_async(_unused)(client)
    assert await browser.closed() == 4401


async def test_s_13_a_session_that_is_ended_elsewhere_loses_its_sockets(
    quick: None, bob: User, client_for: ClientFor
) -> None:
    """S-12 too."""
    here, there = await sync_to_async(client_for)(bob), await sync_to_async(client_for)(bob)
    browser = Browser("/ws/live/", there)
    await browser.open()
    await sync_to_async(here.post)("/account/sessions/end/", {"others": "1"})
    assert await browser.closed() == 4401


async def test_s_16_a_token_in_the_address_opens_no_socket(quick: None, bob: User, caplog: Any) -> None:
    _, secret = await sync_to_async(tokens.make)(bob, "script", ["read"])
    for name in ("token", "api_key", "access_token"):
        browser = Browser(f"/ws/live/?{name}={secret}")
        await browser.open()
        assert await browser.closed() == 4401
    assert secret not in caplog.text


def _unused(client: Client) -> None:
    session = client.session
    session[sessions.SEEN] -= 31 * 60
    session.save()
