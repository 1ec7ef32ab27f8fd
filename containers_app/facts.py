"""An engine's facts as the columns of our rows. Pure functions; nothing is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from containers_app.models import Container, Mount, Network, Volume
from engine.types import ContainerInfo, NetworkInfo, VolumeInfo
from operations.projection import fitted

STACK_LABEL = "com.docker.compose.project"
_LARGEST = 2**31 - 1


def container_facts(info: ContainerInfo) -> dict[str, Any]:
    """All that a container's row holds, except who owns it and what it is linked to."""
    facts = {
        "name": info.name,
        "state": info.state.value,
        "health": info.health.value,
        "image_native_id": info.image_id,
        "image_ref": info.image_ref,
        "command": list(info.command),
        "entrypoint": list(info.entrypoint),
        "created_at": info.created_at,
        "started_at": info.started_at,
        "finished_at": info.finished_at,
        "exit_code": info.exit_code,
        "oom_killed": info.oom_killed,
        "error": info.error,
        "restart_count": _count(info.restart_count),
        "failing_streak": _count(info.failing_streak),
        "tty": info.tty,
        "restart_policy": info.restart_policy,
        "restart_max_retries": _count(info.restart_max_retries),
        "memory_limit": info.memory_limit,
        "cpu_limit": info.cpu_limit,
        "pids_limit": info.pids_limit,
        "privileged": info.privileged,
        "auto_remove": info.auto_remove,
        "hostname": info.hostname,
        "user": info.user,
        "working_dir": info.working_dir,
        "log_driver": info.log_driver,
        "stop_signal": info.stop_signal,
        "stop_timeout": None if info.stop_timeout is None else _count(info.stop_timeout),
        "environment": dict(info.environment),
        "labels": dict(info.labels),
        "ports": [asdict(port) for port in info.ports],
        "networks": [{**asdict(network), "aliases": list(network.aliases)} for network in info.networks],
        "healthcheck": dict(info.healthcheck),
        "health_log": [dict(entry) for entry in info.health_log],
        "inspect": dict(info.inspect),
        "stack": info.labels.get(STACK_LABEL, ""),
        "fingerprint": info.fingerprint,
    }
    return fitted(Container, facts)


def mount_facts(info: ContainerInfo) -> dict[str, dict[str, Any]]:
    """Mounts by their target; of two at one target the engine's later one is seen."""
    return {
        mount.target[:500]: fitted(
            Mount, {"type": mount.type, "source": mount.source, "read_only": mount.read_only}
        )
        for mount in info.mounts
    }


def volume_facts(info: VolumeInfo) -> dict[str, Any]:
    """A volume's row without its size, which the engine counts only when asked for it."""
    facts = {
        "driver": info.driver,
        "scope": info.scope,
        "options": dict(info.options),
        "labels": dict(info.labels),
        "anonymous": info.anonymous,
        "created_at": info.created_at,
    }
    return fitted(Volume, facts)


def network_facts(info: NetworkInfo) -> dict[str, Any]:
    """A network's row."""
    facts: dict[str, Any] = {
        "name": info.name,
        "driver": info.driver,
        "scope": info.scope,
        "internal": info.internal,
        "ipv6": info.ipv6,
        "subnets": list(info.subnets),
        "gateways": list(info.gateways),
        "options": dict(info.options),
        "labels": dict(info.labels),
        "created_at": info.created_at,
    }
    return fitted(Network, facts)


def outdated(row: Mapping[str, Any], fingerprint: str, state_since: Any) -> bool:
    """Whether a stored container must be inspected again, by what one line of the engine's list says."""
    if row["fingerprint"] != fingerprint:
        return True
    running = row["state"] in ("running", "paused")
    begun = row["started_at"] if running else row["finished_at"]
    return bool(state_since and begun and begun < state_since)


def _count(number: int) -> int:
    """Within what every database holds as a small whole number."""
    return max(0, min(number, _LARGEST))
