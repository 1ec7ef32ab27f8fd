"""How one signs in, and where one is: password, authenticator app, passkeys, recovery codes, sessions.

What the templates get: ``security.html`` password_form, have (`accounts.factors.Factors`), demanded, sessions
(`Seen`), sso, sso_linked; ``app.html`` form, secret, sealed, side and path of the picture; ``codes.html`` codes
(these once) or ``None`` to ask first; ``passkey.html`` form, key (``None`` for a new one).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, door, factors, limits, passkeys, seals, sessions, sso
from accounts.access import actor_of, address_of, requires
from accounts.door_views import WRONG_CODE
from accounts.forms import CodeForm, KeyNameForm, PasswordForm
from accounts.models import WebSession
from accounts.pages import sure, user_of

ENROL_WITHIN = 15 * 60
"""Seconds that somebody has to put a new secret into their app."""
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as its owner sees it."""

    row: WebSession
    handle: str
    device: str
    here: bool


@require_safe
@never_cache
@requires("account.own")
def security(request: HttpRequest) -> HttpResponse:
    """Everything on one page."""
    return security_page(request)


@sensitive_post_parameters()
@require_POST
@requires("account.own")
def change_password(request: HttpRequest) -> HttpResponse:
    """A new password. Every other session of this person ends; this one gets a new key."""
    user = user_of(request)
    form = PasswordForm(user, request.POST)
    try:
        attempt = limits.begin(f"password:{user.pk}", address_of(request))
    except limits.TooMany as error:
        form.add_error(None, _("Too many tries. Try again later."))
        answer = security_page(request, password_form=form, status=429)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    if not form.is_valid():
        return security_page(request, password_form=form)
    limits.succeeded(attempt)
    with transaction.atomic():
        user.set_password(form.cleaned_data["new"])
        user.save(update_fields=["password"])
        _line(request, "auth.password")
        sessions.password_changed(request, user)
    messages.success(request, _("Your password is changed. Other browsers are signed out."), extra_tags="ok")
    return _back()


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own", confirmed=True)
def add_app(request: HttpRequest) -> HttpResponse:
    """An authenticator app. Its secret goes along sealed until a code shows that the app has it."""
    user = user_of(request)
    form = CodeForm(request.POST or None)
    try:
        sealed = request.POST["sealed"] if request.method == "POST" else ""
        secret = (
            seals.unseal("enrol", user.pk, sealed, within=ENROL_WITHIN) if sealed else factors.new_secret()
        )
    except (seals.Unreadable, KeyError):
        messages.error(request, _("This took too long: here is a new secret."), extra_tags="bad")
        return HttpResponseRedirect(reverse("accounts:add_app"))
    if request.method == "POST" and form.is_valid():
        try:
            attempt = limits.begin(f"code:{user.pk}", address_of(request), most=limits.CODES)
        except limits.TooMany:
            messages.error(request, _("Too many wrong codes. Try again in ten minutes."), extra_tags="bad")
            return _back()
        if factors.add_app(user, secret, "".join(form.cleaned_data["code"].split())):
            limits.succeeded(attempt)
            return _added(request, "totp", _("The authenticator app is set up."))
        door.failed(request, "factor.add", user, attempt, limits.CODES)
        form.add_error("code", WRONG_CODE)
    query = urlencode({"secret": secret, "issuer": "Slipway"}, quote_via=quote)
    side, path = factors.picture(f"otpauth://totp/Slipway:{quote(user.username)}?{query}")
    context = {
        "form": form,
        "secret": " ".join(re.findall(".{1,4}", secret)),
        "sealed": seals.seal("enrol", user.pk, secret),
        "side": side,
        "path": path,
    }
    return render(request, "accounts/app.html", context)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own", confirmed=True)
def add_passkey(request: HttpRequest) -> HttpResponse:
    """A passkey, made by the browser. ``?options`` is what it needs for that."""
    user = user_of(request)
    if "options" in request.GET:
        return JsonResponse(passkeys.creation(user))
    form = KeyNameForm(request.POST or None, initial={"name": device(request.headers.get("User-Agent", ""))})
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        if passkeys.add(user, name, request.POST.get("credential", "")):
            return _added(request, "webauthn", _("The passkey %(name)s is added.") % {"name": name}, name)
        form.add_error(None, _("The browser has made no passkey that Slipway can use. Try again."))
    return render(request, "accounts/passkey.html", {"form": form, "key": None})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own", confirmed=True)
