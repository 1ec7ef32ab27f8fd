"""Frozen facts: what an engine says about its objects, in one shape for every engine.

Times are aware UTC datetimes (``None`` where the engine has none), sizes are bytes,
durations seconds, CPU is in cores. Every string here comes from an engine and is
hostile: it may hold markup, control characters and bidirectional marks, and it is cut
to a bounded length by the backend, never interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class ContainerState(StrEnum):
    """The engine's own words for what a container is doing."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    """Result of the healthcheck; ``NONE`` where the container has none."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Who answered. ``native_id`` is the engine's own id, the same whatever the address."""

    native_id: str
    name: str
    version: str
    api_version: str
    os: str
    architecture: str
    cpus: int
    memory: int
    storage_driver: str
    rootless: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A port of a container. ``host`` is ``None`` where it is exposed and not published."""

    container: int
    protocol: str = "tcp"
    host: int | None = None
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class MountInfo:
    """``type`` is volume, bind or tmpfs; ``source`` the volume's name or the host path."""

    type: str
    source: str
    target: str
    read_only: bool = False
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """One network of a container."""

    name: str
    native_id: str = ""
    ip: str = ""
    ip6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a container was given of the engine's host and of other containers. Every entry is there: nothing is cut.

    ``namespaces`` are words such as ``network host``, ``ports`` those of the host that were asked for and
    ``addresses`` where, ``options`` settings that loosen what keeps it apart.
    """

    privileged: bool = False
    paths: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()
    log_driver: str = ""
    sysctls: tuple[str, ...] = ()
    restart_policy: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """What one list call tells about a container, enough to see whether it must be inspected.

    ``fingerprint`` equals the one of an inspection of the same state, and changes when anything changed that a
    list shows; it leaves out texts that change with the clock ("Up 3 minutes").
    ``state_since``: the earliest moment at which the state of now can have begun, by the engine's words. A stored
    start (running) or end (exited) before it is out of date although the fingerprint is the same: it restarted.
    """

    native_id: str
    name: str
    state: ContainerState
    fingerprint: str
    state_since: datetime | None = None
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """One inspected container.

    ``image_ref`` is what was asked for (``nginx:1.27``), ``image_id`` the digest it resolved to.
    ``inspect`` is the engine's own document with secrets masked, at most 64 KiB of JSON.
    """

    native_id: str
    name: str
    state: ContainerState
    health: Health
    image_id: str
    image_ref: str
    command: tuple[str, ...]
    entrypoint: tuple[str, ...]
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    oom_killed: bool
    error: str
    restart_count: int
    pid: int
    tty: bool
    restart_policy: str
    restart_max_retries: int
    memory_limit: int
    cpu_limit: float
    pids_limit: int
    privileged: bool
    auto_remove: bool
    hostname: str
    user: str
    working_dir: str
    log_driver: str
    stop_signal: str
    stop_timeout: int | None
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    ports: tuple[PortInfo, ...]
    mounts: tuple[MountInfo, ...]
    networks: tuple[NetworkAttachment, ...]
    healthcheck: Mapping[str, Any]
    health_log: tuple[Mapping[str, Any], ...] = ()
    failing_streak: int = 0
    fingerprint: str = ""
    inspect: Mapping[str, Any] = field(default_factory=dict)
    reach: Reach = field(default_factory=Reach)


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One row of an image's history, oldest first. ``digest`` is empty for steps that add no files."""

    index: int
    digest: str
    command: str
    size: int
    created_at: datetime | None
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """What one list call tells about an image. ``tags`` are ``name:tag``, ``digests`` ``name@sha256:…``."""

    native_id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    created_at: datetime | None
    labels: Mapping[str, str]
    parent_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One inspected image, with the layers of its history. ``stack``: the digests of its layers, lowest first."""

    native_id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    created_at: datetime | None
    labels: Mapping[str, str]
    parent_id: str
    architecture: str
    os: str
    author: str
    config: Mapping[str, Any]
    layers: tuple[LayerInfo, ...]
    fingerprint: str = ""
    stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """A volume. ``size`` is ``None`` where the engine has not counted it."""

    name: str
    driver: str
    scope: str
    created_at: datetime | None
    labels: Mapping[str, str]
    options: Mapping[str, str]
    anonymous: bool
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """A network with its address ranges (``subnets`` and ``gateways`` go together by index).

    ``connected``: ids of the running containers on it; only an inspection of the one network tells them.
    """

    native_id: str
    name: str
    driver: str
    scope: str
    internal: bool
    ipv6: bool
    created_at: datetime | None
    labels: Mapping[str, str]
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    connected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A hint that something changed: look again.

    ``type`` is container, image, volume, network or daemon; ``action`` is cut at the first colon,
    since exec actions hold whole command lines. ``native_id`` of a volume is its name, ``name`` what the object was
    called then. ``health`` is the word of a health_status. ``exit_code`` and ``signal`` come with die and kill, and a
    container's own label ``exitCode`` or ``signal`` replaces them: believe them only where it has no such label.
    """

    type: str
    action: str
    native_id: str
    time_ns: int
    name: str = ""
    health: str = ""
    exit_code: int | None = None
    signal: int | None = None


class LogLine(NamedTuple):
    """One line of output. A tuple, since there are millions of them: a frozen dataclass takes three times as long.

    ``stream`` is 1 (stdout) or 2 (stderr); ``n`` counts lines with this very timestamp.

    ``(stream, ts_ns, n)`` is the cursor of the line: unique for a container, and enough to resume after it.
    ``text`` has no trailing newline; bytes that are not UTF-8 are replaced; what is longer than 1 MiB is split.
    """

    stream: int
    ts_ns: int
    n: int
    text: str


@dataclass(frozen=True, slots=True)
class LogHole:
    """Lines between two times that nobody was handed: ``lines`` of them, or ``None``: perhaps some.

    ``cause`` is one of `engine.holes`.
    """

    from_ns: int
    to_ns: int
    lines: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class FirstProcess:
    """The process that a running container began with, by the number the engine knows it by; 0 for none.

    ``host_network``: it has no network of its own.
    """

    native_id: str
    pid: int
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class StatsSample:
    """One reading. Counters (``*_total``) are since the start of the container; rates are computed in `engine.stats`.

    ``cpu_total`` is in seconds of one core, the rest in bytes; ``memory`` leaves out the page cache.
    """

    native_id: str
    time_ns: int
    cpu_total: float
    memory: int
    memory_limit: int
    net_rx_total: int
    net_tx_total: int
    blk_read_total: int
    blk_write_total: int
    pids: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call is. ``unit`` is steps, layers, bytes or empty; ``message`` is one short line for people.

    ``log`` holds output lines that belong to the log (build output, pull lines), in order; ``step`` is the step of a
    build that has said them, 0 for none.
    """

    current: int | None = None
    total: int | None = None
    unit: str = ""
    message: str = ""
    log: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
