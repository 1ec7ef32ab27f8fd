"""Every change that can be asked of several at once, each with a result of its own, on pages as in REST."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Team, User
from containers_app.models import Container
from operations.models import Operation
from tests.rows import make_container, make_engine

ALWAYS = {"restart_policy": {"name": "always"}}


@pytest.fixture
def three(db: None, team: Team, other_team: Team) -> list[Container]:
    """Two of team blue, the second of which removes itself when it ends; and one of team red."""
    engine = make_engine()
    return [
        make_container(engine, team, "one"),
        make_container(engine, team, "two", auto_remove=True),
        make_container(engine, other_team, "theirs"),
    ]


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("start", {}), ("stop", {"timeout": 3}), ("restart", {}), ("kill", {"signal": "HUP"}), ("pause", {}),
        ("unpause", {}), ("remove", {"force": True}),
    ],
)  # fmt: skip
def test_rest_gives_each_its_own_result(
    three: list[Container],
    api_for: Callable[..., APIClient],
    bob: User,
    action: str,
    params: dict[str, Any],
) -> None:
    ids = [str(row.pk) for row in three]
    answer = api_for(bob).post(
        "/api/v1/containers/bulk/", {"action": action, "ids": ids, "params": params}, format="json"
    )
    results = json.loads(answer.content)["results"]
    assert (answer.status_code, [one["status"] for one in results]) == (207, [202, 202, 404])
    made = Operation.objects.filter(kind=f"container.{action}")
    assert {one.target_name for one in made} == {"one", "two"}
    assert all(one.params[key] == value for one in made for key, value in params.items())


def test_a_restart_policy_is_refused_to_the_one_that_cannot_have_it(
    three: list[Container], api_for: Callable[..., APIClient], bob: User
) -> None:
    ids = [str(row.pk) for row in three[:2]]
    answer = api_for(bob).post(
        "/api/v1/containers/bulk/", {"action": "update", "ids": ids, "params": ALWAYS}, format="json"
    )
    first, second = json.loads(answer.content)["results"]
    assert (answer.status_code, first["status"], second["status"]) == (207, 202, 400)
    assert second["error"]["code"] == "invalid"
    plan = api_for(bob).post(
        "/api/v1/containers/bulk/?dry_run=1",
        {"action": "update", "ids": ids[:1], "params": ALWAYS},
        format="json",
    )
    assert plan.status_code == 200
    assert Operation.objects.count() == 1


def test_the_page_asks_which_signal_and_which_policy_first(
    three: list[Container], client_for: Callable[..., Client], bob: User
) -> None:
    client, ids = client_for(bob), [str(row.pk) for row in three]
    for action, words in (
        ("kill", "Kill 2 containers"),
        ("update", "Change the restart policy of 2 containers"),
    ):
        page = client.get("/containers/bulk/", {"action": action, "ids": ids}).content.decode()
        assert words in page
        assert client.post("/containers/bulk/", {"action": action, "ids": ids}).status_code == 200
    assert not Operation.objects.exists()
    client.post("/containers/bulk/", {"action": "kill", "ids": ids, "sure": "1", "signal": "TERM"})
    assert sorted(one.params["signal"] for one in Operation.objects.all()) == ["TERM", "TERM"]
    Operation.objects.all().delete()
    wish = {"action": "update", "ids": ids, "sure": "1", "restart": "on-failure", "retries": "3"}
    answer = client.post("/containers/bulk/", wish, follow=True).content.decode()
    (made,) = Operation.objects.all()
    assert made.params["restart_policy"] == {"name": "on-failure", "max_retries": 3}
    assert "two: " in answer


def test_a_signal_that_is_none_is_said_in_the_dialog(
    three: list[Container], client_for: Callable[..., Client], bob: User
) -> None:
    wish = {"action": "kill", "ids": [str(three[0].pk)], "sure": "1", "signal": "NOPE"}
    assert client_for(bob).post("/containers/bulk/", wish).status_code == 200
    assert not Operation.objects.exists()


def test_a_stop_of_several_that_cuts_off_others_is_asked_first(
    three: list[Container], client_for: Callable[..., Client], bob: User, team: Team
) -> None:
    client, one = client_for(bob), three[0]
    two = make_container(
        one.engine, team, "three", inspect={"HostConfig": {"NetworkMode": f"container:{one.native_id}"}}
    )
    wish: dict[str, Any] = {"action": "stop", "ids": [str(one.pk)]}
    answer = client.post("/containers/bulk/", wish, headers={"HX-Request": "true"})
    url = json.loads(answer.headers["HX-Trigger"])["slipway:ask"]["url"]
    question = client.get(url).content.decode()
    for words in ("Stop 1 container?", "three", "shares its network", "Stop 1 container</button>"):
        assert words in question, words
    assert not Operation.objects.exists()
    client.post("/containers/bulk/", {**wish, "sure": "1"})
    assert Operation.objects.get().target_name == "one"
    Operation.objects.all().delete()
    both: dict[str, Any] = {"ids": [str(one.pk), str(two.pk)]}
    assert "action=restart" in client.post("/containers/bulk/", {**both, "action": "restart"})["Location"]
    client.post("/containers/bulk/", {**both, "action": "stop"})
    assert Operation.objects.count() == 2, "who is stopped along is not cut off"
    Operation.objects.all().delete()
    client.post("/containers/bulk/", {"action": "stop", "ids": [str(three[1].pk)]})
    assert not Operation.objects.exists(), "it removes itself when it ends"
