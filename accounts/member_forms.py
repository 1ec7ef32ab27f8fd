"""Forms of teams and who is in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, held
from accounts.members import givable
from accounts.models import Membership, PermissionSet, Role, Team, User
from accounts.permission_texts import AREAS
from accounts.permissions import ALWAYS, FOR_TEAMS, NAMES, PERMISSIONS

SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]{0,39}\Z", _lazy("Small letters, digits and hyphens."))


class RoleField(forms.ChoiceField):
    """A role or a permission set (``set:<id>``): those that the actor may give in a team."""

    def offer(self, actor: Actor, team: Team | None, without: PermissionSet | None = None) -> None:
        """What can be chosen, without a team what fits all of them. `chosen` then knows the sets."""
        roles, sets = givable(actor, team)
        self.sets = {f"set:{row.pk}": row for row in sets if row != without}
        choices: list[Any] = [(role.value, role.label) for role in roles]
        if self.sets:
            choices.append((_("Permission sets"), [(key, row.name) for key, row in self.sets.items()]))
        self.choices = choices

    def chosen(self, value: str) -> dict[str, Any]:
        """What `accounts.members.put` takes."""
        found = self.sets.get(value)
        return {"permission_set": found} if found else {"role": Role(value)}


class MemberForm(forms.Form):
    """A role, up to one's own, and the grants beyond it; or a permission set."""

    username = forms.CharField(
        label=_lazy("User name"), max_length=150, widget=forms.TextInput(attrs={"autofocus": True})
    )
    role = RoleField(label=_lazy("Role"))
    console = forms.BooleanField(label=_lazy("May open consoles"), required=False)
    files = forms.BooleanField(label=_lazy("May see and change files"), required=False)  # type: ignore[assignment] # a name

    def __init__(
        self, data: Any = None, *, actor: Actor, team: Team, member: Membership | None = None
    ) -> None:
        said = {"role": member.role, "console": member.console, "files": member.files} if member else {}
        if member and member.permission_set:
            said["role"] = f"set:{member.permission_set_id}"
        super().__init__(data, initial=said, auto_id="member_%s")
        self.fields["role"].offer(actor, team)  # type: ignore[attr-defined]
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
        field: Any = self.fields["role"]
        chosen: dict[str, Any] = field.chosen(found["role"])
        if "permission_set" in chosen:  # which has its own; what is ticked beside it was of the role before
            return chosen
        return {**chosen, "console": found["console"], "files": found["files"]}


@dataclass(frozen=True, slots=True)
class Tick:
    """A permission as the form of a set shows it. ``fixed``: everybody has it; ``beyond``: the actor has it not."""

    name: str
    text: Promise
    ticked: bool
    fixed: bool
    beyond: bool
    role: str


class PermissionSetForm(forms.Form):
    """A name, and what it holds: up to what the actor holds."""

    name = forms.CharField(
        label=_lazy("Name"), max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )  # fmt: skip
    permissions = forms.MultipleChoiceField(
        choices=[(name, name) for name in sorted(FOR_TEAMS)], required=False
    )

    def __init__(self, data: Any = None, *, actor: Actor, row: PermissionSet) -> None:
        self.row = row
        self.mine = held(actor, row.team_id) if row.team_id else FOR_TEAMS
        super().__init__(data, initial={"name": row.name, "permissions": row.permissions}, auto_id="set_%s")

    def areas(self) -> list[tuple[Promise, list[Tick]]]:
        """What there is to tick, by area."""
        ticked = {*self["permissions"].value(), *ALWAYS}
        return ticks(ticked, self.mine)


def ticks(ticked: Iterable[str], mine: Iterable[str] = FOR_TEAMS) -> list[tuple[Promise, list[Tick]]]:
    """Every permission that a set may hold, by area, and whether it is one of these."""
    areas = [
        (title, [
            Tick(name, text, name in ticked, name in ALWAYS, name not in mine, _role(name))
            for name, text in texts.items() if name in FOR_TEAMS
        ])
        for title, texts in AREAS
    ]  # fmt: skip
    return [(title, rows) for title, rows in areas if rows]


def _role(permission: str) -> str:
    return translation.gettext(NAMES[PERMISSIONS[permission][0]])


class ReplacementForm(forms.Form):
    """What those who have a set that goes are to have instead."""

    role = RoleField(label=_lazy("What they get instead"))

    def __init__(self, data: Any = None, *, actor: Actor, row: PermissionSet) -> None:
        super().__init__(data, auto_id="instead_%s")
        self.fields["role"].offer(actor, row.team, without=row)  # type: ignore[attr-defined]

    def said(self) -> dict[str, Any]:
        """What `accounts.permission_sets.remove` takes."""
        field: Any = self.fields["role"]
        return dict(field.chosen(self.cleaned_data["role"]))


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
