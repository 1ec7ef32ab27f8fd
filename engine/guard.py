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

from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import PolicyDenied
from engine.specs import BuildSpec, ContainerSpec, VolumeSpec

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


@dataclass(frozen=True, slots=True)
class Violation:
    """``rule`` is stable, ``field`` the dotted path in the body, ``message`` for people."""

    rule: str
    field: str
    message: str


def violations(spec: ContainerSpec | BuildSpec | VolumeSpec, *, level: str) -> list[Violation]:
    """Everything in ``spec`` that ``level`` may not ask for, in the order of the fields."""
    if level not in (SITE, TEAM):
        raise ValueError(f"not a level: {level!r}")
    if level == SITE or isinstance(spec, BuildSpec):
        return []
    return list(_volume(spec) if isinstance(spec, VolumeSpec) else _container(spec))


def check(spec: ContainerSpec | BuildSpec | VolumeSpec, *, level: str) -> None:
    """Raises `PolicyDenied` with ``rule`` and ``field`` of the first violation, and ``errors`` with all of them."""
    found = violations(spec, level=level)
    if found:
        errors: dict[str, list[str]] = {}
        for violation in found:
            errors.setdefault(violation.field, []).append(violation.message)
        raise PolicyDenied(found[0].message, rule=found[0].rule, field=found[0].field, errors=errors)


def _container(spec: ContainerSpec) -> Iterator[Violation]:
    if spec.privileged:
        yield Violation(
            "no_privileged",
            "privileged",
            "Privileged containers own the engine's host: only a site administrator may run one.",
        )
    for index, mount in enumerate(spec.mounts):
        if mount.type not in ("volume", "tmpfs"):
            yield Violation(
                "no_host_paths",
                f"mounts.{index}.type",
                "Folders of the engine's host may only be mounted by a site administrator: use a named volume.",
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
                "The network of the engine's host, or of another container, may only be used by a site administrator.",
            )


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
