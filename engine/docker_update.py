"""The body of an update call, from what is to change and how the container is now.

Engines answer "done" to a memory or CPU limit of 0 and leave the limit; they refuse more memory than the swap limit of
now unless that is given too, and cores where a quota was set. So one look comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.docker_create import NANO
from engine.docker_map import mapping
from engine.docker_text import number
from engine.docker_transport import Client
from engine.errors import Conflict
from engine.specs import STAYS, UpdateSpec

USUAL_PERIOD = 100_000
"""Microseconds that a CPU quota counts in, where nobody says."""


def update(client: Client, native_id: str, spec: UpdateSpec) -> None:
    """Looks where that matters, and changes it in one call; none where nothing is left to ask for."""
    looks = spec.memory is not None or spec.cpus is not None
    host = mapping(mapping(client.inspect_container(native_id)).get("HostConfig")) if looks else {}
    if made := body(spec, host):
        client.update_from_config(native_id, made)


def body(spec: UpdateSpec, host: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of ``POST /containers/…/update``; ``host``: the HostConfig of now."""
    made: dict[str, Any] = {}
    if spec.restart_policy is not None:
        made["RestartPolicy"] = {"Name": spec.restart_policy, "MaximumRetryCount": spec.restart_max_retries}
    if spec.pids is not None:
        made["PidsLimit"] = spec.pids
    return {**made, **_memory(spec, host), **_cpus(spec, host)}


def _memory(spec: UpdateSpec, host: Mapping[str, Any]) -> dict[str, int]:
    """With as much swap beside it as before; a container that had no limit gets none, as one that is made."""
    if spec.memory is None:
        return {}
    had, swap = number(host.get("Memory")), number(host.get("MemorySwap"))
    if not spec.memory:
        if had > 0:
            raise Conflict(STAYS["memory"])
        return {}
    beside = max(0, swap - had) if had > 0 else 0
    return {"Memory": spec.memory, "MemorySwap": -1 if swap < 0 else spec.memory + beside}


def _cpus(spec: UpdateSpec, host: Mapping[str, Any]) -> dict[str, int]:
    """In the words that the container was made with: the engine mixes no quota with cores."""
    if spec.cpus is None:
        return {}
    by_quota = number(host.get("CpuQuota")) > 0
    if spec.cpus and by_quota:
        return {"CpuQuota": round(spec.cpus * (number(host.get("CpuPeriod")) or USUAL_PERIOD))}
    if spec.cpus:
        return {"NanoCpus": round(spec.cpus * NANO)}
    if number(host.get("NanoCpus")) > 0:
        raise Conflict(STAYS["cpus"])
    return {"CpuQuota": -1} if by_quota else {}
