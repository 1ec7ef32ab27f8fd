"""What stands around every page, and the pages of errors."""

from __future__ import annotations

import asyncio
import errno
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from streams import stats
from streams.connection import aclient
from tests.rows import make_container, make_engine, make_image, make_operation

if TYPE_CHECKING:
    from accounts.models import Team, User

ClientFor = Callable[..., Client]


def test_the_start_is_the_list_of_containers(client_for: ClientFor, bob: User) -> None:
    assert client_for(bob).get("/").headers["Location"] == "/containers/"


@pytest.mark.parametrize("path", ["/", "/frame/", "/search/"])
def test_nobody_gets_any_of_it_without_signing_in(client_for: ClientFor, bob: User, path: str) -> None:
    assert client_for().get(path).headers["Location"].startswith("/login/")


def test_the_sidebar_counts_what_one_may_see(
    client_for: ClientFor, bob: User, charlie: User, team: Team
) -> None:
    engine = make_engine(version="24.0.7+dfsg1", cpus=4)
    for number in range(3):
        make_container(engine, team, f"web-{number}", stack="shop", health="healthy")
    make_container(engine, team, "job", stack="shop", state="exited", exit_code=3)
    make_operation(engine, team, state="running", finished_at=None)
    html = client_for(bob).get("/frame/?at=containers:list").content.decode()
    assert 'aria-current="page"' in html
    assert "Docker 24.0.7" in html
    assert "3 up, 1 failed" in html
    assert "<span>shop</span>" in html
    assert '1<span class="vh"> running' in html
    assert "shop" not in client_for(charlie).get("/frame/").content.decode()


def keep(row: list[object]) -> None:
    """A newest figure, as the gateway tells it."""

    async def tell() -> None:
        connection = aclient()
        await stats.publish(connection, [row])
        await connection.aclose()

    asyncio.run(tell())


def test_the_sidebar_says_what_all_containers_use(client_for: ClientFor, bob: User) -> None:
    engine = make_engine(cpus=4, memory=8_000)
    assert "gauges" not in client_for(bob).get("/containers/").content.decode()
    keep([str(engine.pk), 1.0, 6_000, 0, 1, 1, 1, 1, 9, int(time.time() * 1000)])
    html = client_for(bob).get("/containers/").content.decode()
    assert f'data-load="{engine.pk}" data-cores="4" data-bytes="8000"' in html
    assert "<span>25 %</span>" in html
    assert "<span>75 %</span>" in html
    type(engine).objects.update(status="unreachable")
    assert "gauges" not in client_for(bob).get("/containers/").content.decode()


def test_a_spark_begins_with_what_is_known(client_for: ClientFor, bob: User, team: Team) -> None:
    made = make_container(make_engine(), team, "web")
    for cpu in (None, 0.25, 0.5):
        keep([str(made.pk), cpu, 6_000, 0, 1, 1, 1, 1, 9, int(time.time() * 1000)])
    for path, values in (
        ("/containers/", ["0.25 0.5"]),
        (f"/containers/{made.pk}/", ["0.25 0.5", "6000 6000 6000"]),
    ):
        html = client_for(bob).get(path).content.decode()
        assert re.findall(r'data-values="([^"]*)"', html) == values


def test_an_engine_that_is_away_is_told_with_since_and_why(client_for: ClientFor, bob: User) -> None:
    make_engine(status="unreachable", status_since=timezone.now(), status_detail="Nothing listens there.")
    html = client_for(bob).get("/frame/?part=down").content.decode()
    assert "is unreachable since" in html
    assert "Nothing listens there." in html
    assert html.count('role="alert"') == 1


def test_the_palette_finds_by_every_word(client_for: ClientFor, bob: User, charlie: User, team: Team) -> None:
    engine = make_engine()
    make_container(engine, team, "shop-web", image_ref="team/web:1.4")
    make_image(engine, team, "team/web:1.4")
    html = client_for(bob).get("/search/?q=web+1.4").content.decode()
    assert "shop-web" in html
    assert "team/web:1.4" in html
    assert "shop-web" not in client_for(bob).get("/search/?q=web+zzz").content.decode()
    assert "shop-web" not in client_for(charlie).get("/search/?q=web").content.decode()


def test_what_does_not_exist_is_a_page_and_for_htmx_a_sentence(client_for: ClientFor, bob: User) -> None:
    browser = client_for(bob)
    assert "There is nothing here" in browser.get("/nowhere/").content.decode()
    assert browser.get("/nowhere/", headers={"HX-Request": "true"}).json() == {"detail": "No such object."}


def test_a_refusal_names_the_missing_role(client_for: ClientFor, vic: User) -> None:
    response = client_for(vic).get("/containers/run/")
    assert response.status_code == 403
    assert "operator" in response.content.decode()


def test_what_breaks_shows_no_trace(
    client_for: ClientFor, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-72."""

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("containers_app.listing.listing", broken)
    browser = client_for(bob, raise_request_exception=False)
    response = browser.get("/containers/")
    assert response.status_code == 500
    assert "Something broke on our side" in response.content.decode()
    assert "secret" not in response.content.decode()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OperationalError("host=db.internal refused"), 503, "The database does not answer"),
        (OSError(errno.ENOSPC, "No space left on device"), 507, "disk is full"),
    ],
)
def test_what_passes_is_told_as_that_on_pages_and_in_rest(
    error: Exception,
    status: int,
    said: str,
    client_for: ClientFor,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise error

    browser = client_for(bob, raise_request_exception=False)
    monkeypatch.setattr("containers_app.listing.listing", broken)
    page = browser.get("/containers/")
    assert page.status_code == status
    assert said in page.content.decode()
    assert "internal" not in page.content.decode()
    toast = browser.get("/containers/", headers={"HX-Request": "true"})
    assert (toast.status_code, said in toast.json()["detail"]) == (status, True)
    monkeypatch.setattr("dashboard.middleware.SessionClock.__call__", broken)
    problem = browser.get("/api/v1/containers/")
    assert (problem.status_code, problem.json()["status"]) == (status, status)
    assert problem["Content-Type"] == "application/problem+json"
