"""Who is in which team with what role, and who may sign in at all: changed here alone, by pages, REST and the admin.

Nobody gives what they have not: not above their own role, not in another team, not to a site administrator. A team
keeps an admin and the site an administrator. All of it counts at once: rights are read anew with each request, open
sockets and consoles end within seconds, and what is queued is judged again before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, sessions
from accounts.access import RANKS, Actor, Denied, rank, require
from accounts.models import ApiToken, Membership, Role, Team, User

PERMISSION = "team.members"


class Kept(Exception):
    """The state forbids it (409): ``code`` and ``message`` as the REST contract has them. Nothing was done."""

    status = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.details: dict[str, Any] = {}


def put(
    team: Team,
    user: User,
    *,
    actor: Actor,
    role: Role | None = None,
    console: bool | None = None,
    files: bool | None = None,
) -> Membership:
    """Puts somebody into a team, or changes what they are there; what is ``None`` stays, a new member is a viewer.

    Raises `Denied`, Http404 or `Kept`; audited.
    """
    with transaction.atomic():
        _locked(team)
        row = Membership.objects.filter(team=team, user=user).first()
        was = _said(row) if row else {}
        row = row or Membership(team=team, user=user)
        new = Role(role or row.role)
        _judge(team, user, actor, new, was)
        if was.get("role") == Role.ADMIN != new:
            _keep_an_admin(team, user)
        row.role = new
        row.console = row.console if console is None else console
        row.files = row.files if files is None else files
        now = _said(row)
        if now != was:
            row.save()
            verb = "member.change" if was else "member.add"
            audit.about(verb, actor, user, team_id=team.pk, was=was, now=now)
    return row


def take_out(row: Membership, *, actor: Actor) -> None:
    """Takes somebody out of a team; oneself too. Raises `Denied`, Http404 or `Kept`; audited."""
    team, user = row.team, row.user
    with transaction.atomic():
        _locked(team)
        _judge(team, user, actor, Role.VIEWER, _said(row))
        if row.role == Role.ADMIN:
            _keep_an_admin(team, user)
        row.delete()
        audit.about("member.remove", actor, user, team_id=team.pk, was=_said(row))


def save_team(team: Team, *, actor: Actor) -> Team:
    """Makes a team, or renames it. Raises `Denied`; audited."""
    require(actor, "team.manage", None if team._state.adding else team)
    verb = "team.create" if team._state.adding else "team.change"
    with transaction.atomic():
        team.save()
        audit.record(
            verb, actor, target_type="team", target_id=team.pk, target_name=team.name, team_id=team.pk
        )
    return team


def set_active(user: User, active: bool, *, actor: Actor) -> dict[str, Any]:
    """Lets somebody sign in, or ends all that is theirs; how much that was. Raises `Denied` or `Kept`; audited.

    Tokens open nothing while their owner is disabled, and open again with them.
    """
    require(actor, "user.disable")
    if not active and actor.user == user:
        raise Kept("own_account", _("Nobody disables themselves: ask another site administrator."))
    with transaction.atomic():
        keep_an_administrator(user, stays=active or not user.is_superuser)
        ends = what_ends(user)
        User.objects.filter(pk=user.pk).update(is_active=active)
        if not active:
            sessions.end_all(user)
        if user.is_active != active:
            audit.about("user.enable" if active else "user.disable", actor, user, **({} if active else ends))
        user.is_active = active
    return ends


def what_ends(user: User) -> dict[str, Any]:
    """What they lose when they are disabled."""
    return {
        "sessions": len(sessions.of(user)),
        "tokens": ApiToken.objects.filter(user=user, revoked_at=None).count(),
    }


def keep_an_administrator(user: User, *, stays: bool) -> None:
    """Raises `Kept` where nobody else administers the site, and they would not any more either."""
    others = User.objects.select_for_update().filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if not stays and user.is_superuser and user.is_active and not others.exists():
        raise Kept(
            "last_administrator", _("Nobody else administers the site: make somebody an administrator first.")
        )


def is_last_admin(team: Team, user: User) -> bool:
    """Whether nobody else who may sign in administers the team."""
    others = Membership.objects.filter(team=team, role=Role.ADMIN, user__is_active=True).exclude(user=user)
    return not others.exists()


def leaves_none(team: Team, rows: Iterable[int]) -> bool:
    """Whether one of these memberships is an admin's, and without all of them the team has no admin who can sign in."""
    admins = Membership.objects.filter(team=team, role=Role.ADMIN)
    others = admins.filter(user__is_active=True).exclude(pk__in=rows)
    return admins.filter(pk__in=rows).exists() and not others.exists()


def _keep_an_admin(team: Team, user: User) -> None:
    if is_last_admin(team, user):
        raise Kept(
            "last_admin",
            _("Nobody else administers %(name)s: make somebody team admin first.") % {"name": team.name},
        )


def _judge(team: Team, user: User, actor: Actor, new: Role, was: dict[str, Any]) -> None:
    """S-28: the ceiling."""
    require(actor, PERMISSION, team)
    have = rank(actor, team.pk)
    if max(RANKS[new], RANKS.get(was.get("role", ""), 0)) > have:
        raise Denied(_("Nobody gives, or takes away, a role above their own."), PERMISSION, user.pk)
    if user.is_superuser and not actor.is_site_admin:
        raise Denied(_("Only a site administrator changes another one's roles."), PERMISSION, user.pk)
    if actor.token_key and Role.ADMIN in (new, was.get("role")):
        raise Denied(_("A token neither makes team admins nor unmakes them: sign in."), PERMISSION, user.pk)


def _locked(team: Team) -> None:
    Team.objects.select_for_update().get(pk=team.pk)


def _said(row: Membership) -> dict[str, Any]:
    return {"role": row.role, "console": row.console, "files": row.files}
