"""Groups of the provider of single sign-on, and what they give: a role or a permission set in a team, or the site.

The table is for site administrators, signed in: a token makes nobody an administrator. What a mapping has given follows
it at once when it changes or goes; who is in which group is judged at each sign-in by single sign-on (`judge`).
Somebody is known there by the subject; groups are compared letter by letter, and give what the table says and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from accounts import audit, members
from accounts.access import SYSTEM, Actor, Denied, Owner, all_of, require
from accounts.members import Kept
from accounts.models import GroupMapping, Membership, PermissionSet, Role, Team, User

READ, PERMISSION = "user.read", "team.manage"
GIVES = ("role", "permission_set", "console", "files")
MOST_GROUPS, LONGEST = 5000, 255
"""Nobody is in more groups, and none is called longer: what says so is not believed at all."""


def all_rows() -> QuerySet[GroupMapping]:
    """All of them, by group and team, with what they give."""
    return GroupMapping.objects.select_related("team", "permission_set").order_by("group", "team__name")


def require_change(actor: Actor) -> None:
    """Raises `Denied` for whoever may not change the table."""
    require(actor, PERMISSION, Owner(None))
    if actor.token_key:
        raise Denied(_("A token neither makes team admins nor unmakes them: sign in."), PERMISSION)


def holders(row: GroupMapping) -> list[User]:
    """Whom it has given something that they have still, by name."""
    if row.team_id is None:
        return list(row.site_admins.order_by("username"))
    return [m.user for m in row.memberships.select_related("user").order_by("user__username")]


def save(
    row: GroupMapping,
    *,
    actor: Actor,
    role: Role | None = None,
    permission_set: PermissionSet | None = None,
    console: bool | None = None,
    files: bool | None = None,
    when_gone: str | None = None,
) -> GroupMapping:
    """Makes a mapping, or changes what it gives: its group and team stay. Raises `Denied` or `Kept`; audited.

    Without a team it makes site administrators, and has neither role nor set.
    """
    require_change(actor)
    with transaction.atomic():
        made = row._state.adding
        if row.team is not None:
            given = Membership(team=row.team, **{name: getattr(row, name) for name in GIVES})
            given.role = given.role or Role.VIEWER
            members.change(given, role, members.usable(permission_set, row.team), console, files)
            for name in GIVES:
                setattr(row, name, getattr(given, name))
        elif role or permission_set or console or files:
            raise Kept("conflict", _("A site administrator is one in every team: choose no team, or a role."))
        row.when_gone = when_gone or row.when_gone
        taken = Kept("name_in_use", _("There is a mapping of this group to this team."))
        if made and GroupMapping.objects.filter(group=row.group, team=row.team).exists():
            raise taken
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:  # somebody was faster by a moment
            raise taken from None
        for held in [] if made else row.memberships.select_related("user", "team"):
            members.follow(held.team, held.user, row, actor=actor)
        _line("create" if made else "change", row, actor)
    return row


def remove(row: GroupMapping, *, actor: Actor) -> None:
    """Removes it; what it gave goes or stays as ``when_gone`` says, at once. Raises `Denied`; audited.

    A team's last admin and the last site administrator stay, by hand from now on.
    """
    require_change(actor)
    with transaction.atomic():
        found = GroupMapping.objects.select_for_update().filter(pk=row.pk).first()
        if found is None:
            raise Http404(_("No such object."))
        for held in found.memberships.select_related("user", "team"):
            members.follow(held.team, held.user, None, actor=actor, ends=True)
        for user in found.site_admins.all():
            members.follow_site(user, None, actor=actor, ends=True)
        _line("remove", found, actor)
        found.delete()


def judge(user: User, claims: Mapping[str, Any], *, ip: str | None) -> None:
    """What their groups give them now, and what they gave and give no more. Never raises for what a claim holds.

    What a claim says that cannot be read counts as no group: rights end rather than stay.
    """
    rows = list(all_rows())
    if not rows:
        return
    actor = Actor(user=None, source=SYSTEM.source, ip=ip)
    groups, wrong = groups_of(claims)
    with transaction.atomic():
        if wrong:
            audit.about("auth.groups", actor, user, outcome="failed", reason=wrong)
        _follow(user, [row for row in rows if row.group in groups], actor)


def forget(user: User, *, ip: str | None) -> None:
    """They are no longer linked: nothing tells their groups any more, so that these give nothing."""
    with transaction.atomic():
        _follow(user, [], Actor(user=None, source=SYSTEM.source, ip=ip))


def groups_of(claims: Mapping[str, Any]) -> tuple[frozenset[str], str]:
    """The groups that the claims name, and what is wrong with them, in words, where something is.

    Of the ID token, which is signed; where it has none, of what the provider says of its subject besides.
    """
    name = settings.OIDC.get("groups", "groups")
    signed, besides = (claims.get(part) or {} for part in ("id_token", "userinfo"))
    source = signed if name in signed else besides
    elsewhere = signed.get("_claim_names")
    if name not in source:
        if isinstance(elsewhere, dict) and name in elsewhere:
            return frozenset(), "too many groups for a token: have the provider send assigned groups only"
        return frozenset(), ""
    found = source[name]
    if isinstance(found, str):
        found = [found]  # some providers send a list of one as the one
    if not isinstance(found, list):
        return frozenset(), f"the claim is no list: {type(found).__name__}"
    if len(found) > MOST_GROUPS:
        return frozenset(), f"{len(found)} groups, {MOST_GROUPS} at most"
    groups = frozenset(one for one in found if isinstance(one, str) and 0 < len(one) <= LONGEST)
    odd = sum(not isinstance(one, str) or not 0 < len(one) <= LONGEST for one in found)
    return groups, f"{odd} of {len(found)} are no names of groups" if odd else ""


def _follow(user: User, matching: Iterable[GroupMapping], actor: Actor) -> None:
    by_team: dict[Any, list[GroupMapping]] = {}
    for row in matching:
        by_team.setdefault(row.team_id, []).append(row)
    members.follow_site(user, next(iter(by_team.pop(None, [])), None), actor=actor)
    given = {m.team_id for m in Membership.objects.filter(user=user).exclude(mapping=None)}
    teams = Team.objects.filter(pk__in=given | set(by_team)).order_by("pk")  # one order for all who lock them
    for team in teams:
        best = max(by_team.get(team.pk, []), key=_height, default=None)
        members.follow(team, user, best, actor=actor)
    user.__dict__.pop("_prefetched_objects_cache", None)


def _height(row: GroupMapping) -> tuple[int, str]:
    """Of several the highest: what holds most."""
    return len(all_of(Membership(**{name: getattr(row, name) for name in GIVES}))), row.group


def _line(verb: str, row: GroupMapping, actor: Actor) -> None:
    detail: dict[str, Any] = {"group": row.group, "when_gone": row.when_gone}
    if row.team_id is None:
        detail["site_admin"] = True
    else:
        detail |= {"role": row.role, "console": row.console, "files": row.files}
        detail |= {"permission_set": row.permission_set.name} if row.permission_set else {}
    audit.record(
        f"group_mapping.{verb}", actor, target_type="group_mapping", target_id=row.pk, target_name=row.group,
        team_id=row.team_id, detail=detail,
    )  # fmt: skip
