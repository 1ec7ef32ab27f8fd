"""Who is in which team with what role, and who may sign in at all: changed here alone, by pages, REST and the admin.

Nobody gives what they have not: not above their own role, not in another team, not to a site administrator. A team
keeps an admin and the site an administrator. All of it counts at once: rights are read anew with each request, open
sockets and consoles end within seconds, and what is queued is judged again before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from accounts import audit, sessions
from accounts.access import Actor, Denied, all_of, has, held, require
from accounts.models import ApiToken, GroupMapping, Membership, PermissionSet, Role, Team, User

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
    permission_set: PermissionSet | None = None,
    console: bool | None = None,
    files: bool | None = None,
) -> Membership:
    """Puts somebody into a team, or changes what they are there; what is ``None`` stays, a new member is a viewer.

    A permission set stands in place of the role and its grants, and a role in place of a set. Raises `Denied`, Http404
    or `Kept`; audited.
    """
    with transaction.atomic():
        _locked(team)
        row = Membership.objects.filter(team=team, user=user).first()
        was = _copy(row) if row else None
        row = row or Membership(team=team, user=user)
        permission_set = usable(permission_set, team)
        change(row, role, permission_set, console, files)
        _judge(team, user, actor, row, was)
        _by_hand(row)
        if was and was.role == Role.ADMIN != row.role:
            _keep_an_admin(team, user)
        if was is None or said(row) != said(was):
            row.save()
            verb, before = ("member.change", said(was)) if was else ("member.add", {})
            audit.about(verb, actor, user, team_id=team.pk, was=before, now=said(row))
    return row


def usable(permission_set: PermissionSet | None, team: Team) -> PermissionSet | None:
    """The set as it is now; one of another team is none here. Locked: it is not changed while it is given."""
    if permission_set is None:
        return None
    found = PermissionSet.objects.select_for_update().filter(pk=permission_set.pk).first()
    if found is None or found.team_id not in (None, team.pk):
        raise Kept("conflict", _("There is no such permission set in this team."))
    return found


def change(
    row: Membership,
    role: Role | None,
    permission_set: PermissionSet | None,
    console: bool | None,
    files: bool | None,
) -> None:
    """Sets what it is to be, and saves nothing; what is ``None`` stays. Raises `Kept` for what does not go together."""
    if permission_set and (console or files):
        raise _no_grants()
    if permission_set:
        row.role, row.permission_set = Role.CUSTOM, permission_set
        row.console = row.files = False
    elif role:
        row.role, row.permission_set = role, None
    row.console = row.console if console is None or permission_set else console
    row.files = row.files if files is None or permission_set else files
    if row.permission_set and (row.console or row.files):
        raise _no_grants()


def _no_grants() -> Kept:
    return Kept("conflict", _("Grants go with a role: put consoles and files into the permission set."))


def take_out(row: Membership, *, actor: Actor) -> None:
    """Takes somebody out of a team; oneself too. Raises `Denied`, Http404 or `Kept`; audited."""
    team, user = row.team, row.user
    with transaction.atomic():
        _locked(team)
        now = Membership.objects.select_related("permission_set").filter(pk=row.pk).first()
        if now is None:
            raise Http404(_("No such object."))
        row = now  # what they are by now
        _judge(team, user, actor, None, row)
        _by_hand(row)
        if row.role == Role.ADMIN:
            _keep_an_admin(team, user)
        row.delete()
        audit.about("member.remove", actor, user, team_id=team.pk, was=said(row))


def follow(team: Team, user: User, best: GroupMapping | None, *, actor: Actor, ends: bool = False) -> None:
    """What a group of single sign-on gives somebody in a team: ``best``, or no longer anything (``None``). Audited.

    What was given by hand stays as it is. A team's last admin stays too, with a line that says so; ``ends``: the
    mapping itself goes, so that they do so by hand from now on.
    """
    with transaction.atomic():
        _locked(team)
        row = Membership.objects.filter(team=team, user=user).first()
        if row is None and best:
            _given(Membership(team=team, user=user), None, best, actor, ends)
        elif row and row.mapping:
            _given(row, _copy(row), best, actor, ends)


def _given(
    row: Membership, was: Membership | None, best: GroupMapping | None, actor: Actor, ends: bool
) -> None:
    old, verb = row.mapping, "member.change" if was else "member.add"
    told: dict[str, Any] = {"was": said(was) if was else {}, "group": (best or old).group}  # type: ignore[union-attr]
    if best:
        row.role, row.permission_set = Role(best.role), best.permission_set
        row.console, row.files, row.mapping = best.console, best.files, best
    elif old and old.when_gone == GroupMapping.Gone.KEEP:
        row.mapping, told["by_hand_now"] = None, True
    else:
        verb = "member.remove"
    led = was is not None and was.role == Role.ADMIN
    if led and (row.role != Role.ADMIN or verb == "member.remove") and is_last_admin(row.team, row.user):
        told["reason"] = "last_admin"
        audit.about(verb, actor, row.user, outcome="denied", team_id=row.team.pk, **told)
        if ends:
            Membership.objects.filter(pk=row.pk).update(mapping=None)
        return
    if verb == "member.remove":
        row.delete()
    else:
        told["now"] = said(row)
        row.save()
    if row.mapping is None or told["was"] != told.get("now"):
        audit.about(verb, actor, row.user, team_id=row.team.pk, **told)


def follow_site(user: User, best: GroupMapping | None, *, actor: Actor, ends: bool = False) -> None:
    """Whether a group of single sign-on has somebody administer the site; see `follow`."""
    with transaction.atomic():
        now = User.objects.select_for_update().get(pk=user.pk)
        old = now.site_admin_by
        if now.is_superuser and (old is None or best == old):
            return
        if best is None and (old is None or not now.is_superuser):
            return
        said: dict[str, Any] = {"group": (best or old).group}  # type: ignore[union-attr]
        stays, by = best is not None, best
        if old and best is None and not (stays := old.when_gone == GroupMapping.Gone.KEEP):
            try:
                keep_an_administrator(now, stays=False)
            except Kept as error:
                stays, by = True, None if ends else old
                audit.about("user.change", actor, user, outcome="denied", reason=error.code, **said)
        User.objects.filter(pk=user.pk).update(is_superuser=stays, site_admin_by=by)
        user.is_superuser, user.site_admin_by = stays, by
        if by != old:
            audit.about(
                "user.change", actor, user, site_admin=stays, by_hand_now=stays and by is None, **said
            )


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


def within(names: Iterable[str], actor: Actor, team_id: Any, target: object = "") -> None:
    """S-28, the ceiling. Raises `Denied` where these are more than the actor may there themselves."""
    if beyond := sorted(set(names) - held(actor, team_id)):
        text = _("Nobody gives, or takes away, more than they have themselves: “%(permission)s”.")
        raise Denied(text % {"permission": beyond[0]}, PERMISSION, target)


def givable(actor: Actor, team: Team | None) -> tuple[list[Role], list[PermissionSet]]:
    """The roles and the permission sets that the actor may give there; without a team, in all of them."""
    mine = held(actor, team.pk if team else None)
    roles: list[Role] = [
        role for role in Role
        if role != Role.CUSTOM and all_of(Membership(role=role)) <= mine
    ]  # fmt: skip
    rows = PermissionSet.objects.filter(Q(team=team) | Q(team=None)).order_by("name")
    return roles, [row for row in rows if row.allowed <= mine]


def _judge(team: Team, user: User, actor: Actor, new: Membership | None, was: Membership | None) -> None:
    """S-28. Neither what somebody is to be nor what they were is above the actor."""
    require(actor, PERMISSION, team)
    rows = [row for row in (new, was) if row]
    for row in rows:
        within(all_of(row), actor, team.pk, user.pk)
    if user.is_superuser and not actor.is_site_admin:
        raise Denied(_("Only a site administrator changes another one's roles."), PERMISSION, user.pk)
    if actor.token_key and any(has(row, PERMISSION) for row in rows):
        raise Denied(_("A token neither makes team admins nor unmakes them: sign in."), PERMISSION, user.pk)


def _by_hand(row: Membership) -> None:
    if row.mapping:
        text = _("The group %(group)s of single sign-on gives this: it is changed there, or by the mapping.")
        raise Kept("given_by_group", text % {"group": row.mapping.group})


def _locked(team: Team) -> None:
    Team.objects.select_for_update().get(pk=team.pk)


def _copy(row: Membership) -> Membership:
    return Membership(
        team=row.team, user=row.user, role=row.role, permission_set=row.permission_set, console=row.console,
        files=row.files,
    )  # fmt: skip


def said(row: Membership) -> dict[str, Any]:
    """What somebody is in a team, as the trail has it."""
    named = {"permission_set": row.permission_set.name} if row.permission_set else {}
    return {"role": row.role, "console": row.console, "files": row.files, **named}
