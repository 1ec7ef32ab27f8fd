"""REST of containers, without an engine: what is shown, what is asked for, and how a change is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Membership, Role, Team, User
from containers_app.models import Container
from operations import services
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_image, make_volume

ApiFor = Callable[..., APIClient]
VERBS = {
    "start": {},
    "stop": {"timeout": 3},
    "restart": {},
    "kill": {"signal": "TERM"},
    "pause": {},
    "unpause": {},
}


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    """Team blue's."""
    return make_container(
        engine,
        team,
        image_ref="nginx:1.27",
        ports=[{"container": 80, "protocol": "tcp", "host": 8080, "host_ip": "127.0.0.1"}],
        labels={"app": "shop", "io.slipway.number": "1"},
        memory_limit=1024,
        environment={"TOKEN": "********"},
        inspect={"Id": "x", "Config": {"Env": ["TOKEN=********"]}},
        health="healthy",
        health_log=[{"exit_code": 0, "output": "ok"}],
    )


def test_a_container_shows_what_the_contract_names(api_for: ApiFor, vic: User, web: Container) -> None:
    make_volume(web.engine, web.team, "data", web)
    found = api_for(vic, "read").get(f"/api/v1/containers/{web.pk}/").json()
    assert {
        "id", "engine", "engine_id", "name", "labels", "team", "created_at", "url", "state", "status", "health",
        "exit_code", "oom_killed", "restart_count", "image", "image_ref", "ports", "mounts", "networks", "resources",
        "stats",
    } <= set(found)  # fmt: skip
    assert found["id"] == str(web.pk)
    assert found["engine_id"] == web.native_id
    assert found["team"] == "blue"
    assert found["created_at"].endswith("Z")
    assert found["url"] == f"http://testserver/api/v1/containers/{web.pk}/"
    assert found["resources"] == {"memory": 1024, "cpus": None, "pids": None}
    assert found["ports"] == web.ports
    assert found["status"].startswith("Up")
    assert [(m["type"], m["target"]) for m in found["mounts"]] == [("volume", "/data")]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=running", {"web", "db"}),
        ("state=exited,created", {"job"}),
        ("health=unhealthy", {"db"}),
        ("name=web", {"web"}),
        ("team=blue", {"web", "db", "job"}),
        ("team=red", set()),
        ("team=none", set()),
        ("label=app", {"web", "db"}),
        ("label=app=shop", {"web"}),
        ("label=app&label=tier=1", {"db"}),
        ("label=io.slipway.number=1", {"web"}),
        ("label=nope", set()),
        ("label=app=1", set()),
        ("image=nginx:1.27", {"web"}),
        ("stack=shop", {"db"}),
        ("attention=true", {"db", "job"}),
        ("attention=false", {"web"}),
        ("q=ngin", {"web"}),
        ("q=WEB", {"web"}),
        ("q=zzz", set()),
        ("q=%25", set()),
        ("engine=11111111-1111-4111-8111-111111111111", set()),
    ],
)
def test_filters(api_for: ApiFor, bob: User, web: Container, query: str, names: set[str]) -> None:
    db = {"health": "unhealthy", "labels": {"app": "bank", "tier": "1"}, "stack": "shop"}
    make_container(web.engine, web.team, "db", **db)
    make_container(web.engine, web.team, "job", state="exited", exit_code=1)
    answer = api_for(bob).get(f"/api/v1/containers/?{query}")
    assert answer.status_code == 200, answer.content
    assert {row["name"] for row in answer.json()["results"]} == names


def test_containers_of_an_image_are_found_by_its_id_its_tag_and_its_digest(
    api_for: ApiFor, bob: User, engine: Engine, team: Team
) -> None:
    image = make_image(engine, team, "app:1", "app:latest")
    made = make_container(engine, team, image=image, image_native_id=image.native_id, image_ref="app")
    make_container(engine, team, "other")
    for value in (image.pk, "app:latest", image.native_id):
        rows = api_for(bob).get("/api/v1/containers/", {"image": str(value)}).json()["results"]
        assert [row["id"] for row in rows] == [str(made.pk)]


