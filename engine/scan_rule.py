"""The rule about scans of images as a value: what is asked of a scan before an image may be run. Pure.

The site and a team may each say one, and both hold. So neither is mixed into the other: what one ignores, the other
still counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from engine.fields import Fields
from engine.scan_reports import SEVERITIES, Finding
from engine.words import gettext

BLOCKING = SEVERITIES[:4]
"""What a rule may block from."""
LONGEST = 3650
MOST_IGNORED = 200


@dataclass(frozen=True, slots=True)
class Ignored:
    """A vulnerability that is known and borne, why, and until when; ``None``: until the rule is changed."""

    id: str
    reason: str
    until: str | None = None

    def holds(self, today: date) -> bool:
        """Whether that is so today, the last day included."""
        return self.until is None or today <= date.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class ScanRule:
    """``required``: no image runs without a scan, nor with one of more than ``days`` days (0: however old it is).
    ``block``: none with a vulnerability of that severity or a worse one; ``fixable``: that a version mends. ``worker``:
    scans count that Slipway's own worker made, and reports that were brought do not.
    """

    required: bool = False
    block: str = ""
    fixable: bool = False
    days: int = 0
    worker: bool = False
    ignored: tuple[Ignored, ...] = ()

    @property
    def severe(self) -> tuple[str, ...]:
        """The severities that stand in the way."""
        return BLOCKING[: BLOCKING.index(self.block) + 1] if self.block else ()

    def blocking(self, every: Iterable[Finding], now: datetime) -> list[Finding]:
        """Those of them that stand in the way."""
        ignored = {one.id.upper() for one in self.ignored if one.holds(now.date())}
        return [
            one
            for one in every
            if one.severity in self.severe
            and one.id.upper() not in ignored
            and (one.fixed or not self.fixable)
        ]


def parse(f: Fields) -> dict[str, Any]:
    """The parts that are said, checked, as they are stored; what is wrong is noted in ``f``."""
    found: dict[str, Any] = {
        "required": f.boolean("required"), "block": f.choice("block", "", ("", *BLOCKING)),
        "fixable": f.boolean("fixable"), "days": f.integer("days", 0, 1, LONGEST, zero=True),
        "worker": f.boolean("worker"),
    }  # fmt: skip
    ignored = [_ignored(one) for one in f.objects("ignored", MOST_IGNORED)]
    if found["days"] and not found["required"]:
        f.fail("days", gettext("How old a scan may be counts where one is required."))
    if found["fixable"] and not found["block"]:
        f.fail("fixable", gettext("Say from which severity up images are blocked."))
    f.finish()
    said = {key: value for key, value in found.items() if value}
    return {**said, "ignored": ignored} if ignored else said


def _ignored(f: Fields) -> dict[str, Any]:
    id_, reason = f.string("id", "", longest=80), f.string("reason", "", longest=500)
    until = f.string("until", None, longest=10)
    if "id" not in f.data:
        f.fail("id", gettext("This field is required."))
    if "reason" not in f.data:
        f.fail("reason", gettext("Say why, for whoever reads it later."))
    if until is not None:
        try:
            until = date.fromisoformat(until).isoformat()
        except ValueError:
            f.fail("until", gettext("A day such as 2030-01-31 is expected."))
    f.finish()
    return {"id": id_, "reason": reason, "until": until}


def of(said: dict[str, Any]) -> ScanRule:
    """From what `parse` gave."""
    ignored = tuple(Ignored(**one) for one in said.get("ignored", ()))
    return ScanRule(**{**said, "ignored": ignored})
