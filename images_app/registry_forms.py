"""What people type about a registry."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.access import Actor, can
from accounts.models import Team
from accounts.querysets import only_team, visible_teams
from images_app.models import Registry
from operations.forms import teams_of

PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


def _text(label: Any, hint: Any, *, required: bool = True, longest: int = 200) -> forms.CharField:
    widget = forms.TextInput(attrs={**PLAIN, "placeholder": hint})
    return forms.CharField(label=label, max_length=longest, required=required, widget=widget)


class RegistryForm(forms.Form):
    """A new one, or one that is changed. ``owner`` is asked for only of a new one, where there is a choice."""

    name = _text(_("Name"), _("Our registry"), longest=60)
    host = _text(_("Host"), "registry.example:5000")
    plain = forms.BooleanField(required=False)
    username = _text(_("User name"), "", required=False, longest=255)
    password = forms.CharField(
        label=_("Password or token"), max_length=8192, required=False, strip=False,
        widget=forms.PasswordInput(attrs={**PLAIN, "autocomplete": "new-password"}),
    )  # fmt: skip
    token_host = _text(_("Token host"), "auth.example", required=False)
    owner = forms.ModelChoiceField(
        Team.objects.none(), required=False, label=_("Kept by"), empty_label=_("the site")
    )
    teams = forms.ModelMultipleChoiceField(
        Team.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, asked: QueryDict | None, *, actor: Actor, row: Registry | None = None) -> None:
        self.row = row
        initial: dict[str, Any] = {"owner": only_team(actor)}
        if row is not None:
            initial = {key: getattr(row, key) for key in ("name", "host", "username", "token_host")}
            initial |= {"plain": not row.tls, "teams": list(row.teams.all())}
        super().__init__(asked, initial=initial)
        own, all_ = teams_of(actor, "registry.manage"), list(visible_teams(actor))
        self.owners, self.users = own, all_
        owner, teams = self.fields["owner"], self.fields["teams"]
        owner.queryset = Team.objects.filter(pk__in=[team.pk for team in own])  # type: ignore[attr-defined]
        teams.queryset = Team.objects.filter(pk__in=[team.pk for team in all_])  # type: ignore[attr-defined]
        if not can(actor, "engine.manage"):
            owner.empty_label = None  # type: ignore[attr-defined]

    @property
    def chooses_owner(self) -> bool:
        """Whether there is a choice."""
        site = self.fields["owner"].empty_label is not None  # type: ignore[attr-defined]
        return self.row is None and len(self.owners) + site > 1

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract. A password that was left empty stays as it is."""
        said = self.cleaned_data
        body = {key: said[key] for key in ("name", "host", "username", "token_host")}
        body |= {"tls": not said["plain"], "teams": [team.slug for team in said["teams"]]}
        if said["password"] or self.row is None or (self.row.sealed and not said["username"]):
            body["password"] = said["password"]
        return body

    def owning(self) -> Team | None:
        """Whose it will be."""
        chosen: Team | None = self.cleaned_data.get("owner")
        alone = self.fields["owner"].empty_label is None and len(self.owners) == 1  # type: ignore[attr-defined]
        return chosen or (self.owners[0] if alone else None)
