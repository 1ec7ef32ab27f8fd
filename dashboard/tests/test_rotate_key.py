"""S-55, S-56: seals open for their row alone, everything is sealed anew with a new key, and the old one can go."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts import audit, chain, factors, kept_keys, seals, tokens, verification
from accounts.access import SYSTEM, person
from accounts.models import AuditEntry, Team, User
from images_app.models import Registry
from operations import secrets, variables
from operations.models import Operation, Variable
from tests.rows import make_engine, make_operation

CANARY = "canary-rotate"
NEW = "n" * 60


@pytest.fixture
def sealed(tara: User, team: Team, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What there is before the key is changed: a secret of each kind, and lines of the trail."""
    monkeypatch.setattr(chain, "_found", {})
    kept_keys.mark_or_refuse()
    variable = variables.put(team, "PASSWORD", actor=person(tara, source="ui"), value=CANARY, secret=True)
    registry = Registry(name="R", host="r.example", owner=team)
    registry.sealed = secrets.seal(registry.pk, {"password": CANARY})
    registry.save()
    operation = make_operation(make_engine(), team, state="queued")
    Operation.objects.filter(pk=operation.pk).update(sealed=secrets.seal(operation.pk, {"value": CANARY}))
    secret = factors.new_secret()
    step = int(time.time()) // factors.STEP
    assert factors.add_app(tara, secret, totp.format_hotp_value(totp.hotp_value(secret, step - 1)))
    _, token = tokens.make(tara, "ci", ["read"])
    audit.record("auth.login", SYSTEM)
    return {
        "variable": variable, "registry": registry, "operation": operation, "token": token,
        "codes": factors.new_codes(tara), "app": secret, "step": step,
    }  # fmt: skip


def opens(sealed: dict[str, Any]) -> None:
    """All of it."""
    variable = Variable.objects.get(pk=sealed["variable"].pk)
    assert secrets.unseal(variable.pk, variable.sealed) == {"value": CANARY}
    registry = Registry.objects.get(pk=sealed["registry"].pk)
    assert secrets.unseal(registry.pk, registry.sealed) == {"password": CANARY}
    operation = Operation.objects.get(pk=sealed["operation"].pk)
    assert secrets.unseal(operation.pk, operation.sealed) == {"value": CANARY}
    assert tokens.actor_from_bearer(f"Bearer {sealed['token']}") is not None
    assert verification.verify().bad is None


def test_after_a_rotation_the_old_key_can_go_and_everything_works(
    sealed: dict[str, Any], tara: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [old]
    opens(sealed)  # both keys are named: Slipway goes on while the command runs
    call_command("rotate_key")
    assert "can be taken out" in capsys.readouterr().out
    settings.SECRET_KEY_FALLBACKS = []
    opens(sealed)
    opens(sealed)  # the token has a hash of the new key by now
    assert factors.use_code(tara, sealed["codes"][0]) == "recovery_codes"
    assert factors.use_code(tara, sealed["codes"][0]) is None
    code = totp.format_hotp_value(totp.hotp_value(sealed["app"], sealed["step"] + 1))
    assert factors.use_code(tara, code) == "totp"
    assert AuditEntry.objects.get(verb="site.rotate_key").outcome == "succeeded"
    kept_keys.mark_or_refuse()
    settings.SECRET_KEY = old  # and the old one opens nothing
    variable = Variable.objects.get()
    with pytest.raises(seals.Unreadable):
        secrets.unseal(variable.pk, variable.sealed)
    with pytest.raises(kept_keys.WrongKey, match="SLIPWAY_OLD_SECRET_KEYS"):
        kept_keys.mark_or_refuse()


def test_what_no_key_opens_is_named_and_left(sealed: dict[str, Any], settings: Any) -> None:
    settings.SECRET_KEY = NEW  # the old one is not named
    with pytest.raises(CommandError, match="could not be opened with any key"):
        call_command("rotate_key")
    assert AuditEntry.objects.get(verb="site.rotate_key").outcome == "failed"
    assert Variable.objects.get().sealed == sealed["variable"].sealed


def test_a_token_that_another_key_has_hashed_is_none_without_that(
    sealed: dict[str, Any], settings: Any
) -> None:
    settings.SECRET_KEY = NEW
    assert tokens.actor_from_bearer(f"Bearer {sealed['token']}") is None


def test_a_seal_that_was_changed_or_moved_does_not_open(tara: User, bob: User) -> None:
    text = seals.seal("totp", tara.pk, CANARY)
    for wrong in (text[:-6] + "AAAAA=", text[::-1], ""):
        with pytest.raises(seals.Unreadable):
            seals.unseal("totp", tara.pk, wrong)
    with pytest.raises(seals.Unreadable):
        seals.unseal("totp", bob.pk, text)
    with pytest.raises(seals.Unreadable):
        seals.unseal("enrol", tara.pk, text)
