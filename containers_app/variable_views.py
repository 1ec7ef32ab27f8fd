"""The pages of a team's variables and secrets: which there are, who has them, and how they are changed."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import actor_of, can, require, requires
from accounts.models import Team
from accounts.querysets import visible_teams
from containers_app import team_values
from containers_app.many import ask_one
from containers_app.variable_forms import VariableForm
from engine.specs import SpecError
from operations import trash, variables
from operations.services import Refused
from operations.web import answers, toast, uuids, why

MOST_AT_ONCE = 100


@require_safe
@requires("variable.read")
def listed(request: HttpRequest) -> HttpResponse:
    """Those of the reader's teams; ``?team=``, ``?q=``."""
    actor, slug = actor_of(request), request.GET.get("team", "")
    words = request.GET.get("q", "")[:100].strip()
    teams = list(visible_teams(actor))
    team = next((one for one in teams if one.slug == slug), None)
    if slug and team is None:
        raise Http404
    rows = variables.visible(actor)
    rows = rows.filter(team=team) if team else rows
    rows = rows.filter(name__icontains=words) if words else rows
    found = list(rows)
    counts = team_values.counts(found, actor)
    context = {
        "rows": [(row, *counts[row.pk]) for row in found], "teams": teams, "team": team, "q": words,
        "may": [one for one in teams if can(actor, "variable.manage", one)],
    }  # fmt: skip
    return render(request, "variables/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("variable.manage")
@answers
def new(request: HttpRequest) -> HttpResponse:
    """A new one, of a team that the reader looks after."""
    actor = actor_of(request)
    teams = [team for team in visible_teams(actor) if can(actor, "variable.manage", team)]
    asked = next((team for team in teams if team.slug == request.GET.get("team")), None)
    form = VariableForm(request.POST or None, teams=[asked] if asked else teams)
    if request.method == "POST" and form.is_valid():
        team = asked or (teams[0] if len(teams) == 1 else _named(teams, form.cleaned_data["team"]))
        if _put(form, team, request):
            return HttpResponseRedirect(f"{reverse('variables:list')}?team={team.slug}")
    return render(request, "variables/edit.html", {"form": form, "team": asked, "teams": teams})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("variable.read")
@answers
def one(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Its value where it is no secret, who was given it, and the form for whoever may change it."""
    actor = actor_of(request)
    row = get_object_or_404(variables.visible(actor), pk=pk)
    may = can(actor, "variable.manage", row)
    if request.method == "POST":
        require(actor, "variable.manage", row)
    form = VariableForm(request.POST or None, teams=[row.team], row=row) if may else None
    if form and request.method == "POST" and form.is_valid() and _put(form, row.team, request):
        return toast(
            request, _("%(name)s is changed") % {"name": row.name}, to=reverse("variables:one", args=[pk])
        )
    users = team_values.users(row, actor)
    context = {
        "row": row, "form": form, "may": may, "users": users, "older": [one for one in users if one.renews],
        "hours": trash.hours(),
    }  # fmt: skip
    return render(request, "variables/edit.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("variable.manage")
@answers
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What that would mean; then it is gone."""
    actor = actor_of(request)
    row = get_object_or_404(variables.visible(actor), pk=pk)
    require(actor, "variable.manage", row)
    back = f"{reverse('variables:list')}?team={row.team.slug}"
    if request.method == "POST":
        variables.remove(row, actor=actor)
        return HttpResponseRedirect(back)
    context = {"row": row, "users": team_values.users(row, actor), "back": back}
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"variables/remove.html{part}", context)


@require_POST
@requires("container.recreate")
@answers
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Makes the chosen containers anew with the value of today, each as an operation of its own."""
    actor = actor_of(request)
    row = get_object_or_404(variables.visible(actor), pk=pk)
    chosen = set(uuids(request.POST.getlist("ids"), MOST_AT_ONCE))
    found = [user for user in team_values.users(row, actor) if user.renews and user.container.pk in chosen]
    if not found:
        return toast(request, _("Choose containers first."), "bad", to=reverse("variables:one", args=[pk]))
    told = [
        ask_one(user.container, "recreate", actor=actor,
                params={"pull": False, "changes": team_values.changes(user.container, row)})
        for user in found
    ]  # fmt: skip
    refused = [f"{answer.container.name}: {why(answer.refused)}" for answer in told if answer.refused]
    done = len(told) - len(refused)
    words = ngettext("Making %(n)s container anew.", "Making %(n)s containers anew.", done) % {"n": done}
    text = " ".join([*([words] if done else []), *refused[:3]]).rstrip(".")
    return toast(
        request, text, "bad" if refused else "ok", to=reverse("operations:list" if done else "variables:list")
    )


def _named(teams: list[Team], slug: str) -> Team:
    return next(team for team in teams if team.slug == slug)


def _put(form: VariableForm, team: Team, request: HttpRequest) -> bool:
    """Whether it was taken; else the form says why not."""
    name = form.row.name if form.row else form.cleaned_data["name"].strip()
    try:
        variables.put(team, name, actor=actor_of(request), row=form.row, **form.wish())
    except SpecError as error:
        form.refuse(error.errors)
    except Refused as error:
        form.refuse({"name": [error.message]})
    else:
        return True
    return False
