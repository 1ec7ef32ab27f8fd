"""S-71, S-86: where the admin stands, who changes what in it, and where published ports open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import clear_url_caches

from accounts import sessions
from accounts.models import Membership, Role, Team, User
from containers_app.listing import ports_of
from dashboard import checks, urls
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]


@pytest.fixture
def admin_at(settings: Any) -> Iterator[Callable[[str], None]]:
    """Serves the admin below another path, or nowhere."""
    before = settings.ADMIN_PATH

    def put(where: str) -> None:
        made = ModuleType("elsewhere")
        made.__dict__.update({name: getattr(urls, name) for name in dir(urls) if name.startswith("handler")})
        here = {f"{before}/{rest}" for rest in ("", "login/", "logout/", "password_change/")}
        others = [one for one in urls.urlpatterns if str(one.pattern) not in here]
        made.__dict__["urlpatterns"] = [*others, *urls.admin_at(where)]
        sys.modules["elsewhere"] = made
        settings.ROOT_URLCONF, settings.ADMIN_PATH = "elsewhere", where
        clear_url_caches()

    yield put
    sys.modules.pop("elsewhere", None)
    clear_url_caches()


@pytest.mark.parametrize("where", ["containers", "login", "healthz", "api", "static", "ws", "account"])
def test_the_admin_takes_no_place_of_the_pages(where: str) -> None:
    """S-86: it would hide them, or be hidden; the start says which setting is wrong."""
    others = [one for one in urls.urlpatterns if str(one.pattern) != "admin/"]
    with pytest.raises(ImproperlyConfigured, match="SLIPWAY_ADMIN_PATH"):
        urls.free(where, others)
    assert urls.free("panel", others) == "panel"
    assert urls.free("", others) == ""
    asked = [sys.executable, "-c", "import dashboard.asgi"]
    env = {**os.environ, "SLIPWAY_ADMIN_PATH": where}
    if where == "containers":
        told = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (told.returncode, "SLIPWAY_ADMIN_PATH" in told.stderr) == (1, True)


def test_the_admin_stands_where_the_site_says(
    admin_at: Callable[[str], None], client_for: ClientFor, alice: User, settings: Any
) -> None:
    """S-86: with the same doors there, and at the old place nothing; nowhere, where the site wants none."""
    admin_at("panel")
    browser = client_for(alice)
    assert browser.get("/panel/accounts/user/").status_code == 200
    assert b'href="/panel/"' in browser.get("/containers/").content
    assert browser.get("/admin/").status_code == 404
    assert Client().get("/panel/login/").headers["Location"].startswith("/login/")
    session = browser.session
    session[sessions.SINCE] -= 3600
    session.save()
    assert "/account/confirm/" in browser.get("/panel/accounts/user/add/").headers["Location"]
    settings.SECOND_FACTOR = "everybody"
    assert browser.get("/panel/").status_code == 403
    settings.SECOND_FACTOR = "nobody"
    admin_at("")
    for path in ("/panel/", "/panel/login/", "/admin/"):
        assert browser.get(path).status_code == 404
    assert b"Administration" not in browser.get("/containers/").content
    assert browser.get("/teams/people/").status_code == 200


def test_staff_are_no_administrators_and_nobody_changes_their_own_rights(
    client_for: ClientFor, alice: User, person: Callable[..., User], team: Team
) -> None:
    """S-86."""
    staff = person("staff", team, Role.VIEWER, is_staff=True)
    browser = client_for(staff)
    row = staff.memberships.get()
    form = {
        "name": "Blue", "slug": "blue", "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": row.pk, "memberships-0-user": staff.pk, "memberships-0-team": team.pk,
        "memberships-0-role": "admin",
    }  # fmt: skip
    there = f"/admin/accounts/team/{team.pk}/change/"
    assert browser.post(there, form).status_code == 403
    assert browser.post(f"/admin/accounts/user/{staff.pk}/change/", {"is_superuser": "on"}).status_code == 403
    own = {
        **form, "memberships-INITIAL_FORMS": "0", "memberships-0-id": "", "memberships-0-user": alice.pk,
        "memberships-0-role": "admin",
    }  # fmt: skip
    answer = client_for(alice).post(there, own)
    assert b"Nobody changes their own roles here" in answer.content
    assert not Membership.objects.filter(user=alice).exists()
    assert client_for(alice).post(there, form).status_code == 302
    assert staff.memberships.get().role == "admin"


def test_published_ports_open_the_host_that_the_site_names(
    client_for: ClientFor, alice: User, team: Team, settings: Any
) -> None:
    """S-71: and whoever runs Slipway is told where that is the host of the pages."""
    port = {"container": 80, "host": 8080, "protocol": "tcp", "host_ip": ""}
    near = make_container(make_engine(), team, "near", ports=[port])
    far = make_container(make_engine("far", endpoint="tcp://10.0.0.9:2376"), team, "far", ports=[port])
    settings.SECURE, settings.PUBLIC_URL = True, "https://slipway.example"
    assert [one.id for one in checks.ports()] == ["slipway.W005"]
    browser = client_for(alice, headers={"X-Forwarded-Proto": "https"})
    assert b"SLIPWAY_PUBLISHED_PORT_HOST" in browser.get("/admin/", secure=True).content
    settings.PUBLISHED_PORT_HOST = "slipway.example"
    assert list(checks.ports())
    settings.PUBLISHED_PORT_HOST = "apps.example"
    assert not list(checks.ports())
    assert b"SLIPWAY_PUBLISHED_PORT_HOST" not in browser.get("/admin/", secure=True).content
    assert [ports_of(row, "slipway.example")[0].url for row in (near, far)] == [
        "http://apps.example:8080", "http://10.0.0.9:8080",
    ]  # fmt: skip
    assert b'href="http://apps.example:8080"' in browser.get("/containers/", secure=True).content
