"""Networks from the wish to the engine, as the worker carries it out. On a real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.http import Http404

from accounts.access import Denied, person
from accounts.models import Team, User
from containers_app import network_plans, operations, prune_plans, sync, unused
from containers_app.models import Container, Network
from containers_app.tests.test_operations import Bench, failed
from engine.base import Engine as EngineBackend
from engine.errors import PolicyDenied
from engine.specs import SpecError
from operations import trash
from operations.models import Engine, Operation, TrashItem
from operations.plans import preview
from operations.services import Refused
from tests.rows import make_container, make_engine, make_network

Carry = Callable[[], list[Operation]]
RANGE = "10.214.0.0/24"


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture
def make(bench: Bench, tara: User, alice: User) -> Callable[..., Network]:
    """``make(name, …)``: a network of team blue; addresses of one's own are a site administrator's."""

    def made(name: str = "front", **body: Any) -> Network:
        by = alice if "subnets" in body else tara
        operation = bench._done(
            operations.request_network_create(
                {"name": name, **body}, actor=person(by, source="ui"), engine=bench.engine, team=bench.team
            )
        )
        assert operation.state == "succeeded", operation.error_message
        return Network.objects.get(pk=operation.target_id)

    return made


def connect(bench: Bench, network: Network, row: Container, **body: Any) -> Operation:
    actor = person(bench.bob, source="ui")
    return bench._done(operations.request_network_connect(network, row, body, actor=actor))


def disconnect(bench: Bench, network: Network, row: Container) -> Operation:
    actor = person(bench.bob, source="ui")
    return bench._done(operations.request_network_disconnect(network, row, actor=actor))


def remove(bench: Bench, network: Network, by: User, **options: Any) -> Operation:
    return bench._done(operations.request_network_remove(network, actor=person(by, source="ui"), **options))


def hears(client: docker.DockerClient, container: str, name: str) -> bool:
    """Whether that name is found from inside that container."""
    said = client.containers.get(container).exec_run(["nslookup", name])
    return bool(said.exit_code == 0)


def on(row: Container) -> dict[str, dict[str, Any]]:
    row.refresh_from_db()
    return {one["name"]: one for one in row.networks}


def test_a_network_is_the_teams_and_its_containers_find_each_other(
    bench: Bench, make: Callable[..., Network], docker_client: docker.DockerClient
) -> None:
    front = make(subnets=[RANGE], gateways=["10.214.0.1"], labels={"tier": "web"})
    assert (front.team, front.subnets, front.labels["tier"]) == (bench.team, [RANGE], "web")
    web = bench.container(name="web", networks=["front"])
    db = bench.container(name="db", networks=["bridge"])
    assert not hears(docker_client, "web", "store")
    operation = connect(bench, front, db, aliases=["store"], ip="10.214.0.77")
    assert operation.state == "succeeded", operation.error_message
    assert operation.result == {"container": str(db.pk), "network": str(front.pk), "changed": True}
    assert (on(db)["front"]["ip"], set(on(db))) == ("10.214.0.77", {"bridge", "front"})
    assert hears(docker_client, "web", "store")
    operation = disconnect(bench, front, db)
    assert (operation.state, set(on(db))) == ("succeeded", {"bridge"})
    assert not hears(docker_client, "web", "store")
    assert on(web)["front"]["ip"]


def test_a_network_name_and_addresses_in_use_are_said_before(
    bench: Bench, make: Callable[..., Network], alice: User, charlie: User, other_team: Team
) -> None:
    make(subnets=[RANGE])
    ask = {"actor": person(alice, source="ui"), "engine": bench.engine, "team": bench.team}
    with pytest.raises(Refused) as refused:
        operations.request_network_create({"name": "front"}, **ask)
    assert refused.value.code == "name_in_use"
    with pytest.raises(Refused) as refused:
        operations.request_network_create({"name": "back", "subnets": ["10.214.0.128/25"]}, **ask)
    assert (refused.value.code, "10.214.0.0/24 of front" in refused.value.message) == ("subnet_in_use", True)


def test_what_the_rows_do_not_know_yet_the_engine_refuses(
    bench: Bench, tara: User, docker_client: docker.DockerClient
) -> None:
    docker_client.api.create_network("front")
    actor = person(tara, source="ui")
    failed(bench._done(operations.request_network_create({"name": "front"}, actor=actor)), "name_in_use")


def test_a_team_chooses_no_addresses_of_the_host(
    bench: Bench, tara: User, settings: Any, docker_client: docker.DockerClient
) -> None:
    actor = person(tara, source="ui")
    with pytest.raises(PolicyDenied):
        operations.request_network_create({"name": "front", "subnets": [RANGE]}, actor=actor)
    settings.NETWORK_POOL = ["10.208.0.0/12"]
    done = bench._done(operations.request_network_create({"name": "front", "subnets": [RANGE]}, actor=actor))
    assert done.state == "succeeded", done.error_message
    assert docker_client.networks.get("front").attrs["IPAM"]["Config"][0]["Subnet"] == RANGE


def test_connecting_twice_is_refused_and_disconnecting_twice_changes_nothing(
    bench: Bench, make: Callable[..., Network], docker_client: docker.DockerClient
) -> None:
    front, web = make(), bench.container(name="web", networks=["bridge"])
    docker_client.networks.get("front").connect("web")
    failed(connect(bench, front, web), "conflict")  # the rows did not know
    web.refresh_from_db()
    with pytest.raises(Refused, match="already"):
        connect(bench, front, web)
    docker_client.networks.get("front").disconnect("web")
    operation = disconnect(bench, front, web)
    assert (operation.state, operation.result["changed"]) == ("succeeded", False)


@pytest.mark.parametrize(
    ("name", "networks", "body", "words"),
    [
        ("front", ["none"], {}, "made for the none network"),
        ("front", ["bridge"], {"ip": "10.1.2.3"}, "not an address of front"),
        ("bridge", ["front"], {"aliases": ["db"]}, "no other names"),
        ("host", ["front"], {}, "chosen when a container is made"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_at_once(
    name: str, networks: list[str], body: dict[str, Any], words: str, team: Team, alice: User
) -> None:
    engine = make_engine()
    web = make_container(engine, team, networks=[{"name": one, "native_id": ""} for one in networks])
    network = make_network(engine, team, name, subnets=["10.20.0.0/24"])
    with pytest.raises(Refused, match=words):
        operations.request_network_connect(network, web, body, actor=person(alice, source="ui"))
    assert not Operation.objects.exists()


def test_both_ends_of_a_connection_must_be_ones_own(
    team: Team, other_team: Team, bob: User, charlie: User, vic: User
) -> None:
    engine = make_engine()
    ours, theirs = make_container(engine, team), make_container(engine, other_team, "foreign")
    front, back = make_network(engine, team), make_network(engine, other_team, "back")
    for network, row, user in ((front, theirs, bob), (back, ours, bob), (front, theirs, charlie)):
        with pytest.raises(Http404):
            operations.request_network_connect(network, row, {}, actor=person(user, source="ui"))
    with pytest.raises(Denied):
        operations.request_network_connect(front, ours, {}, actor=person(vic, source="ui"))
    elsewhere = make_network(make_engine("other"), team)
    with pytest.raises(SpecError):
        operations.request_network_connect(elsewhere, ours, {}, actor=person(bob, source="ui"))


def test_a_removed_network_comes_back_with_its_containers(
    bench: Bench, make: Callable[..., Network], tara: User, docker_client: docker.DockerClient
) -> None:
    front = make(subnets=[RANGE], gateways=["10.214.0.1"], internal=True)
    web = bench.container(name="web", networks=["front"])
    db = bench.container(name="db", networks=["bridge"])
    connect(bench, front, db, aliases=["store"], ip="10.214.0.77")
    failed(remove(bench, front, tara), "in_use")
    assert set(on(web)) == {"front"}

    operation = remove(bench, front, tara, force=True)
    assert (operation.state, operation.result["undoable"]) == ("succeeded", True), operation.error_message
    assert docker_client.networks.list(names=["front"]) == []
    assert (set(on(web)), set(on(db)), web.state) == (set(), {"bridge"}, "running")
    assert not Network.objects.filter(name="front").exists()

    back = bench._done(trash.undo(operation, actor=person(tara, source="ui")))
    assert back.state == "succeeded", back.error_message
    again = Network.objects.get(name="front")
    assert (again.team, again.subnets, again.internal) == (bench.team, [RANGE], True)
    assert on(db)["front"]["ip"] == "10.214.0.77"
    assert hears(docker_client, "web", "store")
    assert TrashItem.objects.get().state == "restored"


def test_a_network_that_was_removed_for_good_is_not_in_the_trash(
    bench: Bench, make: Callable[..., Network], tara: User
) -> None:
    operation = remove(bench, make(), tara, forever=True)
    assert (operation.state, operation.result["undoable"]) == ("succeeded", False)
    assert not TrashItem.objects.exists()


def test_a_removal_that_the_engine_refuses_puts_its_containers_back(
    bench: Bench, make: Callable[..., Network], tara: User, engine_backend: EngineBackend,
    docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    front = make()
    web = bench.container(name="web", networks=["front"])
    late = docker_client.containers.run(bench.image, ["sleep", "1000"], name="late", detach=True)
    disconnect_ = type(engine_backend).disconnect_network

    def meanwhile(self: Any, native_id: str, container: str, **options: Any) -> None:
        disconnect_(self, native_id, container, **options)
        docker_client.networks.get("front").connect(late)

    monkeypatch.setattr(type(engine_backend), "disconnect_network", meanwhile)
    failed(remove(bench, front, tara, force=True), "in_use")
    assert set(on(web)) == {"front"}
    assert not TrashItem.objects.exists()


def test_a_worker_that_dies_in_the_middle_of_a_removal_is_followed(
    bench: Bench, make: Callable[..., Network], tara: User, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch, docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    from containers_app.tests.test_trash import follow

    front = make()
    web = bench.container(name="web", networks=["front"])
    operation = operations.request_network_remove(front, actor=person(tara, source="ui"), force=True)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), "remove_network", dies)
        with pytest.raises(KeyboardInterrupt):
            bench.carry_out()
    sync.reconcile(bench.engine, engine_backend)  # the gateway sees it half done
    assert set(on(web)) == set()
    follow(operation)
    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == ("succeeded", 2), operation.error_message
    back = bench._done(trash.undo(operation, actor=person(tara, source="ui")))
    assert back.state == "succeeded"
    assert set(on(web)) == {"front"}, "the first attempt has noted who was on it"


def test_the_engines_own_networks_are_not_removed(
    bench: Bench, alice: User, engine_backend: EngineBackend
) -> None:
    sync.reconcile(bench.engine, engine_backend)
    bridge = Network.objects.get(name="bridge")
    with pytest.raises(Refused) as refused:
        remove(bench, bridge, alice)
    assert refused.value.message == network_plans.OWN % {"name": "bridge"}


def test_a_plan_says_who_loses_what_connection(team: Team, other_team: Team, tara: User) -> None:
    engine = make_engine()
    web = make_container(
        engine, team, ports=[{"container": 80, "protocol": "tcp", "host": 8080, "host_ip": ""}]
    )
    db, foreign = make_container(engine, team, "db"), make_container(engine, other_team, "foreign")
    make_network(engine, team, "back", db)
    front = make_network(engine, team, "front", web, db, foreign)
    actor = person(tara, source="ui")

    def plan(force: bool) -> dict[str, Any]:
        return preview(
            lambda: operations.request_network_remove(front, actor=actor, force=force), actor=actor
        ).to_dict()

    found = plan(force=True)
    told = {one["what"]: one["detail"] for one in found["affected"]}
    assert told["db"] == "is not reached as db and db-alias by 2 others any more"
    assert told["web"].endswith("and is on no network then")
    assert told["port 8080"] == "stops answering"
    assert "foreign" not in str(found)
    assert told["1 container of another team"]
    assert found["would_run"]
    held = plan(force=False)
    assert (held["would_run"], held["refused"]["code"]) == (False, "conflict")
    assert "force" in held["refused"]["message"]

    late = make_container(engine, team, "late")
    found = preview(
        lambda: operations.request_network_connect(front, late, {}, actor=actor), actor=actor
    ).to_dict()
    told = {one["what"]: one["detail"] for one in found["affected"]}
    assert told["db"] == "can reach it, and is reached as db and db-alias"

    found = preview(
        lambda: operations.request_network_disconnect(front, db, actor=actor), actor=actor
    ).to_dict()
    assert found["changed"][0]["detail"] == "is not found on front as db and db-alias any more"
    assert [one["what"] for one in found["affected"]] == ["web", "1 container of another team"]


def test_unused_networks_are_cleaned_up_and_those_in_use_stay(
    bench: Bench, make: Callable[..., Network], alice: User, docker_client: docker.DockerClient
) -> None:
    idle, late, used = make("idle"), make("late"), make("used")
    stopped = bench.container(name="web", networks=["used"], start=False)
    actor = person(alice, source="ui")
    plan = prune_plans.freeze(unused.unused(bench.engine, None), ["networks"], actor=actor)
    assert {item["name"] for item in plan.items} == {"idle", "late"}
    running = docker_client.containers.run(bench.image, ["sleep", "1000"], name="late", detach=True)
    docker_client.networks.get("late").connect(running)
    operation = bench._done(operations.request_prune(plan.pk, actor=actor))
    assert operation.state == "succeeded", operation.error_message
    assert [(one["name"], "on it" in one["reason"]) for one in operation.result["skipped"]] == [
        ("late", True)
    ]
    left = set(Network.objects.values_list("name", flat=True))
    assert (idle.name not in left, {late.name, used.name} <= left) == (True, True)
    assert stopped.networks[0]["name"] == "used"
