"""What teams have of containers, volumes and builds, and what changes of them would add: see `operations.quotas`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from containers_app.models import Container, Volume
from engine.names import OPERATION_LABEL
from operations import quotas
from operations.models import Operation
from operations.quotas import Amount

RUNNING = ("running", "paused", "restarting")
"""States in which it uses the host."""
_NEW = ("container.run", "container.duplicate", "volume.create", "volume.clone", "volume.import")


@quotas.measured_by
def have(team_id: UUID, judged: Operation | None) -> Amount:
    """What is there, and what is on its way and not there yet. Three queries, and one for each that changes one."""
    rows = Container.objects.filter(team=team_id).values_list(
        "state", "memory_limit", "cpu_limit", "ports", "labels"
    )
    total = dict.fromkeys(quotas.KINDS, 0.0)
    made = set()
    for state, memory, cpus, ports, labels in rows:
        made.add(labels.get(OPERATION_LABEL))
        parts: Amount = {"containers": 1, "memory": memory, "cpus": cpus, "ports": published(ports)}
        _add(total, {**parts, "running": 1 if state in RUNNING else 0})
    for labels in Volume.objects.filter(team=team_id, anonymous=False).values_list("labels", flat=True):
        made.add(labels.get(OPERATION_LABEL))
        total["volumes"] += 1
    coming = Operation.objects.active().filter(team=team_id, kind__in=quotas.demanding())
    for operation in coming.exclude(pk=judged.pk) if judged else coming:
        if operation.kind not in _NEW or str(operation.pk) not in made:
            _add(total, quotas.asked(operation))
    return total


def published(ports: list[dict[str, Any]]) -> int:
    """Ports of the host that lead to it; both families of addresses together are one."""
    return len({(port.get("protocol"), port.get("host")) for port in ports if port.get("host")})


def _add(total: Amount, more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        total[name] += 0 if math.isinf(amount) else amount


@quotas.demand("container.run")
def running(operation: Operation) -> Amount:
    """A new container, by its run body."""
    body = operation.params
    limits = body.get("resources") or {}
    return {
        "containers": 1, "running": 1 if body.get("start", True) else 0, "ports": len(body.get("ports") or ()),
        **_limits(limits.get("memory") or 0, limits.get("cpus") or 0),
    }  # fmt: skip


@quotas.demand("container.duplicate")
def duplicating(operation: Operation) -> Amount:
    """One like another, with its changes."""
    source = Container.objects.filter(pk=str(operation.params["source"])).first()
    if source is None:
        return {"containers": 1}
    limits = (operation.params.get("changes") or {}).get("resources") or {}
    memory, cpus = limits.get("memory", source.memory_limit), limits.get("cpus", source.cpu_limit)
    return {
        "containers": 1, "running": 1 if operation.params.get("start", True) else 0,
        "ports": published(source.ports), **_limits(memory or 0, cpus or 0),
    }  # fmt: skip


@quotas.demand("container.start", "container.restart")
def starting(operation: Operation) -> Amount:
    """One more that runs, unless it does."""
    state = Container.objects.filter(pk=operation.target_id).values_list("state", flat=True).first()
    return {"running": 0 if state in RUNNING else 1}


@quotas.demand("container.update", "container.recreate")
def changing(operation: Operation) -> Amount:
    """What its limits go up by. One that goes down is no matter."""
    row = Container.objects.filter(pk=operation.target_id).first()
    params = operation.params
    limits = (params if operation.kind == "container.update" else params.get("changes") or {}).get(
        "resources"
    ) or {}
    if row is None or not limits:
        return {}
    wanted = _limits(limits.get("memory", row.memory_limit) or 0, limits.get("cpus", row.cpu_limit) or 0)
    return {
        name: max(0.0, wanted[name] - had)
        for name, had in (("memory", row.memory_limit), ("cpus", row.cpu_limit))
        if name in limits
    }


@quotas.demand("container.restore")
def restoring(operation: Operation) -> Amount:
    """One that comes back from the trash."""
    row = Container.everything.filter(pk=operation.target_id).first()
    return {"containers": 1, "memory": row.memory_limit, "cpus": row.cpu_limit} if row else {"containers": 1}


@quotas.demand("volume.create", "volume.clone", "volume.import", "volume.restore")
def keeping(operation: Operation) -> Amount:
    """A new volume."""
    return {"volumes": 1}


@quotas.demand("image.build")
def building(operation: Operation) -> Amount:
    """A build, until it has ended."""
    return {"builds": 1}


def _limits(memory: float, cpus: float) -> Amount:
    """Without a limit of its own it could take all there is."""
    return {"memory": memory or math.inf, "cpus": cpus or math.inf}
