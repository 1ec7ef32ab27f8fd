"""Pages of permission sets, of a team and for all of them; and what somebody may, and by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import members, permission_sets, reasons, sessions
from accounts.access import Actor, Owner, actor_of, all_of, can, person, require, requires
from accounts.member_forms import PermissionSetForm, ReplacementForm, ticks
from accounts.models import Membership, PermissionSet, Role, Team, User
from accounts.querysets import team_ids, visible_teams
from operations.web import answers, toast


@require_safe
@requires("team.read")
def set_list(request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
    """The sets that a team can give, or those for all; who has which."""
    actor = actor_of(request)
    team = _team(actor, pk)
    rows = permission_sets.of_team(team)
    context = {"rows": [(row, _seen(actor, row, team)) for row in rows], "team": team, **_may(request, team)}
    return render(request, "teams/sets.html", {**context, "may_people": can(actor, "user.read")})


@require_safe
@requires("team.read")
def set_detail(request: HttpRequest, row: UUID, pk: UUID | None = None) -> HttpResponse:
    """What a set holds, and who has it."""
    actor = actor_of(request)
    team = _team(actor, pk)
    found = _row(team, row)
    context = {
        "set": found, "team": team, "areas": ticks(found.allowed), "holders": _seen(actor, found, team),
        "held": len(found.allowed), **_may(request, team),
    }  # fmt: skip
    return render(request, "teams/set.html", context)


def _change(request: HttpRequest, row: UUID | None = None, pk: UUID | None = None) -> HttpResponse:
    """A new set, ``?from=<role>`` with what that role has; or another name and other permissions."""
    actor = actor_of(request)
    team = _team(actor, pk)
    found = (
        _row(team, row)
        if row
        else PermissionSet(team=team, permissions=_of_role(request.GET.get("from", "")))
    )
    require(actor, permission_sets.permission_for(team), team or Owner(None))
    form = PermissionSetForm(request.POST or None, actor=actor, row=found)
    if form.is_valid():
        try:
            permission_sets.save(found, actor=actor, **form.cleaned_data)
        except members.Kept as error:
            form.add_error("name", error.message)
        else:
            return HttpResponseRedirect(_address(found))
    context = {
        "form": form, "set": found if row else None, "team": team, "roles": [r for r in Role if r != Role.CUSTOM],
        "holders": permission_sets.holders(found) if row else (),
    }  # fmt: skip
    return render(request, "teams/set_edit.html", context)


def _remove(request: HttpRequest, row: UUID, pk: UUID | None = None) -> HttpResponse:
    """Asks what those who have it get instead, and removes a set."""
    actor = actor_of(request)
    team = _team(actor, pk)
    require(actor, permission_sets.permission_for(team), team or Owner(None))
    found = _row(team, row)
    having = list(permission_sets.holders(found))
    form = ReplacementForm(request.POST or None, actor=actor, row=found)
    if request.method == "POST" and (not having or form.is_valid()):
        permission_sets.remove(found, actor=actor, **(form.said() if having else {}))
        to = reverse("teams:sets", args=[pk]) if pk else reverse("teams:site_sets")
        return toast(request, _("%(name)s is gone") % {"name": found.name}, to=to)
    part = "#dialog" if "HX-Request" in request.headers else ""
    context = {"form": form, "set": found, "team": team, "holders": having}
    return render(request, f"teams/set_remove.html{part}", context)


def _declared(view: Callable[..., HttpResponse], permission: str) -> Any:
    return require_http_methods(["GET", "HEAD", "POST"])(requires(permission)(answers(view)))


set_change, set_remove = (_declared(view, members.PERMISSION) for view in (_change, _remove))
site_set_change, site_set_remove = (
    _declared(view, permission_sets.SITE_PERMISSION) for view in (_change, _remove)
)


@require_safe
@requires("team.read")
def member_may(request: HttpRequest, pk: UUID, user: UUID) -> HttpResponse:
    """All that somebody may in a team and what not, and by what; one's own without being in it, too."""
    actor = actor_of(request)
    team = get_object_or_404(visible_teams(actor), pk=pk)
    member = team.memberships.select_related("user", "permission_set").filter(user_id=user).first()
    if member is None and (actor.user is None or actor.user.pk != user):
        raise Http404
    who: User = member.user if member else get_object_or_404(User, pk=user)
    areas = reasons.effective(person(who, source="ui"), team)
    counted = [(title, rows, sum(row.may for row in rows)) for title, rows in areas]
    context = {"team": team, "member": member, "person": who, "areas": counted}
    return render(request, "teams/may.html", context)


def _team(actor: Actor, pk: UUID | None) -> Team | None:
    return get_object_or_404(visible_teams(actor), pk=pk) if pk else None


def _row(team: Team | None, pk: UUID) -> PermissionSet:
    return get_object_or_404(permission_sets.of_team(team).filter(team=team), pk=pk)


def _seen(actor: Actor, row: PermissionSet, team: Team | None) -> list[Membership]:
    """Who has it: in this team, or in those that the reader sees."""
    seen = {team.pk} if team else set(team_ids(actor))
    return sorted((m for m in row.memberships.all() if m.team_id in seen), key=lambda m: m.user.username)


def _may(request: HttpRequest, team: Team | None) -> dict[str, bool]:
    may = can(actor_of(request), permission_sets.permission_for(team), team or Owner(None))
    return {"may_change": may, "fresh": sessions.fresh(request.session)}


def _of_role(role: str) -> list[str]:
    if role not in Role.values or role == Role.CUSTOM:
        return []
    return sorted(all_of(Membership(role=role)))


def _address(row: PermissionSet) -> str:
    if row.team_id:
        return reverse("teams:set", args=[row.team_id, row.pk])
    return reverse("teams:site_set", args=[row.pk])
