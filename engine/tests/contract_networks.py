"""What every engine does with networks; run by ``test_contract``."""

from __future__ import annotations

import uuid

import pytest

from engine.base import Engine
from engine.errors import Conflict, InUse, Invalid, NameInUse, NotFound
from engine.specs import EndpointSpec, NetworkSpec
from engine.tests.conftest import Create, unused_name

ENDS = "trap 'exit 0' TERM; sleep 1000 & wait"
RANGE, GATEWAY = "10.213.0.0/24", "10.213.0.1"


def made(engine: Engine, **fields: object) -> str:
    return engine.create_network(NetworkSpec.parse({"name": unused_name(), **fields})).native_id


def test_a_network_is_made_as_it_was_asked_for(engine: Engine) -> None:
    body = {
        "name": unused_name(), "subnets": [RANGE], "gateways": [GATEWAY], "internal": True, "labels": {"a": "b"},
    }  # fmt: skip
    found = engine.create_network(NetworkSpec.parse(body))
    assert engine.network(found.native_id) == found
    assert found.native_id in {one.native_id for one in engine.networks()}
    assert (found.driver, found.scope, found.internal, found.ipv6) == ("bridge", "local", True, False)
    assert (found.subnets, found.gateways, found.labels) == ((RANGE,), (GATEWAY,), {"a": "b"})
    engine.remove_network(found.native_id)
    with pytest.raises(NotFound):
        engine.network(found.native_id)
    with pytest.raises(NotFound):
        engine.remove_network(found.native_id)


def test_names_and_addresses_of_networks_are_unique(engine: Engine) -> None:
    name = unused_name()
    first = made(engine, name=name, subnets=[RANGE])
    with pytest.raises(NameInUse):
        made(engine, name=name)
    with pytest.raises(Conflict, match="overlap"):
        made(engine, subnets=["10.213.0.128/25"])
    engine.remove_network(first)


def test_a_running_container_is_put_on_a_network_and_taken_off(engine: Engine, run: Create) -> None:
    native_id = made(engine, subnets=[RANGE], gateways=[GATEWAY])
    container = run(ENDS, networks=["bridge"])
    engine.connect_network(native_id, container, EndpointSpec(("db", "store"), "10.213.0.77"))
    (found,) = [one for one in engine.container(container).networks if one.native_id == native_id]
    assert found.ip == "10.213.0.77"
    assert {"db", "store"} <= set(found.aliases)
    assert engine.network(native_id).connected == (container,)
    with pytest.raises(Conflict, match="on this network already"):
        engine.connect_network(native_id, container, EndpointSpec())
    with pytest.raises(InUse):
        engine.remove_network(native_id)
    engine.disconnect_network(native_id, container)
    assert [one.name for one in engine.container(container).networks] == ["bridge"]
    with pytest.raises(Conflict, match="not on this network"):
        engine.disconnect_network(native_id, container)
    engine.remove_network(native_id)


def test_a_stopped_container_is_put_on_a_network_and_does_not_keep_it(engine: Engine, create: Create) -> None:
    native_id = made(engine)
    container = create(ENDS, networks=["bridge"])
    engine.connect_network(native_id, container, EndpointSpec())
    name = engine.network(native_id).name
    assert name in {one.name for one in engine.container(container).networks}
    assert engine.network(native_id).connected == ()
    engine.remove_network(native_id)


def test_what_was_made_for_no_network_stays_so(engine: Engine, run: Create) -> None:
    native_id = made(engine)
    with pytest.raises(Conflict):
        engine.connect_network(native_id, run(ENDS, networks=["none"]), EndpointSpec())
    engine.remove_network(native_id)


def test_the_engines_own_networks_stay(engine: Engine) -> None:
    own = {one.name: one.native_id for one in engine.networks()}
    for name in ("bridge", "host", "none"):
        with pytest.raises(Conflict, match="own network"):
            engine.remove_network(own[name])


@pytest.mark.parametrize("bad", ["", "bridge", "../containers/x", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_what_is_no_network_id_is_refused_here(engine: Engine, bad: str) -> None:
    for call in (engine.network, engine.remove_network):
        with pytest.raises(Invalid):
            call(bad)
    nobody = "0" * 64
    with pytest.raises(Invalid):
        engine.connect_network(bad, nobody, EndpointSpec())
    with pytest.raises(Invalid):
        engine.disconnect_network(nobody, bad)


def test_nobody_is_put_nowhere(engine: Engine, create: Create) -> None:
    nobody = uuid.uuid4().hex * 2
    native_id = made(engine)
    with pytest.raises(NotFound):
        engine.connect_network(native_id, nobody, EndpointSpec())
    with pytest.raises(NotFound):
        engine.connect_network(nobody, create(ENDS, networks=["bridge"]), EndpointSpec())
    engine.remove_network(native_id)
