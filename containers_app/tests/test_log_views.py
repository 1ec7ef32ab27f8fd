"""The page of several containers' logs: whose it shows, and what it says of the others."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import Team, User
from containers_app.models import Container
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]


@pytest.fixture
def shop(db: None, team: Team, other_team: Team) -> dict[str, Container]:
    """Two of blue's in a stack, one of blue's outside, one of red's in a stack of that name."""
    engine = make_engine()
    return {
        "web": make_container(engine, team, name="web", stack="shop"),
        "db": make_container(engine, team, name="db", stack="shop"),
        "lone": make_container(engine, team, name="lone"),
        "red": make_container(engine, other_team, name="red-web", stack="shop"),
    }


def test_each_container_that_may_be_read_is_shown(
    client_for: ClientFor, vic: User, shop: dict[str, Container]
) -> None:
    ids = [shop["lone"].pk, shop["red"].pk, uuid4(), shop["web"].pk]
    html = client_for(vic).get("/logs/?" + "&".join(f"container={pk}" for pk in ids)).content.decode()
    assert html.index(f'data-source="{shop["lone"].pk}"') < html.index(f'data-source="{shop["web"].pk}"')
    assert str(shop["red"].pk) not in html
    assert "red-web" not in html
    assert "2 containers of this address are gone, or not yours to read." in html
    assert f"container={shop['db'].pk}" in html  # offered to be added


def test_a_stack_is_all_of_it_that_may_be_read(
    client_for: ClientFor, vic: User, shop: dict[str, Container]
) -> None:
    html = client_for(vic).get("/logs/?stack=shop").content.decode()
    assert [html.count(f'data-source="{shop[name].pk}"') for name in ("web", "db", "lone", "red")] == [
        1,
        1,
        0,
        0,
    ]
    assert "Logs of shop" in html


def test_no_more_than_a_socket_takes_are_shown(client_for: ClientFor, vic: User, team: Team) -> None:
    engine = make_engine()
    rows = [make_container(engine, team, name=f"many-{i}") for i in range(22)]
    html = client_for(vic).get("/logs/?" + "&".join(f"container={row.pk}" for row in rows)).content.decode()
    assert html.count("data-source=") == 20
    assert "2 more are left out" in html


def test_without_any_it_asks_whose(client_for: ClientFor, vic: User, shop: dict[str, Container]) -> None:
    html = client_for(vic).get("/logs/?container=nonsense").content.decode()
    assert "Whose logs?" in html
    assert f"?container={shop['web'].pk}" in html
