"""The rows of engines: which one there is by default, who reads it now, and whether it answers. For the gateway."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from engine.certificates import Certificates
from engine.errors import Unreachable
from engine.types import EngineInfo
from operations import leases, outbox, secrets
from operations.models import Engine, EngineKeys
from streams import bell

LEASE = 10.0
"""Seconds that a gateway may be silent before another takes its engines."""


def default_endpoint() -> str:
    """DOCKER_HOST, else the first of the usual sockets that is there, else empty."""
    if settings.DOCKER_HOST:
        return str(settings.DOCKER_HOST)
    run = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    usual = (Path("/var/run/docker.sock"), Path(run) / "docker.sock", Path.home() / ".docker/run/docker.sock")
    for path in usual:
        try:
            if path.is_socket():
                return f"unix://{path}"
        except OSError:
            continue
    return ""


def ensure_default_engine() -> Engine | None:
    """The row of this machine's engine, made where it is not there yet; ``None`` where there is no engine."""
    endpoint = default_endpoint()
    if not endpoint:
        return None
    found = Engine.objects.filter(endpoint=endpoint).first()
    if found:
        return _configured(found)
    unused = Engine.objects.filter(name="local", native_id="").first()
    if unused:
        # Configured anew before it was ever reached: nothing belongs to it.
        Engine.objects.filter(pk=unused.pk).update(endpoint=endpoint)
        unused.endpoint = endpoint
        return _configured(unused)
    names = set(Engine.objects.values_list("name", flat=True))
    name = next(n for n in ("local", *(f"local-{i}" for i in range(2, 1000))) if n not in names)
    try:
        with transaction.atomic():
            engine = _configured(Engine.objects.create(name=name, endpoint=endpoint))
    except IntegrityError:
        return Engine.objects.filter(endpoint=endpoint).first()  # another process was faster
    bell.ring("engines")
    return engine


def _configured(engine: Engine) -> Engine:
    """Notes that this one, and no other, is that of the configuration."""
    if not engine.configured:
        Engine.objects.exclude(pk=engine.pk).filter(configured=True).update(configured=False)
        Engine.objects.filter(pk=engine.pk).update(configured=True)
        engine.configured = True
    return engine


def certificates(engine_id: UUID) -> Certificates | None:
    """What was given to reach it; `Unreachable` where that was sealed with another key of this server."""
    row = EngineKeys.objects.filter(pk=engine_id).first()
    if row is None:
        return None
    try:
        return Certificates(**secrets.unseal(engine_id, row.sealed))
    except secrets.Unreadable:
        raise Unreachable(
            "Its certificates were sealed with another secret key of this server: give them again."
        ) from None


def door(engine: Engine) -> tuple[str, object]:
    """What a connection was made with: one that was made with another is to be made anew."""
    return engine.endpoint, engine.keys_at


def owner() -> str:
    """This process, as it signs its leases."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}"


def take(engine_id: UUID, me: str) -> bool:
    """Takes or lengthens the lease of an engine: one conditional update, so that one gateway alone reads it."""
    now = timezone.now()
    rows = Engine.objects.filter(pk=engine_id)
    free = Q(lease_owner=me) | Q(lease_until=None) | Q(lease_until__lt=now) | Q(lease_owner="")
    until = now + timedelta(seconds=LEASE)
    if rows.filter(free).update(lease_owner=me, lease_until=until):
        return True
    other = rows.values_list("lease_owner", flat=True).first()
    if other and _dead(other):
        return bool(rows.filter(lease_owner=other).update(lease_owner=me, lease_until=until))
    return False


def release(me: str) -> None:
    """Gives back every engine, so that the next gateway need not wait."""
    Engine.objects.filter(lease_owner=me).update(lease_owner="", lease_until=None)


def _dead(other: str) -> bool:
    """Whether that owner was a process of this machine that is no more: after a crash nobody waits for its lease."""
    host, _, pid = other.rpartition(":")
    return host == socket.gethostname()[:60] and pid.isdecimal() and leases.is_gone(int(pid))


def mark_online(engine: Engine, info: EngineInfo) -> Engine:
    """It answered. Returns the row to go on with.

    That is an older one where the same engine was known under another address: what belongs to it stays.
    """
    now = timezone.now()
    engine = _known_before(engine, info)
    engine.refresh_from_db()  # the gateway's copy is from before it went away
    facts = {
        "native_id": info.native_id[:128],
        "version": info.version[:40],
        "api_version": info.api_version[:12],
        "os": info.os[:120],
        "architecture": info.architecture[:20],
        "cpus": info.cpus,
        "memory": info.memory,
        "storage_driver": info.storage_driver[:40],
        "status": Engine.Status.ONLINE,
        "status_detail": "",
    }
    changed = any(getattr(engine, name) != value for name, value in facts.items())
    back = engine.status == Engine.Status.UNREACHABLE
    if engine.status != Engine.Status.ONLINE:
        facts["status_since"] = now
    with transaction.atomic():
        Engine.objects.filter(pk=engine.pk).update(**facts, seen_at=now)
        if back:
            _tell(engine, "engine.back", engine.status_since, "answers again")
    engine.refresh_from_db()
    if changed:
        bell.ring("engines")
    return engine


def mark_unreachable(engine: Engine, why: str) -> None:
    """It does not answer, since the first time that this was said."""
    rows, now = Engine.objects.filter(pk=engine.pk), timezone.now()
    with transaction.atomic():
        fresh = rows.exclude(status=Engine.Status.UNREACHABLE).update(
            status=Engine.Status.UNREACHABLE, status_since=now, status_detail=why[:500]
        )
        if fresh:
            _tell(engine, "engine.away", now, "does not answer", why)
    if fresh or rows.exclude(status_detail=why[:500]).update(status_detail=why[:500]):
        bell.ring("engines")


def _tell(engine: Engine, event: str, since: datetime, words: str, why: str = "") -> None:
    outbox.tell(outbox.Told(
        event=event, key=f"{event}:{engine.pk}:{since.isoformat()}", type="engine", id=str(engine.pk),
        name=engine.name, engine=engine, team_id=None, everybody=True, title=f"{engine.name} {words}", text=why,
        path=f"/engines/{engine.pk}/",
    ))  # fmt: skip


def mark_synced(engine: Engine) -> None:
    """Its rows equal it now."""
    now = timezone.now()
    Engine.objects.filter(pk=engine.pk).update(synced_at=now, seen_at=now)


def _known_before(engine: Engine, info: EngineInfo) -> Engine:
    """A new row for an engine that answers to another row's id: the older row takes over its address."""
    if engine.native_id or not info.native_id:
        return engine
    older = Engine.objects.filter(native_id=info.native_id).exclude(pk=engine.pk).first()
    if older is None or older.status == Engine.Status.ONLINE or engine.operations.exists():
        return engine
    with transaction.atomic():
        Engine.objects.filter(pk=engine.pk).delete()
        EngineKeys.objects.filter(pk=older.pk).delete()  # they were for its former address
        Engine.objects.filter(pk=older.pk).update(
            endpoint=engine.endpoint,
            configured=engine.configured,
            keys_at=engine.keys_at,
            lease_owner=engine.lease_owner,
            lease_until=engine.lease_until,
        )
    older.refresh_from_db()
    return older
