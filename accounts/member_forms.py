"""Forms of teams and who is in them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import RANKS, Actor, rank
from accounts.models import Membership, Role, Team, User

SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]{0,39}\Z", _lazy("Small letters, digits and hyphens."))


class MemberForm(forms.Form):
    """A role, up to one's own, and the grants beyond it."""

    username = forms.CharField(
        label=_lazy("User name"), max_length=150, widget=forms.TextInput(attrs={"autofocus": True})
    )
    role = forms.ChoiceField(label=_lazy("Role"))
    console = forms.BooleanField(label=_lazy("May open consoles"), required=False)
    files = forms.BooleanField(label=_lazy("May see and change files"), required=False)  # type: ignore[assignment] # a name

    def __init__(
        self, data: Any = None, *, actor: Actor, team: Team, member: Membership | None = None
    ) -> None:
        said = {"role": member.role, "console": member.console, "files": member.files} if member else {}
        super().__init__(data, initial=said, auto_id="member_%s")
        have = rank(actor, team.pk)
        choices = [(value, label) for value, label in Role.choices if RANKS[value] <= have]
        self.fields["role"].choices = choices  # type: ignore[attr-defined]
        self.fields["username"].widget.attrs |= {
            "autocomplete": "off",
            "autocapitalize": "none",
            "spellcheck": "false",
        }
        if member:
            del self.fields["username"]

    def clean_username(self) -> User:
        """Somebody who may sign in, by their exact name: nobody is shown who there is."""
        user = User.objects.filter(username=self.cleaned_data["username"], is_active=True).first()
        if user is None:
            raise forms.ValidationError(_("Nobody who may sign in is called so."))
        return user

    def said(self) -> dict[str, Any]:
        """What `accounts.members.put` takes. Grants are for operators: a team admin may anyway, a viewer may not."""
        found = self.cleaned_data
        return {"role": Role(found["role"]), "console": found["console"], "files": found["files"]}


class TeamForm(forms.ModelForm):
    """A team by its name; the short name is what REST and filters call it."""

    slug = forms.CharField(label=_lazy("Short name"), max_length=40, validators=[SLUG])

    class Meta:
        model = Team
        fields = ("name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.slug:
            del self.fields["slug"]
