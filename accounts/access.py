"""What anybody may do: one table (`accounts.permissions`), one question, default deny.

Every page, REST call, socket message, admin action and the worker itself asks `can` or `require` here.
Reads start from ``visible_to(actor)`` of `accounts.querysets`: what is not visible does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import lacking
from accounts.models import Membership, Role, Team, User
from accounts.permissions import (
    ADMIN,
    CONFIRMED,
    GRANTS,
    NAMES,
    OPERATOR,
    PERMISSIONS,
    SCOPES,
    SITE,
    VIEWER,
)

RANKS: dict[str, int] = {
    Role.VIEWER: VIEWER, Role.OPERATOR: OPERATOR, Role.ADMIN: ADMIN,
    Role.CUSTOM: VIEWER,  # in the team, and what else their set says
}  # fmt: skip

# What a view may declare instead of a permission of the table.
PUBLIC = "public"
SIGNED_IN = "signed_in"


class Owned(Protocol):
    """Anything with a team column."""

    @property
    def team_id(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and by what door. A token's rights are its scopes ∩ its owner's current rights.

    ``user`` ``None`` is the system itself (``source="system"``), which may everything.
    """

    user: User | None
    source: str = "ui"
    scopes: frozenset[str] | None = None
    token_key: str = ""
    token_team_id: Any = None
    token_rate: int | None = None
    ip: str | None = None

    @property
    def name(self) -> str:
        """What the audit trail shows."""
        return self.user.username if self.user else "system"

    @property
    def is_site_admin(self) -> bool:
        """Whether the whole site is theirs (within the token's scopes)."""
        if self.user is None:
            return self.source == "system"
        return bool(self.user.is_active and self.user.is_superuser)


SYSTEM = Actor(user=None, source="system")

F = TypeVar("F", bound=Callable[..., HttpResponseBase])


class Reason(str):
    """The sentence of a refusal, and what it is made of: the permission, the role or scope that has it, one's own.

    ``team_id`` is of the team whose thing it is; ``None`` where it is about no thing, or nobody's.
    """

    __slots__ = ("english", "needed", "rule", "team_id", "yours")

    english: str  # for the audit trail, which is read by several

    rule: str
    needed: str
    yours: str
    team_id: Any


def _reason(text: str, rule: str, lack: lacking.Lack = lacking.NOTHING, team_id: Any = None) -> Reason:
    found = Reason(text)
    found.rule, found.needed, found.yours, found.team_id = rule, lack.needed, lack.yours, team_id
    found.english = lack.english() if lack is not lacking.NOTHING else str(text)
    return found


def english(error: Exception) -> str:
    """What a refusal says, as it is kept."""
    return error.reason.english if isinstance(error, Denied) else str(error)


class Denied(PermissionDenied):
    """Not allowed; the message names the role or scope that is missing. ``noted``: the trail has it already."""

    code = "permission_denied"
    noted = False

    def __init__(self, message: str, permission: str = "", target: object = "") -> None:
        super().__init__(message)
        self.reason = message if isinstance(message, Reason) else _reason(message, permission)
        self.permission, self.target = permission, target


class Unconfirmed(Denied):
    """Allowed, once they have shown again who they are: a session, ten minutes after the last time."""

    code = "reauth_required"


def rank(actor: Actor, team_id: Any) -> int:
    """The actor's role in that team as a number, 0 for none, `SITE` for site administrators.

    What nobody owns (``team_id`` ``None``) belongs to site administrators alone.
    """
    if actor.is_site_admin and actor.token_team_id is None:
        return SITE
    if actor.user is None or not actor.user.is_active or team_id is None:
        return 0
    if actor.token_team_id is not None and actor.token_team_id != team_id:
        return 0
    if actor.is_site_admin:
        return SITE
    return _ranks(actor).get(team_id, 0)


def _ranks(actor: Actor) -> dict[Any, int]:
    assert actor.user is not None  # noqa: S101 - callers have looked
    return {m.team_id: RANKS[m.role] for m in actor.user.memberships.all()}


