"""Guard rails: who may ask an engine for what, looked at on the typed spec, at the one place that calls the engine.

So form, REST, compose file, duplicate and undo all pass the same gate. `engine.rails.Rails` say what is allowed;
``None`` in their place is everything that a spec can say (site administrators, unless the site binds them too).
`RULES` are all the rules there are. What a spec cannot say at all (devices, other containers' namespaces, security
options, log drivers) is only found in containers that were made elsewhere. Whether a named volume or network belongs
to the team is not known here: the rooms above check each reference.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine import addresses
from engine.errors import Invalid, PolicyDenied
from engine.rails import CAPABILITIES, Rails, below, host_of
from engine.specs import BuildSpec, ContainerSpec, NetworkSpec, UpdateSpec, VolumeSpec
from engine.types import Reach
from engine.words import gettext_noop, kept

SITE = "site"
TEAM = "team"

OWN = "self_protected"
"""The rule that no wish breaks by itself: Slipway's own containers stay as they are."""
RULES: Mapping[str, str] = {
    "no_privileged": gettext_noop("Privileged containers"),
    "no_host_paths": gettext_noop("Folders of the host"),
    "no_host_network": gettext_noop("The host's network"),
    "no_shared_namespaces": gettext_noop("Shared namespaces"),
    "no_added_capability": gettext_noop("Capabilities"),
    "no_devices": gettext_noop("Devices of the host"),
    "no_loosened_isolation": gettext_noop("Loosened isolation"),
    "no_low_ports": gettext_noop("Ports of the host"),
    "allowed_addresses_only": gettext_noop("Addresses of the host"),
    "known_registries_only": gettext_noop("Registries"),
    "digests_only": gettext_noop("Images by digest"),
    "known_log_drivers_only": gettext_noop("Log drivers"),
    "no_sysctls": gettext_noop("Kernel parameters"),
    "allowed_restarts_only": gettext_noop("Restart policies"),
    "local_volumes_only": gettext_noop("Drivers of volumes"),
    "no_volume_options": gettext_noop("Options of volumes"),
    "bridge_networks_only": gettext_noop("Drivers of networks"),
    "no_network_options": gettext_noop("Options of networks"),
    "pool_addresses_only": gettext_noop("Addresses of networks"),
    "builds_fetch_nothing": gettext_noop("What builds fetch"),
    "scanned_images_only": gettext_noop("Scans of images"),
    "no_severe_vulnerabilities": gettext_noop("Vulnerabilities of images"),
    OWN: gettext_noop("Slipway's own containers"),
}
"""Every rule, with what it is about."""
SHUT = (
    "/etc", "/root", "/proc", "/sys", "/dev", "/run", "/var/run", "/boot", "/var/lib/docker", "/var/lib/containerd",
    "/var/lib/containers",
)  # fmt: skip
"""Folders that no allowed root opens, nor the folders above them: they are the host itself."""

_PRIVILEGED = kept("Privileged containers own the engine's host: only a site administrator may run one.")
_HOST_PATHS = kept(
    "Folders of the engine's host may only be mounted by a site administrator: use a named volume."
)
_HOST_NETWORK = kept(
    "The network of the engine's host, or of another container, may only be used by a site administrator."
)


@dataclass(frozen=True, slots=True)
class Violation:
    """``rule`` is one of `RULES`, ``field`` the dotted path in the body, ``message`` for people."""

    rule: str
    field: str
    message: str


Spec = ContainerSpec | UpdateSpec | BuildSpec | VolumeSpec | NetworkSpec


def violations(spec: Spec, rails: Rails | None) -> list[Violation]:
    """Everything in ``spec`` that these rails do not allow, in the order of the fields."""
    if rails is None or isinstance(spec, BuildSpec):
        return []
    if isinstance(spec, UpdateSpec):
        return list(_restart(spec.restart_policy or "", rails))
    if isinstance(spec, NetworkSpec):
        return list(_network(spec, rails))
    return list(_volume(spec, rails) if isinstance(spec, VolumeSpec) else _container(spec, rails))


def of_reach(reach: Reach, rails: Rails | None) -> list[Violation]:
    """The same for a container that exists. It may come from elsewhere, and hold what no spec can say."""
    return [] if rails is None else list(_reaching(reach, rails))


def of_image(image: str, rails: Rails | None, field: str = "image") -> list[Violation]:
    """The same for an image that is to be pulled or run, by its reference or its id."""
    return [] if rails is None else list(_image(image, rails, field))


