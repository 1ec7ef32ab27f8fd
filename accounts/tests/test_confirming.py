"""Showing again who one is, before what a stolen browser must not do; and where one is signed in."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import factors, sessions
from accounts.models import ApiToken, AuditEntry, User
from accounts.tests.test_second_factors import code_of

PASSWORD = "correct horse battery staple"
ClientFor = Callable[..., Client]
ASKED = "/account/confirm/?next="


@pytest.fixture
def clock() -> Iterator[Any]:
    """Stands still until it is moved."""
    with time_machine.travel(timezone.now(), tick=False) as found:
        yield found


def later(clock: Any, minutes: int) -> None:
    """So many minutes from now."""
    clock.shift(timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "path", ["/engines/add/", "/registries/new/", "/account/app/", "/account/passkeys/", "/account/codes/"]
)
def test_s_14_pages_that_can_do_harm_ask_again_after_ten_minutes(
    client_for: ClientFor, alice: User, clock: Any, path: str
) -> None:
    client = client_for(alice)
    assert not client.get(path).headers.get("Location", "").startswith(ASKED)
    later(clock, 11)
    assert client.get(path)["Location"] == ASKED + path.replace("/", "%2F")
    assert client.post(path, {}, headers={"Referer": "http://testserver/x/?a=b"})["Location"] == (
        ASKED + "%2Fx%2F%3Fa%3Db"
    )
    part = client.post(path, {}, headers={"HX-Request": "true"})
    assert (part.status_code, part["HX-Redirect"]) == (403, ASKED + "%2F")


def test_s_14_no_token_is_made_by_whoever_finds_the_browser(
    client_for: ClientFor, vic: User, clock: Any
) -> None:
    client = client_for(vic)
    client.get("/account/")
    later(clock, 11)
    assert not client.get("/account/").context["fresh"]
    form = {"name": "ci", "scope": "read", "lasts": "30"}
    assert client.post("/account/tokens/", form)["Location"].startswith(ASKED)
    assert not ApiToken.objects.exists()


def test_s_14_the_password_confirms_and_gives_the_session_a_new_key(
    client_for: ClientFor, vic: User, clock: Any
) -> None:
    """S-09 too."""
    client = client_for(vic)
    client.get("/account/")
    later(clock, 11)
    assert client.post("/account/confirm/", {"password": "wrong"}).status_code == 200
    before = client.session.session_key
    answer = client.post("/account/confirm/", {"password": PASSWORD, "next": "/account/app/"})
    assert answer["Location"] == "/account/app/"
    assert client.get("/account/app/").status_code == 200
    assert client.session.session_key != before
    old = Client()
    old.cookies["slipway_session"] = before or ""
    assert old.get("/api/v1/teams/").status_code == 401
    trail = AuditEntry.objects.filter(verb="auth.confirm").order_by("id")
    assert list(trail.values_list("outcome", "actor_name")) == [("failed", "vic"), ("succeeded", "vic")]


def test_s_14_so_does_a_code_and_neither_can_be_tried_out(
    client_for: ClientFor, vic: User, clock: Any
) -> None:
    """S-05 too."""
    secret = factors.new_secret()
    factors.add_app(vic, secret, code_of(secret))
    later(clock, 11)
    client = client_for(vic)
    client.get("/account/")
    later(clock, 11)
    assert client.post("/account/confirm/", {"code": code_of(secret)})["Location"] == "/"
    for _ in range(5):
        assert client.post("/account/confirm/", {"code": "000000"}).status_code == 200
    later(clock, 1)
    assert client.post("/account/confirm/", {"code": code_of(secret)}).status_code == 429


def test_s_14_rest_by_session_is_refused_with_its_own_code(
    client_for: ClientFor, api_for: Callable[..., APIClient], alice: User, clock: Any
) -> None:
    """Tokens have no browser that could be found: their scopes bound them."""
    client = client_for(alice)
    client.get("/account/")
    later(clock, 11)
    answer = client.post("/api/v1/engines/", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauth_required")
    assert client.get("/api/v1/engines/").status_code == 200
    assert client.post("/api/v1/tokens/", {}, content_type="application/json").status_code == 403
    assert api_for(alice).post("/api/v1/engines/", {}).status_code == 400


def test_s_14_the_admin_asks_again_before_it_changes_anything(
    client_for: ClientFor, alice: User, vic: User, clock: Any
) -> None:
    client = client_for(alice)
    assert client.get("/admin/").status_code == 200
    later(clock, 11)
    assert client.get("/admin/accounts/user/").status_code == 200
    path = f"/admin/accounts/user/{vic.pk}/change/"
    assert client.get(path)["Location"].startswith(ASKED)
    assert client.post(path, {"is_superuser": "on"})["Location"].startswith(ASKED)
    vic.refresh_from_db()
    assert not vic.is_superuser


def test_s_13_people_see_where_they_are_signed_in_and_end_it(
    client_for: ClientFor, vic: User, bob: User
) -> None:
    here, there, third, stranger = client_for(vic), client_for(vic), client_for(vic), client_for(bob)
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) AppleWebKit/605 Version/18.0 Safari/605"
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        for client in (here, there, third, stranger):
            client.get("/account/", headers={"User-Agent": phone}, REMOTE_ADDR="198.51.100.7")
        page = here.get("/account/security/")
        seen = page.context["sessions"]
        assert [one.here for one in seen] == [True, False, False]
        assert {(one.device, one.row.ip) for one in seen} == {("Safari on iPhone", "198.51.100.7")}
        assert there.session.session_key not in page.content.decode()
        handle = next(one.handle for one in seen if one.row.session_id == there.session.session_key)
        stranger.post("/account/sessions/end/", {"session": handle})
        assert there.get("/account/").status_code == 200
        here.post("/account/sessions/end/", {"session": handle})
        assert there.get("/account/").status_code == 302
        assert third.get("/account/").status_code == 200
        here.post("/account/sessions/end/", {"others": "1"})
        assert [c.get("/account/").status_code for c in (here, third, stranger)] == [200, 302, 200]
    assert AuditEntry.objects.filter(verb="session.end", actor=vic).count() == 2


def test_s_12_a_new_password_ends_the_rows_of_other_sessions(client_for: ClientFor, vic: User) -> None:
    here, _ = client_for(vic), client_for(vic)
    assert len(sessions.of(vic)) == 2
    form = {
        "old": PASSWORD,
        "new": "another horse battery staple",
        "new_again": "another horse battery staple",
    }
    here.post("/account/password/", form)
    vic.refresh_from_db()
    assert [row.session_id for row in sessions.of(vic)] == [here.session.session_key]


def test_s_13_an_administrator_ends_sessions_and_takes_lost_factors_away(
    client_for: ClientFor, alice: User, vic: User
) -> None:
    """S-12 too: what was open with the old factors is closed with them."""
    secret = factors.new_secret()
    factors.add_app(vic, secret, code_of(secret))
    client, there = client_for(alice), client_for(vic)
    form = {"action": "end_sessions", "_selected_action": [str(vic.pk)]}
    client.post("/admin/accounts/user/", form)
    assert there.get("/account/").status_code == 302
    assert factors.of(vic).second
    there = client_for(vic)
    client.post("/admin/accounts/user/", form | {"action": "remove_second_factors"})
    assert there.get("/account/").status_code == 302
    assert not factors.of(vic).second
    call_command("person", "vic", "--end-sessions", stdout=io.StringIO())
    trail = AuditEntry.objects.filter(target_name="vic").order_by("id").values_list("verb", "actor_name")
    assert list(trail) == [
        ("session.end", "alice"), ("factor.remove", "alice"), ("session.end", "alice"), ("session.end", "system"),
    ]  # fmt: skip
