"""Small pieces of the request's way that belong to no app."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from uuid import uuid4

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.gzip import GZipMiddleware
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from structlog.contextvars import bound_contextvars

from accounts import factors, reading, sessions
from accounts.access import Denied, confirm_first
from accounts.pages import user_of
from accounts.setup import setup_needed
from dashboard import problems, turned

GetResponse = Callable[[HttpRequest], HttpResponse]
_COMPRESSED = ("text/html", "application/json")
_OPEN = ("/static/", "/healthz", "/readyz", "/metrics", "/setup/", "/api")
_ADMIN_FORMS = ("/add/", "/change/", "/delete/", "/password/")
_ADMIN_DOORS = ("/login/", "/logout/")
_ENROLLING = (
    "/account/security/",
    "/account/app/",
    "/account/passkeys/",
    "/account/codes/",
    "/account/confirm/",
)
_PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class ClientAddress:
    """Behind a proxy of ours, the address is the last hop that we do not run; else the header is not believed."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        if forwarded and _trusted(request.META.get("REMOTE_ADDR", "")):
            for hop in reversed([part.strip() for part in forwarded.split(",")]):
                if not _is_address(hop):
                    break
                request.META["REMOTE_ADDR"] = hop
                if not _trusted(hop):
                    break
        return self.get_response(request)


class RequestId:
    """Gives each request a name, which stands in its answer, in each line of the log and of the audit trail."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = uuid4().hex
        with bound_contextvars(request=name):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = name
        return response


class Compressed(GZipMiddleware):
    """Pages and JSON go out compressed, with a length that tells nothing of what is in them (BREACH).

    Files are compressed when they are built, and what streams must not wait for more of it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The response, smaller where that is worth it."""
        if response.streaming or not response.headers.get("Content-Type", "").startswith(_COMPRESSED):
            return response
        return super().process_response(request, response)


class Headers:
    """What every answer carries beside Django's own headers; what somebody signed in for is kept in no cache."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not request.path.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class Turned:
    """Text that turns itself around is shown as it is written, in every page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.streaming and response.headers.get("Content-Type", "").startswith("text/html"):
            html = response.content.decode(response.charset)
            plain = turned.plain(html)
            if plain is not html:
                response.content = plain
        return response


class SessionClock:
    """Ends a session that was not used for too long, or is too old, before anything looks at who it was."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            if sessions.alive(request.session):
                sessions.touch(request)
            else:
                logout(request)
        return self.get_response(request)


class Reader:
    """Answers in the reader's language, and pages by the reader's clock: see `accounts.reading`.

    REST gives all times in UTC. What runs outside of a request (worker, gateway, commands, streams) has no reader,
    and speaks English.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated
        user = user_of(request) if signed_in and "Authorization" not in request.headers else None
        language = reading.language_of(request, user)
        zone = None if request.path.startswith("/api/") else reading.zone_of(request, user)
        with translation.override(language), timezone.override(zone):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


def in_admin(path: str) -> bool:
    """Whether this is a page of the admin, wherever the site has put it."""
    return bool(settings.ADMIN_PATH) and path.startswith(f"/{settings.ADMIN_PATH}/")


class AdminConfirms:
    """In the admin a session shows again who it is before it opens a form, or sends one. See `accounts.access`."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path
        inside = in_admin(path) and path.removeprefix(f"/{settings.ADMIN_PATH}") not in _ADMIN_DOORS
        if inside and request.user.is_authenticated:
            form = request.method not in ("GET", "HEAD") or path.endswith(_ADMIN_FORMS)
            if form and not sessions.fresh(request.session):
                return confirm_first(request)
        return self.get_response(request)


class SecondFactorFirst:
    """Who must have a second factor and has none gets nothing but the pages that add it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECOND_FACTOR == "nobody" or not request.user.is_authenticated:
            return self.get_response(request)
        path = request.path
        if path.startswith(_ENROLLING) or path == "/logout/" or not factors.missing(user_of(request)):
            return self.get_response(request)
        if path.startswith("/api/"):
            if "Authorization" in request.headers:  # a token, which counts alone
                return self.get_response(request)
            return problems.plain(
                request, 403, "second_factor_required", _("Add a second factor first: /account/security/")
            )
        if in_admin(path):
            raise Denied(_("Add a second factor first: see your account."))
        there = reverse("accounts:security")
        if "HX-Request" in request.headers:
            return HttpResponse(status=403, headers={"HX-Redirect": there})
        return HttpResponseRedirect(there)


class SetupFirst:
    """Sends every page to the set-up while there is no user yet."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(_OPEN) and setup_needed():
            return HttpResponseRedirect(reverse("accounts:setup"))
        return self.get_response(request)


class SyncLast:
    """Does nothing, on purpose: sync-only and innermost, so that the whole chain above runs in one thread hop."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)


@cache
def _networks(proxies: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(proxy, strict=False) for proxy in proxies)


def _trusted(address: str) -> bool:
    if not settings.TRUSTED_PROXIES or not _is_address(address):
        return False
    return any(ip_address(address) in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
