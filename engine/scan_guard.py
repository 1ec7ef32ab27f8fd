"""What the guard rails say of an image by its scans: which rule it breaks, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.guard import Violation
from engine.rails import Rails
from engine.scan_reports import Finding
from engine.scan_rule import ScanRule
from engine.words import kept

REQUIRED, SEVERE = "scanned_images_only", "no_severe_vulnerabilities"
SHOWN = 3
"""Vulnerabilities that a denial names."""


@dataclass(frozen=True, slots=True)
class Known:
    """A scan: when it was made, how much it found of each severity, and what, which is read where it is asked for."""

    scanned_at: datetime
    counts: Mapping[str, int]
    findings: Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an image. ``here``: it is on the engine. ``newest`` scan of all that count, ``own`` of those
    that the worker made."""

    image: str
    here: bool = True
    newest: Known | None = None
    own: Known | None = None


def of_scans(facts: Facts, rails: Rails, now: datetime, field: str = "image") -> list[Violation]:
    """What these rails do not allow, each rule once."""
    found: dict[str, Violation] = {}
    for rule in rails.scans:
        for one in _judged(facts, rule, now, field):
            found.setdefault(one.rule, one)
    return list(found.values())


def _judged(facts: Facts, rule: ScanRule, now: datetime, field: str) -> Iterable[Violation]:
    image, scan = facts.image, facts.own if rule.worker else facts.newest
    if not facts.here:
        if rule.required or rule.block:
            message = kept(f"{image} is not on this engine yet: pull it first, have it scanned, then run it.")
            yield Violation(REQUIRED, field, message)
        return
    if scan is None:
        if rule.required:
            whose = (
                kept("Slipway's own scanner has not looked at it")
                if rule.worker
                else kept("bring a scanner's report, or have it scanned")
            )
            yield Violation(REQUIRED, field, kept(f"{image} has no scan: {whose}."))
        return
    age = (now - scan.scanned_at).days
    if rule.days and age > rule.days:
        message = kept(f"The scan of {image} is too old: {age} days, and at most {rule.days} are allowed.")
        yield Violation(REQUIRED, field, message)
    severe = rule.blocking(scan.findings(), now) if any(map(scan.counts.get, rule.severe)) else []
    if severe:
        names = list(dict.fromkeys(one.id for one in severe))
        shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        message = kept(
            f"{image} has known vulnerabilities ({rule.block} or worse, {len(severe)} in packages): {shown}."
        )
        yield Violation(SEVERE, field, message)