def test_lists_hold_ones_own_things_only(
    api_for: ApiFor, alice: User, bob: User, charlie: User, web: Container, other_team: Team
) -> None:
    foreign = make_container(web.engine, other_team, "foreign")
    nobodys = make_container(web.engine, None, "nobodys")
    for user, seen in ((bob, {web}), (charlie, {foreign}), (alice, {web, foreign, nobodys})):
        rows = api_for(user).get("/api/v1/containers/").json()["results"]
        assert {row["id"] for row in rows} == {str(row.pk) for row in seen}


def test_a_token_of_one_team_stays_there(
    api_for: ApiFor, bob: User, web: Container, team: Team, other_team: Team
) -> None:
    Membership.objects.create(user=bob, team=other_team, role=Role.ADMIN)
    foreign = make_container(web.engine, other_team, "foreign")
    api = api_for(bob, team=team)
    assert [row["id"] for row in api.get("/api/v1/containers/").json()["results"]] == [str(web.pk)]
    assert api.post(f"/api/v1/containers/{foreign.pk}/stop/").status_code == 404


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_accepted_and_durable(api_for: ApiFor, bob: User, web: Container, verb: str) -> None:
    answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/{verb}/", VERBS[verb], format="json")
    assert answer.status_code == 202, answer.content
    operation = Operation.objects.get()
    assert answer["Location"] == f"/api/v1/operations/{operation.pk}/"
    body = answer.json()
    assert body["id"] == str(operation.pk)
    assert (body["kind"], body["state"], body["actor"], body["source"]) == (
        f"container.{verb}",
        "queued",
        "bob",
        "api",
    )
    assert body["target"] == {"type": "container", "id": str(web.pk), "name": "web"}
    assert (body["engine"], body["team"]) == (str(web.engine_id), "blue")
    assert (body["error"], body["result"], body["undoable_until"], body["finished_at"]) == (
        None,
        None,
        None,
        None,
    )
    assert set(body["progress"]) == {"current", "total", "unit", "message"}
    assert AuditEntry.objects.filter(verb=f"container.{verb}", outcome="accepted", actor=bob).count() == 1


