"""One container's past, merged: what was asked of it, what the engine said, and how its runs ended.

And that of the containers whose place it took. By keyset: pages stay what they are while more happens.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from accounts.access import Actor
from containers_app.events import events, visible_past
from containers_app.models import Container, EngineEvent, Incident
from containers_app.present import lineage
from operations.models import Operation
from operations.queries import operations

KINDS = ("event", "incident", "operation")
"""In the order of those that happened at the very same time."""

BLIND = timedelta(seconds=10)
"""Times that nobody listened are worth a line from here on."""

_TOLD_ELSEWHERE = Q(action__in=("die", "kill", "stop", "oom", "restart", "destroy")) | Q(
    action="health_status", detail__in=("unhealthy", "starting")
)
_BY_OTHERS = Q(origin="operation") | Q(origin="engine", action="start")


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing of the past; ``row`` is an `EngineEvent`, an `Incident` or an `Operation`."""

    at: datetime
    kind: str
    row: Any

    @property
    def key(self) -> tuple[datetime, str, Any]:
        """Its place in the order."""
        return self.at, self.kind, self.row.pk


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends: only what comes after it in the order, newest first, is on the next."""

    at: datetime
    kind: str
    pk: Any

    @classmethod
    def of(cls, moment: Moment) -> Cursor:
        return cls(*moment.key)

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Data from outside: raises `ValueError`."""
        try:
            raw = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            at, kind, pk = raw
            moment = datetime.fromisoformat(str(at)).astimezone(UTC)
            if kind not in KINDS:
                raise ValueError("no such kind")
            return cls(moment, kind, int(pk) if kind == "event" and int(pk) < 2**63 else UUID(str(pk)))
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
            raise ValueError("not a cursor") from error

    def __str__(self) -> str:
        raw = json.dumps([self.at.isoformat(), self.kind, str(self.pk)], separators=(",", ":"))
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")

    def before(self, kind: str, column: str) -> Q:
        """Rows of that kind that come after it."""
        found = Q(**{f"{column}__lt": self.at})
        if kind < self.kind:
            found |= Q(**{column: self.at})
        elif kind == self.kind:
            found |= Q(**{column: self.at}) & Q(pk__lt=self.pk)
        return found


def moments(
    container: Container,
    actor: Actor,
    *,
    limit: int,
    after: Cursor | None = None,
    kinds: Collection[str] = KINDS,
    short: bool = False,
    lines: bool = False,
) -> tuple[list[Moment], Cursor | None]:
    """A page of the past, newest first, and where the next one begins. Four queries and those of `lineage`.

    ``short``: without what incidents and operations tell already, for people. ``lines``: with the last lines.
    """
    ids = lineage(container, actor)
    sources: list[tuple[str, str, QuerySet[Any]]] = [
        ("event", "at", _events(actor, ids, short=short)),
        ("incident", "last_at", incidents(actor, ids, lines=lines)),
        ("operation", "created_at", _asked(actor, ids)),
    ]
    if short:
        sources.append(("event", "at", _holes(container, actor)))
    found: list[Moment] = []
    for kind, column, rows in sources:
        if kind in kinds:
            asked = rows.filter(after.before(kind, column)) if after else rows
            page = asked.order_by(f"-{column}", "-pk")[: limit + 1]
            found += [Moment(getattr(row, column), kind, row) for row in page]
    found.sort(key=lambda moment: moment.key, reverse=True)
    page_ = found[:limit]
    return page_, Cursor.of(page_[-1]) if len(found) > limit else None


def incidents(actor: Actor, ids: Sequence[str], *, lines: bool = False) -> QuerySet[Incident]:
    """Incidents of these containers, newest first."""
    rows = visible_past(actor, Incident.objects.filter(container_id__in=ids))
    rows = rows.select_related("operation__actor", "team").order_by("-last_at", "-pk")
    return rows if lines else rows.defer("lines")


def _asked(actor: Actor, ids: Sequence[str]) -> QuerySet[Operation]:
    return operations(actor).filter(target_type="container", target_id__in=ids)


def _events(actor: Actor, ids: Sequence[str], *, short: bool) -> QuerySet[EngineEvent]:
    rows = events(actor).filter(container_id__in=ids)
    return rows.exclude(_TOLD_ELSEWHERE).exclude(_BY_OTHERS) if short else rows


def _holes(container: Container, actor: Actor) -> QuerySet[EngineEvent]:
    """When nobody listened to its engine. Asked for by itself: the other events are found by their container."""
    rows = events(actor).filter(type=EngineEvent.OWN, engine_id=container.engine_id)
    rows = rows.filter(blind_since__lt=F("at") - BLIND)
    return rows.filter(at__gte=container.created_at) if container.created_at else rows
