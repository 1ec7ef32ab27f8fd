"""Pages of teams and people: who is where with what role, what a team has, who may sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import factors, members, permission_sets, sessions
from accounts.access import Actor, actor_of, can, require, requires
from accounts.member_forms import MemberForm, TeamForm
from accounts.models import AuditEntry, Membership, Team, User
from accounts.pages import user_of
from accounts.querysets import visible_entries, visible_teams, visible_to
from containers_app import rails_page
from containers_app.models import Container, Network, Volume
from images_app.models import Image
from operations import quotas
from operations.policy import Policy
from operations.web import answers, dialog, toast

COUNTED: dict[str, type[Any]] = {
    "containers": Container,
    "images": Image,
    "volumes": Volume,
    "networks": Network,
}
_LINES = 8


@require_safe
@requires("team.read")
def team_list(request: HttpRequest) -> HttpResponse:
    """One's teams with what they have; all of them for site administrators."""
    actor = actor_of(request)
    teams = list(visible_teams(actor).annotate(people=Count("memberships")))
    have = {name: _counts(actor, model, teams) for name, model in COUNTED.items()}
    roles = {m.team_id: m.called for m in user_of(request).memberships.all()}
    rows = [
        {
            "team": team, "role": roles.get(team.pk, ""),
            "quota": _fullest(team) if can(actor, Policy.read_permission, team) else None,
            "have": [
                (name, found.get(team.pk, 0) if can(actor, COUNTED[name].read_permission, team) else None)
                for name, found in have.items()
            ],
        }
        for team in teams
    ]  # fmt: skip
    return render(
        request, "teams/list.html", {"rows": rows, "may_add": can(actor, "team.manage"), **_views(actor)}
    )


def _counts(actor: Actor, model: type[Any], teams: Sequence[Team]) -> dict[Any, int]:
    found = (
        visible_to(actor, model.objects.filter(team__in=teams))
        .order_by()
        .values("team")
        .annotate(count=Count("pk"))
    )
    return {row["team"]: row["count"] for row in found}


def _fullest(team: Team) -> rails_page.Bar | None:
    """The quota of which least is left."""
    if not quotas.limits(team.pk):
        return None
    return max((bar for bar in rails_page.bars(team) if bar.pct is not None), key=lambda bar: bar.pct or 0)


def _views(actor: Actor) -> dict[str, bool]:
    return {"may_people": can(actor, "user.read")}


@require_safe
@requires("team.read")
def team_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Who is in a team with what role, what it has, and what was done in it."""
    actor = actor_of(request)
    team = get_object_or_404(visible_teams(actor), pk=pk)
    rows = team.memberships.select_related("user", "permission_set").order_by("user__username")
    may_quotas = can(actor, Policy.read_permission, team)
    lines: QuerySet[AuditEntry] = visible_entries(actor).filter(team_id=team.pk, outcome="succeeded")
    context = {
        "team": team, "rows": rows, "bars": rails_page.bars(team) if may_quotas else None,
        "may_members": can(actor, members.PERMISSION, team),
        "have": [
            (name, model.objects.filter(team=team).count()) for name, model in COUNTED.items()
            if can(actor, model.read_permission, team)
        ],
        "lines": lines[:_LINES] if can(actor, "audit.read", team) else None,
        "may_rename": can(actor, "team.manage", team), "fresh": sessions.fresh(request.session),
        "sets": permission_sets.of_team(team), **_views(actor),
    }  # fmt: skip
    return render(request, "teams/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("team.manage")
@answers
def team_new(request: HttpRequest) -> HttpResponse:
    """A new team, with nobody in it."""
    form = TeamForm(request.POST or None)
    if not form.is_valid():
        return dialog(request, "teams/name.html", {"form": form})
    team = members.save_team(form.instance, actor=actor_of(request))
    return HttpResponseRedirect(reverse("teams:detail", args=[team.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("team.manage")
@answers
def team_rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Another name; the short one stays, scripts know it."""
    actor = actor_of(request)
    team = get_object_or_404(visible_teams(actor), pk=pk)
    form = TeamForm(request.POST or None, instance=team)
    if not form.is_valid():
        return dialog(request, "teams/name.html", {"form": form, "team": team})
    members.save_team(form.instance, actor=actor)
    return toast(request, _("Renamed"), to=reverse("teams:detail", args=[pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@requires(members.PERMISSION)
@answers
def member_add(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Somebody comes into a team."""
    actor = actor_of(request)
    team = get_object_or_404(visible_teams(actor), pk=pk)
    require(actor, members.PERMISSION, team)
    form = MemberForm(request.POST or None, actor=actor, team=team)
    if not form.is_valid():
        return dialog(request, "teams/member.html", {"form": form, "team": team})
    user = form.cleaned_data["username"]
    members.put(team, user, actor=actor, **form.said())
    return toast(
        request,
        _("%(display_name)s is in %(name)s") % {"display_name": user.display_name, "name": team.name},
        to=reverse("teams:detail", args=[pk]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(members.PERMISSION)
@answers
def member_change(request: HttpRequest, pk: UUID, user: UUID) -> HttpResponse:
    """Another role, other grants, or (``out``) out of the team."""
    actor, back = actor_of(request), reverse("teams:detail", args=[pk])
    team = get_object_or_404(visible_teams(actor), pk=pk)
    require(actor, members.PERMISSION, team)
    member = get_object_or_404(
        team.memberships.select_related("user", "team", "permission_set"), user_id=user
    )
    form = MemberForm(request.POST or None, actor=actor, team=team, member=member)
    if member.mapping:
        members.put(team, member.user, actor=actor)  # says why not
    if request.POST.get("out"):
        members.take_out(member, actor=actor)
        return toast(
            request,
            _("%(display_name)s is no longer in %(name)s")
            % {"display_name": member.user.display_name, "name": team.name},
            to=back,
        )
    if not form.is_valid():
        last = member.role == "admin" and members.is_last_admin(team, member.user)
        return dialog(
            request, "teams/member.html", {"form": form, "team": team, "member": member, "last": last}
        )
    row = members.put(team, member.user, actor=actor, **form.said())
    said = {"name": member.user.display_name, "role": row.called}
    return toast(request, _("%(name)s is now: %(role)s") % said, to=back)


@require_safe
@requires("user.read")
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, for site administrators; ``?q=``."""
    words = request.GET.get("q", "")[:100].strip()
    roles = Membership.objects.select_related("team", "permission_set").order_by("team__name")
    everybody = User.objects.select_related("site_admin_by").annotate(seen_at=Max("web_sessions__seen_at"))
    rows = everybody.prefetch_related(Prefetch("memberships", queryset=roles)).order_by("username")
    if words:
        named = Q(username__icontains=words) | Q(first_name__icontains=words) | Q(last_name__icontains=words)
        rows = rows.filter(named | Q(email__icontains=words))
    second = factors.who_has()
    shown = [(user, user.pk in second) for user in rows[:500]]
    return render(request, "teams/people.html", {"rows": shown, "q": words, **_views(actor_of(request))})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("user.disable")
@answers
def person_active(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what ends with an account, then disables it; or lets somebody sign in again."""
    actor = actor_of(request)
    user = get_object_or_404(User, pk=pk)
    if request.method != "POST":
        return dialog(request, "teams/active.html", {"person": user, "ends": members.what_ends(user)})
    members.set_active(user, not user.is_active, actor=actor)
    done = _("may sign in again") if user.is_active else _("is disabled, and signed out everywhere")
    return toast(request, f"{user.display_name} {done}", to=reverse("teams:people"))
