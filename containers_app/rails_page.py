"""The guard rails in words: what holds, by whom it is said, and how much of its quotas a team has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Team
from containers_app import scan_form
from containers_app.rails_form import GROUPS, LABELS, WIDE
from engine import rails
from operations import policies, quotas


@dataclass(frozen=True, slots=True)
class Line:
    """One rule: ``strong`` where it allows what is usually forbidden, ``by`` whose word it is."""

    label: str
    words: str
    by: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """How much there is, and may be: ``pct`` is ``None`` without a quota."""

    label: str
    used: str
    limit: str
    pct: float | None
    tone: str = ""


def lines(told: policies.Said) -> list[tuple[str, list[Line]]]:
    """All rules that hold, under their headings."""
    found = [(str(title), [_line(told, name) for name in names]) for title, names in GROUPS]
    return [*found[:2], (str(scan_form.TITLE), _scans(told)), *found[2:]]


def _scans(told: policies.Said) -> list[Line]:
    """What the site asks of scans and what the team does: both hold."""
    today, label = timezone.localdate(), _("Before an image is run")
    rules = [(by, row.rules.get("scan")) for by, row in (("site", told.site), ("team", told.team)) if row]
    found = [Line(label, scan_form.words(rule, today), by) for by, rule in rules if rule]
    return found or [Line(label, _("no scan is asked for"), "")]


def _line(told: policies.Said, name: str) -> Line:
    site, team = (row.rules if row else {} for row in (told.site, told.team))
    by = "team" if name in team else "site" if name in site else ""
    value = getattr(told.rails, name)
    return Line(str(LABELS[name]), _words(name, value), by, name in rails.SWITCHES and bool(value))


def _words(name: str, value: Any) -> str:
    if name in WIDE:
        return "any" if value is None else ", ".join(value) or "none"
    if name in rails.SWITCHES:
        return _("allowed") if value else _("forbidden")
    if name in rails.STRICT:
        return _("on") if value else _("off")
    if name == "memory":
        return quotas.amount("memory", value) if value else _("no limit")
    return str(value) if value else _("no limit")


def bars(team: Team) -> list[Bar]:
    """What the team has of each quota, those without a limit too."""
    have, may = quotas.used(team.pk), quotas.limits(team.pk)
    return [_bar(name, have[name], may.get(name)) for name in quotas.KINDS]


def _bar(name: str, used: float, limit: float | None) -> Bar:
    if limit is None:
        return Bar(quotas.KINDS[name], quotas.amount(name, used), "", None)
    pct = min(100.0, 100 * used / limit) if limit else 100.0
    tone = "bad" if used >= limit else "warn" if pct >= 80 else ""
    return Bar(quotas.KINDS[name], quotas.amount(name, used), quotas.amount(name, limit), pct, tone)
