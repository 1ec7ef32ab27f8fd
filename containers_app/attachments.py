"""Which containers are on which network: told from the rows of containers, where the engine's own words are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app.models import Container, Network
from engine import names

Attachment = Mapping[str, Any]


def is_on(attachment: Attachment, network: Network) -> bool:
    """A container that was never started knows its networks by name alone."""
    known = attachment.get("native_id")
    return known == network.native_id if known else attachment.get("name") == network.name


def of(container: Container, network: Network) -> Attachment | None:
    """How this container is on this network; ``None`` where it is not."""
    return next((one for one in container.networks if is_on(one, network)), None)


def attached(network: Network, rows: QuerySet[Container]) -> list[tuple[Container, Attachment]]:
    """Those of the rows that are on it, by name, with how they are."""
    here = rows.filter(engine_id=network.engine_id).exclude(networks=[]).order_by("name")
    return [(row, found) for row in here if (found := of(row, network)) is not None]


def visible(network: Network, actor: Actor) -> tuple[list[tuple[Container, Attachment]], int]:
    """Those on it that this actor may see, and how many others there are."""
    light = Container.objects.only(
        "name", "native_id", "networks", "engine_id", "team_id", "state", "inspect"
    )
    everybody = attached(network, light.defer("inspect"))
    mine = set(
        visible_to(actor, Container.objects.filter(pk__in=[row.pk for row, _ in everybody])).values_list(
            "pk", flat=True
        )
    )
    seen = [pair for pair in everybody if pair[0].pk in mine]
    return seen, len(everybody) - len(seen)


def by_network(
    networks: Sequence[Network], rows: Iterable[Container]
) -> dict[Any, list[tuple[Container, Attachment]]]:
    """Network's id → those of the rows that are on it. No query."""
    ids = {(network.engine_id, network.native_id): network.pk for network in networks}
    known = {(network.engine_id, network.name): network.pk for network in networks}
    found: dict[Any, list[tuple[Container, Attachment]]] = {network.pk: [] for network in networks}
    for row in rows:
        for one in row.networks:
            key = one.get("native_id")
            pk = ids.get((row.engine_id, key)) if key else known.get((row.engine_id, one.get("name")))
            if pk is not None:
                found[pk].append((row, one))
    return found


def aliases(container_name: str, native_id: str, attachment: Attachment) -> list[str]:
    """Its other names there, without those that an engine gives by itself: its id, and its own name."""
    return [
        str(name)
        for name in attachment.get("aliases") or ()
        if name != container_name and not native_id.startswith(str(name))
    ]


def is_own(network: Network) -> bool:
    """Whether it is one of the engine's own, which it does not let go of."""
    return network.name in names.OWN_NETWORKS
