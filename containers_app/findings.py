"""Which containers that exist break which guard rail, also those that were made elsewhere or before the rail was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.access import Actor
from accounts.models import Team
from accounts.querysets import team_ids, visible_to
from containers_app.models import Container
from engine import guard, reach
from engine.errors import Invalid
from engine.rails import Rails
from images_app import scan_gate
from operations import policies
from operations.policy import Policy, PolicyException

MOST = 2000
"""Containers that are looked at."""
ADVICE = {
    "no_memory_limit": _("No memory limit"),
    "no_pids_limit": _("No limit of processes"),
    "no_log_limit": _("Logs without a limit"),
}
"""What no rule forbids and the CIS benchmark asks for."""
_ADVISED = {
    "no_memory_limit": _("It may take all memory of the host. Set a limit under Change limits."),
    "no_pids_limit": _(
        "A program that starts itself again and again fills the host. Set a limit under Change limits."
    ),
    "no_log_limit": _("Its log grows until the host's disk is full. Made anew here, it gets a limit."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One container and one rule. ``by``: whose rule, a team's slug or ``site``; empty for advice.

    ``excepted``: somebody allowed it, and why.
    """

    container: Container
    rule: str
    title: str
    messages: tuple[str, ...]
    by: str = ""
    excepted: str = ""

    @property
    def advice(self) -> bool:
        return self.rule in ADVICE


@dataclass(frozen=True, slots=True)
class Found:
    """All findings, how many containers were looked at, and how many broken rules there are by rule."""

    findings: list[Finding]
    looked_at: int
    counts: dict[str, int]

    @property
    def broken(self) -> int:
        """Without advice, and without what somebody allowed."""
        return sum(1 for one in self.findings if not one.advice and not one.excepted)


def found(actor: Actor, *, team: Team | None = None, rule: str = "", advice: bool = True) -> Found:
    """What the reader may know of, of a team and a rule where they are given. A few queries, however many containers
    there are; findings of scans, where a rule asks for them, come some at a time.
    """
    rows = visible_to(actor, Container.objects.select_related("team", "engine"))
    if not (actor.is_site_admin and actor.token_team_id is None):
        rows = rows.filter(team__in=team_ids(actor, Policy.read_permission))
    if team:
        rows = rows.filter(team=team)
    rows = rows.only(
        "id",
        "name",
        "team",
        "engine",
        "inspect",
        "image_ref",
        "image_native_id",
        "memory_limit",
        "pids_limit",
        "state",
    ).order_by("name", "pk")[:MOST]
    containers = list(rows)
    told = policies.of_teams(list({row.team_id for row in containers}))
    free = {
        (one.team_id, one.name, one.rule): one.reason
        for one in PolicyException.objects.filter(expires_at__gt=timezone.now())
    }
    scans = _scans_of(containers, told)
    every = [one for row in containers for one in _of(row, told[row.team_id], free, scans)]
    counts: dict[str, int] = {}
    for one in every:
        counts[one.rule] = counts.get(one.rule, 0) + 1
    kept = [one for one in every if (not rule or one.rule == rule) and (advice or not one.advice)]
    kept.sort(key=lambda one: (one.advice, bool(one.excepted)))
    return Found(kept, len(containers), counts)


def of_one(container: Container) -> list[Finding]:
    """The same for one container."""
    free = policies.exceptions(container.team_id, container.name, *scan_gate.called(container.image_ref))
    said = {(one.team_id, one.name, one.rule): one.reason for one in free}
    told = policies.said(container.team_id)
    return list(_of(container, told, said, _scans_of([container], {container.team_id: told})))


class _Scans:
    """What scans say of images, and what rules say of that: asked once, since many containers are of one image."""

    def __init__(self, known: dict[tuple[str, UUID | None], dict[str, Any]]) -> None:
        self._known = known
        self._said: dict[tuple[Any, ...], list[guard.Violation]] = {}

    def violations(self, row: Container, rails: Rails) -> list[guard.Violation]:
        """What this container breaks."""
        facts = self._known.get((row.image_native_id, row.team_id), {})
        image = row.image_ref or row.image_native_id
        key = (*(id(facts.get(which)) for which in ("newest", "own")), image, rails.scans)
        if key not in self._said:
            self._said[key] = scan_gate.violations(image, facts, rails)
        return self._said[key]


def _scans_of(rows: list[Container], told: dict[UUID | None, policies.Said]) -> _Scans:
    """What is known of the images of those whose team has a rule about it."""
    asked = {(row.image_native_id, row.team_id): None for row in rows if told[row.team_id].rails.scans}
    return _Scans(scan_gate.known(asked) if asked else {})


def _of(
    row: Container, told: policies.Said, free: dict[tuple[UUID | None, str, str], str], scans: _Scans
) -> Iterator[Finding]:
    broken: dict[str, list[guard.Violation]] = {}
    for violation in _violations(row, told.rails, scans):
        broken.setdefault(violation.rule, []).append(violation)
    site = {one.rule for one in _violations(row, told.site_rails, scans)} if broken else set()
    for name, violations in broken.items():
        slug = told.team.team.slug if told.team and told.team.team else "site"
        names = [row.name, *(scan_gate.called(row.image_ref) if name in scan_gate.RULES else ())]
        excepted = next((why for one in names if (why := free.get((row.team_id, one, name)))), "")
        yield Finding(
            row, name, guard.RULES[name], tuple(dict.fromkeys(one.message for one in violations)),
            by="site" if name in site else slug, excepted=excepted,
        )  # fmt: skip
    for name in _advice(row):
        yield Finding(row, name, str(ADVICE[name]), (str(_ADVISED[name]),))


def _violations(row: Container, rails: Rails, scans: _Scans) -> list[guard.Violation]:
    found = guard.of_reach(reach.of(row.inspect), rails)
    if rails.scans:
        found += scans.violations(row, rails)
    try:
        return found + guard.of_image(row.image_ref, rails) if row.image_ref else found
    except Invalid:  # an engine shows an id where the tag has gone
        return found


def _advice(row: Container) -> Iterator[str]:
    host = row.inspect.get("HostConfig") if isinstance(row.inspect, dict) else None
    if not row.memory_limit:
        yield "no_memory_limit"
    if row.pids_limit <= 0:
        yield "no_pids_limit"
    log: Any = (host or {}).get("LogConfig") or {}
    if log.get("Type") == "json-file" and "max-size" not in (log.get("Config") or {}):
        yield "no_log_limit"
