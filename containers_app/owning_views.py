"""Pages of what nobody owns, and of giving things to a team; for site administrators."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from accounts.access import actor_of, requires
from accounts.models import Team
from accounts.querysets import visible_teams
from containers_app import owning, present, team_removal
from operations.web import answers, toast

NOBODY = "-"
_TITLES = {
    "container": _lazy("Containers"),
    "volume": _lazy("Volumes"),
    "network": _lazy("Networks"),
    "image": _lazy("Images"),
}


class TeamField(forms.Form):
    """Which team; ``own``: the one that has it now, which is no choice."""

    team = forms.ChoiceField(label=_lazy("Team"))

    def __init__(self, data: Any = None, *, own: Team | None = None) -> None:
        super().__init__(data, auto_id="move_%s")
        teams = [(team.slug, team.name) for team in Team.objects.all() if team != own]
        self.fields["team"].choices = teams + ([(NOBODY, _("Nobody"))] if own else [])  # type: ignore[attr-defined]

    def chosen(self) -> Team | None:
        """The team; ``None`` for nobody."""
        return Team.objects.filter(slug=self.cleaned_data["team"]).first()


class HeirField(TeamField):
    """Who gets what a team had: to be said, and not to be passed over."""

    def __init__(self, data: Any = None, *, own: Team) -> None:
        super().__init__(data, own=own)
        field: Any = self.fields["team"]
        field.label, field.choices = _("Who gets what it has"), [("", _("Choose…")), *field.choices]


@require_http_methods(["GET", "HEAD", "POST"])
@requires(team_removal.PERMISSION)
@answers
def team_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what goes with a team, asks who gets what it has, and deletes it."""
    actor = actor_of(request)
    team = get_object_or_404(visible_teams(actor), pk=pk)
    form, plan = HeirField(request.POST or None, own=team), team_removal.plan_of(team)
    if request.method == "POST" and (form.is_valid() or not plan.affected):
        to = form.chosen() if form.is_valid() else None
        team_removal.remove(team, actor=actor, said=form.is_valid(), to=to)
        return toast(request, _("%(name)s is deleted") % {"name": team.name}, to=reverse("teams:list"))
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"teams/remove.html{part}", {"team": team, "plan": plan, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(owning.PERMISSION)
@answers
def unowned(request: HttpRequest) -> HttpResponse:
    """What nobody owns, to be given to a team: what was chosen, and what came of each."""
    actor = actor_of(request)
    form, done = TeamField(request.POST or None), []
    if request.method == "POST" and form.is_valid():
        containers = set(request.POST.getlist("along")[: owning.MOST])
        items = _items(request.POST.getlist("item"))
        things = owning.unowned(actor)
        rows = [thing.row for thing in things if thing.key in containers and thing.key in _keys(items)]
        for found in owning.along(rows).values():
            items += [(thing.kind, thing.row.pk) for thing in found]
        done = owning.assign(items, form.chosen(), actor=actor)
        if not done:
            return toast(request, _("Select something first."), "bad", to=reverse("teams:unowned"))
    things = owning.unowned(actor)
    with_it = owning.along([thing.row for thing in things if thing.kind == "container"])
    groups = [
        (title, [(thing, with_it.get(thing.row.pk, [])) for thing in things if thing.kind == kind])
        for kind, title in _TITLES.items()
    ]  # fmt: skip
    context = {
        "groups": [(title, rows) for title, rows in groups if rows], "form": form, "done": done, "may_people": True,
        "came": sorted(Counter(one.status for one in done).items()), "team": form.chosen() if done else None,
    }  # fmt: skip
    return render(request, "teams/unowned.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(owning.PERMISSION)
@answers
def move(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A container goes to another team, with what only it uses."""
    container = get_object_or_404(present.one(actor_of(request)).prefetch_related("mounts__volume"), pk=pk)
    form = TeamField(request.POST or None, own=container.team)
    with_it = owning.along([container])[container.pk]
    if request.method == "POST" and form.is_valid():
        chosen = set(request.POST.getlist("item"))
        picked = [thing for thing in with_it if thing.key in chosen]
        team = form.chosen()
        owning.move(container, team, actor=actor_of(request), with_it=picked)
        to = reverse("containers:detail", args=[pk])
        text = _("%(name)s belongs to %(team)s now") if team else _("%(name)s belongs to nobody now")
        return toast(request, text % {"name": container.name, "team": team}, to=to)
    context = {"container": container, "form": form, "with_it": with_it}
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"teams/move.html{part}", context)


def _items(texts: list[str]) -> list[tuple[str, UUID]]:
    """``kind:uuid`` of a form; a page can send anything."""
    found = []
    for text in texts[: owning.MOST]:
        kind, _, pk = text.partition(":")
        try:
            if kind in owning.KINDS:
                found.append((kind, UUID(pk)))
        except ValueError:
            continue
    return found


def _keys(items: list[tuple[str, UUID]]) -> set[str]:
    return {f"{kind}:{pk}" for kind, pk in items}
