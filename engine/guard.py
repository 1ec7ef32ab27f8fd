"""Guard rails: who may ask an engine for what, looked at on the typed spec, at the one place that calls the engine.

So form, REST, compose file, duplicate and undo all pass the same gate. A level is how far somebody is trusted
with the engine's host: ``"site"`` (site administrators: everything that a spec can say) or ``"team"`` (everybody
else: nothing that reaches the host or other people's containers). What a spec cannot say at all (devices, other
containers' namespaces, security options, log drivers) needs no rule. Whether a named volume or network belongs to
the team is not known here: the rooms above check each reference.

The rules leave a normal team its normal day: named volumes, tmpfs, ports from 1024 up, own networks, any restart
policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine import addresses
from engine.errors import PolicyDenied
from engine.specs import BuildSpec, ContainerSpec, NetworkSpec, UpdateSpec, VolumeSpec
from engine.types import Reach

SITE = "site"
TEAM = "team"

LOWEST_PORT = 1024

CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
"""What engines give by default, without raw sockets and device files: for adding back after dropping ALL."""


_PRIVILEGED = "Privileged containers own the engine's host: only a site administrator may run one."
_HOST_PATHS = "Folders of the engine's host may only be mounted by a site administrator: use a named volume."
_HOST_NETWORK = (
    "The network of the engine's host, or of another container, may only be used by a site administrator."
)


@dataclass(frozen=True, slots=True)
class Violation:
    """``rule`` is stable, ``field`` the dotted path in the body, ``message`` for people."""

    rule: str
    field: str
    message: str


Spec = ContainerSpec | UpdateSpec | BuildSpec | VolumeSpec | NetworkSpec


def violations(spec: Spec, *, level: str, pool: Sequence[str] = ()) -> list[Violation]:
    """Everything in ``spec`` that ``level`` may not ask for, in the order of the fields.

    ``pool``: ranges of addresses from which a team may choose those of its networks.
    """
    if level not in (SITE, TEAM):
        raise ValueError(f"not a level: {level!r}")
    # Limits and restart policies are a normal day's, when a container is made and afterwards.
    if level == SITE or isinstance(spec, BuildSpec | UpdateSpec):
        return []
    if isinstance(spec, NetworkSpec):
        return list(_network(spec, pool))
    return list(_volume(spec) if isinstance(spec, VolumeSpec) else _container(spec))


def check(spec: Spec, *, level: str, pool: Sequence[str] = ()) -> None:
    """Raises `PolicyDenied` with ``rule`` and ``field`` of the first violation, and ``errors`` with all of them."""
    _refuse(violations(spec, level=level, pool=pool))


def check_again(reach: Reach, *, level: str) -> None:
    """The same for a container that exists and is to be made anew: what it has must be allowed today.

    It may come from elsewhere, and hold what no spec can say.
    """
    if level not in (SITE, TEAM):
        raise ValueError(f"not a level: {level!r}")
    _refuse([] if level == SITE else list(_reaching(reach)))


def _refuse(found: list[Violation]) -> None:
    if found:
        errors: dict[str, list[str]] = {}
        for violation in found:
            errors.setdefault(violation.field, []).append(violation.message)
        raise PolicyDenied(found[0].message, rule=found[0].rule, field=found[0].field, errors=errors)


def _container(spec: ContainerSpec) -> Iterator[Violation]:
    if spec.privileged:
        yield Violation("no_privileged", "privileged", _PRIVILEGED)
    for index, mount in enumerate(spec.mounts):
        if mount.type not in ("volume", "tmpfs"):
            yield Violation(
                "no_host_paths",
                f"mounts.{index}.type",
                _HOST_PATHS,
            )
    for index, capability in enumerate(spec.cap_add):
        if capability.upper().removeprefix("CAP_") not in CAPABILITIES:
            yield Violation(
                "no_added_capability",
                f"cap_add.{index}",
                f"The capability {capability} may only be added by a site administrator.",
            )
    for index, port in enumerate(spec.ports):
        if port.host is not None and port.host < LOWEST_PORT:
            yield Violation(
                "no_low_ports",
                f"ports.{index}.host",
                f"Host ports below {LOWEST_PORT} are kept for the site: choose one from {LOWEST_PORT} up.",
            )
    for index, network in enumerate(spec.networks):
        if network == "host" or ":" in network:
            yield Violation(
                "no_host_network",
                f"networks.{index}",
                _HOST_NETWORK,
            )


def _reaching(reach: Reach) -> Iterator[Violation]:
    if reach.privileged:
        yield Violation("no_privileged", "privileged", _PRIVILEGED)
    if reach.paths:
        yield Violation("no_host_paths", "mounts", _HOST_PATHS)
    for words in reach.namespaces:
        if words.startswith("network "):
            yield Violation("no_host_network", "networks", _HOST_NETWORK)
        else:
            message = f"What it shares ({words}) may only be shared by a site administrator."
            yield Violation("no_shared_namespaces", words.partition(" ")[0], message)
    for capability in reach.capabilities:
        if capability.upper().removeprefix("CAP_") not in CAPABILITIES:
            message = f"The capability {capability} may only be added by a site administrator."
            yield Violation("no_added_capability", "cap_add", message)
    if reach.devices:
        yield Violation(
            "no_devices", "devices", "Devices of the host may only be given by a site administrator."
        )
    for option in reach.options:
        message = f"The setting {option} loosens what keeps it apart: it is a site administrator's to give."
        yield Violation("no_loosened_isolation", "options", message)
    for port in reach.ports:
        if port < LOWEST_PORT:
            message = f"Host port {port} is kept for the site, as are all below {LOWEST_PORT}."
            yield Violation("no_low_ports", "ports", message)


def _volume(spec: VolumeSpec) -> Iterator[Violation]:
    if spec.driver != "local":
        yield Violation(
            "local_volumes_only",
            "driver",
            'Volumes with another driver than "local" may only be made by a site administrator.',
        )
    if spec.options:
        yield Violation(
            "no_volume_options",
            "options",
            "Driver options can mount any folder of the engine's host: only a site administrator may set them.",
        )


def _network(spec: NetworkSpec, pool: Sequence[str]) -> Iterator[Violation]:
    """A range that the host needs for itself, or a driver's option, would reach the host's own network."""
    if spec.driver != "bridge":
        yield Violation(
            "bridge_networks_only",
            "driver",
            'Networks with another driver than "bridge" may only be made by a site administrator.',
        )
    if spec.options:
        yield Violation(
            "no_network_options",
            "options",
            "Driver options can reach the network of the engine's host: only a site administrator may set them.",
        )
    wide = [addresses.subnet(text) for text in pool]
    free = f"choose one within {', '.join(pool)}" if pool else "leave it to the engine"
    for index, text in enumerate(spec.subnets):
        if not addresses.within(addresses.subnet(text), wide):
            yield Violation(
                "pool_addresses_only",
                f"subnets.{index}",
                f"Only a site administrator may choose {text}, which the host may need for itself: {free}.",
            )
