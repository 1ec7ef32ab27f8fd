"""The forms of the guard rails: what the site or a team says, and an exception. The models judge; here it is typed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.models import Team
from containers_app import scan_form
from engine import guard, rails
from operations import quotas
from operations.policy import Policy

PLAIN = {"autocomplete": "off", "spellcheck": "false"}
MB = 2**20
LABELS = {
    "privileged": _lazy("Privileged containers"),
    "namespaces": _lazy("The host's network and namespaces"),
    "devices": _lazy("Devices of the host"),
    "isolation": _lazy("Loosened isolation"),
    "volume_options": _lazy("Options of volumes"),
    "network_options": _lazy("Options of networks"),
    "digests_only": _lazy("Images by digest only"),
    "host_paths": _lazy("Folders of the host"),
    "capabilities": _lazy("Capabilities to add"),
    "lowest_port": _lazy("Lowest host port"),
    "highest_port": _lazy("Highest host port"),
    "addresses": _lazy("Addresses to publish on"),
    "registries": _lazy("Registries"),
    "volume_drivers": _lazy("Drivers of volumes"),
    "network_drivers": _lazy("Drivers of networks"),
    "pool": _lazy("Addresses of networks"),
    "log_drivers": _lazy("Log drivers"),
    "sysctls": _lazy("Kernel parameters"),
    "restart_policies": _lazy("Restart policies"),
    "memory": _lazy("Memory, MB"),
    "cpus": _lazy("CPU cores"),
    "pids": _lazy("Processes"),
    "init": _lazy("A small init"),
    "no_new_privileges": _lazy("No new privileges"),
    "no_fetching": _lazy("Builds fetch nothing"),
}
GROUPS = (
    (
        _lazy("May be asked for"),
        ("privileged", "namespaces", "devices", "isolation", "volume_options", "network_options"),
    ),
    (
        _lazy("Images and the host"),
        (
            "registries",
            "digests_only",
            "no_fetching",
            "host_paths",
            "capabilities",
            "lowest_port",
            "highest_port",
            "addresses",
        ),
    ),
    (
        _lazy("Drivers and the kernel"),
        ("volume_drivers", "network_drivers", "pool", "log_drivers", "sysctls", "restart_policies"),
    ),
    (_lazy("What a new container gets"), ("memory", "cpus", "pids", "init", "no_new_privileges")),
)
WIDE = (*rails.LISTS, "host_paths")
_NUMBERS = ("lowest_port", "highest_port", "memory", "pids")


class RailsForm(forms.Form):
    """Each field left empty says nothing: then the site's word holds, or the usual."""

    def __init__(self, data: Any = None, *, team: Team | None, row: Policy | None) -> None:
        super().__init__(data, initial=_typed(row))
        behind = _("as the site") if team else _("as usual")
        for name, label in LABELS.items():
            self.fields[name] = _field(name, str(label), behind)
        self.fields.update(scan_form.fields(behind))
        if team is None:
            self.fields["binds_site"] = forms.BooleanField(
                label=_("All of this holds for site administrators too"), required=False
            )
        with_units = {"memory": _("Memory limits, MB"), "cpus": _("CPU limits, cores")}
        for name, what in quotas.KINDS.items():
            words = with_units.get(name) or str(what)
            self.fields[f"quota_{name}"] = forms.FloatField(label=words, required=False, min_value=0)

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The rules under their headings."""
        found = [(str(title), [self[name] for name in names]) for title, names in GROUPS]
        scans = [self[scan_form.PREFIX + name] for name in scan_form.LABELS]
        return [*found[:2], (str(scan_form.TITLE), scans), *found[2:]]

    def quota(self) -> list[forms.BoundField]:
        """The fields of the quotas."""
        return [self[f"quota_{name}"] for name in quotas.KINDS]

    def said(self) -> dict[str, Any]:
        """The arguments of `operations.policies.change`."""
        rules: dict[str, Any] = {}
        for name in LABELS:
            value = self.cleaned_data.get(name)
            if value in (None, ""):
                continue
            if name in WIDE:
                words = value.replace(",", " ").split()
                rules[name] = None if words == ["any"] else [] if words == ["none"] else words
            elif name in (*rails.SWITCHES, *rails.STRICT):
                rules[name] = value == "1"
            else:
                rules[name] = int(value * MB) if name == "memory" else value
        if scan := scan_form.said(self.cleaned_data):
            rules["scan"] = scan
        found = {name: self.cleaned_data.get(f"quota_{name}") for name in quotas.KINDS}
        quota = {name: _whole(name, value) for name, value in found.items() if value is not None}
        wish = {"rules": rules, "quota": quota}
        return (
            {**wish, "binds_site": self.cleaned_data["binds_site"]} if "binds_site" in self.fields else wish
        )

    def refuse(self, errors: Mapping[str, list[str]]) -> None:
        """What the model does not take, at its field."""
        for path, messages in errors.items():
            name = path.partition(".")[0]
            name = scan_form.field_of(path) or (name if name in LABELS else f"quota_{name}")
            self.add_error(name if name in self.fields else None, messages)


class ExceptionForm(forms.Form):
    """Something may break a rule, for a reason and a while."""

    rule = forms.ChoiceField(
        label=_lazy("Rule"),
        choices=[(rule, translation.gettext_lazy(words)) for rule, words in guard.RULES.items()],
    )
    name = forms.CharField(label=_lazy("Name"), max_length=255, widget=forms.TextInput(attrs=PLAIN))
    reason = forms.CharField(label=_lazy("Reason"), max_length=500, widget=forms.TextInput(attrs=PLAIN))
    until = forms.DateField(label=_lazy("Until"), widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(
        self, data: Any = None, *, teams: list[Team], initial: Mapping[str, Any] | None = None
    ) -> None:
        days = 0 if initial and initial.get("rule") == guard.OWN else 30
        until = timezone.localdate() + timedelta(days=days)
        super().__init__(data, initial={"until": until.isoformat(), **(initial or {})})
        choices = [("", _("nobody's")), *((team.slug, team.name) for team in teams)]
        self.fields["team"] = forms.ChoiceField(label=_("Team"), choices=choices, required=False)

    def said(self) -> dict[str, Any]:
        """The arguments of `operations.policies.allow`, without the team."""
        end = datetime.combine(
            self.cleaned_data["until"], time(23, 59), tzinfo=timezone.get_current_timezone()
        )
        return {key: self.cleaned_data[key] for key in ("rule", "name", "reason")} | {"expires_at": end}

    def refuse(self, errors: Mapping[str, list[str]]) -> None:
        """What the model does not take, at its field."""
        for name, messages in errors.items():
            self.add_error({"expires_at": "until"}.get(name, name), messages)


def _field(name: str, label: str, behind: str) -> forms.Field:
    if name in (*rails.SWITCHES, *rails.STRICT):
        words = (_("allowed"), _("forbidden")) if name in rails.SWITCHES else (_("on"), _("off"))
        choices = [("", behind), ("1", words[0]), ("0", words[1])]
        return forms.ChoiceField(label=label, choices=choices, required=False)
    if name == "cpus":
        return forms.FloatField(label=label, required=False, min_value=0)
    if name in _NUMBERS:
        return forms.IntegerField(label=label, required=False, min_value=0)
    return forms.CharField(
        label=label,
        required=False,
        max_length=8192,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": behind}),
    )


def _typed(row: Policy | None) -> dict[str, Any]:
    """A row as it was typed."""
    found: dict[str, Any] = {}
    for name, value in (row.rules if row else {}).items():
        if name == "scan":
            found |= scan_form.typed(value)
        elif isinstance(value, list):
            found[name] = ", ".join(value) or "none"
        elif isinstance(value, bool):
            found[name] = "1" if value else "0"
        else:
            found[name] = value // MB if name == "memory" else value
    for name, value in (row.quota if row else {}).items():
        found[f"quota_{name}"] = value // MB if name == "memory" else value
    return {**found, "binds_site": bool(row and row.binds_site)}


def _whole(name: str, value: float) -> float:
    if name == "cpus":
        return value
    return int(value * MB) if name == "memory" else int(value) if value == int(value) else value
