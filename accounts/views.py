"""Pages of accounts: set-up, sign-in, one's own account.

What the templates get: ``accounts/setup.html`` form (``None`` where the link is wrong), token; ``login.html``
form, next, locked (seconds, or ``None``), sso (what it is called, or ``None``); ``profile.html`` tokens, token_form,
fresh (whether one may be made without confirming first), secret (a new token's text, shown this once), roles;
``reading.html`` form, zones, now.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, door, limits, reading, sessions, setup, tokens
from accounts.access import PUBLIC, Actor, Denied, actor_of, address_of, requires
from accounts.forms import ReadingForm, SetUpForm, SignInForm, TokenForm
from accounts.models import ApiToken, User
from accounts.pages import locked_page, safe_next, sure, user_of


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
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect("/")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def sign_in(request: HttpRequest) -> HttpResponse:
    """Unknown, wrong and disabled look the same, and take as long; too many tries are refused for a while."""
    to = safe_next(request)
    if request.user.is_authenticated:
        return HttpResponseRedirect(to)
    form = SignInForm(request, data=request.POST if request.method == "POST" else None)
    context = {"form": form, "next": to, "locked": None, "sso": settings.OIDC and settings.OIDC["name"]}
    if request.method != "POST":
        return render(request, "accounts/login.html", context)
    name, ip = request.POST.get("username", "").strip(), address_of(request)
    try:
        attempt = limits.begin(name and f"name:{name}", ip)
    except limits.TooMany as error:
        return locked_page(request, "accounts/login.html", context | {"form": SignInForm(request)}, error)
    if not form.is_valid():
        _sign_in_failed(name, ip, locked=limits.last_one(attempt))
        return render(request, "accounts/login.html", context)
    limits.succeeded(attempt)
    return door.enter(request, form.get_user(), "password", to)


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
        raise Denied(_("The admin is for staff."))
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


@requires("account.own")
def admin_password(request: HttpRequest) -> HttpResponse:
    """The admin's page for it is ours too."""
    return HttpResponseRedirect(reverse("accounts:security"))


@require_safe
@never_cache
@requires("account.own")
def profile(request: HttpRequest) -> HttpResponse:
    """One's own account: roles and tokens."""
    return _profile_page(request)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("account.own")
def reading_page(request: HttpRequest) -> HttpResponse:
    """Language and time zone of one's pages; it counts from the next page on."""
    user = user_of(request)
    form = ReadingForm(request.POST if request.method == "POST" else None, instance=user)
    if request.method == "POST" and form.is_valid():
        user.save(update_fields=["language", "zone"])
        with translation.override(reading.language_of(request, user)):
            messages.success(request, _("Saved"), extra_tags="ok")
        answer = HttpResponseRedirect(reverse("accounts:reading"))
        reading.remember(answer, user.language)
        return answer
    context = {"form": form, "zones": reading.zones(), "now": timezone.now()}
    return render(request, "accounts/reading.html", context)


@require_POST
@never_cache
@requires("token.own", confirmed=True)
def create_token(request: HttpRequest) -> HttpResponse:
    """A new token. Its text is in this answer alone, which no cache keeps."""
    actor = actor_of(request)
    form = TokenForm(actor, request.POST)
    if not form.is_valid():
        return _profile_page(request, token_form=form)
    with transaction.atomic():
        made, secret = tokens.make(
            user_of(request),
            form.cleaned_data["name"],
            form.scopes(),
            lasts=timedelta(days=int(form.cleaned_data["lasts"])),
            **{name: form.cleaned_data[name] for name in ("team", "networks", "rate")},
        )
        audit.record("token.create", actor, target_type="token", target_id=made.pk, target_name=made.name)
    return _profile_page(request, secret=secret)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("token.own", confirmed=True)
def rotate_token(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks, then makes a new secret, shown in this answer alone; the old one opens nothing from now on."""
    token = get_object_or_404(ApiToken, pk=pk, user=user_of(request))
    if request.method != "POST":
        return sure(
            request, _("Rotate %(name)s?") % {"name": token.name},
            _("It gets a new secret, shown once. What uses the old one is refused until it has the new one."),
            button=_("Rotate token"), back=(reverse("accounts:profile"), _("Your account")),
        )  # fmt: skip
    with transaction.atomic():
        secret = tokens.rotate(token, renewed=True)
        if secret:
            audit.record(
                "token.rotate",
                actor_of(request),
                target_type="token",
                target_id=token.pk,
                target_name=token.name,
            )
    return _profile_page(request, secret=secret or "")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("token.own")
def revoke_token(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks, then ends a token at once."""
    token = get_object_or_404(ApiToken, pk=pk, user=user_of(request))
    if request.method != "POST":
        return sure(
            request, _("Revoke %(name)s?") % {"name": token.name},
            _("What uses it is refused at once, and nothing brings it back: another token has another secret."),
            button=_("Revoke token"), back=(reverse("accounts:profile"), _("Your account")),
        )  # fmt: skip
    with transaction.atomic():
        if tokens.revoke(token):
            audit.record(
                "token.revoke",
                actor_of(request),
                target_type="token",
                target_id=token.pk,
                target_name=token.name,
            )
    messages.success(request, _("Revoked %(name)s") % {"name": token.name}, extra_tags="ok")
    return HttpResponseRedirect(reverse("accounts:profile"))


def _set_up_page(request: HttpRequest, form: SetUpForm | None, token: str, status: int) -> HttpResponse:
    answer = render(request, "accounts/setup.html", {"form": form, "token": token}, status=status)
    # The address holds the one-time secret, so nobody is told it. With "no-referrer" a browser would send
    # ``Origin: null`` along with the form, which the check against foreign pages refuses.
    answer["Referrer-Policy"] = "strict-origin"
    return answer


def _profile_page(request: HttpRequest, **context: Any) -> HttpResponse:
    user = user_of(request)
    usable = ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())
    shown = {
        "tokens": usable.select_related("team"),
        "roles": user.memberships.select_related("team", "permission_set").order_by("team__name"),
        "token_form": TokenForm(actor_of(request)),
        "fresh": sessions.fresh(request.session),
        "secret": "",
    }
    return render(request, "accounts/profile.html", shown | context)


def _sign_in_failed(name: str, ip: str | None, *, locked: bool) -> None:
    """The name as typed is kept only where it is one of ours: it may as well be somebody's password."""
    known = User.objects.filter(username=name).values_list("username", flat=True).first()
    nobody = Actor(user=None, source="ui", ip=ip)
    audit.record("auth.login", nobody, outcome="failed", name=known or "unknown")
    if locked:
        audit.record("auth.locked", nobody, outcome="denied", name=known or "unknown")
