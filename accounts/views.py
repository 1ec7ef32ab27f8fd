"""Pages of accounts: set-up, sign-in, one's own account.

What the templates get: ``accounts/setup.html`` form (``None`` where the link is wrong), token; ``login.html``
form, next, locked (seconds, or ``None``); ``profile.html`` tokens, token_form, password_form, secret (a new
token's text, shown this once), roles.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, limits, sessions, setup, tokens
from accounts.access import PUBLIC, Actor, Denied, actor_of, address_of, requires
from accounts.forms import PasswordForm, SetUpForm, SignInForm, TokenForm
from accounts.models import ApiToken, User


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def set_up(request: HttpRequest) -> HttpResponse:
    """Makes the first administrator, for whoever has the link that the server printed. Then gone for good."""
    if not setup.setup_needed():
        raise Http404
    token = request.POST.get("token") or request.GET.get("token", "")
    if not setup.link_is_right(token):
        return _set_up_page(request, None, "", 403)
    form = SetUpForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _set_up_page(request, form, token, 200)
    try:
        user = setup.set_up(
            username=form.cleaned_data["username"],
            password=form.cleaned_data["password"],
            ip=address_of(request),
        )
    except setup.AlreadySetUp:
        return _set_up_page(request, None, "", 409)
    _begin_session(request, user)
    return HttpResponseRedirect("/")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def sign_in(request: HttpRequest) -> HttpResponse:
    """Unknown, wrong and disabled look the same, and take as long; too many tries are refused for a while."""
    to = _safe_next(request)
    if request.user.is_authenticated:
        return HttpResponseRedirect(to)
    form = SignInForm(request, data=request.POST if request.method == "POST" else None)
    context = {"form": form, "next": to, "locked": None}
    if request.method != "POST":
        return render(request, "accounts/login.html", context)
    name, ip = request.POST.get("username", "").strip(), address_of(request)
    try:
        attempt = limits.begin(name, ip)
    except limits.TooMany as error:
        context |= {"form": SignInForm(request), "locked": error.retry_after}
        answer = render(request, "accounts/login.html", context, status=429)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    if not form.is_valid():
        _sign_in_failed(name, ip, locked=limits.last_one(attempt))
        return render(request, "accounts/login.html", context)
    limits.succeeded(attempt)
    with transaction.atomic():
        _begin_session(request, form.get_user())
        audit.record("auth.login", actor_of(request))
    return HttpResponseRedirect(to)


@require_POST
@requires(PUBLIC)
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session."""
    with transaction.atomic():
        if request.user.is_authenticated:
            audit.record("auth.logout", actor_of(request))
        logout(request)
    return HttpResponseRedirect(reverse("accounts:login"))


@requires(PUBLIC)
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The admin's sign-in is ours; who has signed in and may not enter is told so."""
    if request.user.is_authenticated:
        raise Denied("The admin is for staff.")
    return redirect_to_login(request.GET.get("next", "/admin/"))


@requires("account.own")
def admin_password(request: HttpRequest) -> HttpResponse:
    """The admin's page for it is ours too."""
    return HttpResponseRedirect(reverse("accounts:profile"))


@require_safe
@never_cache
@requires("account.own")
def profile(request: HttpRequest) -> HttpResponse:
    """One's own account: roles, password, tokens."""
    return _profile_page(request)


@sensitive_post_parameters()
@require_POST
@requires("account.own")
def change_password(request: HttpRequest) -> HttpResponse:
    """A new password. Every other session of this person ends; this one gets a new key."""
    user = _user(request)
    form = PasswordForm(user, request.POST)
    try:
        attempt = limits.begin(f"password:{user.pk}", address_of(request))
    except limits.TooMany as error:
        form.add_error(None, "Too many tries. Try again later.")
        answer = _profile_page(request, password_form=form, status=429)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    if not form.is_valid():
        return _profile_page(request, password_form=form)
    limits.succeeded(attempt)
    with transaction.atomic():
        user.set_password(form.cleaned_data["new"])
        user.save(update_fields=["password"])
        audit.record(
            "auth.password",
            actor_of(request),
            target_type="user",
            target_id=user.pk,
            target_name=user.username,
        )
    update_session_auth_hash(request, user)
    messages.success(request, "Your password is changed. Other browsers are signed out.", extra_tags="ok")
    return HttpResponseRedirect(reverse("accounts:profile"))


@require_POST
@never_cache
@requires("token.own")
def create_token(request: HttpRequest) -> HttpResponse:
    """A new token. Its text is in this answer alone, which no cache keeps."""
    actor = actor_of(request)
    form = TokenForm(actor, request.POST)
    if not form.is_valid():
        return _profile_page(request, token_form=form)
    with transaction.atomic():
        made, secret = tokens.make(
            _user(request),
            form.cleaned_data["name"],
            form.scopes(),
            lasts=timedelta(days=int(form.cleaned_data["lasts"])),
            team=form.cleaned_data["team"],
        )
        audit.record("token.create", actor, target_type="token", target_id=made.pk, target_name=made.name)
    return _profile_page(request, secret=secret)


@require_POST
@requires("token.own")
def revoke_token(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ends a token at once."""
    token = get_object_or_404(ApiToken, pk=pk, user=_user(request))
    with transaction.atomic():
        if tokens.revoke(token):
            audit.record(
                "token.revoke",
                actor_of(request),
                target_type="token",
                target_id=token.pk,
                target_name=token.name,
            )
    messages.success(request, f"Revoked {token.name}", extra_tags="ok")
    return HttpResponseRedirect(reverse("accounts:profile"))


def _set_up_page(request: HttpRequest, form: SetUpForm | None, token: str, status: int) -> HttpResponse:
    answer = render(request, "accounts/setup.html", {"form": form, "token": token}, status=status)
    # The address holds the one-time secret, so nobody is told it. With "no-referrer" a browser would send
    # ``Origin: null`` along with the form, which the check against foreign pages refuses.
    answer["Referrer-Policy"] = "strict-origin"
    return answer


def _profile_page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    user = _user(request)
    usable = ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())
    shown = {
        "tokens": usable.select_related("team"),
        "roles": user.memberships.select_related("team").order_by("team__name"),
        "token_form": TokenForm(actor_of(request)),
        "password_form": PasswordForm(user),
        "secret": "",
    }
    return render(request, "accounts/profile.html", shown | context, status=status)


def _begin_session(request: HttpRequest, user: User) -> None:
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    sessions.begin(request.session)


def _sign_in_failed(name: str, ip: str | None, *, locked: bool) -> None:
    """The name as typed is kept only where it is one of ours: it may as well be somebody's password."""
    known = User.objects.filter(username=name).values_list("username", flat=True).first()
    nobody = Actor(user=None, source="ui", ip=ip)
    audit.record("auth.login", nobody, outcome="failed", name=known or "unknown")
    if locked:
        audit.record("auth.locked", nobody, outcome="denied", name=known or "unknown")


def _safe_next(request: HttpRequest) -> str:
    """Where to go on to: an address of ours, else the start."""
    to = request.POST.get("next") or request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(to, {request.get_host()}, require_https=request.is_secure()):
        return to
    return "/"


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - `requires` has looked
    return request.user
