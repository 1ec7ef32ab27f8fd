"""Containers: the engine's JSON as our facts. Pure functions; every key may be absent, null or of another type.

The fingerprint is made from what the list *and* an inspection show, so that both give the same for the same
state: a row whose stored fingerprint equals the listed one needs no inspection. What the list does not show is
left out of it: a restart policy or limits changed by ``update``, and a restart that changed nothing else. The
first comes by an event; for the second see `ContainerSummary.state_since`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from engine import names, reach
from engine.docker_text import document, environment, mask, masked, moment, number, pairs, text, texts
from engine.types import (
    ContainerInfo,
    ContainerState,
    ContainerSummary,
    Health,
    MountInfo,
    NetworkAttachment,
    PortInfo,
)

Json = Mapping[str, Any]

_STATES = {
    **{state.value: state for state in ContainerState},
    "stopped": ContainerState.EXITED,  # Podman's words
    "initialized": ContainerState.CREATED,
    "configured": ContainerState.CREATED,
    "stopping": ContainerState.RUNNING,
}
_ENDED = (ContainerState.EXITED, ContainerState.DEAD, ContainerState.RESTARTING)
_LIVE = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)
_SAID_EXIT = re.compile(r"\((-?\d+)\)")
_SAID_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_SAID_AGE = re.compile(r"(?:(\d+)|an?|less than an?) (second|minute|hour|day|week|month|year)", re.IGNORECASE)
_UNIT = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 604800,
    "month": 2592000,
    "year": 31536000,
}


def mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def items(value: object, most: int = 1024) -> list[Json]:
    """A list of objects, whatever else is in it."""
    return [item for item in value[:most] if isinstance(item, Mapping)] if isinstance(value, list) else []


def state_of(value: object) -> ContainerState:
    return _STATES.get(value if isinstance(value, str) else "", ContainerState.EXITED)


def health_of(value: object) -> Health:
    try:
        return Health(value if isinstance(value, str) and value else "none")
    except ValueError:
        return Health.NONE


def own_name(value: object) -> str:
    """A container's own name among those that links gave it (``/web`` and not ``/app/db``)."""
    found = [name.removeprefix("/") for name in texts(value, 64, 256)]
    return next((name for name in found if "/" not in name), found[0] if found else "")


# The list


def summary(item: Json, now: datetime | None = None) -> ContainerSummary:
    """One entry of the list. ``now`` is the reader's time, for the ages that the engine only tells in words."""
    state = state_of(item.get("State"))
    status = text(item.get("Status"), 256)
    exit_code = _SAID_EXIT.search(status)
    health = _SAID_HEALTH.search(status)
    ports = [
        (
            text(port.get("IP"), 64),
            number(port.get("PrivatePort")),
            text(port.get("Type"), 16),
            number(port["PublicPort"]),
        )
        for port in items(item.get("Ports"))
        if port.get("PublicPort")
    ]
    name = own_name(item.get("Names"))
    return ContainerSummary(
        native_id=text(item.get("Id"), 64),
        name=name,
        state=state,
        fingerprint=_fingerprint(
            item,
            name=name,
            state=state,
            health=health_of(health[1] if health else ""),
            exit_code=int(exit_code[1]) if exit_code and state in _ENDED else None,
            image=item.get("ImageID"),
            created=item.get("Created"),
            ports=ports,
            labels=item.get("Labels"),
        ),
        state_since=_earliest(status, now or datetime.now(UTC)),
        image_id=text(item.get("ImageID"), 80),
    )


def _earliest(status: str, now: datetime) -> datetime | None:
    """The earliest moment that "Up 3 minutes" can mean. Engines round: one unit and 2 seconds are allowed."""
    match = _SAID_AGE.search(status)
    if not match:
        return None
    unit = _UNIT[match[2].lower()]
    seconds = (int(match[1]) if match[1] else 1) * unit
    return now - timedelta(seconds=min(seconds + unit + 2, 3_000_000_000))


