"""The tray of every page: what its reader has asked for and is on its way, has only just ended, or has failed.

One query. What others have on the way is counted, and only where there is something of one's own to show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor
from accounts.querysets import visible_to
from operations.models import Operation
from operations.present import Line, line
from operations.queries import last_event

STAYS = timedelta(seconds=6)
"""How long what has ended is told to a page that has not seen it run; the page itself takes it away."""
FAILED_STAYS = timedelta(hours=12)
"""How long a failure waits to be dismissed.

How that of a script has ended is told to pages that have seen it on its way: the script knows it anyway.
"""
MOST = 6
READ_MOST = 60
REMEMBERED = 100
"""How many dismissed failures a session remembers."""
_KEY = "tray_dismissed"
_WORDS = (
    ("failed", _lazy("failed")), ("running", _lazy("running")), ("queued", _lazy("waiting")), ("done", _lazy("done")),
)  # fmt: skip


@dataclass(slots=True)
class Tray:
    """``lines`` to show, own ones, those on their way first; ``more`` of one's own; ``others`` of other people."""

    lines: list[Line] = field(default_factory=list)
    more: int = 0
    others: int = 0

    @property
    def words(self) -> str:
        """How many of what: ``1 failed, 2 running``."""
        found = Counter(one.phase for one in self.lines)
        return ", ".join(f"{found[phase]} {word}" for phase, word in _WORDS if found[phase])

    @property
    def failed(self) -> list[Line]:
        """Those that wait to be dismissed."""
        return [one for one in self.lines if one.phase == "failed"]


def read(actor: Actor, dismissed: Iterable[str] = (), also: Collection[UUID] = ()) -> Tray:
    """The tray of this person. ``also``: those that the page has seen on their way, however long ago they ended."""
    if actor.user is None:
        return Tray()
    now = timezone.now()
    visible = visible_to(actor, Operation.objects.all())
    rows = (
        visible.filter(_worth_showing(also), actor=actor.user)
        .exclude(pk__in=list(dismissed))
        .select_related("engine", "trash")
        .defer("params", "sealed")
        .annotate(ahead=_ahead(visible), others=_others(visible, actor), last_seq=last_event())
        .order_by("-created_at")[:READ_MOST]
    )
    found = sorted(rows, key=_order)
    lines = [line(row, actor, ahead=row.ahead, now=now) for row in found]
    others = found[0].others if found else 0
    return Tray(lines[:MOST], max(0, len(lines) - MOST), others)


def dismissed(request: HttpRequest) -> list[str]:
    """Ids of failures that this session has put away."""
    return list(request.session.get(_KEY, ()))


def dismiss(request: HttpRequest, ids: Iterable[UUID]) -> None:
    """Puts failures away, for this session."""
    kept = dismissed(request)
    fresh = [str(pk) for pk in ids if str(pk) not in kept]
    if fresh:
        request.session[_KEY] = (kept + fresh)[-REMEMBERED:]


def _worth_showing(also: Collection[UUID]) -> Q:
    now = timezone.now()
    ended = Q(finished_at__gte=now - STAYS) | Q(state="failed", finished_at__gte=now - FAILED_STAYS)
    by_hand = ~Q(source=Operation.Source.API)
    return Q(state__in=Operation.ACTIVE) | (ended & by_hand) | Q(pk__in=list(also))


def _ahead(visible: QuerySet[Operation]) -> Coalesce:
    """How many wait before it on the same engine."""
    before = visible.filter(state="queued", engine=OuterRef("engine"), created_at__lt=OuterRef("created_at"))
    return _counted(before)


def _others(visible: QuerySet[Operation], actor: Actor) -> Coalesce:
    """How many of other people are on their way."""
    return _counted(visible.filter(state__in=Operation.ACTIVE).exclude(actor=actor.user))


def _counted(rows: QuerySet[Operation]) -> Coalesce:
    grouped = rows.order_by().annotate(all=Value(1)).values("all").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(grouped, output_field=IntegerField()), 0)


def _order(row: Operation) -> tuple[int, float]:
    """On its way as it came, then what has ended, the newest first."""
    if row.ended:
        return 1, -(row.finished_at or row.created_at).timestamp()
    return 0, row.created_at.timestamp()
