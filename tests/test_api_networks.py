"""REST of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Team, User
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_network

ApiFor = Callable[..., APIClient]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


def test_a_network_names_those_on_it_that_one_may_see(
    api_for: ApiFor, vic: User, charlie: User, engine: Engine, team: Team, other_team: Team
) -> None:
    ours, theirs = make_container(engine, team), make_container(engine, other_team, "foreign")
    row = make_network(engine, team, "front", ours, theirs, options={"a": "b"}, subnets=["10.20.0.0/24"])
    found = api_for(vic).get(f"/api/v1/networks/{row.pk}/").json()
    assert (found["name"], found["engine_id"], found["options"]) == ("front", row.native_id, {"a": "b"})
    assert found["containers"] == [
        {
            "container": str(ours.pk), "name": "web", "ip": "10.20.0.2", "ip6": "", "mac": "",
            "aliases": ["web-alias"],
        }
    ]  # fmt: skip
    assert api_for(vic).get("/api/v1/networks/").json()["results"] == [found]
    assert api_for(charlie).get(f"/api/v1/networks/{row.pk}/").status_code == 404
    assert api_for(charlie).get("/api/v1/networks/").json()["results"] == []


def test_making_and_removing_a_network(
    api_for: ApiFor, tara: User, bob: User, engine: Engine, team: Team
) -> None:
    body = {"name": "front", "internal": True, "labels": {"a": "b"}}
    assert api_for(bob).post("/api/v1/networks/", body, format="json").status_code == 403
    answer = api_for(tara).post("/api/v1/networks/", body, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "network.create"), answer.content
    row = make_network(engine, team, "old")
    assert api_for(bob).delete(f"/api/v1/networks/{row.pk}/").status_code == 403
    answer = api_for(tara).delete(f"/api/v1/networks/{row.pk}/?force=1")
    assert (answer.status_code, answer.json()["kind"]) == (202, "network.remove"), answer.content


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "name"),
        ({"name": "bridge"}, 400, "name"),
        ({"name": "a", "subnets": ["10.20.0.9/24"]}, 400, "subnets.0"),
        ({"name": "a", "scope": "global"}, 400, "scope"),
        ({"name": "a", "team": "red"}, 400, "team"),
        ({"name": "a", "driver": "macvlan"}, 403, "driver"),
    ],
)
def test_a_network_that_is_not_valid_is_refused(
    api_for: ApiFor,
    tara: User,
    engine: Engine,
    other_team: Team,
    body: dict[str, Any],
    status: int,
    field: str,
) -> None:
    answer = api_for(tara).post("/api/v1/networks/", body, format="json")
    assert answer.status_code == status, answer.content
    assert field in str(answer.json()), answer.content
    assert not Operation.objects.exists()


def test_a_container_goes_on_a_network_and_off_it(
    api_for: ApiFor, bob: User, vic: User, charlie: User, engine: Engine, team: Team
) -> None:
    web, db = make_container(engine, team), make_container(engine, team, "db")
    row = make_network(engine, team, "front", web)
    there = f"/api/v1/networks/{row.pk}"
    wish = {"container": str(db.pk), "aliases": ["store"]}
    plan = api_for(bob).post(f"{there}/connect/?dry_run=1", wish, format="json").json()
    assert (plan["kind"], plan["would_run"]) == ("network.connect", True)
    assert plan["changed"][0] == {"what": "db", "detail": "is found on front as db and store", "size": None}
    assert [one["what"] for one in plan["affected"]] == ["web"]
    assert not Operation.objects.exists()
    answer = api_for(bob).post(f"{there}/connect/", wish, format="json")
    assert (answer.status_code, answer.json()["target"]["name"]) == (202, "db"), answer.content
    answer = api_for(bob).post(f"{there}/disconnect/", {"container": str(web.pk)}, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "network.disconnect"), answer.content
    for user, status in ((vic, 403), (charlie, 404)):
        assert api_for(user).post(f"{there}/connect/", wish, format="json").status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"container": "11111111-1111-4111-8111-111111111111"}, 404),
        ({"container": "web"}, 400),
        ({"aliases": ["-x"]}, 400),
        ({"ip": "10.99.0.1"}, 409),
        ({"mac": "02:00:00:00:00:01"}, 400),
    ],
)
def test_a_connection_that_is_not_valid_is_refused(
    api_for: ApiFor, bob: User, engine: Engine, team: Team, body: dict[str, Any], status: int
) -> None:
    web = make_container(engine, team)
    row = make_network(engine, team, "front", subnets=["10.20.0.0/24"])
    wish = body if not body or "container" in body else {"container": str(web.pk), **body}
    answer = api_for(bob).post(f"/api/v1/networks/{row.pk}/connect/", wish, format="json")
    assert answer.status_code == status, answer.content
    assert not Operation.objects.exists()