def _fingerprint(
    item: Json,
    *,
    name: str,
    state: ContainerState,
    health: Health,
    exit_code: int | None,
    image: object,
    created: object,
    ports: list[tuple[str, int, str, int]],
    labels: object,
) -> str:
    """``item``: a listed or an inspected container, whose mounts and networks have the same shape."""
    mounts = sorted(
        (
            text(mount.get("Type"), 16),
            text(mount.get("Name") or mount.get("Source")),
            text(mount.get("Destination")),
            mount.get("RW") is False,
        )
        for mount in items(item.get("Mounts"))
    )
    networks = sorted(
        (network.name, network.native_id, network.ip, network.ip6, network.mac, text(end, 64))
        for network, end in _networks(mapping(item.get("NetworkSettings")))
    )
    # The status text of a paused container hides its health.
    health = health if state is ContainerState.RUNNING else Health.NONE
    parts = [name, state, health, exit_code, image, created, sorted(ports), mounts, networks, pairs(labels)]
    return hashlib.blake2b(
        json.dumps(parts, default=str).encode("utf-8", "replace"), digest_size=12
    ).hexdigest()


def _networks(settings: Json) -> Iterator[tuple[NetworkAttachment, object]]:
    for name, found in list(mapping(settings.get("Networks")).items())[:64]:
        network = mapping(found)
        attachment = NetworkAttachment(
            name=text(name, 256),
            native_id=text(network.get("NetworkID"), 64),
            ip=text(network.get("IPAddress"), 64),
            ip6=text(network.get("GlobalIPv6Address"), 64),
            mac=text(network.get("MacAddress"), 32),
            aliases=texts(network.get("Aliases"), 32, 256),
        )
        yield attachment, network.get("EndpointID")


# One inspected container


def container(data: Json) -> ContainerInfo:
    """One inspected container."""
    config, host = mapping(data.get("Config")), mapping(data.get("HostConfig"))
    said, settings = mapping(data.get("State")), mapping(data.get("NetworkSettings"))
    state = state_of(said.get("Status"))
    health = mapping(said.get("Health"))
    name = own_name([data.get("Name")])
    exit_code = number(said.get("ExitCode")) if state in _ENDED else None
    policy = mapping(host.get("RestartPolicy"))
    published = list(_published(settings.get("Ports")))
    hidden = text(mapping(config.get("Labels")).get(names.SECRETS_LABEL), 65536).split(",")
    variables = environment(config.get("Env"), hidden)
    return ContainerInfo(
        native_id=text(data.get("Id"), 64),
        name=name,
        state=state,
        # Engines keep the last health of a container that has ended.
        health=health_of(health.get("Status")) if state in _LIVE else Health.NONE,
        image_id=text(data.get("Image"), 128),
        image_ref=text(config.get("Image"), 512),
        command=tuple(mask(item) for item in texts(config.get("Cmd"), 256, 4096)),
        entrypoint=tuple(mask(item) for item in texts(config.get("Entrypoint"), 256, 4096)),
        created_at=moment(data.get("Created")),
        started_at=moment(said.get("StartedAt")),
        finished_at=moment(said.get("FinishedAt")),
        exit_code=exit_code,
        oom_killed=said.get("OOMKilled") is True,
        error=text(said.get("Error"), 1024),
        restart_count=number(data.get("RestartCount")),
        pid=number(said.get("Pid")),
        tty=config.get("Tty") is True,
        restart_policy=text(policy.get("Name"), 32) or "no",
        restart_max_retries=number(policy.get("MaximumRetryCount")),
        memory_limit=max(0, number(host.get("Memory"))),
        cpu_limit=_cpus(host),
        pids_limit=max(0, number(host.get("PidsLimit"))),
        privileged=host.get("Privileged") is True,
        auto_remove=host.get("AutoRemove") is True,
        hostname=text(config.get("Hostname"), 256),
        user=text(config.get("User"), 256),
        working_dir=text(config.get("WorkingDir")),
        log_driver=text(mapping(host.get("LogConfig")).get("Type"), 128),
        stop_signal=text(config.get("StopSignal"), 32) or "SIGTERM",
        stop_timeout=number(config["StopTimeout"]) if config.get("StopTimeout") is not None else None,
        environment=variables,
        labels=pairs(config.get("Labels")),
        ports=_ports(published, host, config, state),
        mounts=tuple(sorted(_mounts(data, host), key=lambda mount: mount.target)),
        networks=tuple(attachment for attachment, _ in _networks(settings)),
        healthcheck=_healthcheck(config),
        health_log=tuple(_health_log(health)),
        failing_streak=number(health.get("FailingStreak")),
        fingerprint=_fingerprint(
            data,
            name=name,
            state=state,
            health=health_of(health.get("Status")),
            exit_code=exit_code,
            image=data.get("Image"),
            created=_seconds(data.get("Created")),
            ports=[(p.host_ip, p.container, p.protocol, p.host) for p in published if p.host],
            labels=config.get("Labels"),
        ),
        inspect=_document(data, variables),
        reach=reach.of(data),
    )


