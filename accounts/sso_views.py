"""Pages of single sign-on. What the template gets: ``sso_go.html`` to (where the browser goes on to), name."""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, sso
from accounts.access import PUBLIC, actor_of, address_of, requires
from accounts.pages import safe_next, sure, user_of

log = logging.getLogger(__name__)


@require_POST
@never_cache
@requires(PUBLIC)
def sign_in(request: HttpRequest) -> HttpResponse:
    """To the provider, to sign in."""
    return _go(request, "login", safe_next(request))


@require_POST
@never_cache
@requires("account.own", confirmed=True)
def link(request: HttpRequest) -> HttpResponse:
    """To the provider, to link one's account there with the one here."""
    return _go(request, "connect", reverse("accounts:security"))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("account.own", confirmed=True)
def unlink(request: HttpRequest) -> HttpResponse:
    """Asks; from then on the account there opens nothing here."""
    user = user_of(request)
    if request.method != "POST":
        if not settings.OIDC:
            raise Http404
        name = settings.OIDC["name"]
        return sure(
            request, _("Unlink %(name)s?") % {"name": name},
            _("Your account there signs you in here no longer, and what its groups gave you here ends."),
            button=_("Unlink"), back=(reverse("accounts:security"), _("Sign-in and sessions")),
        )  # fmt: skip
    with transaction.atomic():
        if sso.unlink(user, address_of(request)):
            audit.about("auth.unlink", actor_of(request), user)
            messages.success(request, _("Unlinked"), extra_tags="ok")
        else:
            messages.error(request, _("You have no password to sign in with instead."), extra_tags="bad")
    return HttpResponseRedirect(reverse("accounts:security"))


@require_safe
@never_cache
@requires(PUBLIC)
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider."""
    if not settings.OIDC:
        raise Http404
    return sso.callback(request)


def _go(request: HttpRequest, process: str, to: str) -> HttpResponse:
    if not settings.OIDC:
        raise Http404
    try:
        away = sso.begin(request, process, to)
    except OSError:
        log.exception("The provider of single sign-on does not answer")
        messages.error(
            request,
            _("%(name)s does not answer. Try again later.") % {"name": settings.OIDC["name"]},
            extra_tags="bad",
        )
        return HttpResponseRedirect(
            reverse("accounts:security" if request.user.is_authenticated else "accounts:login")
        )
    # A page that goes on by itself: the policy lets forms lead nowhere but here, redirections included.
    return render(request, "accounts/sso_go.html", {"to": away, "name": settings.OIDC["name"]})
