"""What every form that asks for a change has in common: on which engine, for which team."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, can
from accounts.models import Team
from accounts.querysets import only_team, team_ids
from operations.models import Engine


class Change(forms.Form):
    """``engine`` and ``team`` are asked for only where there is a choice; else the only one is taken.

    After `is_valid`, ``cleaned_data["engine"]`` is an `Engine` or ``None`` (there is none at all), and ``"team"``
    a `Team` or ``None`` (site administrators may own nothing in particular).
    """

    engine = forms.ModelChoiceField(
        Engine.objects.none(), required=False, empty_label=None, label=_lazy("Engine")
    )
    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, label=_lazy("Owner"), empty_label=_lazy("nobody")
    )
    permission = ""

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.engines = list(Engine.objects.all())
        self.teams = teams_of(actor, self.permission)
        self.fields["engine"].queryset = Engine.objects.all()  # type: ignore[attr-defined]
        teams = self.fields["team"]
        teams.queryset = Team.objects.filter(pk__in=[team.pk for team in self.teams])  # type: ignore[attr-defined]
        teams.initial = only_team(actor)
        if not actor.is_site_admin:
            teams.empty_label = None  # type: ignore[attr-defined]

    def clean_engine(self) -> Engine | None:
        """The chosen one, else the only one."""
        chosen: Engine | None = self.cleaned_data.get("engine")
        return chosen or (self.engines[0] if len(self.engines) == 1 else None)

    def clean_team(self) -> Team | None:
        """The chosen one, else the only one of somebody who must have one."""
        chosen: Team | None = self.cleaned_data.get("team")
        alone = len(self.teams) == 1 and self.fields["team"].empty_label is None  # type: ignore[attr-defined]
        return chosen or (self.teams[0] if alone else None)

    def refuse(self, errors: dict[str, list[str]]) -> None:
        """Puts the messages of a `SpecError` beside their fields; those without a field on top."""
        for name, messages in errors.items():
            key = name.partition(".")[0]
            self.add_error(key if key in self.fields else None, [*messages])


def teams_of(actor: Actor, permission: str) -> list[Team]:
    """Teams for which this actor may do that."""
    return [team for team in Team.objects.filter(pk__in=team_ids(actor)) if can(actor, permission, team)]
