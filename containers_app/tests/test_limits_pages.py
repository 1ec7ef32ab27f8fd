"""Changing limits on its page and by REST: what is prefilled, what the plan says, what is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Team, User
from containers_app.models import Container
from operations.models import Operation
from streams import stats
from streams.connection import aclient
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]
ApiFor = Callable[..., Any]
MB = 1024**2
HX = {"HX-Request": "true", "HX-Target": "dialog"}
PLAN = {"HX-Request": "true", "HX-Target": "limits-plan"}
SET = {"memory": "512", "cpus": "0.5", "pids": "100", "restart": "on-failure", "retries": "3"}
"""How it is set now, as the form says it."""


@pytest.fixture
def web(db: None, team: Team) -> Container:
    return make_container(
        make_engine(cpus=4, memory=8 * 1024**3), team, "web", memory_limit=512 * MB, cpu_limit=0.5, pids_limit=100,
        restart_policy="on-failure", restart_max_retries=3, inspect={"HostConfig": {"NanoCpus": 500_000_000}},
    )  # fmt: skip


def typed(**changes: str) -> dict[str, str]:
    """What a browser sends once somebody has changed this."""
    return {**{f"initial-{name}": value for name, value in SET.items()}, **SET, **changes}


def address(web: Container) -> str:
    return reverse("containers:update", args=[web.pk])


def plan_of(client: Client, web: Container, **changes: str) -> str:
    html = client.get(address(web), typed(**changes), headers=PLAN).content.decode()
    assert "<form" not in html
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def uses(web: Container, memory: int, processes: int) -> None:
    """Its newest figures."""

    async def say() -> None:
        connection = aclient()
        await stats.publish(connection, [[str(web.pk), 0.1, memory, 0, 0, 0, 0, 0, processes, 0]])
        await connection.aclose()

    asyncio.run(say())


def test_it_is_prefilled_with_what_is_set_now(client_for: ClientFor, bob: User, web: Container) -> None:
    html = client_for(bob).get(address(web)).content.decode()
    for name in ("memory", "cpus", "pids", "retries"):
        assert re.search(rf'<input type="text" name="{name}" value="{SET[name]}"', html), name
    assert '<option value="on-failure" selected>' in html
    assert "without a restart" in html
    assert client_for(bob).get(address(web), headers=HX).content.decode().count("<html") == 0


def test_the_plan_says_what_changes_and_what_stays(client_for: ClientFor, bob: User, web: Container) -> None:
    told = plan_of(client_for(bob), web, memory="1.5g", cpus="2", pids="", restart="no")
    for words in (
        "Memory limit 512 MB → 1.5 GB",
        "CPU limit 0.5 cores → 2 cores",
        "Process limit 100 → no limit",
        "Restart policy on failure, 3 times at most → never",
        "stays down after a crash",
        "It is not restarted",
    ):
        assert words in told, words
    assert not Operation.objects.exists()


def test_the_plan_knows_what_it_uses_now(client_for: ClientFor, bob: User, web: Container) -> None:
    client = client_for(bob)
    assert "Unknown: how much memory it uses now" in plan_of(client, web, memory="256")
    assert "Unknown" not in plan_of(client, web, memory="600")
    uses(web, 300 * MB, 12)
    told = plan_of(client, web, memory="256", pids="10")
    assert "It uses 300 MB now more than the new limit" in told
    assert "It has 12 processes now more than the new limit" in told
    assert "83 % of the new limit" in plan_of(client, web, memory="360")
    assert "It uses" not in plan_of(client, web, memory="1000")
    assert "beyond the 8 GB that the engine has" in plan_of(client, web, memory="9g")


def test_a_stopped_one_is_not_started(client_for: ClientFor, bob: User, web: Container) -> None:
    Container.objects.update(state="exited")
    told = plan_of(client_for(bob), web, memory="256", restart="always")
    assert "It is not started" in told
    assert "even where somebody had stopped it" in told


def test_only_what_was_changed_is_asked_for(client_for: ClientFor, bob: User, web: Container) -> None:
    # Somebody else has set another CPU limit since the form was opened: it stays.
    Container.objects.update(cpu_limit=2)
    answer = client_for(bob).post(address(web), typed(memory="256"), headers=HX)
    assert json.loads(answer["HX-Trigger"])["slipway:toast"]["text"] == "Updating web"
    operation = Operation.objects.get()
    assert operation.kind == "container.update"
    assert operation.params == {"resources": {"memory": 256 * MB}, "native_id": web.native_id}


def test_retries_go_with_their_policy(client_for: ClientFor, bob: User, web: Container) -> None:
    client = client_for(bob)
    client.post(address(web), typed(restart="always"), headers=HX)
    assert Operation.objects.get().params["restart_policy"] == {"name": "always", "max_retries": 0}
    Operation.objects.update(state="succeeded")
    client.post(address(web), typed(retries="5"), headers=HX)
    newest = Operation.objects.order_by("-created_at")[0]
    assert newest.params["restart_policy"] == {"name": "on-failure", "max_retries": 5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory": "lots"}, "such as 512 (MB) or 1.5g"),
        ({"memory": "2"}, "At least 6 MB"),
        ({"memory": ""}, "give it a higher one"),
        ({"cpus": ""}, "give it more cores"),
        ({"cpus": "5"}, "The engine has 4 cores: choose from 0.01 to 4."),
        ({"cpus": "half"}, "such as 0.5"),
        ({"pids": "1.5"}, "whole number"),
        ({"pids": "-4"}, "4194304"),
        ({"retries": "2000"}, "1000"),
        ({}, "Nothing is changed yet"),
    ],
)
def test_what_is_wrong_is_told_with_its_fix(
    client_for: ClientFor, bob: User, web: Container, changes: dict[str, str], words: str
) -> None:
    client = client_for(bob)
    assert words in client.post(address(web), typed(**changes), headers=HX).content.decode()
    assert not Operation.objects.exists()
    if changes:
        assert words in plan_of(client, web, **changes)


def test_everything_that_is_wrong_is_told_at_once_and_what_is_hidden_is_not(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    asked = typed(memory="2", cpus="5", restart="always", retries="lots")
    html = client_for(bob).post(address(web), asked, headers=HX).content.decode()
    assert len(re.findall(r'id="id_\w+_error"', html)) == 2
    assert "At least 6 MB" in html
    assert "The engine has 4 cores" in html


def test_what_removes_itself_cannot_restart(client_for: ClientFor, bob: User, web: Container) -> None:
    Container.objects.update(auto_remove=True)
    html = client_for(bob).post(address(web), typed(restart="always"), headers=HX).content.decode()
    assert "removes itself when it ends" in html


def test_without_javascript_one_may_look_first(client_for: ClientFor, bob: User, web: Container) -> None:
    client = client_for(bob)
    html = client.post(address(web), typed(memory="256", look="1")).content.decode()
    assert "512 MB → 256 MB" in html
    assert 'name="initial-memory" value="512"' in html
    assert not Operation.objects.exists()
    answer = client.post(address(web), typed(memory="256"))
    assert (answer.status_code, answer["Location"]) == (302, reverse("containers:detail", args=[web.pk]))


def test_a_viewer_is_not_offered_it_and_may_not(
    client_for: ClientFor, vic: User, bob: User, web: Container
) -> None:
    detail = reverse("containers:detail", args=[web.pk])
    assert address(web) not in client_for(vic).get(detail).content.decode()
    assert client_for(vic).get(address(web)).status_code == 403
    assert client_for(bob).get(detail).content.decode().count(f'href="{address(web)}"') == 2


# REST


def patch(api: Any, web: Container, body: Any, query: str = "", **head: str) -> Any:
    return api.patch(f"/api/v1/containers/{web.pk}/{query}", body, format="json", headers=head)


def test_rest_shows_the_plan_and_changes_nothing(api_for: ApiFor, bob: User, web: Container) -> None:
    plan = patch(api_for(bob), web, {"resources": {"memory": 1024 * MB}}, "?dry_run=1").json()
    assert (plan["kind"], plan["would_run"]) == ("container.update", True)
    assert plan["changed"] == [{"what": "Memory limit", "detail": "512 MB → 1 GB", "size": None}]
    assert [item["what"] for item in plan["kept"]] == ["It is not restarted"]
    same = patch(api_for(bob), web, {"resources": {"memory": 512 * MB}}, "?dry_run=1").json()
    assert (same["changed"], same["summary"]) == ([], "It is set so already: nothing changes.")
    assert not Operation.objects.exists()


def test_rest_asks_for_it_once_a_key(api_for: ApiFor, bob: User, web: Container) -> None:
    api, wish = api_for(bob), {"resources": {"pids": None}, "restart_policy": {"name": "no"}}
    first = patch(api, web, wish, **{"Idempotency-Key": "4f1c"})
    assert (first.status_code, first["Location"]) == (
        202,
        f"/api/v1/operations/{first.json()['id']}/",
    )
    assert patch(api, web, wish).json()["id"] == first.json()["id"]  # joins
    Operation.objects.update(state="succeeded")
    assert patch(api, web, wish, **{"Idempotency-Key": "4f1c"}).json()["id"] == first.json()["id"]
    other = patch(api, web, {"resources": {"pids": 5}}, **{"Idempotency-Key": "4f1c"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert Operation.objects.get().params == {
        "restart_policy": {"name": "no", "max_retries": 0},
        "resources": {"pids": 0},
        "native_id": web.native_id,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ([1], ""),
        ({"resources": {"memory": "1g"}}, "resources.memory"),
        ({"resources": {"memory": 0}}, "resources.memory"),
        ({"resources": {"cpus": 5}}, "resources.cpus"),
        ({"resources": {"swap": 5}}, "resources.swap"),
        ({"restart_policy": {"max_retries": 5}}, "restart_policy.name"),
        ({"image": "nginx:1"}, "image"),
    ],
)
def test_rest_says_which_field_is_wrong(
    api_for: ApiFor, bob: User, web: Container, body: Any, field: str
) -> None:
    answer = patch(api_for(bob), web, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.content
    assert field in answer.json()["errors"]
    assert not Operation.objects.exists()


def test_rest_takes_no_wishes_of_a_removal_for_it(api_for: ApiFor, bob: User, web: Container) -> None:
    assert patch(api_for(bob), web, {"resources": {"pids": 5}}, "?force=1").status_code == 400
    assert not Operation.objects.exists()


def test_rest_refuses_viewers_strangers_and_tokens_that_only_operate(
    api_for: ApiFor, vic: User, bob: User, charlie: User, web: Container
) -> None:
    wish = {"resources": {"pids": 5}}
    assert patch(api_for(vic), web, wish).status_code == 403
    assert patch(api_for(bob, "read", "operate"), web, wish).status_code == 403
    assert patch(api_for(charlie), web, wish).status_code == 404
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(verb="container.update", outcome="denied").count() == 3
    assert patch(api_for(bob, "read", "operate", "write"), web, wish).status_code == 202
