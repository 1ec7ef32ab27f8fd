"""An incident in words, for a page: what happened, who asked, what came before it, what has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from containers_app import exits
from containers_app.forensics import figures_before
from containers_app.models import Incident
from containers_app.queries import span
from operations import registry

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_NO_LINES = {
    "": _lazy("The last lines are being read."),
    "gone": _lazy("The container was gone before its last lines could be read."),
    "unreadable": _lazy(
        "Its output cannot be read back: its log driver keeps none, or the engine gave no answer."
    ),
    "left": _lazy("Its last lines are not kept any more: only those of the newest incidents are."),
}
_NAMES = {
    "image": _lazy("Image"),
    "image_id": _lazy("Image ID"),
    "memory_limit": _lazy("Memory limit"),
    "cpu_limit": _lazy("CPU limit"),
    "pids_limit": _lazy("Processes"),
    "restart_policy": _lazy("Restart"),
    "restart_max_retries": _lazy("Restarts at most"),
    "working_dir": _lazy("Working dir"),
    "stop_signal": _lazy("Stop signal"),
    "stop_timeout": _lazy("Stop time-out"),
    "tty": _lazy("Terminal"),
    "log_driver": _lazy("Log driver"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is not what it was. Empty texts: there was, or is, none."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class LastLine:
    """One line of output."""

    text: str
    stderr: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over the ten minutes before: CPU in cores, memory in bytes. ``last`` and ``most`` of what is known."""

    name: str
    values: list[float]
    last: float
    most: float


@dataclass(slots=True)
class Card:
    """An incident in words. ``who`` asked for it: a person (``by``), ``from outside``, ``nobody``, or empty.

    ``good`` says what is known of the last good run; ``changes`` what differs from it. ``why_no_lines`` where there
    are none. ``figures``: CPU and memory before it, empty where nobody has recorded them.
    """

    incident: Incident
    title: str
    note: str
    glyph: str
    tone: str
    who: str
    by: Any = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    good: str = ""
    changes: list[Change] = field(default_factory=list)
    lines: list[LastLine] = field(default_factory=list)
    why_no_lines: str = ""
    figures: list[Curve] = field(default_factory=list)

    @property
    def more(self) -> bool:
        """Whether there is anything to unfold."""
        return self.incident.kind != Incident.Kind.OOM


def card(incident: Incident, *, lines: bool = True) -> Card:
    """An incident in words; without ``lines`` they are a link away."""
    who, by = _who(incident)
    bad = incident.fault
    made = Card(incident, _title(incident), _note(incident), _glyph(incident), "bad" if bad else "", who, by)
    made.facts = _facts(incident)
    if bad:
        made.good, made.changes = (
            _since_good(incident),
            [
                _change(one)
                for one in sorted(incident.changed or (), key=lambda one: not one["path"].startswith("image"))
            ],
        )
    if lines:
        made.lines = [LastLine(_ESCAPES.sub("", str(line[2])), line[1] == 2) for line in incident.lines]
        made.why_no_lines = (
            "" if made.lines else str(_NO_LINES.get(incident.lines_state, _("It wrote nothing.")))
        )
    if bad and incident.kind == Incident.Kind.EXIT:
        kept = incident.figures
        made.figures = _curves(
            figures_before(incident.container_id, incident.last_at) if kept is None else kept
        )
    return made


def _curves(figures: dict[str, list[float | None]] | None) -> list[Curve]:
    found = []
    for name in ("cpu", "memory"):
        values = [value for value in (figures or {}).get(name, ()) if value is not None]
        if values:
            found.append(Curve(name, values, values[-1], max(values)))
    return found


def _title(incident: Incident) -> str:
    if incident.kind == Incident.Kind.HEALTH:
        return (
            _("Unhealthy")
            if incident.open
            else _("Unhealthy for %(span)s") % {"span": _span(incident.seconds)}
        )
    if incident.kind == Incident.Kind.OOM:
        return _("A process in it ran out of memory")
    return (
        _("Ended")
        if incident.exit_code is None
        else _("Exited %(exit_code)s") % {"exit_code": incident.exit_code}
    )


