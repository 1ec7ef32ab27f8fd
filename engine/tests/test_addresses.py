"""Networks and connections as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from engine import guard
from engine.errors import PolicyDenied
from engine.rails import Rails
from engine.specs import EndpointSpec, NetworkSpec, SpecError


def test_a_network_goes_in_and_comes_out() -> None:
    body = {
        "name": "front", "driver": "bridge", "subnets": ["10.20.0.0/24", "fd00:20::/64"],
        "gateways": ["10.20.0.1", ""], "internal": True, "ipv6": True, "options": {"a": "b"}, "labels": {"tier": "web"},
    }  # fmt: skip
    assert NetworkSpec.parse(body).to_dict() == body
    assert NetworkSpec.parse({"name": "front"}) == NetworkSpec("front")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "name", "required"),
        ({"name": "bridge"}, "name", "engine itself"),
        ({"name": "<img src=x>"}, "name", "letters"),
        ({"name": "abcdef012345"}, "name", "looks like an id"),
        ({"name": "a", "subnets": ["10.20.0.9/24"]}, "subnets.0", "10.20.0.0/24 is"),
        ({"name": "a", "subnets": ["ten"]}, "subnets.0", "such as"),
        ({"name": "a", "subnets": ["10.20.0.0/31"]}, "subnets.0", "no room"),
        ({"name": "a", "subnets": ["127.0.0.0/8"]}, "subnets.0", "cannot have"),
        ({"name": "a", "subnets": ["10.0.0.0/8", "10.20.0.0/24"]}, "subnets.1", "overlaps with 10.0.0.0/8"),
        ({"name": "a", "subnets": ["fd00::/64"]}, "subnets.0", "IPv6 on"),
        ({"name": "a", "gateways": ["10.20.0.1"]}, "gateways", "that subnet too"),
        ({"name": "a", "subnets": ["10.20.0.0/24"], "gateways": ["10.21.0.1"]}, "gateways.0", "inside"),
        (
            {"name": "a", "subnets": ["10.20.0.0/24"], "gateways": ["10.20.0.0"]},
            "gateways.0",
            "first or last",
        ),
        ({"name": "a", "subnets": ["10.20.0.0/24"], "gateways": ["x"]}, "gateways.0", "such as"),
        ({"name": "a", "driver": "../x"}, "driver", "driver name"),
        ({"name": "a", "labels": {"io.slipway.operation": "x"}}, "labels.io.slipway.operation", "Slipway"),
        ({"name": "a", "attachable": True}, "attachable", "Unknown field"),
    ],
)
def test_what_is_wrong_with_a_network_is_said_where_it_is(
    body: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(SpecError) as wrong:
        NetworkSpec.parse(body)
    assert words in " ".join(wrong.value.errors[field])


def test_a_connection_goes_in_and_comes_out() -> None:
    body = {"aliases": ["db", "db.internal"], "ip": "10.20.0.9", "ip6": "fd00::9"}
    assert EndpointSpec.parse(body).to_dict() == body
    assert EndpointSpec.parse({}) == EndpointSpec()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"aliases": ["-db"]}, "aliases.0"),
        ({"aliases": ["a b"]}, "aliases.0"),
        ({"aliases": "db"}, "aliases"),
        ({"ip": "fd00::9"}, "ip"),
        ({"ip6": "10.20.0.9"}, "ip6"),
        ({"mac": "x"}, "mac"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said_where_it_is(body: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as wrong:
        EndpointSpec.parse(body)
    assert list(wrong.value.errors) == [field]


@pytest.mark.parametrize(
    ("fields", "rule", "field"),
    [
        ({"driver": "macvlan"}, "bridge_networks_only", "driver"),
        ({"options": {"com.docker.network.bridge.name": "br0"}}, "no_network_options", "options"),
        ({"subnets": ["8.8.8.0/24"]}, "pool_addresses_only", "subnets.0"),
        ({"subnets": ["10.64.0.0/24", "192.168.0.0/24"]}, "pool_addresses_only", "subnets.1"),
        ({"subnets": ["10.0.0.0/8"]}, "pool_addresses_only", "subnets.0"),
    ],
)
def test_what_reaches_the_network_of_the_host_is_a_site_administrators(
    fields: dict[str, Any], rule: str, field: str
) -> None:
    """S-39."""
    spec = NetworkSpec.parse({"name": "front", **fields})
    with pytest.raises(PolicyDenied) as denied:
        guard.check(spec, Rails(pool=("10.64.0.0/12",)))
    assert (denied.value.details["rule"], denied.value.details["field"]) == (rule, field)
    assert guard.violations(spec, None) == []


def test_a_team_makes_its_own_networks_and_chooses_within_the_pool() -> None:
    plain = NetworkSpec.parse({"name": "front", "internal": True})
    assert guard.violations(plain, Rails()) == []
    chosen = NetworkSpec.parse({"name": "front", "subnets": ["10.65.0.0/24"]})
    assert guard.violations(chosen, Rails(pool=("10.64.0.0/12",))) == []
    assert guard.violations(chosen, Rails())
