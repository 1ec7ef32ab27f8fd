"""How REST knows who calls, and that each address says what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts import audit, limits, sessions
from accounts.access import (
    PUBLIC,
    SIGNED_IN,
    Actor,
    Denied,
    Unconfirmed,
    actor_of,
    address_of,
    person,
    why_not,
)
from accounts.models import User
from accounts.permissions import CONFIRMED
from accounts.tokens import actor_from_bearer

if TYPE_CHECKING:  # DRF loads this module while it makes its own view class
    from rest_framework.views import APIView

# A credential in an address ends up in logs, histories and referrers: refused even where it would be right.
_NEVER_IN_QUERY = ("token", "api_key", "access_token")


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer slp_….…``. Where the header is there, it alone counts: cookies are not looked at."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        if any(name in request.query_params for name in _NEVER_IN_QUERY):
            raise AuthenticationFailed(
                _("Credentials in the address are not accepted: use the Authorization header.")
            )
        header = request.headers.get("Authorization")
        if header is None:
            return None
        ip = address_of(request)
        actor = actor_from_bearer(header, ip=ip)
        if actor is None or actor.user is None:
            self._failed(ip)
            raise AuthenticationFailed(_("This token is not valid."))
        _set_actor(request, actor)
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="slipway"'

    def _failed(self, ip: str | None) -> None:
        try:
            # Counted apart from passwords: a script with an old token must not keep its machine's people out.
            attempt = limits.begin("", f"token:{ip}"[:45] if ip else None)
        except limits.TooMany as error:
            raise Throttled(wait=error.retry_after) from None
        if limits.last_one(attempt):
            audit.record(
                "auth.locked", Actor(user=None, source="api", ip=ip), outcome="denied", name="anonymous"
            )


class BrowserSession(SessionAuthentication):
    """The browser's session, with its CSRF token on everything that changes something."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        actor = person(found[0], source="api", ip=address_of(request))
        if actor.user is None:
            return None
        _set_actor(request, actor)
        return actor.user, actor


class Declared(BasePermission):
    """What the view's ``permission`` says: a name of the permission table, ``PUBLIC``, ``SIGNED_IN``, or a dict
    from method to one of these. A view that says nothing is closed to everybody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = request.method or ""
        handled = method != "OPTIONS" and hasattr(view, method.lower())
        needed = permission_of(view, method) if handled else SIGNED_IN  # then 405
        if needed is None:
            raise Denied("This address declares no permission.")
        if needed == PUBLIC:
            return True
        if not request.user:
            return False
        reason = None if needed == SIGNED_IN else why_not(actor_of(request), needed)
        if reason:
            raise Denied(reason, needed, getattr(view, "kwargs", {}).get("pk", ""))
        confirmed = needed in CONFIRMED or method in getattr(view, "confirmed", ())
        if confirmed and method not in SAFE_METHODS and not actor_of(request).token_key:
            plain: HttpRequest = request._request
            if not sessions.fresh(plain.session):
                raise Unconfirmed(_("Confirm first that it is you: /account/confirm/"))
        return True


def permission_of(view: Any, method: str) -> str | None:
    """The permission that a view, or its class, declares for a method; ``HEAD`` is a ``GET``."""
    declared = getattr(view, "permission", None)
    if isinstance(declared, dict):
        return declared.get("GET" if method == "HEAD" else method)
    return declared


def was_denied(request: Request, permission: str, target: object = "") -> None:
    """A refusal leaves its line, like a change does."""
    audit.record(
        permission, actor_of(request), outcome="denied", target_id=target, detail={"path": request.path}
    )


def _set_actor(request: Request, actor: Actor) -> None:
    # On Django's own request, so that everything below finds the same actor, whichever of the two it holds.
    plain: HttpRequest = request._request
    plain.slipway_actor = actor  # type: ignore[attr-defined]
