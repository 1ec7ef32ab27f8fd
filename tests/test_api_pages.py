"""Lists by keyset: nothing skipped, nothing twice, whatever the order and whoever comes and goes."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import Team, User
from containers_app.models import Container
from operations.models import Engine
from tests.rows import (
    make_build,
    make_container,
    make_engine,
    make_image,
    make_network,
    make_operation,
    make_volume,
)

ApiFor = Callable[..., APIClient]
ORDERS = [
    "",
    "name",
    "-name",
    "created_at",
    "-created_at",
    "state,-created_at",
    "-started_at,name",
    "restart_count",
]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def many(engine: Engine, team: Team) -> list[Container]:
    """23 containers with few different names, and some without a time."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        make_container(
            engine,
            team,
            f"web-{number % 5}",
            state=("running", "exited")[number % 2],
            created_at=start + timedelta(hours=number % 7) if number % 3 else None,
            started_at=None if number % 4 else start,
            restart_count=number % 2,
        )
        for number in range(23)
    ]


def walk(api: APIClient, url: str, direction: str = "next") -> list[list[str]]:
    """All pages from here on, as ids."""
    pages = []
    while url:
        found = api.get(url)
        assert found.status_code == 200, found.content
        body = found.json()
        pages.append([row["id"] for row in body["results"]])
        url = body[direction]
        assert len(pages) < 100
    return pages


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 4, 23, 24])
def test_every_row_comes_once(
    api_for: ApiFor, bob: User, many: list[Container], order: str, limit: int
) -> None:
    pages = walk(api_for(bob), f"/api/v1/containers/?limit={limit}&ordering={order}")
    ids = [pk for page in pages for pk in page]
    assert len(ids) == len(set(ids)) == 23
    assert {len(page) for page in pages[:-1]} <= {limit}


@pytest.mark.parametrize("order", ORDERS)
def test_the_way_back_shows_the_same_pages(
    api_for: ApiFor, bob: User, many: list[Container], order: str
) -> None:
    api = api_for(bob)
    forward = walk(api, f"/api/v1/containers/?limit=5&ordering={order}")
    url = f"/api/v1/containers/?limit=5&ordering={order}"
    while following := api.get(url).json()["next"]:
        url = following
    assert walk(api, url, "previous") == forward[::-1]


def test_rows_without_a_value_come_last_in_both_directions(
    api_for: ApiFor, bob: User, many: list[Container]
) -> None:
    for order in ("created_at", "-created_at"):
        rows = api_for(bob).get(f"/api/v1/containers/?limit=200&ordering={order}").json()["results"]
        empty = [row["created_at"] is None for row in rows]
        assert empty == sorted(empty)


def test_nothing_is_skipped_when_what_was_read_goes_away(
    api_for: ApiFor, bob: User, many: list[Container]
) -> None:
    api = api_for(bob)
    first = api.get("/api/v1/containers/?limit=10").json()
    Container.objects.filter(pk__in=[row["id"] for row in first["results"]]).delete()
    rest = [pk for page in walk(api, first["next"]) for pk in page]
    assert len(rest) == 13


def test_filters_stay_on_the_way(api_for: ApiFor, bob: User, many: list[Container]) -> None:
    pages = walk(api_for(bob), "/api/v1/containers/?limit=3&state=exited&q=web")
    assert sum(map(len, pages)) == 11


def test_two_hundred_rows_are_the_most(api_for: ApiFor, bob: User, engine: Engine, team: Team) -> None:
    """S-81."""
    for number in range(205):
        make_network(engine, team, f"net-{number:03}")
    assert len(api_for(bob).get("/api/v1/networks/?limit=1000").json()["results"]) == 200
    assert len(api_for(bob).get("/api/v1/networks/").json()["results"]) == 50


def cursor(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


BAD = [
    "x",
    "%00",
    "a" * 5000,
    cursor(None),
    cursor([0, "name,id", ["a"]]),
    cursor([2, "name,id", ["a", "b"]]),
    cursor([0, "name,id", ["a", "not-a-uuid"]]),
    cursor([0, "name,id", [{"a": 1}, []]]),
    cursor([0, "password,id", ["a", "b"]]),
    cursor([[[[[]]]]]),
]


@pytest.mark.parametrize(
    "query", [*(f"cursor={bad}" for bad in BAD), "limit=0", "limit=-1", "limit=x", "limit=٣"]
)
def test_a_cursor_or_limit_that_is_none_is_refused(api_for: ApiFor, bob: User, query: str) -> None:
    answer = api_for(bob).get(f"/api/v1/containers/?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("order", ["password", "team__name", "name,", "-", "name;drop", "--name", "?"])
def test_only_named_fields_can_be_ordered_by(api_for: ApiFor, bob: User, order: str) -> None:
    """S-81."""
    answer = api_for(bob).get("/api/v1/containers/", {"ordering": order})
    assert answer.status_code == (200 if order == "name," else 400)


def test_a_cursor_of_another_order_is_refused(api_for: ApiFor, bob: User, many: list[Container]) -> None:
    following = api_for(bob).get("/api/v1/containers/?limit=3&ordering=name").json()["next"]
    assert api_for(bob).get(following.replace("ordering=name", "ordering=-name")).status_code == 400


def fill(engine: Engine, team: Team, start: int, count: int) -> None:
    """So many of each."""
    for number in range(start, start + count):
        row = make_container(engine, team, f"web-{number}")
        make_image(engine, team, f"app:{number}")
        make_volume(engine, team, f"data-{number}", row)
        make_network(engine, team, f"net-{number}")
        make_operation(engine, team, target_id=str(row.pk))
        make_build(engine, team)


@pytest.mark.parametrize(
    "name",
    [
        "containers",
        "images",
        "tags",
        "builds",
        "volumes",
        "networks",
        "operations",
        "teams",
        "engines",
        "audit",
    ],
)
def test_ten_times_the_rows_take_as_many_queries(
    api_for: ApiFor, bob: User, engine: Engine, team: Team, name: str
) -> None:
    api = api_for(bob)
    fill(engine, team, 0, 3)
    url = f"/api/v1/{name}/?limit=200"
    api.get(url)  # the token's "last used" is written once a minute
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert api.get(url).status_code == 200
    fill(engine, team, 100, 27)
    with CaptureQueriesContext(connection) as more:
        assert api.get(url).status_code == 200
    assert len(more) == len(few) <= 6, [query["sql"] for query in more]