def of_build(
    images: Iterable[tuple[int, str]], fetches: Iterable[tuple[int, str]], rails: Rails | None
) -> list[Violation]:
    """The same for a Dockerfile: ``(line, image)`` it builds on or copies from, ``(line, words)`` that fetch."""
    if rails is None:
        return []
    found: list[Violation] = []
    for line, image in images if rails.registries is not None or rails.digests_only else ():
        if "$" in image:
            message = kept(f"Line {line}: nobody can tell which image {image} is before it is built.")
            found.append(Violation("known_registries_only", "dockerfile", message))
            continue
        try:
            wrong = list(_image(image, rails, "dockerfile"))
        except Invalid as error:
            wrong = [Violation("known_registries_only", "dockerfile", error.message)]
        found += (replace(one, message=f"Line {line}: {one.message}") for one in wrong)
    for line, words in fetches if rails.no_fetching else ():
        message = kept(f"Line {line}: builds fetch nothing here, neither addresses nor images ({words}).")
        found.append(Violation("builds_fetch_nothing", "dockerfile", message))
    return found


def check(spec: Spec, rails: Rails | None) -> None:
    """Raises `PolicyDenied` with ``rule`` and ``field`` of the first violation, and ``errors`` with all of them."""
    refuse(violations(spec, rails))


def check_again(reach: Reach, rails: Rails | None) -> None:
    """The same for a container that exists and is to be made anew: what it has must be allowed today."""
    refuse(of_reach(reach, rails))


def refuse(found: list[Violation], **more: str) -> None:
    """Raises `PolicyDenied` where there are any; ``more`` goes to its details."""
    if found:
        errors: dict[str, list[str]] = {}
        for violation in found:
            errors.setdefault(violation.field, []).append(violation.message)
        first = found[0]
        raise PolicyDenied(first.message, rule=first.rule, field=first.field, errors=errors, **more)


def _container(spec: ContainerSpec, rails: Rails) -> Iterator[Violation]:
    yield from _image(spec.image, rails, "image")
    if spec.privileged and not rails.privileged:
        yield Violation("no_privileged", "privileged", _PRIVILEGED)
    for index, mount in enumerate(spec.mounts):
        if mount.type not in ("volume", "tmpfs"):
            yield from _path(mount.source, rails, f"mounts.{index}.type")
    for index, capability in enumerate(spec.cap_add):
        yield from _capability(capability, rails, f"cap_add.{index}")
    for index, port in enumerate(spec.ports):
        if port.host is not None:
            yield from _port(port.host, rails, f"ports.{index}.host")
        yield from _address(port.host_ip, rails, f"ports.{index}.host_ip")
    for index, network in enumerate(spec.networks):
        if (network == "host" or ":" in network) and not rails.namespaces:
            yield Violation("no_host_network", f"networks.{index}", _HOST_NETWORK)
    yield from _restart(spec.restart_policy, rails)


def _reaching(reach: Reach, rails: Rails) -> Iterator[Violation]:
    if reach.privileged and not rails.privileged:
        yield Violation("no_privileged", "privileged", _PRIVILEGED)
    for path in reach.paths:
        yield from _path(path, rails, "mounts")
    for words in () if rails.namespaces else reach.namespaces:
        if words.startswith("network "):
            yield Violation("no_host_network", "networks", _HOST_NETWORK)
        else:
            message = kept(f"What it shares ({words}) may only be shared by a site administrator.")
            yield Violation("no_shared_namespaces", words.partition(" ")[0], message)
    for capability in reach.capabilities:
        yield from _capability(capability, rails, "cap_add")
    if reach.devices and not rails.devices:
        yield Violation(
            "no_devices", "devices", "Devices of the host may only be given by a site administrator."
        )
    for option in () if rails.isolation else reach.options:
        message = kept(
            f"The setting {option} loosens what keeps it apart: it is a site administrator's to give."
        )
        yield Violation("no_loosened_isolation", "options", message)
    for port in reach.ports:
        yield from _port(port, rails, "ports")
    for address in reach.addresses:
        yield from _address(address, rails, "ports")
    yield from _kept_apart(reach, rails)


def _kept_apart(reach: Reach, rails: Rails) -> Iterator[Violation]:
    """What has the engine itself, or the kernel, do something."""
    if reach.log_driver and reach.log_driver not in (*rails.log_drivers, "none"):
        message = (
            f"The log driver {reach.log_driver} has the engine send logs elsewhere: {_or(rails.log_drivers)}."
        )
        yield Violation("known_log_drivers_only", "log_driver", message)
    for name in reach.sysctls:
        if name not in rails.sysctls:
            yield Violation(
                "no_sysctls", "sysctls", f"The kernel parameter {name} is not among those allowed."
            )
    yield from _restart(reach.restart_policy, rails)


def _image(image: str, rails: Rails, field: str) -> Iterator[Violation]:
    host = host_of(image)
    if host and rails.registries is not None and host not in rails.registries:
        message = kept(f"Images of {host} are not allowed here: {_or(rails.registries)}.")
        yield Violation("known_registries_only", field, message)
    if host and rails.digests_only and "@" not in image:
        message = kept(
            "Images are named by digest here (name@sha256:…), so that nobody moves a tag under them."
        )
        yield Violation("digests_only", field, message)


