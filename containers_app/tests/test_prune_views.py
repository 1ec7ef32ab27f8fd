"""The page that cleans up."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Team, User
from containers_app.models import PrunePlan
from operations import reads
from operations.models import Engine, Operation
from tests.rows import in_the_trash, make_container, make_engine, make_image, make_prune_plan, make_volume

Browser = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr(reads.current_app, "send_task", away)


@pytest.fixture
def engine(db: None) -> Engine:
    return make_engine()


def fill(engine: Engine, team: Team, first: int, last: int) -> None:
    for number in range(first, last):
        make_container(engine, team, f"done-{number}", state="exited")
        make_image(engine, team)
        make_image(engine, team, f"shop/old:{number}")
        make_volume(engine, team, f"data-{number}")
        make_volume(engine, team, f"{number:064x}", anonymous=True)
        in_the_trash("container", engine, team, f"gone-{number}", facts={"volumes": True})


ALL = "?chosen=1" + "".join(
    f"&kinds={kind}"
    for kind in ("containers", "images", "unused_images", "volumes", "named_volumes", "trash")
)


def test_it_shows_what_goes_by_kind_and_the_button_says_how_much(
    client_for: Browser, alice: User, engine: Engine, team: Team
) -> None:
    fill(engine, team, 0, 2)
    page = client_for(alice).get("/prune/").content.decode()
    assert "2 stopped containers" in page
    assert "2 untagged images" in page
    assert "done-1" in page
    assert "shop/old:1" not in page, "only what can be made again is switched on"
    assert "Remove 4 things, at least 2 KB" in page
    plan = PrunePlan.objects.get()
    assert f'value="{plan.pk}"' in page
    assert (plan.made_by, plan.kinds) == (alice, ["containers", "images"])
    page = client_for(alice).get(f"/prune/{ALL}").content.decode()
    for words in ("2 unused images", "2 anonymous volumes", "2 named volumes", "2 things in the trash"):
        assert words in page
    assert "style=" not in page


def test_the_button_asks_for_the_plan_that_was_shown(
    client_for: Browser, alice: User, engine: Engine, team: Team
) -> None:
    fill(engine, team, 0, 1)
    browser = client_for(alice)
    page = browser.get("/prune/?chosen=1&kinds=containers").content.decode()
    make_container(engine, team, "later", state="exited")
    found = re.search(r'name="plan" value="([\w-]+)"', page)
    assert found
    answer = browser.post("/prune/", {"plan": found[1]})
    operation = Operation.objects.get(kind="engine.prune")
    assert answer.headers["Location"] == f"/operations/{operation.pk}/"
    assert [item["name"] for item in operation.prune_plan.items] == ["done-0"]
    browser.post("/prune/", {"plan": found[1]})
    assert Operation.objects.filter(kind="engine.prune").count() == 1


def test_a_list_that_is_too_old_is_made_anew(
    client_for: Browser, alice: User, engine: Engine, team: Team
) -> None:
    make_volume(engine, team, "data")
    old = make_prune_plan(
        engine, alice, kinds=["named_volumes"], expires_at=timezone.now() - timedelta(seconds=1)
    )
    answer = client_for(alice).post("/prune/", {"plan": str(old.pk)}, follow=True)
    page = answer.content.decode()
    assert "nothing was removed. Here is a new one" in page
    assert "1 named volume" in page
    assert not Operation.objects.exists()


def test_a_long_list_is_cut_and_goes_all_the_same(
    client_for: Browser, alice: User, engine: Engine, team: Team
) -> None:
    for number in range(203):
        make_volume(engine, team, f"data-{number:03}")
    page = client_for(alice).get("/prune/?chosen=1&kinds=named_volumes").content.decode()
    assert page.count('<li><span class="pg-name"') == 200
    assert "and 3 more, which go too" in page
    assert len(PrunePlan.objects.get().items) == 203


def test_nothing_unused_and_nothing_chosen_are_said(client_for: Browser, alice: User, engine: Engine) -> None:
    browser = client_for(alice)
    assert "everything on quiet is in use" in browser.get("/prune/").content.decode()
    assert "Switch on what to look for" in browser.get("/prune/?chosen=1").content.decode()
    part = browser.get("/prune/", headers={"HX-Request": "true"}).content.decode()
    assert "Nothing is unused" in part
    assert "<html" not in part


def test_without_an_engine_there_is_a_page(client_for: Browser, alice: User) -> None:
    assert client_for(alice).get("/prune/").status_code == 200
    assert not PrunePlan.objects.exists()


def test_only_site_administrators_find_it(
    client_for: Browser, alice: User, tara: User, vic: User, engine: Engine
) -> None:
    for user in (tara, vic):
        browser = client_for(user)
        assert browser.get("/prune/").status_code == 403
        assert browser.post("/prune/", {"plan": str(make_prune_plan(engine, alice).pk)}).status_code == 403
        for path in ("/images/", "/volumes/"):
            assert "/prune/" not in browser.get(path).content.decode()
    for path in ("/images/", "/volumes/"):
        page = client_for(alice).get(path).content.decode()
        assert "Remove unused…" in page
        assert "Clean up" in page
    assert client_for(alice).post("/prune/", {"plan": "nonsense"}).status_code == 404
    assert not Operation.objects.exists()


def test_ten_times_as_much_takes_as_many_queries(
    client_for: Browser, alice: User, engine: Engine, team: Team
) -> None:
    browser, counts = client_for(alice), []
    for first, last in ((0, 3), (3, 30)):
        fill(engine, team, first, last)
        browser.get(f"/prune/{ALL}")
        with CaptureQueriesContext(connection) as queries:
            browser.get(f"/prune/{ALL}")
        counts.append(len(queries))
    assert counts[0] == counts[1]