def best_rank(actor: Actor) -> int:
    """The strongest role anywhere: what decides whether a button or a form is offered at all."""
    if actor.is_site_admin and actor.token_team_id is None:
        return SITE
    if actor.user is None or not actor.user.is_active:
        return 0
    return max((rank(actor, team_id) for team_id in _ranks(actor)), default=0)


def has(member: Membership, permission: str) -> bool:
    """Whether somebody has this in their team by their permission set alone, or by their role and its grants."""
    if member.permission_set is not None:
        return permission in member.permission_set.allowed
    have = RANKS[member.role]
    column, weakest = GRANTS.get(permission, ("", SITE))
    return have >= PERMISSIONS[permission][0] or (have >= weakest and getattr(member, column))


def all_of(member: Membership) -> frozenset[str]:
    """All that somebody has by this membership."""
    return frozenset(name for name in PERMISSIONS if has(member, name))


def held(actor: Actor, team_id: Any) -> frozenset[str]:
    """All that the actor may in a team, whatever their token's scopes are."""
    return frozenset(name for name in PERMISSIONS if _holds(actor, name, team_id))


def _holds(actor: Actor, permission: str, team_id: Any) -> bool:
    have = rank(actor, team_id)
    if have == SITE or actor.user is None:
        return have == SITE
    return have > 0 and any(has(m, permission) for m in _in(actor) if m.team_id == team_id)


def _holds_anywhere(actor: Actor, permission: str) -> bool:
    """Who is in no team may ask to see: `visible_to` then answers with what is theirs, which is nothing."""
    mine = [m for m in _in(actor) if rank(actor, m.team_id)]
    if best_rank(actor) == SITE or any(has(m, permission) for m in mine):
        return True
    return not mine and PERMISSIONS[permission][0] == VIEWER


def _in(actor: Actor) -> list[Membership]:
    return list(actor.user.memberships.all()) if actor.user else []


def why_not(actor: Actor, permission: str, obj: Owned | Team | None = None) -> Reason | None:
    """``None`` where it is allowed, else one sentence that names the missing role or scope, and one's own.

    ``obj`` is a row with a team, a team itself, or ``None`` for "anywhere at all".
    """
    if lack := _lack(actor, permission, obj):
        return _reason(lack.told(), permission, lack, None if lack.scopes else _team(obj))
    return None


def _lack(actor: Actor, permission: str, obj: Owned | Team | None) -> lacking.Lack | None:
    if actor.source == "system" and actor.user is None:
        return None
    if permission not in PERMISSIONS:
        raise LookupError(f"undeclared permission {permission!r}")
    if actor.user is None or not actor.user.is_active:
        return lacking.Lack(sign_in=True)
    scope = PERMISSIONS[permission][1]
    if actor.scopes is not None and actor.scopes.isdisjoint(SCOPES[SCOPES.index(scope) :]):
        return lacking.Lack(scope, ", ".join(name for name in SCOPES if name in actor.scopes), scopes=True)
    team_id = _team(obj)
    if _holds_anywhere(actor, permission) if obj is None else _holds(actor, permission, team_id):
        return None
    have = best_rank(actor) if obj is None else rank(actor, team_id)
    need = PERMISSIONS[permission][0]
    sets = [m.permission_set for m in _in(actor) if m.permission_set and team_id in (None, m.team_id)]
    if sets and have == VIEWER and need < SITE:
        return lacking.Lack(NAMES[need], sets[0].name, permission=permission)
    return lacking.Lack(NAMES[need], NAMES[have], there=obj is not None, grant=permission in GRANTS)


def _team(obj: Owned | Team | None) -> Any:
    return obj.pk if isinstance(obj, Team) else obj.team_id if obj is not None else None


@dataclass(frozen=True, slots=True)
class Owner:
    """Stands for an object that does not exist yet: it will be this team's, or nobody's."""

    team_id: UUID | None


