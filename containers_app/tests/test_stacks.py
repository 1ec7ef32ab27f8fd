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
from containers_app import many, stacks, sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_network, make_volume


@pytest.fixture
def quiet(db: None) -> Engine:
    return make_engine()


def service(engine: Engine, team: Team | None, name: str, needs: str = "", **fields: Any) -> Container:
    labels = {
        stacks.STACK_LABEL: "shop", stacks.SERVICE: name, stacks.NEEDS: needs, stacks.FILES: "/srv/shop/compose.yaml",
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
    for name, needs in (("a-web", "z-db:service_started:true"), ("z-db", "")):
        labels = {stacks.STACK_LABEL: "pair", stacks.SERVICE: name, stacks.NEEDS: needs}
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
