"""REST of engines and operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Actor, best_rank
from accounts.api.base import Body, Listing, Nothing, Problem, Text, View, body, flag, number
from accounts.api.versions import Versioned
from accounts.permissions import VIEWER
from accounts.querysets import visible_to
from operations import engine_asks, services
from operations.api.answers import accepted, lines
from operations.api.previews import PlanAnswer
from operations.api.rows import EngineInfoRow, EngineRow, OperationInfoRow, OperationRow
from operations.api.schema import ACCEPTED, AFTER, LINES
from operations.filters import EngineFilter, OperationFilter
from operations.models import Engine, Operation, OperationEvent
from streams import want

LINES_MOST = 10_000


def visible_engines(actor: Actor) -> QuerySet[Engine]:
    """Engines have no team: whoever has a role anywhere sees them."""
    return Engine.objects.all() if best_rank(actor) >= VIEWER else Engine.objects.none()


def visible_operations(actor: Actor) -> QuerySet[Operation]:
    """With what a row shows of others, in the same query."""
    return visible_to(actor, Operation.objects.select_related("team", "trash"))


class EngineWish(Body):
    """Another name, or other certificates: PEM texts, all three of them."""

    name = Text(required=False)
    ca = Text(required=False, write_only=True, trim_whitespace=False)
    cert = Text(required=False, write_only=True, trim_whitespace=False)
    key = Text(required=False, write_only=True, trim_whitespace=False)


class NewEngine(EngineWish):
    """``endpoint``: ``tcp://host:2376`` with the three, or ``unix:///path/to/docker.sock`` without."""

    name = Text()
    endpoint = Text()


class EngineList(Listing):
    """Container engines that Slipway looks after. ``POST`` names one more, which has to answer; who manages may."""

    permission = {"GET": "engine.read", "POST": "engine.manage"}
    serializer_class = EngineRow
    filterset_class = EngineFilter
    ordering_fields = {"name": "name", "status": "status", "created_at": "created_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Engine]:
        return visible_engines(self.actor)

    @extend_schema(request=NewEngine, responses={201: EngineRow})
    def post(self, request: Request) -> Response:
        made = engine_asks.add_engine(body(request, NewEngine), actor=self.actor)
        shown = EngineRow(made, context={"request": request}).data
        return Response(shown, 201, headers={"Location": shown["url"]})


class EngineDetail(Versioned, View):
    """One engine. ``DELETE`` forgets it with all its rows; on the engine itself, nothing changes."""

    measured = frozenset({"seen_at", "synced_at"})
    permission = {"GET": "engine.read", "PATCH": "engine.manage", "DELETE": "engine.manage"}
    previews = True
    http_method_names = [*View.http_method_names, "patch"]

    @extend_schema(responses=EngineRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_engines(self.actor), pk)
        return Response(EngineRow(found, context={"request": request}).data)

    @extend_schema(request=EngineWish, responses=EngineRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_engines(self.actor), pk)
        if flag(request, "dry_run"):
            raise Problem(400, "not_supported", _("There is no plan for this; nothing was done."))
        found = engine_asks.change_engine(found, body(request, EngineWish), actor=self.actor)
        return Response(EngineRow(found, context={"request": request}).data)

    @extend_schema(responses={204: None, 200: PlanAnswer})
    def delete(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_engines(self.actor), pk)
        if flag(request, "dry_run"):
            engine_asks.allowed(self.actor)
            return Response(engine_asks.plan_of(found).to_dict())
        engine_asks.forget_engine(found, actor=self.actor)
        return Response(status=204)


class EngineInfo(View):
    """One engine, with what it says of its machine."""

    permission = "engine.read"

    @extend_schema(responses=EngineInfoRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_engines(self.actor), pk)
        return Response(EngineInfoRow(found, context={"request": request}).data)


class EngineSync(View):
    """Asks the gateway to compare everything with the engine now, instead of at its next round."""

    permission = "engine.sync"

    @extend_schema(request=Nothing, responses={202: EngineRow})
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_engines(self.actor), pk)
        body(request, Nothing)
        if not want.request_sync(found.pk):
            raise Problem(
                503, "unavailable", _("The gateway cannot be reached just now; it compares by itself soon.")
            )
        return Response(EngineRow(found, context={"request": request}).data, 202)


class OperationList(Listing):
    """Every change that was asked for, newest first."""

    permission = "operation.read"
    serializer_class = OperationRow
    filterset_class = OperationFilter
    ordering_fields = {name: name for name in ("created_at", "started_at", "finished_at", "kind", "state")}

    def get_queryset(self) -> QuerySet[Operation]:
        return visible_operations(self.actor)


class OperationDetail(Versioned, View):
    """One operation, as it is now."""

    permission = "operation.read"

    @extend_schema(responses=OperationInfoRow)
    def get(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_operations(self.actor), pk)
        return Response(OperationInfoRow(found, context={"request": request}).data)


class OperationLog(View):
    """The output of an operation, at most 10,000 lines a call; the last number is in ``Slipway-Last-Seq``."""

    permission = "operation.read"
    takes = frozenset({"after"})

    @extend_schema(parameters=[AFTER], responses=LINES)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        found = self.object(visible_operations(self.actor), pk)
        return log_of(request, found)


def log_of(request: Request, operation: Operation) -> HttpResponseBase:
    """The lines of an operation after ``?after=``."""
    after = number(request, "after", 0, most=2**31 - 1)
    events = list(operation.events.filter(kind="log", seq__gt=after).order_by("seq")[:LINES_MOST])
    return lines(request, _log_lines(events), last=events[-1].seq if events else after)


class OperationCancel(View):
    """Asks an operation to stop. One that has not started ends at once."""

    permission = "operation.cancel"

    @extend_schema(request=Nothing, responses=ACCEPTED)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_operations(self.actor), pk)
        body(request, Nothing)
        return accepted(request, services.cancel(found, actor=self.actor))


class OperationRetry(View):
    """Asks for the same change again, as a new operation. Needs the permission of that change."""

    permission = "operation.read"

    @extend_schema(request=Nothing, responses=ACCEPTED)
    def post(self, request: Request, pk: UUID) -> Response:
        found = self.object(visible_operations(self.actor), pk)
        body(request, Nothing)
        return accepted(request, services.retry(found, actor=self.actor))


def _log_lines(events: list[OperationEvent]) -> Iterator[dict[str, Any]]:
    for event in events:
        stream = "stderr" if event.data.get("stream") == 2 else "stdout"
        yield {
            "seq": event.seq,
            "ts": event.at.isoformat(),
            "stream": stream,
            "line": event.data.get("text", ""),
        }