def _note(incident: Incident) -> str:
    """``out of memory, after 3 h, 4 times in 2 min``."""
    if incident.kind == Incident.Kind.HEALTH:
        return incident.error or (_("its checks fail") if incident.open else _("its checks failed"))
    if incident.kind == Incident.Kind.OOM:
        return ", ".join(filter(None, (_("and it went on"), _times(incident))))
    said = incident.error or exits.in_words(incident.exit_code, oom=incident.oom)
    if not incident.error and not incident.oom and (number := exits.signal_of(incident.exit_code)):
        said = f"{exits.signal_name(number)}: {said}"
    return ", ".join(filter(None, (said, _after(incident), _times(incident))))


def _after(incident: Incident) -> str:
    seconds = incident.seconds
    if seconds is None:
        return ""
    return _("after %(span)s") % {"span": _span(seconds)} if seconds >= 1 else _("at once")


def _times(incident: Incident) -> str:
    if incident.count < 2:
        return ""
    length = span(incident.last_at - incident.first_at)
    return _("%(count)s times in %(span)s") % {"count": incident.count, "span": length}


def _span(seconds: float | None) -> str:
    return span(timedelta(seconds=seconds or 0))


def _glyph(incident: Incident) -> str:
    if incident.kind == Incident.Kind.HEALTH:
        return "unhealthy"
    if not incident.fault:
        return "exited"
    return "restarting" if incident.count > 1 else "failed"


def _who(incident: Incident) -> tuple[str, Any]:
    if incident.asked == Incident.Asked.OPERATION:
        person = incident.operation.actor if incident.operation else None
        return (person.display_name, person) if person else (incident.actor_name, incident.actor_name)
    words = {
        "outside": _("from outside"),
        "itself": _("engine") if incident.kind == "health" else _("by itself"),
    }
    return words.get(incident.asked, ""), None


def _facts(incident: Incident) -> list[tuple[str, str]]:
    if incident.kind == Incident.Kind.HEALTH:
        return []
    code = incident.exit_code
    found = [(_("Exit code"), str(code) if code is not None else _("not known"))]
    if number := exits.signal_of(code):
        found.append((_("Signal"), f"{exits.signal_name(number)} ({number})"))
    found.append((_("Out of memory"), _("yes, the kernel ended it") if incident.oom else _("no")))
    found.append((_("Asked by"), _asked(incident)))
    if incident.seconds is not None:
        found.append((_("Ran for"), _span(incident.seconds)))
    found.append((_("Restarts"), str(incident.restart_count)))
    return found


def _asked(incident: Incident) -> str:
    if incident.asked == Incident.Asked.OPERATION:
        try:
            label = (
                translation.gettext(registry.get(incident.operation.kind).label)
                if incident.operation
                else _("an operation")
            )
        except LookupError:
            label = _("an operation")
        return f"{incident.actor_name} ({label})"
    return {
        "outside": _("somebody outside of Slipway"),
        "itself": _("nobody: it ended by itself"),
        "unknown": _("not known: nobody listened to the engine then"),
    }[incident.asked]


def _since_good(incident: Incident) -> str:
    if incident.good_at is None:
        return _("No earlier run of this name is known to have gone well.")
    return "" if incident.changed else _("Nothing has changed since a run that went well.")


def _change(one: dict[str, Any]) -> Change:
    head, _dot, rest = str(one.get("path", "")).partition(".")
    name = (
        rest if head == "environment" and rest else str(_NAMES.get(head, head.replace("_", " ").capitalize()))
    )
    if rest and head != "environment":
        name = f"{name} {rest}"
    return Change(name, _value(head, one.get("old")), _value(head, one.get("new")))


def _value(name: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if name == "image_id":
        return str(value).removeprefix("sha256:")[:12]
    if name == "memory_limit":
        return f"{int(value) / 2**20:.0f} MB" if value else _("no limit")
    if name in ("cpu_limit", "pids_limit"):
        return f"{value:g}" if value else _("no limit")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)
