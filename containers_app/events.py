"""What engines said has happened, to read: whose it is, and each event in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import pgettext_lazy

from accounts.access import Actor, Owner, can
from accounts.querysets import team_ids, visible_to
from containers_app.exits import signal_name
from containers_app.models import Network, Volume
from containers_app.past import EngineEvent
from containers_app.queries import span
from images_app.models import Image
from operations.models import Operation
from operations.present import page_of

M = TypeVar("M", bound=Model)

TYPES = {
    "container": _lazy("containers"),
    "image": _lazy("images"),
    "volume": _lazy("volumes"),
    "network": _lazy("networks"),
    "daemon": _lazy("the engine"),
    EngineEvent.OWN: _lazy("times not watched"),
}
_THINGS: tuple[tuple[str, Any], ...] = (("image", Image), ("volume", Volume), ("network", Network))
_WORDS = {
    "die": _lazy("Ended"),
    "oom": _lazy("Out of memory"),
    "destroy": _lazy("Removed"),
    "connect": _lazy("Connected"),
    "create": _lazy("Created"),
    "disconnect": _lazy("Disconnected"),
    "delete": _lazy("Removed"),
    "remove": _lazy("Removed"),
    "untag": pgettext_lazy("event", "Untagged"),
    "tag": _lazy("Tagged"),
    "start": _lazy("Started"),
    "stop": _lazy("Stopped"),
    "kill": _lazy("Signalled"),
    "pause": _lazy("Paused"),
    "unpause": _lazy("Resumed"),
    "rename": _lazy("Renamed"),
    "restart": _lazy("Restarted"),
    "update": _lazy("Limits changed"),
    "commit": _lazy("Committed"),
    "load": _lazy("Loaded"),
    "import": _lazy("Imported"),
    "pull": _lazy("Pulled"),
    "prune": _lazy("Pruned"),
    "reload": _lazy("Settings loaded again"),
}
ACTIONS = [("health_status", _lazy("Health changed")), *sorted(_WORDS.items(), key=lambda pair: str(pair[1]))]
_GLYPHS = {
    "start": "running",
    "unpause": "running",
    "restart": "running",
    "die": "exited",
    "stop": "exited",
    "pause": "paused",
    "oom": "failed",
    "destroy": "dead",
    "delete": "dead",
    "remove": "dead",
    "prune": "dead",
    "create": "created",
}
_HEALTH = {
    "healthy": _lazy("Healthy"),
    "unhealthy": _lazy("Unhealthy"),
    "starting": _lazy("Health check starting"),
}


def _whose(actor: Actor) -> Q:
    """What is theirs: by the container's owner of today, else by whose it was then."""
    ids = team_ids(actor, EngineEvent.read_permission)
    return Q(container__team__in=ids) | Q(container__native_id__isnull=True, team__in=ids)


def _whose_things(actor: Actor) -> Q:
    """The same for events, which tell of images, volumes and networks too: by what these are seen by."""
    found = _whose(actor) & ~Q(type__in=[kind for kind, _model in _THINGS])
    for kind, model in _THINGS:
        found |= Q(type=kind, team__in=team_ids(actor, model.read_permission))
    return found


def visible_past(actor: Actor, rows: QuerySet[M]) -> QuerySet[M]:
    """Those of these events or incidents that this actor may know of."""
    mine = visible_to(actor, rows)
    return rows if mine is rows else rows.filter(_whose(actor))


def events(actor: Actor) -> QuerySet[EngineEvent]:
    """Events that this actor may know of, with what a row shows. When nobody listened to an engine is no secret."""
    rows = EngineEvent.objects.select_related("team", "operation__actor", "container", "engine")
    rows = rows.defer(*(f"container__{name}" for name in _HEAVY))
    if visible_to(actor, rows) is rows:
        return rows
    return rows.filter(_whose_things(actor) | Q(type=EngineEvent.OWN))


_HEAVY = (
    "inspect", "environment", "labels", "health_log", "healthcheck", "command", "entrypoint", "ports", "networks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happened:
    """An event in words. ``who`` caused it: a person (``by``), ``engine``, ``from outside``, or empty.

    ``url`` is the page of what it happened to, empty where that is gone or hidden from the reader.
    """

    event: EngineEvent
    label: str
    note: str
    glyph: str
    tone: str
    who: str
    by: Any = None
    operation: Operation | None = None
    url: str = ""


def happened(rows: Sequence[EngineEvent], actor: Actor) -> list[Happened]:
    """Events in words, in their order, with the pages of what they happened to. One query for each type of these."""
    found = set[Any]()
    for kind, model in _THINGS:
        if wanted := {row.object_id for row in rows if row.type == kind and row.object_id}:
            found |= set(visible_to(actor, model.objects.filter(pk__in=wanted)).values_list("pk", flat=True))
    return [replace(_told(row, actor), url=_page(row, found)) for row in rows]


def _told(row: EngineEvent, actor: Actor) -> Happened:
    """In words, with who asked for it only for who sees operations there."""
    one = told(row)
    team_id = row.container.team_id if row.container else row.team_id
    if one.operation and not can(actor, "operation.read", Owner(team_id)):
        return replace(one, who="", by=None, operation=None)
    return one


def _page(row: EngineEvent, there: Collection[Any]) -> str:
    if row.type == "container" and row.container:
        return reverse("containers:history", args=[row.container_id])
    return page_of(row.type, str(row.object_id)) if row.object_id in there else ""


def told(row: EngineEvent) -> Happened:
    """One event in words."""
    label, note, glyph, tone = _words(row)
    work = row.operation
    who = (work.actor.display_name if work.actor else work.actor_name) if work else ""
    if not work:
        who = {"engine": _("engine"), "outside": _("from outside")}.get(row.origin, "")
    return Happened(row, label, note, glyph, tone, who, work.actor or work.actor_name if work else None, work)


def _words(row: EngineEvent) -> tuple[str, str, str, str]:
    """``(label, note, glyph, tone)``."""
    if row.type == EngineEvent.OWN:
        gone = _("Not watched before")
        if row.blind_since:
            gone = _("Not watched for %(span)s") % {"span": span(row.at - row.blind_since)}
        return gone, row.detail, "none", "warn"
    if row.action == "health_status":
        bad = row.detail == "unhealthy"
        glyph = {"healthy": "healthy", "unhealthy": "unhealthy"}.get(row.detail, "starting")
        return str(_HEALTH.get(row.detail, _("Health changed"))), "", glyph, "bad" if bad else ""
    label = str(_WORDS.get(row.action, row.action.capitalize()))
    glyph = _GLYPHS.get(row.action, "none")
    if row.action == "die" and row.exit_code is not None:
        bad = bool(row.exit_code) and row.origin != "operation"
        return (
            label,
            _("exit %(exit_code)s") % {"exit_code": row.exit_code},
            "failed" if bad else "exited",
            "",
        )
    if row.action == "kill" and row.signal:
        return label, signal_name(row.signal), glyph, ""
    return label, "", glyph, "bad" if row.action == "oom" else ""
