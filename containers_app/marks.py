"""What happened to a container while its figures were drawn: moments to be marked on plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app.events import events, told
from containers_app.models import EngineEvent
from operations import registry
from operations.queries import operations

MOST = 40
DEPLOYS = ("container.recreate", "container.run", "container.duplicate")
_CHANGES = (
    *DEPLOYS, "container.start", "container.stop", "container.restart", "container.kill", "container.pause",
    "container.unpause", "container.update",
)  # fmt: skip
_EVENTS = ("die", "oom", "start", "pause", "unpause")


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment. ``kind``: deploy, change (asked for here) or event (it, its engine or somebody else did it)."""

    at: datetime
    label: str
    kind: str
    bad: bool = False
    url: str = ""
    who: str = ""


def marks(subjects: Sequence[str], actor: Actor, since: datetime) -> list[Mark]:
    """The newest `MOST` since then, oldest first, of a container and those whose place it took."""
    found = _asked(subjects, actor, since) + _happened(subjects, actor, since)
    return sorted(found, key=lambda mark: mark.at)[-MOST:]


def _asked(subjects: Sequence[str], actor: Actor, since: datetime) -> list[Mark]:
    rows = operations(actor).filter(
        target_type="container",
        target_id__in=subjects,
        kind__in=_CHANGES,
        state__in=("succeeded", "failed"),
        finished_at__gte=since,
    )
    found = []
    for row in rows.order_by("-finished_at")[:MOST]:
        failed, label = row.state == "failed", translation.gettext(registry.get(row.kind).label)
        found.append(
            Mark(
                row.finished_at or row.created_at,
                _("%(what)s failed") % {"what": label} if failed else label,
                "deploy" if row.kind in DEPLOYS and not failed else "change",
                failed,
                reverse("operations:detail", args=[row.pk]),
                row.actor.display_name if row.actor else row.actor_name,
            )
        )
    return found


def _happened(subjects: Sequence[str], actor: Actor, since: datetime) -> list[Mark]:
    """What no operation did: those are marked already."""
    rows = events(actor).filter(
        type="container", container_id__in=subjects, action__in=_EVENTS, at__gte=since
    )
    rows = rows.exclude(origin=EngineEvent.Origin.OPERATION)
    found = []
    for row in rows.order_by("-at")[:MOST]:
        event = told(row)
        label = f"{event.label}, {event.note}" if event.note else event.label
        bad = row.action == "oom" or (row.action == "die" and bool(row.exit_code))
        found.append(Mark(row.at, label, "event", bad, "", event.who))
    return found
