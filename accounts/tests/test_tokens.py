"""Bearer tokens: what they are made of, what opens and what does not, and the command that makes them."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.access import why_not
from accounts.models import ApiToken, AuditEntry, Team, User


def opens(secret: str) -> bool:
    """Whether this text is somebody."""
    return tokens.actor_from_bearer(f"Bearer {secret}") is not None


def test_only_a_keyed_hash_is_kept(vic: User, settings: Any) -> None:
    """S-82."""
    token, secret = tokens.make(vic, "ci", ["read"])
    assert tokens.PATTERN.fullmatch(secret)
    assert secret.startswith(f"slp_{token.key}.")
    assert secret.partition(".")[2] not in str(ApiToken.objects.values().get())
    assert opens(secret)
    settings.SECRET_KEY = "another key of at least fifty characters, for a stolen dump"
    assert not opens(secret)


def test_what_is_not_quite_it_opens_nothing(vic: User) -> None:
    _, secret = tokens.make(vic, "ci", ["read"])
    last = "a" if secret[-1] != "a" else "b"
    for wrong in (
        "",
        secret[:-1],
        secret[:-1] + last,
        secret + "a",
        secret.replace("slp_", "SLP_"),
        f"{secret}\n{secret}",
    ):
        assert not opens(wrong), wrong
    assert tokens.actor_from_bearer(secret) is None
    assert tokens.actor_from_bearer(f"Basic {secret}") is None
    assert tokens.actor_from_bearer(f"bearer {secret}") is not None


def test_expired_revoked_and_disabled_open_nothing(vic: User) -> None:
    token, secret = tokens.make(vic, "ci", ["read"])
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not opens(secret)
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert opens(secret)
    User.objects.update(is_active=False)
    assert not opens(secret)
    User.objects.update(is_active=True)
    assert tokens.revoke(token)
    assert not tokens.revoke(token)
    assert not opens(secret)


def test_the_last_use_is_written_once_a_minute(vic: User) -> None:
    _, secret = tokens.make(vic, "ci", ["read"])
    assert opens(secret)
    first = ApiToken.objects.get().last_used_at
    with CaptureQueriesContext(connection) as queries:
        assert opens(secret)
    assert not [q for q in queries if q["sql"].startswith("UPDATE")]
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    assert opens(secret)
    assert ApiToken.objects.get().last_used_at > first  # type: ignore[operator]


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("read", {"container.read"}),
        ("operate", {"container.read", "container.stop"}),
        ("write", {"container.read", "container.stop", "container.run"}),
        ("admin", {"container.read", "container.stop", "container.run"}),
    ],
)
def test_each_scope_holds_those_before_it(bob: User, team: Team, scope: str, may: set[str]) -> None:
    _, secret = tokens.make(bob, "ci", [scope])
    actor = tokens.actor_from_bearer(f"Bearer {secret}")
    assert actor is not None
    asked = {"container.read", "container.stop", "container.run", "image.remove", "user.read"}
    assert {name for name in asked if why_not(actor, name, team) is None} == may


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["read", "root"]}, "scopes"),
        ({"lasts": timedelta(days=366)}, "expires_at"),
        ({"lasts": timedelta(0)}, "expires_at"),
    ],
)
def test_a_token_is_always_bounded(vic: User, fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tokens.make(vic, **{"name": "ci", "scopes": ["read"], **fields})
    assert list(caught.value.message_dict) == [wrong]
    assert not ApiToken.objects.exists()


def run(*args: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("token", *args, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_secret_alone(vic: User) -> None:
    printed = run("create", "ci", "--user", "vic", "--scope", "read", "--scope", "write", "--expires", "2h")
    assert printed.count("\n") == 1
    assert opens(printed.strip())
    token = ApiToken.objects.get()
    assert (token.scopes, token.name) == (["read", "write"], "ci")
    assert timedelta(minutes=119) < token.expires_at - timezone.now() <= timedelta(hours=2)
    assert AuditEntry.objects.get().verb == "token.create"
    assert token.key in run("list")
    assert printed.strip() not in run("list", "--user", "vic")
    run("revoke", token.key)
    assert not opens(printed.strip())


@pytest.mark.parametrize(
    "args",
    [
        ("create", "ci", "--user", "nobody", "--scope", "read"),
        ("create", "ci", "--user", "vic"),
        ("create", "ci", "--user", "vic", "--scope", "root"),
        ("create", "ci", "--user", "vic", "--scope", "read", "--expires", "400d"),
        ("create", "ci", "--user", "vic", "--scope", "read", "--expires", "soon"),
        ("create", "ci", "--user", "vic", "--scope", "read", "--team", "nope"),
        ("revoke", "nope"),
        (),
    ],
)
def test_the_command_says_what_is_wrong(vic: User, args: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*args)
    assert not ApiToken.objects.exists()


@pytest.mark.security
@pytest.mark.parametrize(
    ("ip", "reached"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.3.1", False),
        (None, False),
    ],
)
def test_a_token_opens_from_its_networks_alone(vic: User, ip: str | None, reached: bool) -> None:
    """S-82, S-83."""
    token, secret = tokens.make(vic, "ci", ["read"], networks=["192.0.2.0/24", "2001:db8::1"])
    assert (tokens.actor_from_bearer(f"Bearer {secret}", ip=ip) is not None) == reached
    token.refresh_from_db()
    assert (token.last_used_ip is not None) == reached


@pytest.mark.parametrize("wrong", [["192.0.2.1/24"], ["here"], [f"192.0.2.{n}" for n in range(21)]])
def test_what_is_no_network_is_refused(vic: User, wrong: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        tokens.make(vic, "ci", ["read"], networks=wrong)
    assert set(caught.value.message_dict) == {"networks"}


def test_a_rotated_token_opens_by_its_new_secret_alone(vic: User) -> None:
    token, old = tokens.make(vic, "ci", ["read"], lasts=timedelta(days=2), networks=["192.0.2.0/24"])
    stale, ends = ApiToken.objects.get(), token.expires_at
    new = tokens.rotate(token, renewed=False)
    assert new
    assert not tokens.actor_from_bearer(f"Bearer {old}", ip="192.0.2.1")
    assert tokens.actor_from_bearer(f"Bearer {new}", ip="192.0.2.1")
    assert (token.expires_at, token.networks) == (ends, ["192.0.2.0/24"])
    assert tokens.rotate(stale, renewed=False) is None
    assert tokens.rotate(token, renewed=True)
    assert token.expires_at > ends
    tokens.revoke(token)
    assert tokens.rotate(token, renewed=True) is None
