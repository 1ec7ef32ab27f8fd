"""What a change has taken out again: a container that did not stay, as its worker saw it right before.

It is gone from the engine by then; a step event keeps it, its secrets masked, under `KEY`. Its last lines stand in
the operation's log, right behind that event.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from operations.models import Operation, OperationEvent

KEY = "discarded"
_BY_SIGNAL = 128
"""An exit code above it: the first process was ended by the signal of that number more."""


@dataclass(frozen=True, slots=True)
class Check:
    """One result of its health check; ``took`` in seconds."""

    passed: bool
    exit_code: int
    output: str
    took: float
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One line; ``bad`` where it tells why it did not stay."""

    name: str
    value: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Remains:
    """``seq`` is the number of the event: the log after it begins with its ``lines`` last lines."""

    seq: int
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.said.get("name", ""))

    @property
    def lines(self) -> int:
        return int(self.said.get("lines") or 0)

    @property
    def first_line(self) -> int:
        """The number of the line above its last lines."""
        return self.seq + 1

    @property
    def inspect(self) -> Mapping[str, Any]:
        """The engine's own document, masked."""
        found: Mapping[str, Any] = self.said.get("inspect") or {}
        return found

    @property
    def facts(self) -> list[Fact]:
        """How it was, in the order in which people look for a cause."""
        said, code = self.said, self.said.get("exit_code")
        restarts = int(said.get("restart_count") or 0)
        found = [Fact(_("State"), str(said.get("state", "")).capitalize())]
        if code is not None:
            found.append(Fact(_("Exit code"), _code(int(code)), bad=code != 0))
        found.append(
            Fact(
                _("Out of memory"),
                _("yes: the kernel ended it") if said.get("oom_killed") else _("no"),
                bool(said.get("oom_killed")),
            )
        )
        found.append(Fact(_("Restarts"), str(restarts), bad=restarts > 0))
        if health := str(said.get("health") or ""):
            streak = int(said.get("failing_streak") or 0)
            more = _("%(health)s, %(n)s failed in a row") % {"health": health, "n": streak}
            found.append(Fact(_("Health"), more if streak else health, bad=health == "unhealthy"))
        found.append(Fact(_("Ran"), self._ran()))
        if error := str(said.get("error") or ""):
            found.append(Fact(_("Engine says"), error, bad=True))
        return found

    @property
    def checks(self) -> list[Check]:
        """The newest first."""
        return [_check(entry) for entry in reversed(self.said.get("checks") or [])]

    def _ran(self) -> str:
        began, ended = moment(self.said.get("started_at")), moment(self.said.get("finished_at"))
        if began is None:
            return _("never")
        if ended is None or ended < began:
            return _("until it was removed")
        return (
            _("%(total_seconds)s s, the last time")
            % {"total_seconds": f"{(ended - began).total_seconds():.1f}"}
            if self.said.get("restart_count")
            else f"{(ended - began).total_seconds():.1f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """For REST: what was kept, and where its last lines begin."""
        return {
            **{key: value for key, value in self.said.items() if key != "lines"},
            "log_after": self.seq,
            "log_lines": self.lines,
        }


def of(operation: Operation) -> Remains | None:
    """The newest that it has taken out again; most have none. One query, and none where it cannot have any."""
    if operation.state not in ("failed", "cancelled"):
        return None
    events = OperationEvent.objects.filter(operation=operation, kind="step", data__has_key=KEY)
    found = events.order_by("-seq").first()
    return Remains(found.seq, found.data[KEY]) if found else None


def _code(code: int) -> str:
    try:
        return (
            _("%(code)s, ended by %(name)s") % {"code": code, "name": signal.Signals(code - _BY_SIGNAL).name}
            if code > _BY_SIGNAL
            else str(code)
        )
    except ValueError:
        return str(code)


def _check(entry: Mapping[str, Any]) -> Check:
    began, ended = moment(entry.get("start")), moment(entry.get("end"))
    took = max(0.0, (ended - began).total_seconds()) if began and ended else 0.0
    code = int(entry.get("exit_code") or 0)
    return Check(code == 0, code, str(entry.get("output") or "").strip(), took, ended)


def moment(text: Any) -> datetime | None:
    """A time of an engine, as text; ``None`` where it is none."""
    try:
        found = parse_datetime(str(text or ""))
    except ValueError:
        return None
    return found if found and timezone.is_aware(found) else None
