"""Networks of a Docker engine: bodies built field by field, as in `engine.docker_create`."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from docker.types import IPAMConfig, IPAMPool

from engine import names
from engine.docker_transport import Client
from engine.errors import AnswerLost
from engine.specs import EndpointSpec, NetworkSpec


def create(client: Client, spec: NetworkSpec) -> str:
    """Makes it and returns its id. The engine looks whether the name is free, which older ones must be asked to."""
    pools = [
        IPAMPool(subnet=subnet, gateway=gateway or None)
        for subnet, gateway in zip_longest(spec.subnets, spec.gateways, fillvalue="")
    ]
    answer: Any = client.create_network(
        spec.name,
        driver=spec.driver,
        options=dict(spec.options) or None,
        ipam=IPAMConfig(pool_configs=pools) if pools else None,
        check_duplicate=True,
        internal=spec.internal,
        labels=dict(spec.labels) or None,
        enable_ipv6=spec.ipv6,
    )
    native_id = answer.get("Id") if isinstance(answer, dict) else None
    if not isinstance(native_id, str):
        raise AnswerLost("The engine created a network, and its answer makes no sense.")
    return names.network_id(native_id)


def connect(client: Client, native_id: str, container: str, spec: EndpointSpec) -> None:
    """Puts a container on it."""
    # An engine notes any name for a container that does not run, and tells of it only at its next start.
    client.inspect_network(native_id)
    client.connect_container_to_network(
        container,
        native_id,
        ipv4_address=spec.ip or None,
        ipv6_address=spec.ip6 or None,
        aliases=list(spec.aliases) or None,
    )
