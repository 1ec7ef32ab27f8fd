"""The one door, seen from every side: pages, REST, the admin and sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from accounts import factors
from accounts.models import User
from accounts.tests.test_second_factors import code_of
from operations.sockets import actor_by

ClientFor = Callable[..., Client]


def test_s_08_who_must_have_a_second_factor_gets_nothing_but_the_pages_that_add_it(
    client_for: ClientFor, alice: User, tara: User, bob: User, settings: Any
) -> None:
    settings.SECOND_FACTOR = "staff"
    for person in (alice, tara):
        client = client_for(person)
        assert client.get("/containers/")["Location"] == "/account/security/"
        refused = client.get("/api/v1/containers/")
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        assert client.get("/admin/").status_code == 403
        assert actor_by(("session", client.session.session_key or ""), None) is None
        page = client.get("/account/app/").context
        code = code_of(page["secret"].replace(" ", ""))
        assert client.post("/account/app/", {"sealed": page["sealed"], "code": code}).context["codes"]
        assert client.get("/containers/").status_code == 200
        assert actor_by(("session", client.session.session_key or ""), None) is not None
        app = factors.of(person).app
        assert app is not None
        client.post(f"/account/factors/{app.pk}/remove/")
        assert factors.of(person).second
    assert client_for(bob).get("/containers/").status_code == 200
    settings.SECOND_FACTOR = "everybody"
    assert client_for(bob).get("/containers/").status_code == 302
