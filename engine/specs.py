"""Closed-world wishes: exactly what may be asked of an engine, parsed field by field.

`ContainerSpec.parse` takes the run body of the REST contract. Unknown keys, wrong types and values out of
range raise `SpecError` with one message per field; nothing is guessed and nothing is passed through.
The functions that read the fields are in `engine.parsing`; who may ask for what is `engine.guard`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from engine.errors import Invalid
from engine.words import gettext, kept


class SpecError(Invalid):
    """Not valid: ``errors`` is field → list of messages, as the REST contract shows them."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(gettext("Some fields are not valid."), errors=dict(errors))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A published port. ``host`` ``None``: the engine chooses one."""

    container: int
    protocol: str = "tcp"
    host: int | None = None
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class MountSpec:
    """``source``: a volume's name, a host path (bind), or empty (tmpfs)."""

    type: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class HealthcheckSpec:
    """Seconds for every duration. ``test`` starts with CMD, CMD-SHELL or NONE."""

    test: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to be made: the run body of the REST contract, typed. Memory in bytes, CPU in cores.

    ``image`` is an image id or a reference with an explicit tag or digest. 0 as a limit means none.
    """

    image: str
    name: str | None = None
    pull: str = "missing"
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[PortSpec, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    networks: tuple[str, ...] = ()
    hostname: str | None = None
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    init: bool = False
    restart_policy: str = "no"
    restart_max_retries: int = 0
    memory: int = 0
    cpus: float = 0
    pids: int = 0
    healthcheck: HealthcheckSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    privileged: bool = False
    no_new_privileges: bool = False
    auto_remove: bool = False
    start: bool = True

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the run body (without ``engine`` and ``team``, which are not the engine's business)."""
        from engine import parsing

        return cls(**parsing.container_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The run body again: ``parse(spec.to_dict()) == spec``. Holds the secrets: never show or store it bare."""
        body: dict[str, Any] = _plain(asdict(self))
        body["restart_policy"] = {
            "name": body.pop("restart_policy"),
            "max_retries": body.pop("restart_max_retries"),
        }
        if not self.no_new_privileges:
            del body["no_new_privileges"]
        body["resources"] = {key: body.pop(key) for key in ("memory", "cpus", "pids")}
        return body


@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """What is to be other with a container that goes on meanwhile. ``None``: as it is; 0 as a limit means none.

    The retries belong to the policy and change with it.
    """

    restart_policy: str | None = None
    restart_max_retries: int = 0
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From ``restart_policy`` and ``resources`` of the run body, any part of them; null as a limit is 0."""
        from engine import parsing

        return cls(**parsing.update_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The body again: ``parse(spec.to_dict()) == spec``."""
        body: dict[str, Any] = {}
        if self.restart_policy is not None:
            body["restart_policy"] = {"name": self.restart_policy, "max_retries": self.restart_max_retries}
        limits = {"memory": self.memory, "cpus": self.cpus, "pids": self.pids}
        given = {key: value for key, value in limits.items() if value is not None}
        return {**body, "resources": given} if given else body


STAYS = {
    "memory": kept(
        "An engine cannot take a memory limit from a container that exists: give it a higher one, "
        "or run another like it without."
    ),
    "cpus": kept(
        "An engine cannot take a CPU limit from a container that exists: give it more cores, "
        "or run another like it without."
    ),
}
"""Limits that can be changed and not taken away: engines answer "done" and leave them."""
ENDS_FOR_GOOD = (
    'The container removes itself when it ends, so it cannot restart: leave its restart policy at "no".'
)


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A build. ``dockerfile`` is a clean relative path inside the context; ``builder`` is auto, buildkit or classic.

    ``secrets`` are what steps with ``--mount=type=secret`` may read, by id. Only BuildKit has them. The site's alone,
    and in no wish: ``networked`` (steps have a network of their own), ``memory`` (bytes) and ``cpus`` of a step, which
    only the classic builder knows, and ``cgroup``, below which steps run (BuildKit: from Docker 23 on).
    """

    tags: tuple[str, ...]
    dockerfile: str = "Dockerfile"
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    builder: str = "auto"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    networked: bool = True
    memory: int = 0
    cpus: float = 0
    cgroup: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the build body without ``engine``, ``team`` and the context; ``dockerfile`` is its path."""
        from engine import parsing

        return cls(**parsing.build_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The body again: ``parse(spec.to_dict()) == spec``. Holds the secrets."""
        own = ("networked", "memory", "cpus", "cgroup")
        return {key: value for key, value in dict(_plain(asdict(self))).items() if key not in own}


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume to be made. ``options`` are the driver's; a guard rail says who may set them."""

    name: str
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the volume body without ``engine`` and ``team``."""
        from engine import parsing

        return cls(**parsing.volume_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The body again: ``parse(spec.to_dict()) == spec``."""
        return dict(_plain(asdict(self)))


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network to be made. ``subnets`` and ``gateways`` go together by place; where one is empty, the engine chooses.

    ``options`` are the driver's; a guard rail says who may set them, and who may choose addresses.
    """

    name: str
    driver: str = "bridge"
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    internal: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the network body without ``engine`` and ``team``."""
        from engine import addresses

        return cls(**addresses.network_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The body again: ``parse(spec.to_dict()) == spec``."""
        return dict(_plain(asdict(self)))


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """How a container is to be found on a network: ``aliases`` beside its own name, and perhaps fixed addresses."""

    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the body of a connection, without the container."""
        from engine import addresses

        return cls(**addresses.endpoint_fields(data))

    def to_dict(self) -> dict[str, Any]:
        """The body again: ``parse(spec.to_dict()) == spec``."""
        return dict(_plain(asdict(self)))


def _plain(value: Any) -> Any:
    """Tuples to lists and mappings to dicts, so that the result is JSON and nobody else's object."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
