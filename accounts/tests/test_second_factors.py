"""Codes of authenticator apps and recovery codes: at the door, and in one's own account."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts import factors, seals, sessions
from accounts.models import AuditEntry, User
from accounts.tests.test_sign_in import sign_in

ClientFor = Callable[..., Client]


def code_of(secret: str, steps: int = 0) -> str:
    """What an app with this secret shows now, or so many steps of 30 seconds away."""
    return str(totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + steps)))


@pytest.fixture
def secret(vic: User) -> str:
    """Vic has an app with this secret, set up a while ago."""
    made = factors.new_secret()
    assert factors.add_app(vic, made, code_of(made))
    Authenticator.objects.update(data={"secret": seals.seal("totp", vic.pk, made), "used": 0})
    return made


def second(client: Client, code: str) -> Any:
    """Fills in the form of the second step."""
    return client.post("/login/code/", {"code": code})


def who(client: Client) -> int:
    """200 for somebody who is signed in, else 401."""
    return int(client.get("/api/v1/teams/").status_code)


def test_s_07_an_app_is_set_up_with_a_code_that_works(client_for: ClientFor, vic: User) -> None:
    """Its secret is on that page alone and sealed in the database; recovery codes come along, once."""
    client = client_for(vic)
    page = client.get("/account/app/")
    made = page.context["secret"].replace(" ", "")
    assert "no-store" in page["Cache-Control"]
    wrong = client.post("/account/app/", {"sealed": page.context["sealed"], "code": "000000"})
    assert "code" in wrong.context["form"].errors
    form = {"sealed": wrong.context["sealed"], "code": code_of(made)}
    assert wrong.context["secret"].replace(" ", "") == made
    done = client.post("/account/app/", form)
    codes = done.context["codes"]
    assert len(codes) == 10
    assert all(code in done.content.decode() for code in codes)
    assert client.get("/account/security/").context["have"].codes == 10
    kept = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert made not in kept
    assert not [code for code in codes if code in kept or code.replace("-", "") in kept]
    assert set(AuditEntry.objects.values_list("verb", flat=True)) == {
        "factor.add", "factor.codes",
    }  # fmt: skip


def test_s_07_a_secret_cannot_be_put_upon_somebody_else(client_for: ClientFor, vic: User, bob: User) -> None:
    sealed = client_for(bob).get("/account/app/").context["sealed"]
    assert client_for(vic).post("/account/app/", {"sealed": sealed, "code": "123456"}).status_code == 302
    assert not Authenticator.objects.exists()
    with pytest.raises(seals.Unreadable):
        seals.unseal("totp", bob.pk, seals.seal("totp", vic.pk, "text"))


def test_s_08_a_password_alone_opens_nothing(client: Client, vic: User, secret: str) -> None:
    answer = sign_in(client, next="/containers/")
    assert (answer.status_code, answer["Location"]) == (302, "/login/code/")
    assert who(client) == 401
    assert client.get("/account/")["Location"].startswith("/login/")
    assert not AuditEntry.objects.filter(verb="auth.login").exists()
    assert second(client, "123456").status_code == 200
    assert who(client) == 401
    assert client.get("/login/code/").status_code == 200


def test_s_09_the_second_step_lets_in_under_a_new_key(client: Client, vic: User, secret: str) -> None:
    client.post(
        "/login/", {"username": "vic", "password": "correct horse battery staple", "next": "/volumes/"}
    )
    before = client.session.session_key
    assert second(client, code_of(secret))["Location"] == "/volumes/"
    assert client.session.session_key != before
    assert who(client) == 200
    entry = AuditEntry.objects.get(verb="auth.login")
    assert (entry.actor, entry.detail["by"]) == (vic, ["password", "totp"])
    old = Client()
    old.cookies["slipway_session"] = before or ""
    assert who(old) == 401


def test_s_07_a_code_is_good_once_and_one_step_around_now(vic: User, secret: str) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        assert factors.use_code(vic, code_of(secret, -2)) is None
        assert factors.use_code(vic, code_of(secret, 2)) is None
        assert factors.use_code(vic, code_of(secret, -1)) == "totp"
        code = code_of(secret)
        assert factors.use_code(vic, f"{code[:3]} {code[3:]}") == "totp"
        assert factors.use_code(vic, code) is None
        assert factors.use_code(vic, code_of(secret, 1)) == "totp"
        assert factors.use_code(vic, code_of(secret, -1)) is None


def test_s_07_a_recovery_code_is_good_once(vic: User, bob: User, secret: str) -> None:
    codes = factors.new_codes(vic)
    assert factors.use_code(vic, codes[3].upper()) == "recovery_codes"
    assert factors.use_code(vic, codes[3]) is None
    assert factors.use_code(bob, codes[4]) is None
    assert factors.of(vic).codes == 9
    newer = factors.new_codes(vic)
    assert factors.use_code(vic, codes[4]) is None
    assert factors.use_code(vic, newer[4]) == "recovery_codes"


def test_s_05_five_wrong_codes_close_the_second_step(client: Client, vic: User, secret: str) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(client)
        for _ in range(5):
            assert second(client, "000000").status_code == 200
        refused = second(client, code_of(secret))
        assert (refused.status_code, 0 < int(refused["Retry-After"]) <= 601) == (429, True)
        assert AuditEntry.objects.filter(verb="auth.locked", actor_name="vic").count() == 1
        clock.move_to(start + timedelta(minutes=10, seconds=2))
        assert second(client, code_of(secret)).status_code == 302


def test_the_second_step_is_nobody_s_without_the_first(client: Client, vic: User, secret: str) -> None:
    assert second(client, code_of(secret))["Location"] == "/login/"
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(client)
        clock.move_to(start + timedelta(minutes=16))
        assert second(client, code_of(secret))["Location"] == "/login/"


def test_what_one_has_begun_is_over_when_another_begins(
    client: Client, vic: User, bob: User, secret: str
) -> None:
    sign_in(client)
    sign_in(client, "bob")
    assert client.get("/account/").context["user"] == bob
    assert second(client, code_of(secret)).status_code == 302
    assert client.get("/account/").context["user"] == bob


def test_factors_are_removed_with_their_codes(
    client_for: ClientFor, vic: User, bob: User, secret: str
) -> None:
    factors.new_codes(vic)
    app = factors.of(vic).app
    assert app is not None
    assert client_for(bob).post(f"/account/factors/{app.pk}/remove/").status_code == 404
    client = client_for(vic)
    question = client.get(f"/account/factors/{app.pk}/remove/").content.decode()
    assert "your only second factor" in question
    assert Authenticator.objects.exists()
    client.post(f"/account/factors/{app.pk}/remove/")
    assert not Authenticator.objects.exists()
    assert AuditEntry.objects.get(verb="factor.remove").detail["kind"] == "totp"
    assert client.get("/account/codes/").status_code == 302


def test_the_picture_holds_the_secret_and_no_markup(client_for: ClientFor, vic: User) -> None:
    page = client_for(vic).get("/account/app/")
    path = page.context["path"]
    assert re.fullmatch(r"(M\d+ \d+h1v1h-1z)+", path)
    assert page.content.decode().count(path) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", "x", '{"id": 1}', '{"response": {"userHandle": "AA"}}', '{"response": null}',
        ('{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA",'
        '"signature":"AA","userHandle":"bm9ib2R5"}}'),
    ],
)  # fmt: skip
def test_what_no_browser_has_sent_is_no_passkey(
    client: Client, client_for: ClientFor, vic: User, secret: str, text: str
) -> None:
    assert client.get("/login/passkey/?options").json()["publicKey"]["userVerification"] == "required"
    assert client.post("/login/passkey/", {"credential": text})["Location"] == "/login/"
    sign_in(client)
    assert client.post("/login/code/", {"credential": text}).status_code == 200
    assert who(client) == 401
    mine = client_for(vic)
    assert mine.get("/account/passkeys/?options").json()["publicKey"]["rp"]["id"] == "testserver"
    assert mine.post("/account/passkeys/", {"name": "x", "credential": text}).context["form"].errors
    assert mine.post("/account/confirm/", {"credential": text}).status_code == 200
    assert not Authenticator.objects.filter(type="webauthn").exists()


def test_sessions_whose_time_is_over_are_dropped(client: Client, client_for: ClientFor, vic: User) -> None:
    client.get("/login/passkey/?options")
    mine = client_for(vic)
    assert Session.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(hours=13)):
        sessions.forget_ended()
    assert Session.objects.count() == 0
    assert mine.get("/account/").status_code == 302
