"""The story of one operation for its page: its states in time, what it was asked with, what it has made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from operations import present, registry, services, variables
from operations.models import Operation, OperationEvent
from operations.retold import inside, retold

TITLES = {
    "queued": _lazy("Asked"),
    "running": _lazy("Started"),
    "unknown": _lazy("No answer came"),
    "succeeded": _lazy("Done"),
    "failed": _lazy("Failed"),
    "cancelled": _lazy("Cancelled"),
}
# Keys of a result and of parameters that name a row of ours → its type.
LINKED = ("container", "image", "volume", "network", "build", "registry")
_HIDDEN = (services.WITHHELD, services.REMEMBERED, services.AFTER, variables.USES)


@dataclass(frozen=True, slots=True)
class Moment:
    """One state on the timeline. ``after``: how long the state before it lasted, ``0:48``."""

    glyph: str
    title: str
    at: datetime
    after: str = ""
    note: str = ""
    bad: bool = False
    now: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A name with its value; ``url`` where that is something with a page."""

    name: str
    value: str
    url: str = ""
    code: bool = False


def timeline(operation: Operation, events: Iterable[OperationEvent]) -> list[Moment]:
    """Its states in order, out of its state events; the last one is where it stands."""
    found: list[Moment] = []
    before = ""
    for event in events:
        data, state = event.data, str(event.data.get("state", ""))
        asked = data.get("cancel")
        if asked and state == "cancelled":
            state = "cancelled"
        elif asked:
            found.append(
                Moment(
                    "cancelled",
                    _("Cancel asked for"),
                    event.at,
                    _after(found, event.at),
                    _("by %(who)s") % {"who": asked},
                )
            )
            continue
        title, note = _words(operation, state, data, before)
        glyph = present.GLYPHS.get(state, "queued")
        found.append(
            Moment(
                glyph,
                title,
                event.at,
                _after(found, event.at),
                note,
                bad=state == "failed",
                unknown=state == "unknown",
            )
        )
        before = state
    if found and not operation.ended:
        found[-1] = replace(found[-1], now=True)
    return found


def parameters(operation: Operation) -> list[Fact]:
    """What it was asked with, as it is stored: secrets are masked there. Empty values say nothing."""
    shown = {key: value for key, value in operation.params.items() if key not in _HIDDEN}
    row = registry.find_target("registry", str(shown.get("registry") or ""))
    names = {"registry": row.name} if row else {}
    return [
        _fact(key, value, names) for key, value in shown.items() if value not in (None, "", [], {}, False)
    ]


def result(operation: Operation) -> list[Fact]:
    """What it answered, with links to what it made."""
    found = operation.result or {}
    names = {operation.target_type: operation.target_name}
    if operation.kind == "image.build":
        names["image"] = operation.target_name
    return [_fact(key, value, names) for key, value in found.items() if value not in (None, "", [], {})]


def _words(operation: Operation, state: str, data: Mapping[str, Any], before: str) -> tuple[str, str]:
    title = str(TITLES.get(state, state.capitalize()))
    attempt, message = int(data.get("attempt") or 1), retold(str(data.get("message") or ""))
    if state == "queued":
        who, way = operation.actor_name or "engine", operation.get_source_display()
        return title, _("by %(who)s (%(way)s)") % {"who": who, "way": way}
    if state == "running" and attempt > 1:
        return _("Started again"), _("Attempt %(attempt)s") % {"attempt": attempt}
    if before == "unknown" and state in ("succeeded", "failed"):
        return _("Verified: %(lower)s") % {"lower": inside(title)}, message or _("Looked up on the engine")
    return title, message


def _after(found: list[Moment], at: datetime) -> str:
    if not found:
        return ""
    span = max(timedelta(), at - found[-1].at)
    return f"{span.total_seconds():.1f} s" if span < timedelta(seconds=10) else present.clock(span)


def _fact(key: str, value: Any, names: Mapping[str, str]) -> Fact:
    name = key.replace("_", " ").capitalize()
    if key in LINKED and isinstance(value, str):
        url = present.page_of(key, value)
        return Fact(name, names.get(key) or value[:12], url) if url else Fact(name, value, code=True)
    if key == "download" and isinstance(value, str):
        return Fact(_("File"), _("Download"), value)
    if isinstance(value, bool):
        return Fact(name, _("yes") if value else _("no"))
    if isinstance(value, str):
        identity = key in ("native_id", "context")
        return Fact(name, value.removeprefix("sha256:")[:12] if identity else value, code=identity)
    if isinstance(value, int | float):
        return Fact(name, f"{value:g}" if isinstance(value, float) else str(value))
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return Fact(name, " ".join(value), code=True)
    return Fact(name, json.dumps(value, indent=1, ensure_ascii=False), code=True)
