"""The pages of the guard rails: who breaks them, which hold, what is allowed all the same, and how they are changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, actor_of, can, requires
from accounts.models import Team
from accounts.querysets import teams_where
from containers_app import findings, rails_page
from containers_app.rails_form import ExceptionForm, RailsForm
from engine import guard, rails
from engine.specs import SpecError
from operations import policies
from operations.policy import Policy
from operations.web import answers, toast


@require_safe
@requires("policy.read")
def broken(request: HttpRequest) -> HttpResponse:
    """Which containers break which rule; ``?team=``, ``?rule=``, ``?q=``."""
    actor = actor_of(request)
    rule, words = request.GET.get("rule", ""), request.GET.get("q", "")[:100].strip().lower()
    found = findings.found(actor, team=_team(actor, request.GET.get("team", "")), rule=rule)
    shown = [one for one in found.findings if words in one.container.name.lower()]
    titles = {**guard.RULES, **findings.ADVICE}
    context = {
        "found": found, "shown": shown, "rule": rule, "q": words, "team": request.GET.get("team", ""),
        "teams": list(teams_where(actor, Policy.read_permission)),
        "rules": [(name, titles[name], count) for name, count in sorted(found.counts.items())],
        "narrowed": bool(rule or words or request.GET.get("team")), "may_except": can(actor, "policy.except"),
    }  # fmt: skip
    return render(request, "rails/findings.html", context)


@require_safe
@requires("policy.read")
def rules(request: HttpRequest) -> HttpResponse:
    """The rails that hold for a team (``?team=``) or the site, and how much of its quotas a team has."""
    actor = actor_of(request)
    teams = list(teams_where(actor, Policy.read_permission))
    team = _team(actor, request.GET.get("team", ""))
    told = policies.said(team.pk if team else None)
    context = {
        "team": team, "teams": teams, "groups": rails_page.lines(told), "row": told.team if team else told.site,
        "binds_site": bool(told.site and told.site.binds_site), "bars": rails_page.bars(team) if team else [],
        "may": can(actor, "policy.manage", team),
    }  # fmt: skip
    return render(request, "rails/rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("policy.manage")
@answers
def edit(request: HttpRequest) -> HttpResponse:
    """What the site or a team (``?team=``) says."""
    actor = actor_of(request)
    team = _team(actor, request.GET.get("team", ""))
    told = policies.said(team.pk if team else None)
    row = told.team if team else told.site
    form = RailsForm(request.POST or None, team=team, row=row)
    back = f"{reverse('rails:rules')}?team={team.slug}" if team else reverse("rails:rules")
    if request.method == "POST" and form.is_valid():
        try:
            policies.change(team, actor=actor, **form.said())
        except SpecError as error:
            form.refuse(error.errors)
        else:
            return HttpResponseRedirect(back)
    return render(request, "rails/edit.html", {"form": form, "team": team, "back": back})


@require_POST
@requires("policy.manage")
@answers
def recommend(request: HttpRequest) -> HttpResponse:
    """The site's rails with what the CIS benchmark asks of each new container."""
    told = policies.said(None)
    policies.change(
        None, actor=actor_of(request), rules={**(told.site.rules if told.site else {}), **rails.RECOMMENDED}
    )
    return toast(request, _("New containers get the recommended limits"), to=reverse("rails:rules"))


@require_safe
@requires("policy.read")
def exceptions(request: HttpRequest) -> HttpResponse:
    """What may break a rule for a while; site administrators add to it (``?rule=``, ``?name=``, ``?team=``)."""
    asked: dict[str, Any] = {key: request.GET.get(key, "") for key in ("team", "rule", "name")}
    teams = list(teams_where(actor_of(request), Policy.read_permission))
    return _exceptions(request, ExceptionForm(teams=teams, initial=asked))


@require_POST
@requires("policy.except")
@answers
def allow(request: HttpRequest) -> HttpResponse:
    """Something may break a rule."""
    actor = actor_of(request)
    form = ExceptionForm(request.POST, teams=list(teams_where(actor, Policy.read_permission)))
    if form.is_valid():
        try:
            policies.allow(_team(actor, form.cleaned_data["team"]), actor=actor, **form.said())
        except SpecError as error:
            form.refuse(error.errors)
        else:
            return HttpResponseRedirect(reverse("rails:exceptions"))
    return _exceptions(request, form)


def _exceptions(request: HttpRequest, form: ExceptionForm) -> HttpResponse:
    actor = actor_of(request)
    rows = policies.visible_exceptions(actor)[:200]
    context = {
        "form": form, "may": can(actor, "policy.except"), "rows": rows, "now": timezone.now(),
    }  # fmt: skip
    return render(request, "rails/exceptions.html", context)


@require_POST
@requires("policy.except")
@answers
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """An exception ends now."""
    actor = actor_of(request)
    policies.end(get_object_or_404(policies.visible_exceptions(actor), pk=pk), actor=actor)
    return toast(request, _("The exception has ended"), to=reverse("rails:exceptions"))


def _team(actor: Actor, slug: str) -> Team | None:
    return get_object_or_404(teams_where(actor, Policy.read_permission), slug=slug) if slug else None
