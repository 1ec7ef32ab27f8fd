"""REST of volumes and the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Team, User
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_image, make_network, make_operation, make_volume

ApiFor = Callable[..., APIClient]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


def test_a_volume_names_those_of_its_users_that_one_may_see(
    api_for: ApiFor, vic: User, alice: User, engine: Engine, team: Team, other_team: Team
) -> None:
    ours, theirs = make_container(engine, team), make_container(engine, other_team, "foreign")
    volume = make_volume(engine, team, "data", ours, theirs, size=42)
    found = api_for(vic).get(f"/api/v1/volumes/{volume.pk}/").json()
    assert (found["name"], found["engine_id"], found["size"], found["driver"]) == (
        "data",
        "data",
        42,
        "local",
    )
    assert [user["name"] for user in found["used_by"]] == ["web"]
    assert found["used_by"][0]["container"] == str(ours.pk)
    everything = api_for(alice).get(f"/api/v1/volumes/{volume.pk}/").json()
    assert [user["name"] for user in everything["used_by"]] == ["foreign", "web"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("used=true", ["data"]),
        ("used=false", ["old"]),
        ("name=old", ["old"]),
        ("label=a=b", ["old"]),
        ("q=DA", ["data"]),
    ],
)
def test_filters_of_volumes(
    api_for: ApiFor, vic: User, engine: Engine, team: Team, query: str, names: list[str]
) -> None:
    make_volume(engine, team, "data", make_container(engine, team))
    make_volume(engine, team, "old", labels={"a": "b"})
    rows = api_for(vic).get(f"/api/v1/volumes/?{query}").json()["results"]
    assert [row["name"] for row in rows] == names


def test_making_and_removing_a_volume(
    api_for: ApiFor, tara: User, bob: User, engine: Engine, team: Team
) -> None:
    assert api_for(bob).post("/api/v1/volumes/", {"name": "data"}, format="json").status_code == 403
    answer = api_for(tara).post("/api/v1/volumes/", {"name": "data", "labels": {"a": "b"}}, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "volume.create"), answer.content
    row = make_volume(engine, team, "old")
    assert api_for(bob).delete(f"/api/v1/volumes/{row.pk}/").status_code == 403
    answer = api_for(tara).delete(f"/api/v1/volumes/{row.pk}/?force=1")
    assert (answer.status_code, answer.json()["kind"]) == (202, "volume.remove"), answer.content


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "../containers/x"},
        {"name": "data", "scope": "global"},
        {"name": 7},
        {"name": "a", "team": "red"},
    ],
)
def test_a_volume_that_is_not_valid_is_refused(
    api_for: ApiFor, tara: User, engine: Engine, other_team: Team, body: dict[str, Any]
) -> None:
    answer = api_for(tara).post("/api/v1/volumes/", body, format="json")
    assert answer.status_code == 400, answer.content
    assert not Operation.objects.exists()


def test_search_finds_what_one_may_see(
    api_for: ApiFor, vic: User, charlie: User, engine: Engine, team: Team
) -> None:
    web = make_container(engine, team, "shop-web")
    make_image(engine, team, "shop/app:1")
    make_volume(engine, team, "shop-data")
    make_network(engine, team, "shop-net")
    make_operation(engine, team, target_name="shop-web")
    found = api_for(vic).get("/api/v1/search/?q=SHOP").json()["results"]
    assert [hit["type"] for hit in found] == ["container", "image", "tag", "volume", "network", "operation"]
    assert found[0]["url"] == f"http://testserver/api/v1/containers/{web.pk}/"
    for hit in found:
        assert api_for(vic).get(hit["url"]).status_code == 200
    assert api_for(charlie).get("/api/v1/search/?q=shop").json()["results"] == []
    by_id = api_for(vic).get("/api/v1/search/", {"q": web.native_id[:60]}).json()["results"]
    assert str(web.pk) in {hit["id"] for hit in by_id}


@pytest.mark.parametrize("query", ["", "?q=", f"?q={'a' * 201}", "?q=a&type=x"])
def test_a_search_for_nothing_is_refused(api_for: ApiFor, vic: User, query: str) -> None:
    assert api_for(vic).get(f"/api/v1/search/{query}").status_code == 400
