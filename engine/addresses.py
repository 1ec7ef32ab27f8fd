"""Subnets, gateways and addresses: from JSON bodies to the fields of `NetworkSpec` and `EndpointSpec`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine import names
from engine.errors import Invalid
from engine.fields import Fields
from engine.parsing import done, labels
from engine.words import gettext

MOST_SUBNETS = 8
Net = ipaddress.IPv4Network | ipaddress.IPv6Network
_ALIAS = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?", re.ASCII)


def network_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `NetworkSpec`, or `SpecError`."""
    f = Fields(data)
    found: dict[str, Any] = {
        "name": f.named("name", names.new_network_name),
        "driver": f.named("driver", names.driver_name, "bridge"),
        "subnets": f.strings("subnets", (), most=MOST_SUBNETS, total=1024, longest=64),
        "gateways": f.strings("gateways", (), most=MOST_SUBNETS, total=1024, longest=64, empty=True),
        "internal": f.boolean("internal"),
        "ipv6": f.boolean("ipv6"),
        "options": f.mapping("options", most=32, total=4096),
        "labels": labels(f),
    }
    _subnets(f, found)
    done(f)
    return found


def _subnets(f: Fields, found: dict[str, Any]) -> None:
    """Each a range that exists, none within another, each gateway inside its own."""
    seen: list[Net] = []
    for index, text in enumerate(found["subnets"]):
        try:
            net = subnet(text)
        except Invalid as error:
            f.fail(f"subnets.{index}", error.message)
            continue
        if other := overlapping(net, seen):
            f.fail(
                f"subnets.{index}",
                gettext("%(net)s overlaps with %(other)s: give each its own range.")
                % {"net": net, "other": other},
            )
        if net.version == 6 and not found["ipv6"]:
            f.fail(f"subnets.{index}", gettext("This is an IPv6 range: switch IPv6 on, or leave it out."))
        seen.append(net)
    if len(found["gateways"]) > len(found["subnets"]):
        f.fail("gateways", gettext("Each gateway goes with the subnet at its place: give that subnet too."))
    elif len(seen) == len(found["subnets"]):
        for index, (net, text) in enumerate(zip(seen, found["gateways"], strict=False)):
            if text and (problem := _gateway_problem(text, net)):
                f.fail(f"gateways.{index}", problem)
    found["subnets"] = tuple(str(net) for net in seen)


def _gateway_problem(text: str, net: Net) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return gettext("An address is expected, such as 10.20.0.1.")
    inside = address.version == net.version and address in net
    if not inside or address in (net.network_address, net.broadcast_address):
        said = gettext("The gateway is an address inside %(net)s, and not its first or last one.")
        return said % {"net": net}
    return ""


def subnet(text: str) -> Net:
    """A range of addresses; raises `Invalid` with what was probably meant."""
    try:
        net = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Invalid(gettext("A range of addresses is expected, such as 10.20.0.0/24.")) from None
        said = gettext("This is an address in a range, not a range: %(range)s is.")
        raise Invalid(said % {"range": meant}) from None
    if net.num_addresses < 4:
        raise Invalid(gettext("This range has no room for a gateway and a container."))
    if net.is_multicast or net.is_loopback or net.is_unspecified or net.is_link_local:
        raise Invalid(gettext("Containers cannot have addresses of this range."))
    return net


def subnet_or_none(text: str) -> Net | None:
    """A range that an engine tells of; ``None`` for what is none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def overlapping(net: Net | None, others: Iterable[Net]) -> Net | None:
    """The first of the others that has addresses of this one."""
    if net is None:
        return None
    return next((other for other in others if other.version == net.version and net.overlaps(other)), None)


def holds(ranges: Iterable[Net], address: str) -> bool:
    """Whether this address, one that is valid, is in one of the ranges."""
    found = ipaddress.ip_address(address)
    return any(found.version == net.version and found in net for net in ranges)


def within(net: Net, pool: Iterable[Net]) -> bool:
    """Whether one of the pool's ranges holds all of it."""
    return any(
        wide.version == net.version and wide.prefixlen <= net.prefixlen and wide.overlaps(net)
        for wide in pool
    )


def endpoint_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `EndpointSpec`, or `SpecError`."""
    f = Fields(data)
    aliases: list[str] = []
    for index, text in enumerate(f.strings("aliases", (), most=16, total=1024, longest=63)):
        if not _ALIAS.fullmatch(text):
            f.fail(
                f"aliases.{index}",
                gettext("A name of letters, digits, dashes and dots is expected, such as db."),
            )
        elif text not in aliases:
            aliases.append(text)
    found = {"aliases": tuple(aliases), "ip": _address(f, "ip", 4), "ip6": _address(f, "ip6", 6)}
    done(f)
    return found


def _address(f: Fields, key: str, version: int) -> str:
    text = f.string(key, "", longest=64, empty=True)
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        f.fail(
            key, f"An IPv{version} address is expected, such as {'10.20.0.9' if version == 4 else 'fd00::9'}."
        )
        return ""
    return str(address)
