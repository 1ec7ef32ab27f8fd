"""Stacks: what belongs together, in which order, and what is asked of whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import Team, User
from containers_app import many, needs, stacks, sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_network, make_volume


@pytest.fixture
def quiet(db: None) -> Engine:
    return make_engine()


def service(engine: Engine, team: Team | None, name: str, needed: str = "", **fields: Any) -> Container:
    labels = {
        stacks.STACK_LABEL: "shop", stacks.SERVICE: name, needs.LABEL: needed, stacks.FILES: "/srv/shop/compose.yaml",
        stacks.FOLDER: "/srv/shop", **fields.pop("labels", {}),
    }  # fmt: skip
    return make_container(engine, team, f"shop-{name}-1", stack="shop", labels=labels, **fields)


@pytest.fixture
def shop(quiet: Engine, team: Team) -> dict[str, Container]:
    """web needs orders, orders needs db and a cache."""
    return {
        "web": service(quiet, team, "web", "orders:service_started:true"),
        "orders": service(quiet, team, "orders", "db:service_healthy:true,cache:service_started:false"),
        "db": service(quiet, team, "db"),
        "cache": service(quiet, team, "cache"),
    }


def names(steps: list[list[Container]]) -> list[set[str]]:
    return [{stacks.service_of(row) for row in step} for step in steps]


def test_services_start_after_those_that_they_need(shop: dict[str, Container]) -> None:
    assert names(stacks.steps(shop.values())) == [{"db", "cache"}, {"orders"}, {"web"}]


def test_services_that_need_each_other_come_last_and_end(quiet: Engine, team: Team) -> None:
    rows = [
        service(quiet, team, "a", "b:x:y"), service(quiet, team, "b", "a:x:y"), service(quiet, team, "c", "c,,:"),
    ]  # fmt: skip
    assert names(stacks.steps(rows)) == [{"c"}, {"a", "b"}]


def test_what_needs_others_ends_before_them(shop: dict[str, Container], alice: User) -> None:
    stack = stacks.one(Actor(user=alice), shop["web"].engine_id, "shop")
    assert names(stacks.wanted(stack, "stop")) == [{"web"}, {"orders"}, {"db", "cache"}]
    assert stacks.wanted(stack, "start") == []


def test_what_was_run_beside_the_services_is_not_started_with_them(
    quiet: Engine, team: Team, alice: User
) -> None:
    service(quiet, team, "web", state="exited")
    service(quiet, team, "once", state="exited", labels={stacks.ONE_OFF: "True"})
    stack = stacks.one(Actor(user=alice), quiet.pk, "shop")
    assert names(stacks.wanted(stack, "start")) == [{"web"}]
    assert names(stacks.wanted(stack, "remove")) == [{"once", "web"}]


def test_a_stack_holds_what_the_reader_may_know_of_and_a_label_gives_nobody_more(
    shop: dict[str, Container], other_team: Team, charlie: User, bob: User
) -> None:
    engine = shop["web"].engine
    service(engine, other_team, "spy")
    assert [row.name for row in stacks.one(Actor(user=charlie), engine.pk, "shop").rows] == ["shop-spy-1"]
    assert len(stacks.one(Actor(user=bob), engine.pk, "shop").rows) == 4


def test_stacks_of_one_name_on_two_engines_are_two(shop: dict[str, Container], team: Team, bob: User) -> None:
    service(make_engine("second"), team, "web")
    found = stacks.every(Actor(user=bob))
    assert sorted((stack.name, stack.size) for stack in found) == [("shop", 1), ("shop", 4)]


def test_the_page_shows_state_file_volumes_and_networks(
    shop: dict[str, Container], team: Team, client_for: Callable[..., Client], bob: User
) -> None:
    engine = shop["web"].engine
    Container.objects.filter(pk=shop["orders"].pk).update(health="unhealthy")
    Container.objects.filter(pk=shop["cache"].pk).update(
        state="exited", exit_code=0, networks=[{"name": "shop_default"}]
    )
    make_volume(engine, team, "shop-data", shop["db"])
    make_volume(engine, team, "elsewhere")
    make_network(engine, team, "shop_default")
    answer = client_for(bob).get(f"/stacks/{engine.pk}/shop/")
    text = answer.content.decode()
    assert "3 of 4</span> up" in text
    assert "1 unhealthy" in text
    assert "/srv/shop/compose.yaml" in text
    assert "shop-data" in text
    assert "shop_default" in text
    assert "elsewhere" not in text
    assert "needs db, cache" in text


def test_a_name_that_is_no_name_breaks_no_page(
    quiet: Engine, team: Team, client_for: Callable[..., Client], bob: User
) -> None:
    for name in ("a/b", "line\nbreak", "<b>&?#", "..", "%2f"):
        make_container(quiet, team, f"x{hash(name) % 1000}", stack=name)
    client = client_for(bob)
    assert client.get("/containers/").status_code == 200
    for stack in stacks.every(Actor(user=bob)):
        assert client.get(stack.url).status_code == 200, stack.url
    assert b"<b>&" not in client.get("/stacks/").content


def test_nobody_elses_stack_is_found(
    shop: dict[str, Container], client_for: Callable[..., Client], charlie: User
) -> None:
    engine = shop["web"].engine_id
    client = client_for(charlie)
    for path in (f"/stacks/{engine}/shop/", f"/stacks/{engine}/shop/do/stop/"):
        assert client.get(path).status_code == 404
    assert b"shop" not in client.get("/stacks/").content


def test_a_viewer_sees_it_and_changes_nothing(
    shop: dict[str, Container], client_for: Callable[..., Client], vic: User
) -> None:
    engine, client = shop["web"].engine_id, client_for(vic)
    assert b"Stop\xe2\x80\xa6" not in client.get(f"/stacks/{engine}/shop/").content
    client.post(f"/stacks/{engine}/shop/do/stop/")
    assert not Operation.objects.exists()


def test_the_question_says_in_which_order(
    shop: dict[str, Container], client_for: Callable[..., Client], bob: User
) -> None:
    text = client_for(bob).get(f"/stacks/{shop['web'].engine_id}/shop/do/stop/").content.decode()
    assert text.index("shop-web-1</b>") < text.index("shop-orders-1</b>") < text.index("shop-db-1</b>")
    assert "step 1 of 3" in text


def test_a_change_is_an_operation_for_each_in_steps_and_one_refusal_holds_up_no_other(
    shop: dict[str, Container], api_for: Callable[..., APIClient], bob: User
) -> None:
    busy = Operation.objects.create(
        kind="container.pause", state="running", engine=shop["db"].engine, team=shop["db"].team, actor_name="tara",
        target_type="container", target_id=str(shop["db"].pk), target_name="db", lock_key=f"container:{shop['db'].pk}",
    )  # fmt: skip
    answer = api_for(bob).post(f"/api/v1/stacks/{busy.engine_id}/shop/stop/", {}, format="json")
    assert answer.status_code == 207
    results = {item["id"]: item for item in json.loads(answer.content)["results"]}
    assert results[str(shop["db"].pk)]["error"]["code"] == "conflict"
    made = Operation.objects.filter(kind="container.stop")
    assert {op.target_name: op.step for op in made} == {
        "shop-web-1": 0,
        "shop-orders-1": 1,
        "shop-cache-1": 2,
    }
    assert len({op.batch for op in made}) == 1
    listed = api_for(bob).get(f"/api/v1/operations/?batch={made[0].batch}")
    assert len(json.loads(listed.content)["results"]) == 3


def test_rest_lists_stacks_and_plans_their_removal(
    shop: dict[str, Container], api_for: Callable[..., APIClient], bob: User
) -> None:
    api, engine = api_for(bob), shop["web"].engine_id
    (row,) = json.loads(api.get("/api/v1/stacks/").content)["results"]
    assert (row["name"], row["up"], row["size"], row["teams"]) == ("shop", 4, 4, ["blue"])
    assert {one["name"]: one["needs"] for one in row["services"]}["orders"] == ["db", "cache"]
    assert json.loads(api.get(row["url"]).content)["compose_files"] == "/srv/shop/compose.yaml"
    plans = api.delete(f"/api/v1/stacks/{engine}/shop/?dry_run=1")
    assert plans.status_code == 200
    assert all(item["plan"]["lost"] for item in json.loads(plans.content)["results"])
    assert not Operation.objects.exists()
    nothing = api.post(f"/api/v1/stacks/{engine}/shop/start/", {}, format="json")
    assert (nothing.status_code, json.loads(nothing.content)["code"]) == (409, "conflict")


def test_on_a_real_engine_it_is_stopped_and_started_in_its_order(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    alice: User,
    run_operations: Callable[[], list[Operation]],
) -> None:
    for name, needed in (("a-web", "z-db:service_started:true"), ("z-db", "")):
        labels = {stacks.STACK_LABEL: "pair", stacks.SERVICE: name, needs.LABEL: needed}
        docker_client.containers.run(
            busybox, ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"], name=name, labels=labels, detach=True,
            network_mode="none",
        )  # fmt: skip
    sync.reconcile(engine_row, engine_backend)
    actor, before = Actor(user=alice), timezone.now()

    def ended() -> dict[str, Any]:
        return {row.name: row for row in stacks.one(actor, engine_row.pk, "pair").rows}

    for action in ("stop", "start"):
        stack = stacks.one(actor, engine_row.pk, "pair")
        asked = many.ask_in_steps(stacks.wanted(stack, action), action, actor=actor)
        assert not [one.refused for one in asked if one.refused]
        assert {operation.state for operation in run_operations()} == {"succeeded"}
    web, db = ended()["a-web"], ended()["z-db"]
    assert before < web.finished_at < db.finished_at
    assert db.started_at < web.started_at
    assert (web.state, db.state) == ("running", "running")


def test_conditions_are_read_from_labels_and_nothing_else_is_believed(
    shop: dict[str, Container], quiet: Engine, team: Team, alice: User
) -> None:
    service(quiet, team, "init")
    service(
        quiet, team, "late", "init:service_completed_successfully:false,db:what:ever,gone:service_healthy:x"
    )
    stack = stacks.one(Actor(user=alice), quiet.pk, "shop")
    found = stacks.conditions(stack, "restart")
    waits = {
        row.name: [(one["name"], one["condition"]) for one in found.get(row.pk, ())] for row in stack.rows
    }
    assert {name: what for name, what in waits.items() if what} == {
        "shop-orders-1": [("shop-db-1", needs.HEALTHY)], "shop-late-1": [("shop-init-1", needs.DONE)],
    }  # fmt: skip
    assert stacks.conditions(stack, "stop") == {}
    text = str(stacks.plan(stack, "restart", Actor(user=alice)))
    assert "once shop-db-1 is healthy" in text


def composed(
    engine: docker.DockerClient, image: str, name: str, script: str, needed: str = "", **more: Any
) -> None:
    """A service of the stack ``slow``, made and not started."""
    labels = {stacks.STACK_LABEL: "slow", stacks.SERVICE: name, needs.LABEL: needed}
    engine.containers.create(
        image,
        ["sh", "-c", f"trap exit TERM; {script}"],
        name=name,
        labels=labels,
        network_mode="none",
        **more,
    )


def test_on_a_real_engine_a_service_waits_until_those_that_it_needs_are_well_or_done(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    alice: User,
    run_operations: Callable[[], list[Operation]],
) -> None:
    stays = "while :; do sleep 0.1; done"
    check = {"test": ["CMD", "test", "-e", "/ok"], "interval": 10**9 // 2, "retries": 20}
    composed(docker_client, busybox, "db", f"rm -f /ok; sleep 1; touch /ok; {stays}", healthcheck=check)
    composed(docker_client, busybox, "init", "sleep 0.5")
    composed(docker_client, busybox, "broken", "exit 3")
    both = "db:service_healthy:true,init:service_completed_successfully:false"
    composed(docker_client, busybox, "web", stays, both)
    composed(docker_client, busybox, "late", stays, "broken:service_completed_successfully:false")
    composed(docker_client, busybox, "blind", stays, "web:service_healthy:false")
    sync.reconcile(engine_row, engine_backend)
    sync.look_at_all(engine_row, engine_backend)
    stack = stacks.one(Actor(user=alice), engine_row.pk, "slow")
    waits = stacks.conditions(stack, "start")
    many.ask_in_steps(stacks.wanted(stack, "start"), "start", actor=Actor(user=alice), needs=waits)
    ended = {operation.target_name: operation for operation in run_operations()}
    assert {name: one.state for name, one in ended.items() if one.state != "succeeded"} == {
        "late": "failed", "blind": "failed",
    }  # fmt: skip
    assert ended["late"].error_code == "gate_failed"
    assert (
        ended["late"].error_message == "It was not started: broken, which it needs, ended with exit code 3."
    )
    assert "has no health check" in ended["blind"].error_message
    said = {name: docker_client.api.inspect_container(name)["State"] for name in ended}
    assert said["web"]["StartedAt"] > said["init"]["FinishedAt"]
    well = next(check["Start"] for check in said["db"]["Health"]["Log"] if check["ExitCode"] == 0)
    assert said["web"]["StartedAt"][:19] >= well[:19]
    assert (said["late"]["Status"], said["blind"]["Status"]) == ("created", "created")


def test_who_waits_too_long_is_not_started_and_is_told_why(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    alice: User,
    run_operations: Callable[[], list[Operation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "LONGEST", 1)
    check = {"test": ["CMD", "test", "-e", "/ok"], "interval": 10**9 // 2, "retries": 20}
    composed(docker_client, busybox, "db", "while :; do sleep 0.1; done", healthcheck=check)
    composed(docker_client, busybox, "web", "sleep 100", "db:service_healthy:true")
    docker_client.containers.get("db").start()
    sync.reconcile(engine_row, engine_backend)
    stack = stacks.one(Actor(user=alice), engine_row.pk, "slow")
    many.ask_in_steps(
        stacks.wanted(stack, "start"),
        "start",
        actor=Actor(user=alice),
        needs=stacks.conditions(stack, "start"),
    )
    (late,) = run_operations()
    assert late.error_code == "gate_failed"
    assert "db, which it needs, did not get healthy within 1 s" in late.error_message
