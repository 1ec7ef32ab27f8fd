"""Pages at the door: the second step, passkeys, and showing again who one is.

What the templates get: ``second_step.html`` form, passkey (whether they have one), locked; ``confirm.html``
password_form, code_form (``None`` where they have none), passkey, next, locked.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import audit, door, factors, limits, passkeys, sessions
from accounts.access import PUBLIC, Actor, actor_of, address_of, requires
from accounts.forms import CodeForm, ConfirmForm
from accounts.models import User
from accounts.pages import locked_page, safe_next, user_of

WRONG_CODE = _lazy("This code is not right, or it has been used.")
WRONG_KEY = _lazy("This passkey opens nothing here.")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def second_step(request: HttpRequest) -> HttpResponse:
    """A code or a passkey, after the first step. ``?options`` is what a browser needs to show a passkey."""
    stage = door.waiting(request)
    user = stage.login.user if stage and not request.user.is_authenticated else None
    if stage is None or not isinstance(user, User):
        return HttpResponseRedirect(reverse("accounts:login"))
    if "options" in request.GET:
        return JsonResponse(passkeys.request(user))
    form = CodeForm(request.POST if "code" in request.POST else None)
    context = {"form": form, "passkey": bool(factors.of(user).passkeys), "locked": None}
    if request.method != "POST":
        return render(request, "accounts/second_step.html", context)
    try:
        attempt = limits.begin(f"code:{user.pk}", address_of(request), most=limits.CODES)
    except limits.TooMany as error:
        return locked_page(request, "accounts/second_step.html", context | {"form": CodeForm()}, error)
    if kind := _shown(request, user, form):
        limits.succeeded(attempt)
        return door.second_step_done(request, stage, kind)
    door.failed(request, "auth.second_step", user, attempt, limits.CODES)
    return render(request, "accounts/second_step.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def passkey_sign_in(request: HttpRequest) -> HttpResponse:
    """A passkey alone: it says whose it is, and has looked at them."""
    if request.user.is_authenticated:
        return HttpResponseRedirect(safe_next(request))
    if "options" in request.GET:
        return JsonResponse(passkeys.request(None))
    login = reverse("accounts:login")
    if request.method != "POST":
        return HttpResponseRedirect(login)
    ip = address_of(request)
    try:
        attempt = limits.begin("", ip)
    except limits.TooMany:
        messages.error(request, _("Too many tries from this address. Try again later."), extra_tags="bad")
        return HttpResponseRedirect(login)
    key = passkeys.shown(None, request.POST.get("credential", ""))
    if key is None:
        nobody = Actor(user=None, source="ui", ip=ip)
        audit.record("auth.login", nobody, outcome="failed", name="unknown", detail={"by": ["webauthn"]})
        messages.error(request, WRONG_KEY, extra_tags="bad")
        return HttpResponseRedirect(login)
    attempt.delete()
    return door.enter(request, key.user, "mfa", safe_next(request), type="webauthn", passwordless=True)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own")
def confirm(request: HttpRequest) -> HttpResponse:
    """Asks again who it is, before something that a stolen browser must not do. Then on to where they were going."""
    user, to = user_of(request), safe_next(request)
    if "options" in request.GET:
        return JsonResponse(passkeys.request(user))
    have = factors.of(user)
    password = ConfirmForm(request.POST if "password" in request.POST else None)
    code = CodeForm(request.POST if "code" in request.POST else None)
    context: dict[str, Any] = {
        "password_form": password if user.has_usable_password() else None,
        "code_form": code if have.second else None,
        "passkey": bool(have.passkeys),
        "next": to,
        "locked": None,
    }
    if request.method != "POST":
        return render(request, "accounts/confirm.html", context)
    by_password = "password" in request.POST
    what, most = ("password", None) if by_password else ("code", limits.CODES)
    try:
        attempt = limits.begin(f"{what}:{user.pk}", address_of(request), most=most)
    except limits.TooMany as error:
        return locked_page(request, "accounts/confirm.html", context, error)
    if kind := _password_is_right(user, password) if by_password else _shown(request, user, code):
        limits.succeeded(attempt)
        sessions.confirmed(request)
        audit.record("auth.confirm", actor_of(request), detail={"by": [what if by_password else kind]})
        return HttpResponseRedirect(to)
    door.failed(request, "auth.confirm", user, attempt, most)
    return render(request, "accounts/confirm.html", context)


def _password_is_right(user: User, form: ConfirmForm) -> bool:
    if form.is_valid() and user.check_password(form.cleaned_data["password"]):
        return True
    if not form.errors:
        form.add_error("password", _("This is not your password."))
    return False


def _shown(request: HttpRequest, user: User, form: CodeForm) -> str | None:
    """The kind of second factor that was shown, where it was right; else the form says what is wrong."""
    if "code" in request.POST:
        if not form.is_valid():
            return None
        kind = factors.use_code(user, form.cleaned_data["code"])
        if kind is None:
            form.add_error("code", WRONG_CODE)
        return kind
    if passkeys.shown(user, request.POST.get("credential", "")):
        return "webauthn"
    messages.error(request, WRONG_KEY, extra_tags="bad")
    return None