def rename_passkey(request: HttpRequest, pk: int) -> HttpResponse:
    """Another name for it."""
    key = get_object_or_404(Authenticator, pk=pk, user=user_of(request), type=factors.Type.WEBAUTHN)
    form = KeyNameForm(request.POST or None, initial={"name": key.wrap().name})
    if request.method == "POST" and form.is_valid():
        passkeys.rename(key, form.cleaned_data["name"])
        return _back()
    return render(request, "accounts/passkey.html", {"form": form, "key": key})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("account.own", confirmed=True)
def remove_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks, then takes an app or a passkey away; not the last one, where the site demands one."""
    user = user_of(request)
    kinds = [factors.Type.TOTP, factors.Type.WEBAUTHN]
    factor = get_object_or_404(Authenticator, pk=pk, user=user, type__in=kinds)
    have = factors.of(user)
    last = len(have.passkeys) + (have.app is not None) == 1
    refused = (
        _("A second factor is demanded here: add another one first.")
        if last and factors.demanded(user)
        else ""
    )
    if request.method != "POST":
        return _sure_of(request, factor, last=last, refused=refused)
    if refused:
        messages.error(request, refused, extra_tags="bad")
        return _back()
    with transaction.atomic():
        factors.remove(user, factor)
        _line(request, "factor.remove", kind=factor.type)
    messages.success(request, _("Removed"), extra_tags="ok")
    return _back()


def _sure_of(request: HttpRequest, factor: Authenticator, *, last: bool, refused: str) -> HttpResponse:
    """What ends with a factor, or why it has to stay."""
    app = factor.type == factors.Type.TOTP
    said = [
        _("Its codes sign you in no longer, and its secret is forgotten: an app is set up anew.")
        if app
        else _("It signs you in no longer. Your device may keep it: remove it there too.")
    ]
    if last:
        said.append(
            _(
                "It is your only second factor: your password alone opens your account then, and your recovery codes"
                " go with it."
            )
        )
    title = (
        _("Remove the authenticator app?")
        if app
        else _("Remove the passkey %(name)s?") % {"name": factor.wrap().name}
    )
    return sure(
        request, title, *([refused] if refused else said), button=_("Remove"), refused=bool(refused),
        back=(reverse("accounts:security"), _("Sign-in and sessions")),
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own", confirmed=True)
def new_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes, in this answer alone; the older ones stop working."""
    user = user_of(request)
    if not factors.of(user).second:
        return _back()
    if request.method != "POST":
        return render(request, "accounts/codes.html", {"codes": None})
    return _codes_page(request)


@require_POST
@requires("account.own")
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Ends one session, or with ``others`` all but this one."""
    user, here = user_of(request), request.session.session_key
    rows = list(WebSession.objects.filter(user=user))
    if "others" not in request.POST:
        rows = [row for row in rows if sessions.handle(row) == request.POST.get("session")]
    with transaction.atomic():
        count = sessions.end(rows, but=here)
        if count:
            _line(request, "session.end", count=count)
    said = _("Signed out there") if count == 1 else _("%(count)s sessions are ended") % {"count": count}
    messages.success(request, said, extra_tags="ok")
    return _back()


def device(agent: str) -> str:
    """What a browser says of itself, in two words."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or agent[:40] or _("Unknown device")


def security_page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    """The page of it all, perhaps with a form that was not valid."""
    user = user_of(request)
    here = request.session.session_key
    seen = [
        Seen(row, sessions.handle(row), device(row.agent), row.session_id == here)
        for row in sessions.of(user)
    ]
    shown = {
        "password_form": PasswordForm(user) if user.has_usable_password() else None,
        "have": factors.of(user),
        "demanded": factors.demanded(user),
        "sessions": sorted(seen, key=lambda one: not one.here),
        "sso": settings.OIDC and settings.OIDC["name"],
        "sso_linked": sso.linked(user) if settings.OIDC else None,
        "idle_minutes": settings.IDLE_MINUTES,
        "session_hours": settings.SESSION_HOURS,
    }
    return render(request, "accounts/security.html", shown | context, status=status)


def _added(request: HttpRequest, kind: str, said: str, name: str = "") -> HttpResponse:
    """A new factor is there: with the first one come recovery codes."""
    _line(request, "factor.add", kind=kind, **({"passkey": name} if name else {}))
    messages.success(request, said, extra_tags="ok")
    return _codes_page(request) if factors.of(user_of(request)).codes is None else _back()


def _codes_page(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        codes = factors.new_codes(user_of(request))
        _line(request, "factor.codes")
    return render(request, "accounts/codes.html", {"codes": codes})


def _line(request: HttpRequest, verb: str, **detail: Any) -> None:
    audit.about(verb, actor_of(request), user_of(request), **detail)


def _back() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("accounts:security"))
