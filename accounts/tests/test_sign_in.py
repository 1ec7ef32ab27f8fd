"""Signing in and out, too many tries, and how long a session lives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, SignInAttempt, User

PASSWORD = "correct horse battery staple"
ClientFor = Callable[..., Client]


def sign_in(client: Client, name: str = "vic", password: str = PASSWORD, **extra: Any) -> Any:
    """Fills in the form."""
    return client.post("/login/", {"username": name, "password": password}, **extra)


def test_signing_in_and_out(client: Client, vic: User) -> None:
    assert client.get("/account/")["Location"] == "/login/?next=/account/"
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/account/").status_code == 200
    assert client.get("/login/")["Location"] == "/"
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/account/").status_code == 302
    trail = AuditEntry.objects.order_by("id").values_list("verb", "outcome", "actor_name", "ip", "source")
    assert list(trail) == [
        ("auth.login", "succeeded", "vic", "127.0.0.1", "ui"),
        ("auth.logout", "succeeded", "vic", "127.0.0.1", "ui"),
    ]


def test_unknown_wrong_and_disabled_look_the_same(client: Client, vic: User, bob: User) -> None:
    """S-04."""
    User.objects.filter(pk=bob.pk).update(is_active=False)
    pages = []
    for name, password in (("nobody", PASSWORD), ("vic", "wrong"), ("bob", PASSWORD), ("bob", "wrong")):
        answer = sign_in(client, name, password)
        assert answer.status_code == 200
        pages.append((answer.context["form"].non_field_errors(), len(answer.content) - len(name)))
    assert all(errors == pages[0][0] for errors, _ in pages)
    assert set(AuditEntry.objects.values_list("outcome", flat=True)) == {"failed"}


def test_a_name_that_is_none_of_ours_is_not_kept(client: Client, vic: User) -> None:
    """It may be a password that somebody typed into the wrong field."""
    sign_in(client, "my-secret-password")
    sign_in(client, "vic", "wrong")
    assert list(AuditEntry.objects.order_by("id").values_list("actor_name", flat=True)) == ["unknown", "vic"]
    assert not SignInAttempt.objects.filter(account__contains="secret").exists()


def test_signing_in_needs_the_csrf_token(client_for: ClientFor, vic: User) -> None:
    """S-66."""
    assert sign_in(client_for(enforce_csrf_checks=True)).status_code == 403


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", ""]
)
def test_nobody_is_sent_to_another_site(client: Client, vic: User, to: str) -> None:
    form = {"username": "vic", "password": PASSWORD, "next": to}
    assert client.post("/login/", form)["Location"] == "/"


def test_one_goes_on_to_where_one_was(client: Client, vic: User) -> None:
    assert sign_in(client, next="/account/")["Location"] == "/"
    other = Client()
    form = {"username": "vic", "password": PASSWORD, "next": "/account/?a=b"}
    assert other.post("/login/", form)["Location"] == "/account/?a=b"


def test_signing_in_makes_a_new_session_key(client: Client, vic: User) -> None:
    """S-09."""
    client.session["planted"] = True
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["slipway_session"] = before = session.session_key or ""
    sign_in(client)
    assert client.session.session_key != before


def test_ten_wrong_passwords_close_the_account_from_everywhere(client: Client, vic: User, bob: User) -> None:
    """S-05."""
    for number in range(10):
        assert sign_in(client, "vic", "wrong", REMOTE_ADDR=f"192.0.2.{number}").status_code == 200
    refused = sign_in(client, "vic", PASSWORD, REMOTE_ADDR="192.0.2.99")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 601
    assert sign_in(Client(), "VIC").status_code == 429
    assert AuditEntry.objects.filter(verb="auth.locked", actor_name="vic").count() == 1
    assert sign_in(Client(), "bob").status_code == 302


def test_the_lock_opens_by_itself_whatever_is_sent_meanwhile(client: Client, vic: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(10):
            sign_in(client, "vic", "wrong")
        for minute in range(1, 10):
            clock.move_to(start + timedelta(minutes=minute))
            assert sign_in(client, "vic", "wrong").status_code == 429
        clock.move_to(start + timedelta(minutes=10, seconds=2))
        assert sign_in(client, "vic").status_code == 302


def test_a_right_password_begins_the_count_anew(client: Client, vic: User) -> None:
    for _ in range(3):
        for _ in range(9):
            assert sign_in(Client(), "vic", "wrong").status_code == 200
        assert sign_in(Client(), "vic").status_code == 302


def test_a_hundred_failures_close_an_address(
    client: Client, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-05."""
    monkeypatch.setattr("accounts.limits.PER_ADDRESS", 5)  # Argon2 takes its time a hundred times
    for number in range(5):
        assert sign_in(client, f"name-{number}", "wrong").status_code == 200
    assert sign_in(client).status_code == 429
    assert sign_in(client, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_a_forwarded_address_counts_only_from_a_proxy_of_ours(
    client: Client, vic: User, settings: Any
) -> None:
    """S-06."""
    sign_in(client, "vic", "wrong", headers={"X-Forwarded-For": "198.51.100.1"})
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    behind = {"REMOTE_ADDR": "10.0.0.5"}
    for header in (
        "198.51.100.2",
        "6.6.6.6, 198.51.100.3",
        "6.6.6.6, 198.51.100.4, 10.0.0.9",
        "evil, 10.0.0.9",
        "",
    ):
        sign_in(client, "vic", "wrong", headers={"X-Forwarded-For": header}, **behind)
    seen = list(AuditEntry.objects.order_by("id").values_list("ip", flat=True))
    assert seen == ["127.0.0.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "10.0.0.9", "10.0.0.5"]


def test_a_session_ends_when_nobody_uses_it(client: Client, vic: User, settings: Any) -> None:
    """S-11."""
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(client)
        for minutes in (29, 58, 87):
            clock.move_to(start + timedelta(minutes=minutes))
            assert client.get("/api/v1/containers/").status_code == 200
        clock.move_to(start + timedelta(minutes=87 + 31))
        assert client.get("/api/v1/containers/").status_code == 401
        assert client.get("/account/").status_code == 302


def test_a_session_ends_after_twelve_hours_in_any_case(client: Client, vic: User) -> None:
    """S-11."""
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(client)
        for minutes in range(20, 12 * 60, 20):
            clock.move_to(start + timedelta(minutes=minutes))
            assert client.get("/api/v1/teams/").status_code == 200
        clock.move_to(start + timedelta(hours=12, seconds=1))
        assert client.get("/api/v1/teams/").status_code == 401


def test_the_admin_is_entered_by_our_door(client: Client, vic: User, alice: User) -> None:
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/login/?next=/admin/"
    sign_in(client)
    assert client.get("/admin/login/").status_code == 403
    administrator = Client()
    sign_in(administrator, "alice")
    assert administrator.get("/admin/").status_code == 200
    assert administrator.get("/admin/password_change/")["Location"] == "/account/security/"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client: Client, vic: User) -> None:
    """S-10."""
    cookie = sign_in(client).cookies["slipway_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["domain"]


def test_every_answer_carries_the_headers(client: Client, vic: User) -> None:
    for path in ("/login/", "/nothing/", "/api/v1/containers/", "/healthz"):
        answer = client.get(path)
        assert "script-src 'self'" in answer["Content-Security-Policy"], path
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "no-store" in answer["Cache-Control"]
        assert answer["Permissions-Policy"]
        assert "Server" not in answer


def test_a_part_of_a_page_takes_the_whole_page_to_the_sign_in(client: Client, vic: User) -> None:
    """The sign-in page must not be put where a table was."""
    head = {"HX-Request": "true", "HX-Current-URL": "http://testserver/containers/?q=web"}
    answer = client.get("/containers/?q=web", headers=head)
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/login/?next=/containers/%3Fq%3Dweb")


def test_old_tokens_keep_nobody_from_signing_in(
    client: Client, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.limits.PER_ADDRESS", 3)
    head = {"Authorization": f"Bearer slp_{'a' * 12}.{'b' * 40}"}
    answers = [client.get("/api/v1/containers/", headers=head).status_code for _ in range(5)]
    assert answers == [401, 401, 401, 429, 429]
    assert sign_in(client).status_code == 302
