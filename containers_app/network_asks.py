"""Asking for changes of networks, as `containers_app.operations` has it; that is where everybody finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor, require
from accounts.models import Team
from accounts.querysets import visible_to
from containers_app import attachments, network_plans, networks
from containers_app.models import Container, Network
from engine import addresses
from engine.specs import EndpointSpec, NetworkSpec, SpecError
from operations import policies, registry, services
from operations.masking import withhold
from operations.models import Engine, Operation
from operations.services import Refused, Target

registry.target("network", lambda: Network.objects.select_related("engine"))


def request_network_create(
    body: Mapping[str, Any],
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for a new network, by the body of `NetworkSpec`; it will be the team's."""
    kind = "network.create"
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    target = Target("network", "", str(body.get("name") or "")[:255])
    services.authorize(kind, actor=actor, target=target, team_id=team_id)
    spec = NetworkSpec.parse({key: value for key, value in body.items() if key not in ("engine", "team")})
    target = Target("network", "", spec.name, services.lock("engine", engine.pk, "network", spec.name))
    with services.denials(kind, actor=actor, target=target, team_id=team_id):
        policies.check(spec, actor=actor, team_id=team_id)
    params, secrets = withhold(spec.to_dict())
    return services.submit(
        kind, actor=actor, engine=engine, target=target, team=team, params=params, secrets=secrets,
        idempotency_key=idempotency_key, check=_is_free(spec, engine, actor),
    )  # fmt: skip


def _is_free(spec: NetworkSpec, engine: Engine, actor: Actor) -> Callable[[], None]:
    """Says at once what the engine would say; what the rows do not know yet the engine still refuses."""

    def check() -> None:
        there = Network.objects.filter(engine=engine)
        if there.filter(name=spec.name).exists():
            raise Refused(
                "name_in_use",
                _('There is a network "%(name)s" already: choose another name.') % {"name": spec.name},
            )
        if spec.driver != "bridge":
            return  # others may share the host's own ranges
        known = set(visible_to(actor, there).values_list("pk", flat=True))
        wanted = [addresses.subnet(text) for text in spec.subnets]
        for row in there.filter(driver="bridge"):
            for text in row.subnets:
                if other := addresses.overlapping(addresses.subnet_or_none(text), wanted):
                    name = row.name if row.pk in known else _("a network of another team")
                    raise Refused(
                        "subnet_in_use",
                        _("%(other)s overlaps with %(text)s of %(name)s: choose another range.")
                        % {"other": other, "text": text, "name": name},
                    )

    return check


def request_network_remove(
    network: Network, *, actor: Actor, force: bool = False, forever: bool = False, idempotency_key: str = ""
) -> Operation:
    """Asks for a network to be removed; ``force``: containers on it are disconnected first."""
    target = Target("network", str(network.pk), network.name, services.lock("network", network.pk))

    def check() -> None:
        if attachments.is_own(network):
            raise Refused("conflict", network_plans.OWN % {"name": network.name})

    return services.submit(
        "network.remove", actor=actor, engine=network.engine, target=target, team=network.team,
        params={"native_id": network.native_id, "force": force, "forever": forever},
        idempotency_key=idempotency_key, check=check,
    )  # fmt: skip


def request_network_connect(
    network: Network,
    container: Container,
    body: Mapping[str, Any],
    *,
    actor: Actor,
    idempotency_key: str = "",
) -> Operation:
    """Asks for a container to be put on a network, ``{"aliases"?, "ip"?, "ip6"?}``. Both must be the actor's to use."""
    target = _either(network, container, "network.connect", actor)
    spec = EndpointSpec.parse(body)
    return services.submit(
        "network.connect", actor=actor, engine=container.engine, target=target, team=container.team,
        params={**_params(network, container), **spec.to_dict()}, idempotency_key=idempotency_key,
        check=lambda: _may_be_on(network, container, spec),
    )  # fmt: skip


def request_network_disconnect(
    network: Network, container: Container, *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for a container to be taken off a network."""
    target = _either(network, container, "network.disconnect", actor)

    def check() -> None:
        if network.name in ("host", "none"):
            raise Refused(
                "conflict",
                _("What uses the engine's %(name)s network uses it for as long as it exists.")
                % {"name": network.name},
            )

    return services.submit(
        "network.disconnect", actor=actor, engine=container.engine, target=target, team=container.team,
        params=_params(network, container), idempotency_key=idempotency_key, check=check,
    )  # fmt: skip


def _either(network: Network, container: Container, kind: str, actor: Actor) -> Target:
    """The container is what changes; whose network it is counts as much."""
    lock = services.lock("container", container.pk)
    target = Target("container", str(container.pk), container.name, lock)
    services.authorize(kind, actor=actor, target=target, team_id=container.team_id)
    with services.denials(kind, actor=actor, target=target, team_id=container.team_id):
        require(actor, kind, network)
    if network.engine_id != container.engine_id:
        raise SpecError({"container": [_("This container is on another engine.")]})
    return target


def _params(network: Network, container: Container) -> dict[str, Any]:
    return {
        "native_id": container.native_id, "network": str(network.pk), "network_id": network.native_id,
        "network_name": network.name,
    }  # fmt: skip


def _may_be_on(network: Network, container: Container, spec: EndpointSpec) -> None:
    """Says at once what the engine would say."""
    if attachments.of(container, network) is not None:
        raise Refused(
            "conflict",
            _("%(name)s is on %(name2)s already: disconnect it first to change how.")
            % {"name": container.name, "name2": network.name},
        )
    if network.name in ("host", "none"):
        raise Refused(
            "conflict",
            _("The engine's %(name)s network is chosen when a container is made.") % {"name": network.name},
        )
    own = [one.get("name") for one in container.networks if one.get("name") in ("host", "none")]
    if own:
        raise Refused(
            "conflict",
            _("%(name)s was made for the %(own)s network: that is fixed.")
            % {"name": container.name, "own": own[0]},
        )
    if attachments.is_own(network) and (spec.aliases or spec.ip or spec.ip6):
        raise Refused(
            "conflict",
            _("On %(name)s containers have no other names and no fixed addresses.") % {"name": network.name},
        )
    ranges = [found for text in network.subnets if (found := addresses.subnet_or_none(text))]
    for text in filter(None, (spec.ip, spec.ip6)):
        if not addresses.holds(ranges, text):
            raise Refused(
                "conflict",
                _("%(text)s is not an address of %(name)s (%(names)s).")
                % {"text": text, "name": network.name, "names": ", ".join(network.subnets)},
            )


__all__ = [
    "networks", "request_network_connect", "request_network_create", "request_network_disconnect",
    "request_network_remove",
]  # fmt: skip