@pytest.mark.parametrize("verb", [*VERBS, "rename"])
def test_a_viewer_may_ask_for_nothing(api_for: ApiFor, vic: User, web: Container, verb: str) -> None:
    answer = api_for(vic).post(f"/api/v1/containers/{web.pk}/{verb}/", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(outcome="denied").count() == 1


@pytest.mark.parametrize(
    ("verb", "body", "field", "code"),
    [
        ("stop", {"timeout": "10"}, "timeout", "invalid"),
        ("stop", {"timeout": True}, "timeout", "invalid"),
        ("stop", {"timeout": -1}, "timeout", "invalid"),
        ("stop", {"timeout": 1e9}, "timeout", "invalid"),
        ("stop", {"timeuot": 10}, "timeuot", "unknown_field"),
        ("start", {"team": "red"}, "team", "unknown_field"),
        ("kill", {"signal": 9}, "signal", "invalid"),
        ("kill", {"state": "running"}, "state", "unknown_field"),
        ("rename", {}, "name", "invalid"),
        ("rename", {"name": None}, "name", "invalid"),
        ("rename", {"name": "x", "owner": "me"}, "owner", "unknown_field"),
    ],
)
def test_a_body_with_more_or_other_fields_is_refused(
    api_for: ApiFor, bob: User, web: Container, verb: str, body: dict[str, Any], field: str, code: str
) -> None:
    answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/{verb}/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.content
    assert set(answer.json()["errors"]) == {field}
    assert not Operation.objects.exists()


def test_removing_takes_its_wishes_from_the_address(api_for: ApiFor, bob: User, web: Container) -> None:
    answer = api_for(bob).delete(f"/api/v1/containers/{web.pk}/?force=1&volumes=0")
    assert answer.status_code == 202, answer.content
    params = Operation.objects.get(kind="container.remove").params
    assert (params["force"], params["volumes"]) == (True, False)
    assert api_for(bob).delete(f"/api/v1/containers/{web.pk}/?forse=1").status_code == 400


def test_the_same_wish_twice_is_one_operation(api_for: ApiFor, bob: User, web: Container) -> None:
    first, second = (api_for(bob).post(f"/api/v1/containers/{web.pk}/stop/").json()["id"] for _ in range(2))
    assert first == second
    other = api_for(bob).post(f"/api/v1/containers/{web.pk}/start/")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.json()["operation"] == first


def test_an_idempotency_key_names_one_wish(api_for: ApiFor, bob: User, web: Container) -> None:
    api = api_for(bob)
    head = {"Idempotency-Key": "4f1c"}
    url = f"/api/v1/containers/{web.pk}/stop/"
    first = api.post(url, {"timeout": 3}, format="json", headers=head)
    Operation.objects.update(state="succeeded")
    again = api.post(url, {"timeout": 3}, format="json", headers=head)
    assert first.json()["id"] == again.json()["id"]
    other = api.post(url, {"timeout": 4}, format="json", headers=head)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert api.post(url, headers={"Idempotency-Key": "a\nb" if False else "x" * 201}).status_code == 400
    assert Operation.objects.count() == 1


def test_who_prefers_to_wait_gets_the_end(
    api_for: ApiFor, bob: User, web: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def wait(operation: Operation, *, seconds: float) -> Operation:
        asked.append(seconds)
        Operation.objects.filter(pk=operation.pk).update(
            state="failed", error_code="conflict", error_message="No."
        )
        operation.refresh_from_db()
        return operation

    monkeypatch.setattr(services, "wait", wait)
    answer = api_for(bob).post(
        f"/api/v1/containers/{web.pk}/stop/", headers={"Prefer": "respond-async, wait=30"}
    )
    assert (answer.status_code, asked) == (200, [30])
    assert answer["Preference-Applied"] == "wait=30"
    assert (answer.json()["state"], answer.json()["error"]) == (
        "failed",
        {"code": "conflict", "message": "No."},
    )


def test_who_waits_too_short_gets_what_is_there(api_for: ApiFor, bob: User, web: Container) -> None:
    answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/stop/", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_bulk_answers_item_by_item(api_for: ApiFor, bob: User, web: Container, other_team: Team) -> None:
    foreign = make_container(web.engine, other_team, "foreign")
    busy = make_container(web.engine, web.team, "busy")
    assert api_for(bob).post(f"/api/v1/containers/{busy.pk}/restart/").status_code == 202
    ids = [str(web.pk), str(foreign.pk), str(busy.pk), str(web.pk)]
    answer = api_for(bob).post("/api/v1/containers/bulk/", {"action": "stop", "ids": ids}, format="json")
    assert answer.status_code == 207
    ours, theirs, other = answer.json()["results"]
    assert (ours["id"], ours["status"], ours["operation"]["kind"]) == (str(web.pk), 202, "container.stop")
    assert (theirs["status"], theirs["error"]["code"]) == (404, "not_found")
    assert (other["status"], other["error"]["code"]) == (409, "conflict")
    all_well = api_for(bob).post(
        "/api/v1/containers/bulk/", {"action": "stop", "ids": ids[:1]}, format="json"
    )
    assert all_well.status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {"action": "stop"},
        {"action": "stop", "ids": []},
        {"action": "rename", "ids": ["11111111-1111-4111-8111-111111111111"]},
        {"action": "stop", "ids": ["1"]},
        {"action": "stop", "ids": ["11111111-1111-4111-8111-111111111111"], "params": {"force": True}},
        {"action": "stop", "ids": ["11111111-1111-4111-8111-111111111111"], "all": True},
    ],
)
def test_a_bulk_that_is_not_valid_is_refused_whole(api_for: ApiFor, bob: User, body: dict[str, Any]) -> None:
    answer = api_for(bob).post("/api/v1/containers/bulk/", body, format="json")
    assert answer.status_code == 400, answer.content


def test_a_viewer_gets_a_refusal_for_each_of_a_bulk(api_for: ApiFor, vic: User, web: Container) -> None:
    body = {"action": "kill", "ids": [str(web.pk)]}
    answer = api_for(vic).post("/api/v1/containers/bulk/", body, format="json")
    assert answer.json()["results"][0]["error"]["code"] == "permission_denied"
    assert not Operation.objects.exists()


