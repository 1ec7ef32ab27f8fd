"""The way in, by whichever first step: a password, a passkey, single sign-on. A second factor may be asked for."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import Login
from allauth.account.stages import LoginStageController
from django.http import HttpRequest, HttpResponse

from accounts import audit, limits
from accounts.access import Actor, address_of
from accounts.adapters import SecondStep
from accounts.models import SignInAttempt, User


def enter(request: HttpRequest, user: User, method: str, to: str, **what: Any) -> HttpResponse:
    """They have shown who they are by ``method``: lets them in, or on to the second step, and then ``to``.

    ``passwordless=True`` with ``type="webauthn"``: a passkey that has looked at its owner is both steps at once.
    """
    clear_login(request)  # what somebody else has begun in this browser, and left
    record_authentication(request, user, method=method, **what)
    return perform_login(request, Login(user=user, redirect_url=to))


def waiting(request: HttpRequest) -> SecondStep | None:
    """The second step of whoever has done the first one in this browser, within 15 minutes; else ``None``."""
    stage = LoginStageController.enter(request, SecondStep.key)
    return stage if isinstance(stage, SecondStep) else None


def second_step_done(request: HttpRequest, stage: SecondStep, kind: str) -> HttpResponse:
    """The second factor was right, one of that kind: lets them in."""
    record_authentication(request, stage.login.user, method="mfa", type=kind)
    response: HttpResponse = stage.exit()
    return response


def failed(
    request: HttpRequest, verb: str, user: User, attempt: SignInAttempt, most: int | None = None
) -> None:
    """Writes down that something of theirs was tried that was wrong, and that it is closed now if it is."""
    actor = Actor(user=None, source="ui", ip=address_of(request))
    audit.record(verb, actor, outcome="failed", name=user.username)
    if limits.last_one(attempt, most=most):
        audit.record("auth.locked", actor, outcome="denied", name=user.username)