def _path(path: str, rails: Rails, field: str) -> Iterator[Violation]:
    """Judged by the path without detours: no way of writing it leads around."""
    clean = posixpath.normpath(path) if path.startswith("/") else ""
    clean = f"/{clean.lstrip('/')}" if clean else ""
    if not rails.host_paths or not clean:
        yield Violation("no_host_paths", field, _HOST_PATHS)
    elif below(clean, SHUT) or clean == "/" or any(shut.startswith(f"{clean}/") for shut in SHUT):
        yield Violation(
            "no_host_paths", field, f"{clean} is the host itself, and never mounted: use a named volume."
        )
    elif not below(clean, rails.host_paths):
        message = kept(f"{clean} is not in a folder that may be mounted: {_or(rails.host_paths)}.")
        yield Violation("no_host_paths", field, message)


def _capability(capability: str, rails: Rails, field: str) -> Iterator[Violation]:
    if capability.upper().removeprefix("CAP_") not in rails.capabilities:
        message = kept(f"The capability {capability} may only be added by a site administrator.")
        yield Violation("no_added_capability", field, message)


def _port(port: int, rails: Rails, field: str) -> Iterator[Violation]:
    if not rails.lowest_port <= port <= rails.highest_port:
        message = kept(f"Host port {port} is kept for the site: choose one from {rails.lowest_port} up.")
        if rails.highest_port < 65535:
            span = f"{rails.lowest_port} to {rails.highest_port}"
            message = kept(f"Host port {port} is kept for the site: choose one from {span}.")
        yield Violation("no_low_ports", field, message)


def _address(address: str, rails: Rails, field: str) -> Iterator[Violation]:
    """An empty address is all of the host's."""
    if rails.addresses is None:
        return
    wanted = ipaddress.ip_address(address or "0.0.0.0")  # noqa: S104 - what an engine takes "" for
    if not any(
        wanted in ipaddress.ip_network(one)
        for one in rails.addresses
        if ("." in one) == (wanted.version == 4)
    ):
        message = (
            f"Ports may not be published on {address or 'all addresses of the host'}: {_or(rails.addresses)}."
        )
        yield Violation("allowed_addresses_only", field, message)


def _restart(policy: str, rails: Rails) -> Iterator[Violation]:
    if policy not in ("", "no", *rails.restart_policies):
        message = kept(f"The restart policy {policy} is not allowed here: {_or(rails.restart_policies)}.")
        yield Violation("allowed_restarts_only", "restart_policy.name", message)


def _or(allowed: Iterable[str]) -> str:
    """``choose a, b or c``."""
    found = list(allowed)
    if not found:
        return kept("none is")
    if len(found) == 1:
        return kept(f"choose {found[0]}")
    return kept(f"choose {', '.join(found[:-1])} or {found[-1]}")


def _volume(spec: VolumeSpec, rails: Rails) -> Iterator[Violation]:
    if spec.driver not in rails.volume_drivers:
        others = _others(rails.volume_drivers)
        message = kept(f"Volumes with another driver than {others} may only be made by a site administrator.")
        yield Violation("local_volumes_only", "driver", message)
    if spec.options and not rails.volume_options:
        yield Violation(
            "no_volume_options",
            "options",
            "Driver options can mount any folder of the engine's host: only a site administrator may set them.",
        )


def _network(spec: NetworkSpec, rails: Rails) -> Iterator[Violation]:
    """A range that the host needs for itself, or a driver's option, would reach the host's own network."""
    if spec.driver not in rails.network_drivers:
        others = _others(rails.network_drivers)
        message = kept(
            f"Networks with another driver than {others} may only be made by a site administrator."
        )
        yield Violation("bridge_networks_only", "driver", message)
    if spec.options and not rails.network_options:
        yield Violation(
            "no_network_options",
            "options",
            "Driver options can reach the network of the engine's host: only a site administrator may set them.",
        )
    wide = [addresses.subnet(text) for text in rails.pool]
    free = kept("leave it to the engine")
    if rails.pool:
        free = kept(f"choose one within {', '.join(rails.pool)}")
    for index, text in enumerate(spec.subnets):
        if not addresses.within(addresses.subnet(text), wide):
            yield Violation(
                "pool_addresses_only",
                f"subnets.{index}",
                f"Only a site administrator may choose {text}, which the host may need for itself: {free}.",
            )


def _others(drivers: Iterable[str]) -> str:
    return " or ".join(f'"{one}"' for one in drivers) or "the usual"


__all__ = ["CAPABILITIES", "OWN", "RULES", "SITE", "TEAM", "Rails", "Spec", "Violation", "check", "check_again",
    "of_build", "of_image", "of_reach", "refuse", "violations"]  # fmt: skip
