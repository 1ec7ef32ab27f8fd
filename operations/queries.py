"""Operations to read: always from `visible_to`, in a number of queries that does not grow with the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor
from accounts.querysets import visible_to
from operations.models import Engine, Operation, OperationEvent
from operations.present import LayerBar, Line, LogLine, layer_bar, line, log_lines, title

PAGE = 50
ACTIVE_MOST = 200
LOG_MOST = 1000
STATES_MOST = 200
SPANS = {
    "1h": (timedelta(hours=1), _lazy("the last hour")),
    "1d": (timedelta(days=1), _lazy("the last 24 h")),
    "7d": (timedelta(days=7), _lazy("the last 7 days")),
    "30d": (timedelta(days=30), _lazy("the last 30 days")),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader filters by; empty fields filter nothing. ``before``: only what was asked for earlier.

    ``since`` is ``1h``, ``1d``, ``7d``, ``30d`` or a moment; ``target`` and ``engine`` are ids.
    """

    view: str = "all"
    state: str = ""
    kind: str = ""
    who: str = ""
    q: str = ""
    target: UUID | None = None
    engine: UUID | None = None
    since: str = ""
    before: datetime | None = None

    @property
    def narrowed(self) -> bool:
        """Whether anything but the view filters."""
        return any((self.state, self.kind, self.who, self.q, self.target, self.engine, self.since))

    @property
    def earliest(self) -> datetime | None:
        """When ``since`` was; ``None`` where it says nothing."""
        if self.since in SPANS:
            return timezone.now() - SPANS[self.since][0]
        try:
            found = parse_datetime(self.since)
        except ValueError:
            return None
        if found and not found.tzinfo:  # a day, or a time as somebody reads it
            found = found.replace(tzinfo=timezone.get_current_timezone())
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """One section of the list."""

    title: str
    lines: list[Line]
    note: str = ""


def engine_asked(query: Mapping[str, str]) -> Engine | None:
    """The engine that ``?engine=`` of a list names by its id; ``None`` for none, and for one that is not known."""
    try:
        return Engine.objects.filter(pk=UUID(query.get("engine", ""))).first()
    except ValueError:
        return None


def operations(actor: Actor) -> QuerySet[Operation]:
    """What this actor may know of, newest first."""
    return visible_to(actor, Operation.objects.all()).select_related("actor", "team", "engine", "trash")


def last_event() -> Subquery:
    """The number of the newest event: a page that has it hears only of what comes after."""
    events = OperationEvent.objects.filter(operation=OuterRef("pk")).order_by("-seq")
    return Subquery(events.values("seq")[:1])


def counts(actor: Actor) -> dict[str, int]:
    """Numbers beside the views: running, queued, and failed within a day."""
    day = timezone.now() - timedelta(days=1)
    return visible_to(actor, Operation.objects.all()).aggregate(
        running=Count("pk", filter=Q(state__in=("running", "unknown"))),
        queued=Count("pk", filter=Q(state="queued")),
        failed=Count("pk", filter=Q(state="failed", finished_at__gte=day)),
    )


def groups(actor: Actor, wanted: Wanted) -> tuple[list[Group], datetime | None]:
    """The list in sections, and where the next page of ended ones starts (``None`` at the end)."""
    rows = _filtered(operations(actor), actor, wanted)
    active: list[Operation] = []
    if wanted.before is None and wanted.view != "failed":
        on_the_way = rows.active().annotate(last_seq=last_event())  # type: ignore[attr-defined]
        active = list(on_the_way.order_by("created_at")[:ACTIVE_MOST])
    ended: list[Operation] = []
    if wanted.view not in ("running", "queued"):
        past = rows.filter(state__in=Operation.ENDED)
        if wanted.before:
            past = past.filter(created_at__lt=wanted.before)
        ended = list(past.order_by("-created_at")[: PAGE + 1])
    more, ended = len(ended) > PAGE, ended[:PAGE]
    running = [o for o in active if o.state != "queued"]
    found = [
        Group(_("Running"), lines(running, actor)),
        Group(
            _("Queued"),
            _queued([o for o in active if o.state == "queued"], actor),
            _("In the order in which they came"),
        ),
        *_by_age(ended, actor),
    ]
    return [g for g in found if g.lines], ended[-1].created_at if more else None


