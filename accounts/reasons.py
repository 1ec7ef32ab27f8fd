"""Why somebody may not: the same answer for pages, REST and the admin. And what somebody may, by what."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from accounts.access import GRANTS, NAMES, PERMISSIONS, SITE, Actor, Denied, can, granted, rank
from accounts.models import Role, Team, User

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


def effective(actor: Actor, team: Team) -> list[dict[str, Any]]:
    """What the actor may in a team: ``{"noun", "may": [(verb, by)], "not": [(verb, needed)]}`` for each kind of thing.

    ``by`` is the role that has it, ``a grant``, or ``site administrator``.
    """
    found: dict[str, dict[str, Any]] = {}
    for permission, (need, _scope) in PERMISSIONS.items():
        noun, _dot, verb = permission.partition(".")
        row = found.setdefault(noun, {"noun": noun, "may": [], "not": []})
        words = verb.replace("_", " ")
        if not can(actor, permission, team):
            row["not"].append((words, NAMES[need]))
        elif rank(actor, team.pk) < need and permission in GRANTS and granted(actor, permission, team.pk):
            row["may"].append((words, "a grant"))
        else:
            row["may"].append((words, NAMES[need]))
    return sorted(found.values(), key=lambda row: str(row["noun"]))