def _document(data: Json, variables: Mapping[str, str]) -> dict[str, Any]:
    kept = document(data)
    if isinstance(kept.get("Config"), dict) and kept["Config"].get("Env"):
        shown = kept["Config"]["Env"]
        kept["Config"]["Env"] = [f"{name}={value}" for name, value in variables.items()][: len(shown)]
    return kept


def _seconds(value: object) -> object:
    created = moment(value)
    return int(created.timestamp()) if created else value


def _cpus(host: Json) -> float:
    nano = number(host.get("NanoCpus"))
    quota, period = number(host.get("CpuQuota")), number(host.get("CpuPeriod"))
    return nano / 1e9 if nano > 0 else (quota / (period or 100_000) if quota > 0 else 0)


def _published(value: object) -> Iterator[PortInfo]:
    """``{"80/tcp": [{"HostIp", "HostPort"}] | null}`` as ports."""
    for key, bindings in list(mapping(value).items())[:1024]:
        port, _, protocol = text(key, 32).partition("/")
        if not port.isascii() or not port.isdecimal():
            continue
        inside, kind = int(port), protocol or "tcp"
        hosts = items(bindings, 16)
        for binding in hosts:
            outside = text(binding.get("HostPort"), 8)
            host = int(outside) if outside.isascii() and outside.isdecimal() else None
            yield PortInfo(inside, kind, host or None, text(binding.get("HostIp"), 64))
        if not hosts:
            yield PortInfo(inside, kind)


def _ports(
    published: list[PortInfo], host: Json, config: Json, state: ContainerState
) -> tuple[PortInfo, ...]:
    """The ports as they are; of a container that does not run, as they will be."""
    wanted = published if published and state in _LIVE else list(_published(host.get("PortBindings")))
    known = {(port.container, port.protocol) for port in wanted}
    exposed = [
        port
        for port in _published(config.get("ExposedPorts"))
        if (port.container, port.protocol) not in known
    ]
    return tuple(sorted([*wanted, *exposed], key=lambda port: (port.container, port.protocol, port.host_ip)))


def _mounts(data: Json, host: Json) -> Iterator[MountInfo]:
    for mount in items(data.get("Mounts"), 256):
        kind, name = text(mount.get("Type"), 16) or "bind", text(mount.get("Name"), 256)
        source = name if kind == "volume" else text(mount.get("Source"), 4096)
        yield MountInfo(
            type=kind,
            source="" if kind == "tmpfs" else source,
            target=text(mount.get("Destination"), 4096),
            read_only=mount.get("RW") is False,
            anonymous=kind == "volume" and names.is_anonymous_volume(name),
        )
    for target in list(mapping(host.get("Tmpfs")))[:64]:
        yield MountInfo(type="tmpfs", source="", target=text(target, 4096))


def _healthcheck(config: Json) -> dict[str, Any]:
    """Durations in seconds; empty where there is none or it is switched off."""
    check = mapping(config.get("Healthcheck"))
    test = [mask(item) for item in texts(check.get("Test"), 128, 4096)]
    if not test or test[0] == "NONE":
        return {}
    return {
        "test": test,
        "interval": (number(check.get("Interval")) or 30 * 10**9) / 1e9,
        "timeout": (number(check.get("Timeout")) or 30 * 10**9) / 1e9,
        "retries": number(check.get("Retries")) or 3,
        "start_period": number(check.get("StartPeriod")) / 1e9,
    }


def _health_log(health: Json) -> Iterator[dict[str, Any]]:
    """The engine keeps the last five results; times are RFC 3339 texts, output is cut to 2,048 characters."""
    for entry in items(health.get("Log"), 16)[-5:]:
        yield {
            "start": text(entry.get("Start"), 64),
            "end": text(entry.get("End"), 64),
            "exit_code": number(entry.get("ExitCode")),
            "output": masked(entry.get("Output"), 2048),
        }
