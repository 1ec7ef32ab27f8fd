"""One line for each thing that happens: no more, no fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client
from rest_framework.test import APIClient

from accounts import audit, limits, setup, tokens, verification
from accounts.access import Actor
from accounts.models import ApiToken, AuditEntry, AuditHead, SetUp, Team, User

PASSWORD = "correct horse battery staple"
NEW = "another horse battery staple"
Step = Callable[["World"], object]


class World:
    """Vic's browser, Alice's in the admin, and a script of Vic's."""

    def __init__(self, vic: User, alice: User, browser: Client, admin: Client, script: APIClient) -> None:
        self.vic, self.alice = vic, alice
        self.nobody, self.browser, self.admin, self.script = Client(), browser, admin, script
        self.token, _ = tokens.make(vic, "ci", ["read"])
        self.weak = APIClient()
        self.weak.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.make(vic, 'weak', ['read'])[1]}")

    def sign_in(self, name: str, password: str) -> Any:
        """Through the form."""
        return self.nobody.post("/login/", {"username": name, "password": password})

    def locked_out(self) -> None:
        """Nine tries that failed, so that the next one is the last; their lines are not looked at."""
        for _ in range(limits.PER_ACCOUNT - 1):
            limits.begin("name:vic", "192.0.2.1")


@pytest.fixture
def world(vic: User, alice: User, client_for: Any, api_for: Any) -> World:
    """All of them."""
    return World(vic, alice, client_for(vic), client_for(alice), api_for(vic))


TEAM_FORM = {
    "slug": "green",
    "name": "Green",
    "memberships-TOTAL_FORMS": "0",
    "memberships-INITIAL_FORMS": "0",
}
EVENTS: dict[str, tuple[Step, list[tuple[str, str, str]]]] = {
    "signed in": (lambda w: w.sign_in("vic", PASSWORD), [("auth.login", "succeeded", "vic")]),
    "wrong password": (lambda w: w.sign_in("vic", "wrong"), [("auth.login", "failed", "vic")]),
    "unknown name": (lambda w: w.sign_in("nobody", "wrong"), [("auth.login", "failed", "unknown")]),
    "locked out": (
        lambda w: (w.locked_out(), w.sign_in("vic", "wrong")),
        [("auth.login", "failed", "vic"), ("auth.locked", "denied", "vic")],
    ),
    "signed out": (lambda w: w.browser.post("/logout/"), [("auth.logout", "succeeded", "vic")]),
    "signed out twice": (
        lambda w: (w.browser.post("/logout/"), w.browser.post("/logout/")), [("auth.logout", "succeeded", "vic")]
    ),
    "password": (
        lambda w: w.browser.post("/account/password/", {"old": PASSWORD, "new": NEW, "new_again": NEW}),
        [("auth.password", "succeeded", "vic")],
    ),
    "token made": (
        lambda w: w.browser.post("/account/tokens/", {"name": "x", "scope": "read", "lasts": "30"}),
        [("token.create", "succeeded", "vic")],
    ),
    "token made by REST": (
        lambda w: w.browser.post("/api/v1/tokens/", {"name": "x", "scopes": ["read"]}, "application/json"),
        [("token.create", "succeeded", "vic")],
    ),
    "token made by a token": (
        lambda w: w.script.post("/api/v1/tokens/", {"name": "x", "scopes": ["read"]}),
        [("token.own", "denied", "vic")],
    ),
    "token revoked": (
        lambda w: w.browser.post(f"/account/tokens/{w.token.pk}/revoke/"), [("token.revoke", "succeeded", "vic")]
    ),
    "token revoked twice by REST": (
        lambda w: [w.browser.delete(f"/api/v1/tokens/{w.token.pk}/") for _ in range(2)],
        [("token.revoke", "succeeded", "vic")],
    ),
    "token revoked in the admin": (
        lambda w: w.admin.post(
            "/admin/accounts/apitoken/", {"action": "revoke", "_selected_action": [str(w.token.pk)]}
        ),
        [("token.revoke", "succeeded", "alice")],
    ),
    "token made by the command line": (
        lambda w: call_command("token", "create", "x", "--user", "vic", "--scope", "read"),
        [("token.create", "succeeded", "system")],
    ),
    "somebody else's token by a token": (
        lambda w: w.weak.delete(f"/api/v1/tokens/{w.token.pk}/"), [("token.own", "denied", "vic")]
    ),
    "team made in the admin": (
        lambda w: w.admin.post("/admin/accounts/team/add/", TEAM_FORM), [("team.create", "succeeded", "alice")]
    ),
    "person removed in the admin": (
        lambda w: w.admin.post(f"/admin/accounts/user/{w.vic.pk}/delete/", {"post": "yes"}),  # with two tokens
        [("user.remove", "succeeded", "alice")],
    ),
    "page denied": (lambda w: w.browser.get("/audit/"), [("audit.read", "denied", "vic")]),
    "page's form denied": (
        lambda w: w.browser.post("/volumes/create/", {"name": "x"}), [("volume.create", "denied", "vic")]
    ),
    "part of a page denied": (
        lambda w: w.browser.get("/audit/", headers={"HX-Request": "true"}), [("audit.read", "denied", "vic")]
    ),
    "REST denied": (lambda w: w.script.get("/api/v1/users/"), [("user.read", "denied", "vic")]),
    "somebody else's token by REST": (
        lambda w: w.admin.delete(f"/api/v1/tokens/{w.token.pk}/"), [("token.revoke", "succeeded", "alice")]
    ),
    "exported": (
        lambda w: w.admin.get("/api/v1/audit/?format=csv"), [("audit.export", "succeeded", "alice")]
    ),
    "looked at": (lambda w: w.admin.get("/audit/"), []),
}  # fmt: skip


@pytest.mark.parametrize("what", EVENTS)
def test_what_happens_leaves_its_line(what: str, world: World) -> None:
    step, lines = EVENTS[what]
    step(world)
    found = AuditEntry.objects.order_by("seq").values_list("verb", "outcome", "actor_name")
    assert list(found) == lines
    assert verification.verify().bad is None


def test_the_set_up_leaves_its_line(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_done", False)
    setup.set_up(username="alice", password=PASSWORD)
    with pytest.raises(setup.AlreadySetUp):
        setup.set_up(username="bob", password=PASSWORD)
    assert list(AuditEntry.objects.values_list("verb", "actor_name")) == [("auth.setup", "alice")]
    assert SetUp.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_recorded_does_not_happen(client_for: Any, vic: User, team: Team) -> None:
    """S-84. The head of the chain is behind, so that no entry can be written."""
    audit.record("auth.login", Actor(user=vic))
    client = client_for(vic)
    AuditHead.objects.update(seq=0)
    for path, form in (
        ("/account/tokens/", {"name": "x", "scope": "read", "lasts": "30"}),
        ("/account/password/", {"old": PASSWORD, "new": NEW, "new_again": NEW}),
    ):
        with pytest.raises(DatabaseError):
            client.post(path, form)
    with pytest.raises(DatabaseError):
        Client().post("/login/", {"username": "vic", "password": PASSWORD})
    vic.refresh_from_db()
    assert vic.check_password(PASSWORD)
    assert not ApiToken.objects.exists()
