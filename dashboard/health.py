"""Whether the dashboard itself is well: ``/healthz`` for whoever restarts it, ``/readyz`` for whoever sends people."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import PUBLIC, address_of, requires
from operations.models import Engine, Operation
from streams.connection import LOST
from streams.health import LATE, last_beat

PROCESSES = ("worker", "gateway")
STUCK = timedelta(minutes=1)
"""Workers take over what has lapsed within seconds."""
Part = dict[str, Any]


@require_safe
@never_cache
@requires(PUBLIC)
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Looks at nothing else: a database that is away is no reason to restart it."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@requires(PUBLIC)
def readyz(request: HttpRequest) -> HttpResponse:
    """200 where everything that a change needs is there, else 503 naming what is down.

    ``{"status": "ok" | "down", "down": [names], "parts": {name: {"status", …}}}``; ``parts`` only for somebody
    signed in or on this machine.
    """
    parts: dict[str, Part] = own_parts()
    if parts["database"]["status"] == "ok":
        parts |= {"operations": _operations(), **_engines()}
    down = [name for name, part in parts.items() if part["status"] != "ok"]
    body: dict[str, Any] = {"status": "down" if down else "ok", "down": [_public(name) for name in down]}
    if _may_know(request, parts):
        body["down"], body["parts"] = down, parts
    else:
        body["down"] = sorted(set(body["down"]))
    return JsonResponse(body, status=503 if down else 200)


def from_here(request: HttpRequest) -> bool:
    """Whether somebody on this machine asks, and not a proxy on it for somebody else."""
    address = address_of(request)
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return address is None or ip_address(address).is_loopback
    except ValueError:
        return False


def own_parts() -> dict[str, Part]:
    """What Slipway itself consists of."""
    return {"database": _database(), **_processes()}


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return {"status": "down", "detail": "The database does not answer."}
    return {"status": "ok"}


def _processes() -> dict[str, Part]:
    """Redis, and who beats through it: without Redis nothing is known of the others."""
    try:
        beats = {name: last_beat(name) for name in PROCESSES}
    except LOST:
        unknown = {"status": "down", "detail": "Nothing is known: Redis does not answer."}
        return {
            "redis": {"status": "down", "detail": "Redis does not answer."},
            **dict.fromkeys(PROCESSES, unknown),
        }
    found: dict[str, Part] = {"redis": {"status": "ok"}}
    for name, age in beats.items():
        if age is not None and age <= LATE:
            found[name] = {"status": "ok", "seconds": round(age, 1)}
        else:
            since = "within an hour" if age is None else f"for {round(age)} s"
            found[name] = {"status": "down", "detail": f"No heartbeat {since}."}
    return found


def _operations() -> Part:
    """How much waits and since when. Down where work has lain about for so long that no worker can be looking."""
    now = timezone.now()
    queued = Operation.objects.filter(state=Operation.State.QUEUED)
    oldest = queued.aggregate(oldest=Min("created_at"))["oldest"]
    stuck = Operation.objects.filter(state__in=("running", "unknown"), lease_until__lt=now - STUCK).count()
    found: Part = {
        "status": "down" if stuck else "ok",
        "queued": queued.count(),
        "oldest_seconds": round((now - oldest).total_seconds()) if oldest else 0,
        "stuck": stuck,
    }
    return {**found, "detail": f"Nobody looks after {stuck} of them."} if stuck else found


def _engines() -> dict[str, Part]:
    """Each engine by its name; none at all is a reason to look, too."""
    found: dict[str, Part] = {}
    for engine in Engine.objects.all():
        ok = engine.status == Engine.Status.ONLINE
        found[f"engine {engine.name}"] = {
            "status": "ok" if ok else "down",
            "since": engine.status_since.isoformat(),
            **({} if ok else {"detail": engine.status_detail or engine.get_status_display()}),
        }
    return found or {"engine": {"status": "down", "detail": "No engine is configured."}}


def _public(name: str) -> str:
    return "engine" if name.startswith("engine ") else name


def _may_know(request: HttpRequest, parts: dict[str, Part]) -> bool:
    return from_here(request) or (parts["database"]["status"] == "ok" and request.user.is_authenticated)
