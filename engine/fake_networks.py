"""Networks of the fake engine."""

from __future__ import annotations

from dataclasses import replace

from engine import addresses, names
from engine.errors import Conflict, InUse, NameInUse, NotFound
from engine.fake_facts import FakeReads, moment
from engine.fake_world import Container
from engine.specs import EndpointSpec, NetworkSpec
from engine.types import NetworkInfo

ON_IT = "The container is on this network already."


class FakeNetworks(FakeReads):
    """The part of `engine.base.Engine` that is about networks."""

    def networks(self, *, deadline: float = 15) -> list[NetworkInfo]:
        return self._do(
            "networks",
            lambda: [self._network(native_id) for native_id in self.world.networks.values()],
            deadline,
        )

    def network(self, native_id: str, *, deadline: float = 5) -> NetworkInfo:
        names.network_id(native_id)

        def work() -> NetworkInfo:
            found = self._network(native_id)
            here = [one for one in self.world.containers.values() if one.alive and found.name in _of(one)]
            return replace(found, connected=tuple(one.native_id for one in here))

        return self._do("network", work, deadline)

    def _network(self, native_id: str) -> NetworkInfo:
        name = next((name for name, id_ in self.world.networks.items() if id_ == native_id), None)
        if name is None:
            raise NotFound("This engine has no such network.")
        spec, made = self.world.made_networks.get(native_id, (NetworkSpec(name), 0))
        return NetworkInfo(
            native_id,
            name,
            spec.driver,
            "local",
            spec.internal,
            spec.ipv6,
            moment(made),
            dict(spec.labels),
            spec.subnets,
            spec.gateways,
            dict(spec.options),
        )

    def create_network(self, spec: NetworkSpec, *, deadline: float = 30) -> NetworkInfo:
        names.new_network_name(spec.name)

        def work() -> str:
            if spec.name in self.world.networks:
                raise NameInUse(f"network with name {spec.name} already exists")
            taken = [
                addresses.subnet(text)
                for other, _ in self.world.made_networks.values()
                for text in other.subnets
            ]
            if any(addresses.overlapping(addresses.subnet(text), taken) for text in spec.subnets):
                raise Conflict("These addresses overlap with those of another network: choose others.")
            native_id = self.world.networks[spec.name] = self.world.new_id(spec.name)
            self.world.made_networks[native_id] = spec, self.world.now()
            self.world.note("network", "create", native_id)
            return native_id

        return self.network(self._do("create_network", work, deadline, writes=True))

    def remove_network(self, native_id: str, *, deadline: float = 30) -> None:
        names.network_id(native_id)

        def work() -> None:
            found = self._network(native_id)
            if found.name in names.OWN_NETWORKS:
                raise Conflict("This is the engine's own network: engines do not remove it.")
            if any(one.alive and found.name in _of(one) for one in self.world.containers.values()):
                raise InUse("Containers use this network: disconnect them first.")
            del self.world.networks[found.name], self.world.made_networks[native_id]
            self.world.note("network", "destroy", native_id)

        self._do("remove_network", work, deadline, writes=True)

    def connect_network(
        self, native_id: str, container: str, spec: EndpointSpec, *, deadline: float = 15
    ) -> None:
        names.network_id(native_id)
        names.container_id(container)

        def work() -> None:
            name, one = self._network(native_id).name, self._container(container)
            if name in _of(one):
                raise Conflict(ON_IT)
            if name in ("host", "none") or {"host", "none"} & set(_of(one)):
                raise Conflict("This container uses the network of the host, of another container, or none.")
            one.spec = replace(one.spec, networks=(*_of(one), name))
            one.endpoints[name] = spec
            self.world.note("network", "connect", native_id)

        self._do("connect_network", work, deadline, writes=True)

    def disconnect_network(self, native_id: str, container: str, *, deadline: float = 15) -> None:
        names.network_id(native_id)
        names.container_id(container)

        def work() -> None:
            name, one = self._network(native_id).name, self._container(container)
            if name not in _of(one):
                raise Conflict("The container is not on this network.")
            left = tuple(other for other in _of(one) if other != name)
            one.spec = replace(one.spec, networks=left or ("none",))
            one.endpoints.pop(name, None)
            self.world.note("network", "disconnect", native_id)

        self._do("disconnect_network", work, deadline, writes=True)


def _of(container: Container) -> tuple[str, ...]:
    return container.spec.networks or ("bridge",)
