"""The guard rails as values: what a level may ask for, what it is given where it says nothing. Pure.

`Rails` are those that hold. What somebody says of them (a row's JSON) is a part of their fields, read by `parse`, which
knows nothing else. `within` puts a team's words inside the site's: the stricter of the two holds, field by field.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from engine import addresses, names, scan_rule
from engine.errors import Invalid
from engine.fields import Fields
from engine.scan_rule import ScanRule
from engine.specs import ContainerSpec, SpecError
from engine.words import gettext

CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""What engines give by default, without raw sockets and device files: for adding back after dropping ALL."""
LOWEST_PORT, HIGHEST_PORT = 1024, 65535
MOST = 64
"""Entries of one list."""


@dataclass(frozen=True, slots=True)
class Rails:
    """What may be asked for. A list holds what is allowed; ``None`` in its place allows any.

    ``host_paths`` are folders below which those of the host may be mounted. ``memory`` (bytes), ``cpus`` (cores),
    ``pids``, ``init`` and ``no_new_privileges`` are what a new container gets whose wish names none of its own.
    ``no_fetching``: builds stand on what the engine has, and reach no network. ``scans``: what the site and the
    team ask of an image's scan before it is run; said of it is one ``scan``.
    """

    privileged: bool = False
    namespaces: bool = False
    devices: bool = False
    isolation: bool = False
    volume_options: bool = False
    network_options: bool = False
    digests_only: bool = False
    host_paths: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = CAPABILITIES
    lowest_port: int = LOWEST_PORT
    highest_port: int = HIGHEST_PORT
    addresses: tuple[str, ...] | None = None
    registries: tuple[str, ...] | None = None
    volume_drivers: tuple[str, ...] = ("local",)
    network_drivers: tuple[str, ...] = ("bridge",)
    pool: tuple[str, ...] = ()
    log_drivers: tuple[str, ...] = ("json-file", "local")
    sysctls: tuple[str, ...] = ()
    restart_policies: tuple[str, ...] = names.RESTART_POLICIES
    memory: int = 0
    cpus: float = 0
    pids: int = 0
    init: bool = False
    no_new_privileges: bool = False
    no_fetching: bool = False
    scans: tuple[ScanRule, ...] = ()


SWITCHES = ("privileged", "namespaces", "devices", "isolation", "volume_options", "network_options")
"""True allows it."""
STRICT = ("digests_only", "init", "no_new_privileges", "no_fetching")
"""True asks for more."""
LISTS = (
    "capabilities", "addresses", "registries", "volume_drivers", "network_drivers", "pool", "log_drivers", "sysctls",
    "restart_policies",
)  # fmt: skip
GIVEN = ("memory", "cpus", "pids")
RECOMMENDED: Mapping[str, Any] = {
    "memory": 2**30, "cpus": 2.0, "pids": 1024, "init": True, "no_new_privileges": True,
    "restart_policies": ["no", "on-failure", "unless-stopped"],
}  # fmt: skip
"""What the CIS benchmark asks of every container, for a site that wants it so."""
FROM_THE_START: Mapping[str, Any] = {"pids": 4096}
"""What a new site has of it without asking: what no program that works gets near to. The others end some that do: a
limit of memory ends databases, an init is not PID 1's, and without new privileges there is no sudo."""


