"""Mails about what somebody signs in with: when there is one, what it says, and how it is sent, by real SMTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import audit, factors, notices, reset, seals
from accounts.access import SYSTEM, person
from accounts.models import AuditEntry, User
from accounts.notice import Notice
from accounts.tests.test_reset import NEW
from accounts.tests.test_second_factors import code_of
from accounts.tests.test_sign_in import sign_in
from tests.smtp import Post, server
from tests.tls import Authority

ClientFor = Callable[..., Client]
PASSWORD = "correct horse battery staple"


@pytest.fixture
def post(settings: Any, tmp_path: Path, vic: User) -> Iterator[Post]:
    """A server of mails that the settings name, and Vic has an address."""
    User.objects.filter(pk=vic.pk).update(email="vic@slipway.example")
    vic.email = "vic@slipway.example"
    with server(tmp_path) as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        settings.PUBLIC_URL = "https://slipway.example"
        yield found


def came(post: Post) -> list[str]:
    """Subjects of what a worker sends now."""
    notices.send_due()
    found = [str(mail["Subject"]) for mail in post.mails]
    post.mails.clear()
    return found


def test_a_changed_password_is_told_without_a_secret_and_without_a_link(
    client_for: ClientFor, vic: User, post: Post
) -> None:
    client = client_for(vic, REMOTE_ADDR="203.0.113.7")
    wrong = {"old": "wrong", "new": NEW, "new_again": NEW}
    client.post("/account/password/", wrong)
    assert not Notice.objects.exists()
    client.post("/account/password/", wrong | {"old": PASSWORD})
    assert not post.mails
    assert notices.send_due() == 1
    (mail,) = post.mails
    assert post.recipients == [["vic@slipway.example"]]
    text = mail.get_content()
    assert mail["Subject"] == "[Slipway] Your password was changed"
    assert (mail.get_content_type(), mail["Auto-Submitted"]) == ("text/plain", "auto-generated")
    assert all(words in text for words in ("Hello vic", "203.0.113.7", "UTC", "vic, https://slipway.example"))
    assert text.count("http") == 1
    assert NEW not in text
    assert notices.send_due() == 0


def test_each_factor_code_and_token_is_told_once(client_for: ClientFor, vic: User, post: Post) -> None:
    client = client_for(vic)
    sealed = client.get("/account/app/").context["sealed"]
    secret = seals.unseal("enrol", vic.pk, sealed)
    page = client.post("/account/app/", {"sealed": sealed, "code": code_of(secret)})
    codes = page.context["codes"]
    assert came(post) == [
        "[Slipway] An authenticator app was added to your account"
    ]  # its codes go without saying
    Notice.objects.all().delete()
    client.post("/account/codes/")
    assert came(post) == ["[Slipway] Your recovery codes were made anew"]
    codes = factors.new_codes(vic)
    there = Client()
    sign_in(there, "vic", PASSWORD)
    there.post("/login/code/", {"code": codes[0]})
    assert came(post) == ["[Slipway] A recovery code was used for your account"]
    there.post("/account/confirm/", {"code": codes[1]})
    assert came(post) == ["[Slipway] A recovery code was used for your account"]
    there.post("/account/confirm/", {"password": PASSWORD})
    client.post("/account/tokens/", {"name": "ci\r\nBcc: eve@evil.example", "scope": "read", "lasts": "30"})
    notices.send_due()
    text = post.mails[-1].get_content()
    assert post.mails[-1]["Subject"] == "[Slipway] A token was made for your account"
    assert post.mails[-1]["Bcc"] is None
    assert post.recipients[-1] == ["vic@slipway.example"]
    assert "slp_" not in text
    post.mails.clear()
    app = factors.of(vic).app
    assert app
    client.post(f"/account/factors/{app.pk}/remove/")
    assert came(post) == ["[Slipway] An authenticator app was taken from your account"]


def test_what_others_do_is_told_with_who_did_it(
    client_for: ClientFor, alice: User, vic: User, post: Post
) -> None:
    """By the admin and by whoever runs the server; another address is told to the old one too."""
    call_command("person", "vic", "--remove-second-factors", verbosity=0)
    assert came(post) == ["[Slipway] All second factors were taken from your account"]
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    boss = client_for(alice)
    where = f"/admin/accounts/user/{vic.pk}/"
    boss.post(f"{where}password/", {"password1": NEW, "password2": NEW, "usable_password": "true"})
    notices.send_due()
    assert [str(mail["Subject"]) for mail in post.mails] == [
        "[Slipway] Your password was set by a site administrator"
    ]
    assert "By: alice" in post.mails[0].get_content()
    post.mails.clear()
    post.recipients.clear()
    page = boss.get(f"{where}change/")
    form = {key: value for key, value in page.context["adminform"].form.initial.items() if value is not None}
    counts = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    boss.post(f"{where}change/", {**form, **counts, "is_active": "on", "email": "new@slipway.example"})
    assert User.objects.get(pk=vic.pk).email == "new@slipway.example"
    assert came(post) == ["[Slipway] The address of your account was changed"] * 2
    assert sorted(post.recipients) == [["new@slipway.example"], ["vic@slipway.example"]]


def test_a_password_by_a_link_is_told(vic: User, post: Post) -> None:
    assert reset.use(reset.link(vic).partition("link=")[2], NEW, "203.0.113.7")
    assert came(post) == ["[Slipway] Your password was set anew, by a link for a lost one"]


def test_it_speaks_the_language_and_the_clock_of_its_reader(vic: User, post: Post) -> None:
    User.objects.filter(pk=vic.pk).update(language="de", zone="Europe/Berlin")
    audit.about("auth.password", SYSTEM, User.objects.get(pk=vic.pk))
    notices.send_due()
    assert post.mails[0]["Subject"] == "[Slipway] Ihr Passwort wurde geändert"
    text = post.mails[0].get_content()
    assert "CE" in text
    assert "nichts zu tun" in text


def test_what_did_not_happen_is_not_told(vic: User, post: Post, settings: Any) -> None:
    with transaction.atomic():
        audit.about("auth.password", person(vic, source="ui"), vic)
        assert Notice.objects.exists()
        transaction.set_rollback(True)
    audit.about("auth.password", person(vic, source="ui"), vic, outcome="failed")
    audit.record("auth.login", person(vic, source="ui"), detail={"by": ["password"]})
    settings.EMAIL_HOST = ""
    audit.about("auth.password", person(vic, source="ui"), vic)
    settings.EMAIL_HOST = "127.0.0.1"
    User.objects.filter(pk=vic.pk).update(email="")
    audit.about("auth.password", SYSTEM, vic)
    assert not Notice.objects.exists()


def test_a_server_that_is_away_delays_nothing_and_is_tried_again_for_a_day(
    client_for: ClientFor, vic: User, post: Post, settings: Any
) -> None:
    with socket.socket() as silent:  # it takes the call, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = silent.getsockname()[1], 0.3
        began = time.monotonic()
        form = {"old": PASSWORD, "new": NEW, "new_again": NEW}
        assert client_for(vic).post("/account/password/", form).status_code == 302
        assert time.monotonic() - began < 5
        assert notices.send_due() == 0
    row = Notice.objects.get()
    assert (row.attempts, row.lease_until) == (1, None)
    assert row.due_at > timezone.now() + timedelta(seconds=20)
    settings.EMAIL_PORT, post.refuse = post.port, "450 later"
    Notice.objects.update(due_at=timezone.now())
    assert notices.send_due() == 0
    assert Notice.objects.get().attempts == 2
    post.refuse = ""
    Notice.objects.update(due_at=timezone.now())
    assert notices.send_due() == 1
    # After a day it is given up.
    audit.about("auth.password", SYSTEM, vic)
    post.refuse = "550 nobody"
    Notice.objects.update(at=timezone.now() - timedelta(hours=25))
    assert notices.send_due() == 0
    assert not Notice.objects.exists()


def test_one_that_another_worker_sends_is_left_alone(vic: User, post: Post) -> None:
    audit.about("auth.password", SYSTEM, vic)
    Notice.objects.update(lease_until=timezone.now() + timedelta(seconds=30))
    assert notices.send_due() == 0
    Notice.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert notices.send_due() == 1


@pytest.mark.parametrize("from_the_start", [False, True])
def test_it_is_handed_in_by_tls_with_an_account(
    vic: User,
    post: Post,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    from_the_start: bool,
) -> None:
    """``smtp+tls`` and ``smtps``. To nobody whose certificate is not trusted, and never with the password in clear."""
    authority = Authority()
    settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = from_the_start, not from_the_start
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "slipway", "of the mail's"
    audit.about("auth.password", SYSTEM, vic)
    with server(
        tmp_path, authority, account="slipway:of the mail's", from_the_start=from_the_start
    ) as sealed:
        settings.EMAIL_PORT = sealed.port
        assert notices.send_due() == 0
        assert not sealed.accounts
        (tmp_path / "ca.pem").write_text(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        Notice.objects.update(due_at=timezone.now())
        assert notices.send_due() == 1
        assert (sealed.sealed, sealed.accounts) == ([True], ["slipway:of the mail's"])
    assert not post.mails


def test_the_trail_says_by_what_somebody_confirmed(client_for: ClientFor, vic: User) -> None:
    client_for(vic).post("/account/confirm/", {"password": PASSWORD})
    assert AuditEntry.objects.get(verb="auth.confirm").detail["by"] == ["password"]


def test_a_passkey_is_called_what_its_owner_calls_it_and_the_trail_names_its_owner(
    client_for: ClientFor, vic: User, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a browser would make is taken as right here: tests/browser has one that makes them."""
    monkeypatch.setattr("accounts.passkeys.add", lambda *_: True)
    client_for(vic).post("/account/passkeys/", {"name": "alice", "credential": "{}"})
    line = AuditEntry.objects.get(verb="factor.add")
    assert (line.actor_name, line.detail["passkey"]) == ("vic", "alice")
    notices.send_due()
    text = post.mails[0].get_content()
    assert "Name: alice" in text
    assert "By:" not in text