def test_running_one(api_for: ApiFor, bob: User, engine: Engine) -> None:
    body = {"image": "nginx:1.27", "name": "web", "environment": {"A": "b"}, "secrets": {"P": "canary"}}
    answer = api_for(bob).post("/api/v1/containers/", body, format="json")
    assert answer.status_code == 202, answer.content
    operation = Operation.objects.get()
    assert (operation.kind, operation.team.slug, operation.target_name) == ("container.run", "blue", "web")  # type: ignore[union-attr]
    assert "canary" not in answer.content.decode() + str(operation.params) + operation.sealed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "image"),
        ({"image": "../x"}, "image"),
        ({"image": "nginx", "Privileged": True}, "Privileged"),
        ({"image": "nginx", "privileged": "true"}, "privileged"),
        ({"image": "nginx", "engine": "1"}, "engine"),
        ({"image": "nginx", "engine": "11111111-1111-4111-8111-111111111111"}, "engine"),
        ({"image": "nginx", "team": "red"}, "team"),
        ({"image": "nginx", "team": ["blue"]}, "team"),
    ],
)
def test_a_run_body_that_is_not_valid_is_refused(
    api_for: ApiFor, bob: User, engine: Engine, other_team: Team, body: dict[str, Any], field: str
) -> None:
    answer = api_for(bob).post("/api/v1/containers/", body, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not Operation.objects.exists()


def test_a_guard_rail_is_named(api_for: ApiFor, bob: User, engine: Engine) -> None:
    answer = api_for(bob).post("/api/v1/containers/", {"image": "nginx", "privileged": True}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "policy_denied"), answer.content
    assert not Operation.objects.exists()


def test_a_viewer_may_not_run(api_for: ApiFor, vic: User, engine: Engine) -> None:
    assert api_for(vic).post("/api/v1/containers/", {"image": "nginx"}, format="json").status_code == 403
    assert not Operation.objects.exists()


def test_the_document_and_the_health_are_read_from_rows(api_for: ApiFor, vic: User, web: Container) -> None:
    api = api_for(vic)
    assert api.get(f"/api/v1/containers/{web.pk}/inspect/").json() == web.inspect
    health = api.get(f"/api/v1/containers/{web.pk}/health/").json()
    assert (health["health"], health["log"]) == ("healthy", web.health_log)
    Container.objects.update(state="exited")
    assert {len(values) for values in api.get(f"/api/v1/containers/{web.pk}/stats/").json().values()} == {0}


def test_what_a_site_administrator_of_one_team_makes_is_that_teams_unless_they_say_nobodys(
    api_for: ApiFor, alice: User, team: Team, engine: Engine
) -> None:
    Membership.objects.create(user=alice, team=team, role=Role.ADMIN)
    for body, owner in (({}, team), ({"team": None}, None), ({"team": "blue"}, team)):
        answer = api_for(alice).post("/api/v1/containers/", {"image": "nginx", **body}, format="json")
        assert answer.status_code == 202, answer.content
        assert Operation.objects.get(pk=answer.json()["id"]).team == owner


def test_a_docker_run_line_becomes_the_run_body(api_for: ApiFor, bob: User, vic: User, db: None) -> None:
    client, address = api_for(bob, "read", "write"), "/api/v1/containers/parse/"
    answer = client.post(
        address, {"command": "docker run -p 8080:80 --gpus all nginx:1.27 -v"}, format="json"
    )
    assert answer.json() == {
        "image": "nginx:1.27", "ports": [{"container": 80, "host": 8080}], "command": ["-v"],
        "unmapped": ["--gpus all"],
    }  # fmt: skip
    wrong = client.post(address, {"command": "docker ps"}, format="json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["command"])
    assert client.post(address, {"command": ""}, format="json").status_code == 400
    assert api_for(vic, "write").post(address, {"command": "docker run a"}, format="json").status_code == 403
    assert not Operation.objects.exists()