def parse(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is said, checked, as it is stored: a part of the fields of `Rails`. Raises `SpecError`; null is nothing."""
    said = {key: value for key, value in data.items() if value is not None}
    f = Fields(said)
    found: dict[str, Any] = {name: f.boolean(name) for name in (*SWITCHES, *STRICT)}
    for name, check in _CHECKS.items():
        found[name] = _listed(f, name, check)
    found["lowest_port"] = f.integer("lowest_port", LOWEST_PORT, 1, HIGHEST_PORT)
    found["highest_port"] = f.integer("highest_port", HIGHEST_PORT, 1, HIGHEST_PORT)
    found["memory"] = f.integer("memory", 0, 6 * 2**20, 2**50, zero=True)
    found["cpus"] = f.number("cpus", 0, 0.01, 4096, zero=True)
    found["pids"] = f.integer("pids", 0, 1, 4_194_304, zero=True)
    if (scan := f.child("scan")) is not None:
        found["scan"] = scan_rule.parse(scan)
    f.finish()
    if f.errors:
        raise SpecError(f.errors)
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if key in said
    }


def of(said: Mapping[str, Any], usual: Rails | None = None) -> Rails:
    """Rails from a stored row; what it says nothing of is as usual. Rows come from `parse`, and are trusted."""
    known = {field.name for field in fields(Rails)}
    kept = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    given: dict[str, Any] = {key: value for key, value in kept.items() if key in known}
    if said.get("scan"):
        given["scans"] = (*(usual.scans if usual else ()), scan_rule.of(said["scan"]))
    return replace(usual or Rails(), **given)


def within(site: Rails, said: Mapping[str, Any]) -> Rails:
    """The site's rails with a team's words, which can only take away. Defaults are the team's own."""
    team, new = of(said, site), dict[str, Any]()
    for name in SWITCHES:
        new[name] = getattr(site, name) and getattr(team, name)
    for name in STRICT:
        new[name] = getattr(site, name) or getattr(team, name)
    for name in LISTS:
        new[name] = _both(getattr(site, name), getattr(team, name))
    new["host_paths"] = tuple(path for path in team.host_paths if below(path, site.host_paths))
    new["pool"] = team.pool if _inside(team.pool, site.pool) else site.pool
    new["scans"] = team.scans
    new["lowest_port"] = max(site.lowest_port, team.lowest_port)
    new["highest_port"] = min(site.highest_port, team.highest_port)
    for name in GIVEN:
        new[name] = getattr(team, name) or getattr(site, name)
    return replace(site, **new)


def with_defaults(spec: ContainerSpec, rails: Rails) -> ContainerSpec:
    """The wish with what it gets where it says nothing."""
    given: dict[str, Any] = {name: getattr(spec, name) or getattr(rails, name) for name in GIVEN}
    return replace(
        spec, **given, init=spec.init or rails.init,
        no_new_privileges=spec.no_new_privileges or (rails.no_new_privileges and not spec.privileged),
    )  # fmt: skip


def below(path: str, roots: tuple[str, ...]) -> bool:
    """Whether a clean path is one of these folders, or in one."""
    return any(root in ("/", path) or path.startswith(f"{root}/") for root in roots)


def host_of(image: str) -> str:
    """The registry of a reference; empty for an image's id, which is nobody's."""
    return "" if names.is_image_id(image) else names.ImageReference.parse(image).registry


def _both(site: tuple[str, ...] | None, team: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if site is None or team is None:
        return team if site is None else site
    return tuple(one for one in team if one in site)


def _inside(team: tuple[str, ...], site: tuple[str, ...]) -> bool:
    wide = [addresses.subnet(text) for text in site]
    return all(addresses.within(addresses.subnet(text), wide) for text in team)


def _listed(f: Fields, key: str, check: Callable[[str], str]) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(f.strings(key, (), most=MOST, total=8192)):
        try:
            one = check(value.strip())
        except Invalid as error:
            f.fail(f"{key}.{index}", error.message)
        else:
            if one not in found:
                found.append(one)
    return tuple(found)


def _path(value: str) -> str:
    from engine.parsing import clean_path

    return clean_path(value)


def _capability(value: str) -> str:
    from engine import parsing

    name = value.upper().removeprefix("CAP_")
    if name not in parsing.CAPABILITIES:
        raise Invalid(gettext("Not a Linux capability: a name such as NET_ADMIN is expected."))
    return name


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value)) if "/" in value else str(ipaddress.ip_address(value))
    except ValueError:
        raise Invalid(gettext("An IP address, or a range such as 10.0.0.0/8, is expected.")) from None


def _word(value: str) -> str:
    if not value.isascii() or not value.replace(".", "").replace("_", "").replace("-", "").isalnum():
        raise Invalid(gettext("A name of letters, digits, dots, - and _ is expected."))
    return value


_CHECKS: Mapping[str, Callable[[str], str]] = {
    "host_paths": _path,
    "capabilities": _capability,
    "addresses": _address,
    "registries": names.registry_host,
    "volume_drivers": names.driver_name,
    "network_drivers": names.driver_name,
    "pool": lambda value: str(addresses.subnet(value)),
    "log_drivers": _word,
    "sysctls": _word,
    "restart_policies": names.restart_policy,
}
