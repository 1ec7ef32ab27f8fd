"""The form of what a group of single sign-on gives."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.group_mappings import LONGEST
from accounts.models import GroupMapping, PermissionSet, Role, Team

SITE = "site"


class MappingForm(forms.Form):
    """A group, and what it gives where; once made, its group and its team stay."""

    group = forms.CharField(
        label=_lazy("Group"), max_length=LONGEST, strip=False,
        help_text=_lazy("As the provider writes it, letter by letter."),
        widget=forms.TextInput(
            attrs={"autofocus": True, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )  # fmt: skip
    gives = forms.ChoiceField(label=_lazy("Gives"))
    team = forms.ModelChoiceField(
        Team.objects.order_by("name"), label=_lazy("In the team"), required=False, empty_label=_lazy("Choose a team")
    )  # fmt: skip
    console = forms.BooleanField(label=_lazy("May open consoles"), required=False)
    files = forms.BooleanField(label=_lazy("May see and change files"), required=False)  # type: ignore[assignment] # a name
    when_gone = forms.ChoiceField(
        label=_lazy("Once somebody is no longer in the group"), choices=GroupMapping.Gone.choices
    )

    def __init__(self, data: Any = None, *, row: GroupMapping | None = None) -> None:
        said: dict[str, Any] = {}
        if row:
            gives = f"set:{row.permission_set_id}" if row.permission_set_id else row.role or SITE
            said = {"gives": gives, "console": row.console, "files": row.files, "when_gone": row.when_gone}
        super().__init__(data, initial=said or {"gives": Role.VIEWER.value}, auto_id="mapping_%s")
        sets = PermissionSet.objects.select_related("team").order_by("team__name", "name")
        if row:
            sets = sets.filter(team=row.team) | sets.filter(team=None)
            del self.fields["group"], self.fields["team"]
        self.sets = {f"set:{one.pk}": one for one in sets}
        roles = [(role.value, role.label) for role in Role if role != Role.CUSTOM]
        choices: list[Any] = [(_("Roles in a team"), roles)] if row is None or row.team_id else []
        if self.sets and choices:
            named = [
                (key, f"{one.team.name} · {one.name}" if one.team else one.name)
                for key, one in self.sets.items()
            ]
            choices.append((_("Permission sets"), named))
        if row is None or row.team_id is None:
            choices.append((_("The whole site"), [(SITE, _("Site administrator, of everything"))]))
        self.fields["gives"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A team for what holds in one, none for the site."""
        found = super().clean() or self.cleaned_data
        if "team" in self.fields and "gives" in found:
            if found["gives"] == SITE and found.get("team"):
                raise ValidationError({"team": _("A site administrator is one in every team: choose none.")})
            if found["gives"] != SITE and not found.get("team") and "team" not in self.errors:
                raise ValidationError({"team": _("Choose the team that it is in.")})
        return found

    def said(self) -> dict[str, Any]:
        """What `accounts.group_mappings.save` takes."""
        found = self.cleaned_data
        gives: dict[str, Any] = {"when_gone": found["when_gone"]}
        if found["gives"] == SITE:
            return gives
        if chosen := self.sets.get(found["gives"]):
            return {**gives, "permission_set": chosen}
        return {**gives, "role": Role(found["gives"]), "console": found["console"], "files": found["files"]}
