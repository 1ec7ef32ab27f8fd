"""The rule about scans of images as it is typed and as it is told; `engine.scan_rule` judges what comes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from engine.scan_rule import BLOCKING, LONGEST

PREFIX = "scan_"
TITLE = _lazy("Scans of images")
LABELS = {
    "required": _lazy("A scan is required"),
    "days": _lazy("At most so many days old"),
    "worker": _lazy("By Slipway’s own scanner alone"),
    "block": _lazy("Blocked from severity"),
    "fixable": _lazy("Only what a version mends"),
    "ignored": _lazy("Ignored vulnerabilities"),
}
SEVERITIES = {
    "critical": _lazy("critical"), "high": _lazy("high"), "medium": _lazy("medium"), "low": _lazy("low"),
    "unknown": _lazy("unknown"),
}  # fmt: skip
_LINE = re.compile(r"(\S+)(?:\s+(\d{4}-\d\d-\d\d))?\s*(.*)")


def fields(behind: str) -> dict[str, forms.Field]:
    """The fields of a form, by their names; ``behind``: what holds where one is left empty."""
    found: dict[str, forms.Field] = {}
    for name, label in LABELS.items():
        if name == "block":
            words = [(one, str(SEVERITIES[one])) for one in BLOCKING]
            field: forms.Field = forms.ChoiceField(choices=[("", behind), *words], required=False)
        elif name == "days":
            field = forms.IntegerField(required=False, min_value=0, max_value=LONGEST)
        elif name == "ignored":
            hint = _("One a line: CVE-2024-1234 2030-01-31 why")
            widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": hint})
            field = forms.CharField(required=False, max_length=40_000, widget=widget)
        else:
            choices = [("", behind), ("1", _("on")), ("0", _("off"))]
            field = forms.ChoiceField(choices=choices, required=False)
        field.label = str(label)
        found[PREFIX + name] = field
    return found


def typed(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as it was typed."""
    found: dict[str, Any] = {}
    for name, value in rule.items():
        if name == "ignored":
            lines = [" ".join(filter(None, (one["id"], one["until"], one["reason"]))) for one in value]
            found[PREFIX + name] = "\n".join(lines)
        else:
            found[PREFIX + name] = ("1" if value else "0") if isinstance(value, bool) else value
    return found


def said(data: Mapping[str, Any]) -> dict[str, Any]:
    """The rule that was typed, as `engine.rails.parse` takes it; empty for none."""
    found: dict[str, Any] = {}
    for name in LABELS:
        value = data.get(PREFIX + name)
        if value in (None, "", 0):
            continue
        if name == "ignored":
            found[name] = [one for line in value.splitlines() if (one := _ignored(line.strip()))]
        else:
            found[name] = value if name in ("block", "days") else value == "1"
    return {name: value for name, value in found.items() if value}


def _ignored(line: str) -> dict[str, Any]:
    match = _LINE.fullmatch(line)
    if match is None:
        return {}
    id_, until, reason = match.groups()
    return {"id": id_, **({"reason": reason} if reason else {}), **({"until": until} if until else {})}


def field_of(path: str) -> str:
    """The field of what the model does not take: ``scan.ignored.0.reason`` is ``scan_ignored``."""
    parts = path.split(".")
    return PREFIX + parts[1] if parts[0] == "scan" and len(parts) > 1 else ""


def words(rule: Mapping[str, Any], today: date) -> str:
    """A rule in one sentence."""
    parts = []
    if rule.get("required"):
        days = int(rule.get("days", 0))
        young = ngettext("required, at most %(n)s day old", "required, at most %(n)s days old", days)
        parts.append(young % {"n": days} if days else _("required"))
    if rule.get("worker"):
        parts.append(_("by Slipway’s own scanner alone"))
    if block := rule.get("block"):
        told = _("blocked from %(severity)s up, where a version mends it") if rule.get("fixable") else ""
        parts.append((told or _("blocked from %(severity)s up")) % {"severity": SEVERITIES[block]})
    ignored = [
        one for one in rule.get("ignored", ()) if not one["until"] or one["until"] >= today.isoformat()
    ]
    if ignored:
        parts.append(_("ignoring %(ids)s") % {"ids": ", ".join(one["id"] for one in ignored[:20])})
    return "; ".join(parts) or _("nothing is asked")
