"""``/metrics``: Slipway's own figures for Prometheus, read from the rows when somebody asks.

Nothing is counted in a process, so that several web processes and workers say the same. What containers use is not
here: the engine's host has exporters for that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q, QuerySet, Sum
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import Declared
from accounts.models import AuditHead
from accounts.notice import Notice
from containers_app.models import Container, DeployHook, HookCall, LogGap, Volume
from dashboard import health
from images_app.models import Image
from operations.models import Channel, Delivery, Engine, Operation


class Figures(Collector):
    """Everything at one moment, in a number of queries that does not grow with the rows."""

    def collect(self) -> Iterator[Metric]:
        """The families, their names all beginning with ``slipway_``."""
        yield from _parts()
        yield from _operations()
        yield from _engines()
        yield from _things()
        yield from _messages()
        head = AuditHead.objects.values_list("seq", flat=True).first()
        entries = CounterMetricFamily("slipway_audit_entries", "Lines of the audit trail.")
        entries.add_metric([], head or 0)
        yield entries
        yield GaugeMetricFamily(
            "slipway_state_free_bytes",
            "Room left where the state lies.",
            shutil.disk_usage(settings.HOME).free,
        )


class _FromHere(Declared):
    """Somebody on this machine may ask without a token; through a proxy on it everybody would be here."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return health.from_here(request) or super().has_permission(request, view)


class _AnyAccept(BaseContentNegotiation):
    """There is one format; what a scraper would rather have does not matter."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


@extend_schema(exclude=True)
class Metrics(APIView):
    """Prometheus' text format, for this machine or a token of a site administrator."""

    permission = "metrics.read"
    permission_classes = (_FromHere,)
    content_negotiation_class = _AnyAccept
    renderer_classes = (JSONRenderer,)  # of refusals
    http_method_names = ("get", "head")

    def get(self, _request: Request) -> HttpResponse:
        """All figures."""
        registry = CollectorRegistry()
        registry.register(Figures())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _parts() -> Iterator[Metric]:
    up = GaugeMetricFamily("slipway_up", "Whether a part of Slipway is well.", labels=["part"])
    for name, part in health.own_parts().items():
        up.add_metric([name], part["status"] == "ok")
    yield up


def _operations() -> Iterator[Metric]:
    now = timezone.now()
    active = dict(Operation.objects.active().order_by().values_list("state").annotate(Count("id")))
    found = GaugeMetricFamily("slipway_operations", "Operations that have not ended.", labels=["state"])
    for state in Operation.ACTIVE:
        found.add_metric([state], active.get(state, 0))
    yield found
    oldest = Operation.objects.filter(state=Operation.State.QUEUED).aggregate(at=Min("created_at"))["at"]
    yield GaugeMetricFamily(
        "slipway_operations_oldest_queued_seconds",
        "How long the oldest that waits has waited.",
        (now - oldest).total_seconds() if oldest else 0,
    )
    lapsed = Operation.objects.filter(state__in=("running", "unknown"), lease_until__lt=now)
    yield GaugeMetricFamily(
        "slipway_operations_expired_leases", "Operations that no worker holds any more.", lapsed.count()
    )
    overdue = Operation.objects.active().filter(deadline_at__lt=now).count()
    yield GaugeMetricFamily(
        "slipway_operations_overdue", "Operations beyond the time that they were given.", overdue
    )
    yield from _ended()


def _ended() -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "slipway_operations_ended", "Operations by how they ended.", labels=["kind", "outcome"]
    )
    took = SummaryMetricFamily("slipway_operation_seconds", "From start to end.", labels=["kind"])
    # As text the database would say days: as a duration it is summed up in what it is kept in.
    seconds = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    rows = Operation.objects.filter(state__in=Operation.ENDED).order_by("kind", "state")
    times: dict[str, tuple[int, timedelta]] = {}
    for kind, state, number, started, total in rows.values_list("kind", "state").annotate(
        Count("id"), Count("started_at"), took=Sum(seconds)
    ):
        ended.add_metric([kind, state], number)
        count, sum_ = times.get(kind, (0, timedelta()))
        times[kind] = (count + started, sum_ + (total or timedelta()))
    for kind, (count, sum_) in times.items():
        took.add_metric([kind], count, sum_.total_seconds())
    yield ended
    yield took


def _engines() -> Iterator[Metric]:
    now = timezone.now()
    up = GaugeMetricFamily("slipway_engine_up", "Whether an engine answers.", labels=["engine"])
    age = GaugeMetricFamily(
        "slipway_engine_since_sync_seconds", "Since an engine was read as a whole.", labels=["engine"]
    )
    for engine in Engine.objects.all():
        up.add_metric([engine.name], engine.status == Engine.Status.ONLINE)
        if engine.synced_at:
            age.add_metric([engine.name], (now - engine.synced_at).total_seconds())
    yield up
    yield age


def _things() -> Iterator[Metric]:
    containers = GaugeMetricFamily("slipway_containers", "Containers.", labels=["engine", "state", "health"])
    for row in _counted(Container.objects.all(), "state", "health"):
        containers.add_metric([str(part) for part in row[:-1]], row[-1])
    yield containers
    for name, rows in (("images", Image.objects.all()), ("volumes", Volume.objects.all())):
        found = GaugeMetricFamily(f"slipway_{name}", f"{name.capitalize()}.", labels=["engine"])
        for engine, number in _counted(rows):
            found.add_metric([engine], number)
        yield found
    yield GaugeMetricFamily("slipway_log_gaps", "Known holes in the kept logs.", LogGap.objects.count())


def _messages() -> Iterator[Metric]:
    """What goes out and what comes in, of as many days as it is kept."""
    now = timezone.now()
    out = GaugeMetricFamily(
        "slipway_messages", "Messages to other systems that are kept.", labels=["kind", "state"]
    )
    rows = Delivery.objects.order_by("channel__kind", "state").values_list("channel__kind", "state")
    for kind, state, number in rows.annotate(Count("id")):
        out.add_metric([kind, state], number)
    yield out
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING, at__lte=now)
    oldest = waiting.aggregate(at=Min("at"))["at"]
    yield GaugeMetricFamily(
        "slipway_messages_oldest_waiting_seconds",
        "How long the oldest message that is to go out has waited.",
        (now - oldest).total_seconds() if oldest else 0,
    )
    failing = Channel.objects.filter(enabled=True, failures__gt=0).count()
    yield GaugeMetricFamily("slipway_channels_failing", "Places that take no messages now.", failing)
    mails = Notice.objects.count()
    yield GaugeMetricFamily(
        "slipway_account_mails_waiting", "Mails about accounts that have not gone.", mails
    )
    calls = GaugeMetricFamily(
        "slipway_hook_calls",
        "Signed calls that are kept, by whether they redeployed.",
        labels=["of", "redeployed"],
    )
    told = HookCall.objects.order_by().values_list("hook__kind")
    counted = told.annotate(all=Count("id"), taken=Count("id", filter=~Q(digest="")))
    by_kind = {kind: (every, taken) for kind, every, taken in counted}
    for kind in DeployHook.Kind.values:
        every, taken = by_kind.get(kind, (0, 0))
        calls.add_metric([kind, "yes"], taken)
        calls.add_metric([kind, "no"], every - taken)
    yield calls


def _counted(rows: QuerySet, *by: str) -> QuerySet:
    names = ("engine__name", *by)
    return rows.order_by(*names).values_list(*names).annotate(Count("id"))
