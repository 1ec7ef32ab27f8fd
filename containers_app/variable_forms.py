"""The form of a team's variable: what was typed, and where its messages stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from operations.variable import Variable

PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


class VariableForm(forms.Form):
    """A new one, or another value. What a secret is stays empty: nobody is shown it, and empty leaves it."""

    team = forms.ChoiceField(label=_("Team"))
    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "DATABASE_PASSWORD"}),
    )
    value = forms.CharField(
        label=_("Value"), required=False, strip=False, widget=forms.Textarea(attrs={**PLAIN, "rows": 3})
    )
    secret = forms.BooleanField(
        label=_("Secret: nobody is shown the value again"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "check"}),
    )
    note = forms.CharField(label=_("What it is for"), required=False, max_length=200)

    def __init__(self, data: Any = None, *, teams: Sequence[Team], row: Variable | None = None) -> None:
        first = (
            {"secret": True} if row is None else {"value": row.value, "secret": row.secret, "note": row.note}
        )
        super().__init__(data, initial=first)
        self.row = row
        self.fields["team"].choices = [(team.slug, team.name) for team in teams]  # type: ignore[attr-defined]
        if row or len(teams) == 1:
            del self.fields["team"]
        if row:
            del self.fields["name"]
            if row.secret:
                self.fields["value"].widget.attrs["placeholder"] = "unchanged"

    def wish(self) -> dict[str, Any]:
        """The keyword arguments of `operations.variables.put`, without who and what."""
        said = self.cleaned_data
        value: str | None = said["value"].replace("\r\n", "\n")
        if self.row and self.row.secret and not value:
            value = None
        return {"value": value, "secret": said["secret"], "note": said["note"]}

    def refuse(self, errors: Mapping[str, Sequence[str]]) -> None:
        """What was not taken, at its field."""
        for name, found in errors.items():
            self.add_error(name if name in self.fields else None, list(found))