def can(actor: Actor, permission: str, obj: Owned | Team | None = None) -> bool:
    """Whether the actor may; see `why_not`."""
    return _lack(actor, permission, obj) is None


def require(actor: Actor, permission: str, obj: Owned | Team | None = None) -> None:
    """Raises `Denied` with the sentence of `why_not`. Whoever may not even see ``obj`` gets `Http404`."""
    reason = why_not(actor, permission, obj)
    if reason is None:
        return
    if obj is not None and rank(actor, obj.pk if isinstance(obj, Team) else obj.team_id) == 0:
        raise Http404(_("No such object."))
    raise Denied(reason, permission)


def actor_of(request: HttpRequest) -> Actor:
    """The actor of a request: set by token authentication, else the session's user."""
    actor = getattr(request, "slipway_actor", None)
    if isinstance(actor, Actor):
        return actor
    user = getattr(request, "user", None)
    return person(user, source="ui", ip=address_of(request))


def person(user: object, *, source: str, ip: str | None = None) -> Actor:
    """A signed-in person as an actor, their roles read once; for nobody, an actor who may nothing."""
    if not isinstance(user, User):
        return Actor(user=None, source=source, ip=ip)
    prefetch_related_objects([user], "memberships")
    return Actor(user=user, source=source, ip=ip)


def address_of(request: HttpRequest) -> str | None:
    """Where the request came from, ``None`` for a unix socket. Trusted proxies are already looked through."""
    return request.META.get("REMOTE_ADDR") or None


def requires(permission: str, *, confirmed: bool = False) -> Callable[[F], F]:
    """Declares what a page needs and checks the part that needs no object. Anonymous people go to sign-in.

    ``confirmed``: only for who has shown within the last ten minutes who they are; so is what `CONFIRMED` names.
    """

    def wrap(view: F) -> F:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            from accounts import sessions

            if permission != PUBLIC:
                if not request.user.is_authenticated:
                    return _sign_in_first(request)
                if permission != SIGNED_IN:
                    reason = why_not(actor_of(request), permission)
                    if reason:
                        error = Denied(reason, permission)
                        note(request, error)
                        raise error
                if (confirmed or permission in CONFIRMED) and not sessions.fresh(request.session):
                    return confirm_first(request)
            try:
                return view(request, *args, **kwargs)
            except Denied as error:
                note(request, error)
                raise

        inner.permission = permission  # type: ignore[attr-defined]
        return inner  # type: ignore[return-value]

    return wrap


def note(request: HttpRequest, error: Denied) -> None:
    """A refusal leaves its line, like a change does; once, whoever comes across it."""
    from accounts import audit

    if error.permission and not error.noted:
        audit.record(
            error.permission, actor_of(request), outcome="denied", target_id=error.target,
            detail={"path": request.path},
        )  # fmt: skip
        error.noted = True


def _sign_in_first(request: HttpRequest) -> HttpResponseBase:
    """To the sign-in and back. A part of a page that asks for itself takes the whole page there."""
    from django.contrib.auth.views import redirect_to_login

    if "HX-Request" not in request.headers:
        return redirect_to_login(request.get_full_path())
    page = urlsplit(request.headers.get("HX-Current-URL", "/"))
    there = redirect_to_login(f"{page.path}?{page.query}" if page.query else page.path)
    return HttpResponse(status=401, headers={"HX-Redirect": there.url})


def confirm_first(request: HttpRequest) -> HttpResponseBase:
    """To the page that asks for the password again, and back; after a form that was sent, to the page it was on."""
    to = request.get_full_path()
    if request.method not in ("GET", "HEAD"):
        page = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", "/"))
        to = f"{page.path}?{page.query}" if page.query else page.path
    there = f"{reverse('accounts:confirm')}?{urlencode({'next': to})}"
    # A dialog follows a redirection with the whole page; htmx would put it where the answer goes.
    if "HX-Request" in request.headers and request.headers.get("HX-Target") != "dialog":
        return HttpResponse(status=403, headers={"HX-Redirect": there})
    return HttpResponseRedirect(there)