def one(operation: Operation, actor: Actor) -> Line:
    """An operation for its own page; where it waits, with what is before it."""
    if operation.state != "queued":
        return lines([operation], actor)[0]
    before = visible_to(actor, Operation.objects.filter(state="queued", engine=operation.engine))
    before = before.filter(created_at__lt=operation.created_at).order_by("-created_at")
    ahead = before.count()
    last = before.first() if ahead else None
    return line(operation, actor, ahead=ahead, after=title(last) if last else "")


def states(operation: Operation) -> list[OperationEvent]:
    """Its changes of state, in order."""
    return list(operation.events.filter(kind="state").order_by("seq")[:STATES_MOST])


def lines(rows: Sequence[Operation], actor: Actor) -> list[Line]:
    """Operations in words, with the layers of pulls that run."""
    layers = layers_of(
        [o.pk for o in rows if o.kind in ("image.pull", "image.push") and o.state == "running"]
    )
    now = timezone.now()
    return [line(o, actor, layers=layers.get(o.pk, ()), now=now) for o in rows]


def layers_of(ids: Sequence[UUID]) -> dict[UUID, list[LayerBar]]:
    """The newest word on each layer of these pulls, in the order in which they showed up. Two queries at most."""
    if not ids:
        return {}
    steps = OperationEvent.objects.filter(operation_id__in=ids, kind="step", data__has_key="layer").order_by()
    found = steps.values("operation_id", layer=KeyTextTransform("layer", "data"))
    newest = {row["newest"]: row["first"] for row in found.annotate(first=Min("pk"), newest=Max("pk"))}
    events = sorted(OperationEvent.objects.filter(pk__in=newest), key=lambda event: newest[event.pk])
    bars: dict[UUID, list[LayerBar]] = defaultdict(list)
    for event in events:
        bars[event.operation_id].append(layer_bar(event.data))
    return bars


def events_after(operation: Operation, seq: int, limit: int = LOG_MOST) -> list[OperationEvent]:
    """Events with a number above ``seq``, in order."""
    return list(operation.events.filter(seq__gt=seq).order_by("seq")[:limit])


def log(operation: Operation) -> tuple[list[LogLine], int]:
    """The end of the log, and the number of the newest event."""
    events = list(operation.events.order_by("-seq")[:LOG_MOST])[::-1]
    return log_lines(events, operation.started_at), events[-1].seq if events else 0


def event_dict(event: OperationEvent) -> dict[str, Any]:
    """An event as pages get it, over the socket and by catching up alike."""
    return {"seq": event.seq, "kind": event.kind, "at": event.at.isoformat(), "data": event.data}


def people(actor: Actor) -> list[str]:
    """Names of those who asked for anything that this actor may see."""
    names = (
        visible_to(actor, Operation.objects.all()).order_by("actor_name").values_list("actor_name", flat=True)
    )
    return [name for name in names.distinct()[:200] if name]


def _filtered(rows: QuerySet[Operation], actor: Actor, wanted: Wanted) -> QuerySet[Operation]:
    if wanted.view == "running":
        rows = rows.filter(state__in=("running", "unknown"))
    elif wanted.view in ("queued", "failed"):
        rows = rows.filter(state=wanted.view)
    elif wanted.view == "mine":
        rows = rows.filter(actor=actor.user)
    exact = {"state": wanted.state, "kind": wanted.kind, "engine_id": wanted.engine}
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if wanted.target:
        rows = rows.filter(target_id=str(wanted.target))
    if earliest := wanted.earliest:
        rows = rows.filter(created_at__gte=earliest)
    if wanted.who:
        rows = rows.filter(actor_name=wanted.who)
    if wanted.q:
        rows = rows.filter(Q(target_name__icontains=wanted.q) | Q(error_message__icontains=wanted.q))
    return rows


def _queued(rows: Iterable[Operation], actor: Actor) -> list[Line]:
    before: Counter[Any] = Counter()
    last: dict[Any, str] = {}
    found = []
    for operation in rows:
        at = operation.engine_id
        found.append(line(operation, actor, ahead=before[at], after=last.get(at, "")))
        before[at] += 1
        last[at] = title(operation)
    return found


def _by_age(rows: Sequence[Operation], actor: Actor) -> list[Group]:
    """Within a day of now or earlier: a border that is the same in every reader's zone."""
    day = timezone.now() - timedelta(days=1)
    new = [o for o in rows if (o.finished_at or o.created_at) >= day]
    old = [o for o in rows if (o.finished_at or o.created_at) < day]
    return [
        Group(_("Finished in the last 24 h"), lines(new, actor)),
        Group(_("Finished earlier"), lines(old, actor)),
    ]
