"""What containers are run with, from run to run: so that a fault can be held against the last run that went well.

Written by the gateway. Only settings of the same owner are ever compared: a name may be used by somebody else later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q

from containers_app.models import Container, Setup
from engine.diff import differences
from operations import trash

KEPT = 5
"""Settings that are kept of one name, the newest."""

MOST_PAIRS, LONGEST = 200, 300
MOST_DIFFERENCES = 60
_COLUMNS = (
    "command", "entrypoint", "user", "working_dir", "hostname", "privileged", "memory_limit", "cpu_limit", "pids_limit",
    "restart_policy", "restart_max_retries", "stop_signal", "stop_timeout", "tty", "log_driver", "healthcheck",
)  # fmt: skip


def settings_of(row: Container) -> dict[str, Any]:
    """What may make a difference to how it runs. Bounded; the environment's secrets are masked already.

    A host name that is only the container's own id is no setting.
    """
    found: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
    if row.native_id.startswith(row.hostname):
        del found["hostname"]
    return _short(
        {
            "image": row.image_ref,
            "image_id": row.image_native_id,
            **found,
            "environment": row.environment,
            "ports": [
                f"{p.get('host') or ''}:{p['container']}/{p.get('protocol', 'tcp')}" for p in row.ports
            ],
            "networks": sorted(str(network.get("name", "")) for network in row.networks),
            "mounts": {
                mount.target: f"{mount.source or mount.type}{' (read only)' if mount.read_only else ''}"
                for mount in row.mounts.all()
            },
        }
    )


def note(row: Container, at: datetime, *, good: bool = False, name: str = "") -> Setup:
    """Takes note that it runs, or ran, with the settings of its row; ``good``: and that this went well."""
    settings = settings_of(row)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    fresh: dict[str, Any] = {"last_at": at, "team_id": row.team_id, **({"good_at": at} if good else {})}
    if name and not trash.is_container_name(name):
        fresh["name"] = name
    found, made = Setup.objects.get_or_create(
        container=row,
        digest=digest,
        defaults={
            "engine_id": row.engine_id,
            "name": name or row.name,
            "settings": settings,
            "first_at": at,
            **fresh,
        },
    )
    if made:
        _drop_old(found)
    else:
        Setup.objects.filter(pk=found.pk).update(**fresh)
    return found


def went_well(container_id: Any, at: datetime) -> None:
    """The last run of a container whose row is gone went well."""
    last = Setup.objects.filter(container_id=container_id).order_by("-last_at").first()
    if last:
        Setup.objects.filter(pk=last.pk).update(good_at=at, last_at=at)


def renamed(container_id: Any, name: str) -> None:
    """It goes by another name from now on. What goes into the trash keeps the name that it was known by."""
    if name and not trash.is_container_name(name):
        Setup.objects.filter(container_id=container_id).update(name=name[:255])


def since_good(now: Setup) -> tuple[list[dict[str, Any]] | None, datetime | None]:
    """What differs between these settings and those of the last good run, and until when that was.

    ``None`` for what differs where no good run is known.
    """
    alike = Q(container_id=now.container_id) | Q(name=now.name, team_id=now.team_id)
    good = (
        Setup.objects.filter(alike, engine_id=now.engine_id, good_at__isnull=False)
        .order_by("-good_at")
        .first()
    )
    if good is None:
        return None, None
    found = differences(good.settings, now.settings)[:MOST_DIFFERENCES]
    return [{"path": d.path, "kind": d.kind, "old": d.old, "new": d.new} for d in found], good.good_at


def _drop_old(row: Setup) -> None:
    same = Setup.objects.filter(engine_id=row.engine_id, name=row.name).order_by("-last_at", "-pk")
    Setup.objects.filter(pk__in=list(same.values_list("pk", flat=True)[KEPT:])).delete()


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key)[:LONGEST]: _short(item) for key, item in list(value.items())[:MOST_PAIRS]}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value[:MOST_PAIRS]]
    return value[:LONGEST] if isinstance(value, str) else value
