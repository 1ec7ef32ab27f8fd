"""The pages of the trash."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Team, User
from operations.models import Engine, Operation, TrashItem
from tests.rows import in_the_trash

Browser = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def item(engine: Engine, team: Team) -> TrashItem:
    return in_the_trash("container", engine, team, "web", facts={"running": True})


def test_the_trash_shows_what_can_be_taken_back_to_those_who_may_see_it(
    client_for: Browser, vic: User, bob: User, charlie: User, item: TrashItem
) -> None:
    page = client_for(bob).get("/trash/").content.decode()
    assert "web" in page
    assert "Take back web" in page
    page = client_for(vic).get("/trash/").content.decode()
    assert "web" in page
    assert "Take back web" not in page
    assert "The trash is empty" in client_for(charlie).get("/trash/").content.decode()
    assert "Nothing in the trash matches" in client_for(bob).get("/trash/?q=other").content.decode()


def test_taking_back_and_undo_ask_for_the_same(
    client_for: Browser, bob: User, vic: User, item: TrashItem
) -> None:
    client_for(vic).post(f"/trash/{item.pk}/restore/")
    assert not Operation.objects.filter(kind="container.restore").exists()
    client_for(bob).post(f"/trash/{item.pk}/restore/")
    client_for(bob).post(f"/operations/{item.operation_id}/undo/")
    assert Operation.objects.filter(kind="container.restore").count() == 1


def test_removing_for_good_asks_first(client_for: Browser, bob: User, item: TrashItem) -> None:
    browser = client_for(bob)
    assert "for good" in browser.get(f"/trash/{item.pk}/purge/", headers=HTMX).content.decode()
    assert not Operation.objects.filter(kind="container.purge").exists()
    browser.post(f"/trash/{item.pk}/purge/")
    assert Operation.objects.filter(kind="container.purge").count() == 1


def test_emptying_removes_what_was_shown_and_nothing_that_came_later(
    client_for: Browser, bob: User, item: TrashItem, engine: Engine, team: Team
) -> None:
    browser = client_for(bob)
    page = browser.get("/trash/empty/").content.decode()
    assert f'value="{item.pk}"' in page
    in_the_trash("container", engine, team, "later")
    browser.post("/trash/empty/", {"ids": [str(item.pk), "nonsense"]})
    assert list(Operation.objects.filter(kind="container.purge").values_list("target_name", flat=True)) == [
        "web"
    ]
