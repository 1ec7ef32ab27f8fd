"""What people type about a channel of messages; the models judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import translation
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, can
from accounts.models import Team
from accounts.querysets import only_team, visible_teams
from operations import registry
from operations.channel import EVENTS
from operations.forms import teams_of
from operations.models import Channel, Engine

PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
COOLDOWNS = (
    (0, _lazy("each one")),
    (5, _lazy("5 minutes")),
    (15, _lazy("15 minutes")),
    (60, _lazy("an hour")),
    (360, _lazy("6 hours")),
    (1440, _lazy("a day")),
)
MUTES = (
    (1, _lazy("for an hour")),
    (4, _lazy("for 4 hours")),
    (24, _lazy("for a day")),
    (168, _lazy("for a week")),
)
GROUPS = (
    (
        _lazy("Containers"),
        ("container.exited", "container.oom", "container.unhealthy", "container.crash_loop"),
    ),
    (_lazy("Operations"), ("operation.failed", "backup.failed", "policy.run")),
    (_lazy("Images and engines"), ("image.update", "engine.away", "engine.back")),
)


def _ticks(choices: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(choices=choices, required=False, widget=forms.CheckboxSelectMultiple)


class ChannelForm(forms.Form):
    """A new one, or one that is changed. What is sealed is never shown: an empty address stays as it was."""

    kind = forms.ChoiceField(label=_lazy("What it is"), choices=Channel.Kind.choices)
    name = forms.CharField(
        label=_lazy("Name"),
        max_length=60,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": _lazy("On call")}),
    )
    address = forms.CharField(
        label=_lazy("Address"), max_length=2000, required=False,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "https://hooks.example/…"}),
    )  # fmt: skip
    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, label=_lazy("Tells of"), empty_label=_lazy("everything")
    )
    events = _ticks(list(EVENTS.items()))
    pattern = forms.CharField(
        label=_lazy("Names"), max_length=200, required=False,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": _lazy("all, or web*")}),
    )  # fmt: skip
    cooldown = forms.TypedChoiceField(
        label=_lazy("About the same thing, one message in"), coerce=int, choices=COOLDOWNS
    )
    engines = _ticks(())
    teams = _ticks(())
    kinds = forms.MultipleChoiceField(
        choices=(), required=False, label=_lazy("Operations"), widget=forms.SelectMultiple
    )
    enabled = forms.BooleanField(required=False)

    def __init__(self, asked: QueryDict | None, *, actor: Actor, row: Channel | None = None) -> None:
        self.row = row
        self.owners, self.site = teams_of(actor, "webhook.manage"), can(actor, "engine.manage")
        own = None if self.site else only_team(actor)
        initial: dict[str, Any] = {"events": list(EVENTS), "cooldown": 15, "enabled": True, "team": own}
        if row:
            names = (
                "kind",
                "name",
                "team",
                "events",
                "pattern",
                "cooldown",
                "engines",
                "teams",
                "kinds",
                "enabled",
            )
            initial = {name: getattr(row, name) for name in names}
        super().__init__(asked, initial=initial)
        known = dict(COOLDOWNS)
        if row and row.cooldown not in known:
            self.fields["cooldown"].choices = [*COOLDOWNS, (row.cooldown, f"{row.cooldown} minutes")]  # type: ignore[attr-defined]
        owner = self.fields["team"]
        owner.queryset = Team.objects.filter(pk__in=[team.pk for team in self.owners])  # type: ignore[attr-defined]
        if not self.site:
            owner.empty_label = None  # type: ignore[attr-defined]
        self._choices("engines", [(str(engine.pk), engine.name) for engine in Engine.objects.all()])
        of_site = row.team_id is None if row else self.site
        self._choices("teams", [(team.slug, team.name) for team in visible_teams(actor)] if of_site else [])
        self._choices(
            "kinds",
            sorted(
                (name, f"{translation.gettext(kind.label)} ({name})")
                for name, kind in registry.all_kinds().items()
            ),
        )
        if row:
            for name in ("kind", "team"):
                del self.fields[name]

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def groups(self) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        """Events under headings: ``(name, words, ticked)``."""
        ticked = set(self["events"].value() or ())
        return [
            (str(title), [(name, str(EVENTS[name]), name in ticked) for name in names])
            for title, names in GROUPS
        ]

    @property
    def narrowed(self) -> bool:
        """Whether there is more to it than which events."""
        names = ("pattern", "engines", "teams", "kinds")
        return any(self[name].value() or self[name].errors for name in names)

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        body = {
            name: said[name]
            for name in ("name", "events", "pattern", "cooldown", "engines", "kinds", "enabled")
        }
        if not said.get("team"):
            body["teams"] = said["teams"]
        if said["address"] or self.row is None:
            body["address"] = said["address"]
        return body if self.row else {**body, "kind": said["kind"]}

    def owning(self) -> Team | None:
        """Whose it will be."""
        chosen: Team | None = self.cleaned_data.get("team")
        return chosen or (self.owners[0] if not self.site and len(self.owners) == 1 else None)

    def refuse(self, errors: Mapping[str, list[str]]) -> None:
        """What the model does not take, at its field."""
        for name, messages in errors.items():
            key = name.partition(".")[0]
            self.add_error(key if key in self.fields else None, [*messages])
