"""What stands around every page, and the pages of errors."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

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
