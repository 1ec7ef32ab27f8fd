"""Roles of one's own making: made, changed and removed here alone, by pages and REST.

A set of a team is for that team, one without a team for all of them. Nobody makes one that holds more than they may
themselves, nor changes one that does. A change counts at once for everybody who has the set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from accounts import audit, members
from accounts.access import Actor, Denied, Owner, require
from accounts.models import Membership, PermissionSet, Role, Team
from accounts.permissions import whole

SITE_PERMISSION = "team.manage"


def of_team(team: Team | None) -> QuerySet[PermissionSet]:
    """Those that can be given in this team: its own, and those for all. Without a team, the latter."""
    rows = PermissionSet.objects.filter(Q(team=team) | Q(team=None)).select_related("team")
    return rows.prefetch_related("memberships__user").order_by("name")


def permission_for(team: Team | None) -> str:
    """What it takes to make and change those of a team, or those for all."""
    return members.PERMISSION if team else SITE_PERMISSION


def holders(row: PermissionSet) -> QuerySet[Membership]:
    """Who has it, by name."""
    return row.memberships.select_related("user", "team", "permission_set").order_by("user__username")


def save(
    row: PermissionSet, *, actor: Actor, name: str | None = None, permissions: Iterable[str] | None = None
) -> PermissionSet:
    """Makes a set, or changes it; what is ``None`` stays. Raises `Denied` or `Kept` (its name is in use); audited.

    With each permission comes what it takes to use it (`accounts.permissions.whole`).
    """
    with transaction.atomic():
        was = _locked(row)
        if was is None and not row._state.adding:
            raise Http404(_("No such object."))
        now = was or row  # what stays is what it is by now
        row.name = now.name if name is None else name
        row.permissions = sorted(whole(now.permissions if permissions is None else permissions))
        row.__dict__.pop("allowed", None)
        before = was.allowed if was else frozenset[str]()
        _judge(row, actor, row.allowed | before)
        if actor.token_key and members.PERMISSION in row.allowed ^ before:
            raise Denied(
                _("A token neither makes team admins nor unmakes them: sign in."), members.PERMISSION, row.pk
            )
        taken = members.Kept("name_in_use", _("There is a permission set of this name."))
        same = PermissionSet.objects.filter(team=row.team, name__iexact=row.name).exclude(pk=row.pk)
        if same.exists():
            raise taken
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:  # somebody was faster by a moment
            raise taken from None
        _line("change" if was else "create", row, actor, was)
    return row


def remove(
    row: PermissionSet,
    *,
    actor: Actor,
    role: Role | None = None,
    permission_set: PermissionSet | None = None,
) -> None:
    """Removes a set; who has it gets that role or set instead. Raises `Denied`, or `Kept` with their names; audited."""
    with transaction.atomic():
        # Teams before sets, as whoever changes a member does it: else both wait for each other.
        teams = Team.objects.filter(pk=row.team_id) if row.team_id else Team.objects.all()
        list(teams.select_for_update().order_by("pk").values_list("pk"))
        row = _locked(row) or row
        _judge(row, actor, row.allowed)
        if groups := sorted({mapping.group for mapping in row.group_mappings.all()}):
            text = _("Groups of single sign-on give it: %(groups)s. Change their mappings first.")
            raise members.Kept("in_use", text % {"groups": ", ".join(groups)})
        having = list(holders(row))
        if having and role is None and permission_set in (None, row):
            names = [member.user.username for member in having]
            error = members.Kept(
                "in_use", _("%(who)s have it: say what they are to have instead.") % {"who": ", ".join(names)}
            )
            error.details = {"holders": names}
            raise error
        for member in having:
            members.put(member.team, member.user, actor=actor, role=role, permission_set=permission_set)
        _line("remove", row, actor, row)
        row.delete()


def _judge(row: PermissionSet, actor: Actor, names: Iterable[str]) -> None:
    # Those of all teams are no business of a token that reaches no further than its team.
    require(actor, permission_for(row.team), row.team or Owner(None))
    if row.team:
        members.within(names, actor, row.team_id, row.pk)


def _locked(row: PermissionSet) -> PermissionSet | None:
    """The row as it is now, ``None`` for a new one; who changes it after us waits."""
    return PermissionSet.objects.select_for_update().filter(pk=row.pk).first()


def _line(verb: str, row: PermissionSet, actor: Actor, was: PermissionSet | None) -> None:
    detail: dict[str, Any] = {"permissions": row.permissions}
    if verb == "change" and was:
        detail = {"added": sorted(row.allowed - was.allowed), "taken": sorted(was.allowed - row.allowed)}
        detail |= {"was_called": was.name} if was.name != row.name else {}
        detail |= {"holders": [member.user.username for member in holders(row)]}
    audit.record(
        f"permission_set.{verb}", actor, target_type="permission_set", target_id=row.pk, target_name=row.name,
        team_id=row.team_id, detail=detail,
    )  # fmt: skip
