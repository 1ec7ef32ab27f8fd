"""Why somebody may not: the same answer for pages, REST and the admin. And what somebody may, by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.access import RANKS, Actor, Denied, can, rank
from accounts.models import Membership, Role, Team, User
from accounts.permission_texts import AREAS
from accounts.permissions import NAMES, PERMISSIONS, SITE

MOST_NAMES = 3


def told(error: Denied, actor: Actor) -> dict[str, Any]:
    """``rule`` is the permission, ``needed`` the role or scope that has it, ``yours`` one's own, ``who`` names of those
    who can do it or give it; what is not known is left out."""
    reason = error.reason
    found = {"rule": reason.rule, "needed": reason.needed, "yours": reason.yours, "who": who(error, actor)}
    return {key: value for key, value in found.items() if value}


def who(error: Denied, actor: Actor) -> list[str]:
    """Admins of the team whose thing it is, as far as the reader sees that team; none where it is no role of a team."""
    reason = error.reason
    if not _a_role(reason.needed) or reason.needed == NAMES[SITE] or actor.token_key:
        return []
    if reason.team_id is None or not rank(actor, reason.team_id):
        return []
    admins = User.objects.filter(
        is_active=True, memberships__team=reason.team_id, memberships__role=Role.ADMIN
    ).order_by("username")
    return [user.display_name for user in admins[:MOST_NAMES]]


def sentence(error: Denied, actor: Actor) -> str:
    """The reason, and who can help."""
    text = str(error)
    if names := who(error, actor):
        return _("%(why)s %(names)s can do it, or give it to you.") % {
            "why": text,
            "names": _(" or ").join(names),
        }
    if _a_role(error.reason.needed):
        return _("%(why)s Somebody with that role can do it, or give it to you.") % {"why": text}
    return text


def _a_role(needed: str) -> bool:
    return bool(needed) and needed in NAMES.values()


@dataclass(frozen=True, slots=True)
class Right:
    """A permission as a table shows it. ``by``: the role, grant or set that gives it, else the role that has it."""

    permission: str
    text: Promise
    may: bool
    by: str


def effective(actor: Actor, team: Team) -> list[tuple[Promise, list[Right]]]:
    """All that there is to be allowed, by area, and whether the actor may it in a team, and by what."""
    member = _membership(actor, team)
    return [
        (title, [_right(actor, team, member, permission, text) for permission, text in texts.items()])
        for title, texts in AREAS
    ]


def _right(actor: Actor, team: Team, member: Membership | None, permission: str, text: Promise) -> Right:
    need, may = PERMISSIONS[permission][0], can(actor, permission, team)
    by = translation.gettext(NAMES[need])
    if may and rank(actor, team.pk) == SITE:
        by = translation.gettext(NAMES[SITE])
    elif may and member and member.permission_set:
        by = member.permission_set.name
    elif may and member and RANKS[member.role] < need:
        by = _("a grant")
    return Right(permission, text, may, by)


def _membership(actor: Actor, team: Team) -> Membership | None:
    rows = actor.user.memberships.all() if actor.user else ()
    return next((row for row in rows if row.team_id == team.pk), None)
