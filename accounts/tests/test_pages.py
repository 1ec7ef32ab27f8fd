"""One's own account, the audit page, and accounts in the admin."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts import audit, tokens
from accounts.access import person as actor_for
from accounts.models import ApiToken, AuditEntry, Membership, Role, Team, User

PASSWORD = "correct horse battery staple"
NEW = "another horse battery staple"
ClientFor = Callable[..., Client]


def change(client: Client, **fields: str) -> object:
    """Asks for a new password."""
    return client.post("/account/password/", {"old": PASSWORD, "new": NEW, "new_again": NEW, **fields})


def test_a_new_password_ends_every_other_session(client_for: ClientFor, vic: User) -> None:
    """S-09, S-12."""
    here, there = client_for(vic), client_for(vic)
    before = here.session.session_key
    assert change(here).status_code == 302  # type: ignore[attr-defined]
    assert here.get("/account/").status_code == 200
    assert here.session.session_key != before
    assert there.get("/account/").status_code == 302
    vic.refresh_from_db()
    assert vic.check_password(NEW)
    assert AuditEntry.objects.get(verb="auth.password").actor == vic


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"old": "wrong"}, "old"),
        ({"new": "short", "new_again": "short"}, "new"),
        ({"new_again": "other"}, "new_again"),
    ],
)
def test_a_password_that_is_not_valid_changes_nothing(
    client_for: ClientFor, vic: User, fields: dict[str, str], wrong: str
) -> None:
    answer = change(client_for(vic), **fields)
    assert wrong in answer.context["password_form"].errors  # type: ignore[attr-defined]
    vic.refresh_from_db()
    assert vic.check_password(PASSWORD)


def test_the_old_password_cannot_be_tried_out(client_for: ClientFor, vic: User) -> None:
    client = client_for(vic)
    for _ in range(10):
        assert change(client, old="wrong").status_code == 200  # type: ignore[attr-defined]
    assert change(client).status_code == 429  # type: ignore[attr-defined]


def test_a_token_is_shown_in_one_answer_alone(client_for: ClientFor, vic: User) -> None:
    client = client_for(vic)
    page = client.post("/account/tokens/", {"name": "ci", "scope": "write", "lasts": "30"})
    assert "no-store" in page["Cache-Control"]
    secret = page.context["secret"]
    assert tokens.PATTERN.fullmatch(secret)
    assert secret in page.content.decode()
    again = client.get("/account/").content.decode()
    assert not re.search(tokens.PATTERN, again)
    assert "ci" in again
    token = ApiToken.objects.get()
    assert (token.scopes, token.user) == (["read", "operate", "write"], vic)
    for verb in ("revoke", "rotate"):
        asks = f"/account/tokens/{token.pk}/{verb}/"
        assert f'data-dialog-from="{asks}"' in again
        assert f"{verb.title()} ci?" in client.get(asks).content.decode()
        assert tokens.actor_from_bearer(f"Bearer {secret}"), "it was asked, and nothing done"
    client.post(f"/account/tokens/{token.pk}/revoke/")
    assert tokens.actor_from_bearer(f"Bearer {secret}") is None
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == [
        "token.create",
        "token.revoke",
    ]


def test_a_token_of_a_foreign_team_cannot_be_made(client_for: ClientFor, vic: User, other_team: Team) -> None:
    page = client_for(vic).post(
        "/account/tokens/", {"name": "ci", "scope": "read", "lasts": "30", "team": "red"}
    )
    assert "team" in page.context["token_form"].errors
    assert not ApiToken.objects.exists()


def test_nobody_revokes_the_tokens_of_others_here(client_for: ClientFor, vic: User, alice: User) -> None:
    token, _ = tokens.make(vic, "ci", ["read"])
    assert client_for(alice).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404


ADMIN_PAGES = ["user", "team", "apitoken", "auditentry"]


@pytest.mark.parametrize("model", ADMIN_PAGES)
def test_accounts_have_pages_in_the_admin(
    client_for: ClientFor, alice: User, vic: User, team: Team, model: str
) -> None:
    tokens.make(vic, "ci", ["read"])
    audit.record("container.stop", actor_for(vic, source="ui"), target_name="web")
    client = client_for(alice)
    page = client.get(f"/admin/accounts/{model}/?q=ci")
    assert page.status_code == 200
    row = {
        "user": vic,
        "team": team,
        "apitoken": ApiToken.objects.get(),
        "auditentry": AuditEntry.objects.get(),
    }[model]
    detail = client.get(f"/admin/accounts/{model}/{row.pk}/change/")
    assert detail.status_code == 200
    assert ApiToken.objects.get().digest not in detail.content.decode()


@pytest.mark.parametrize("model", ["apitoken", "auditentry"])
def test_the_trail_and_tokens_cannot_be_written_in_the_admin(
    client_for: ClientFor, alice: User, model: str
) -> None:
    """S-86."""
    audit.record("container.stop", actor_for(alice, source="ui"))
    token, _ = tokens.make(alice, "ci", ["read"])
    row = token if model == "apitoken" else AuditEntry.objects.get()
    client = client_for(alice)
    for path in ("add/", f"{row.pk}/delete/"):
        assert client.post(f"/admin/accounts/{model}/{path}", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/accounts/{model}/{row.pk}/change/", {"name": "x"}).status_code == 403


def test_what_is_done_in_the_admin_is_in_the_trail(client_for: ClientFor, alice: User) -> None:
    client = client_for(alice)
    form = {
        "slug": "green",
        "name": "Green",
        "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
    }
    assert client.post("/admin/accounts/team/add/", form).status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor, entry.source, entry.target_name) == (
        "team.create",
        alice,
        "admin",
        "Green",
    )


def test_staff_without_power_make_nobody_powerful(
    client_for: ClientFor, person: Callable[..., User], vic: User, team: Team
) -> None:
    """S-86."""
    staff = person("staff", is_staff=True)
    Membership.objects.create(user=staff, team=team, role=Role.ADMIN)
    client = client_for(staff)
    for path in ("user/add/", f"user/{vic.pk}/change/", f"user/{vic.pk}/password/", f"user/{vic.pk}/delete/"):
        assert client.get(f"/admin/accounts/{path}").status_code == 403
    assert client.post(f"/admin/accounts/user/{staff.pk}/change/", {"is_superuser": "on"}).status_code == 403


def test_an_administrator_cannot_lock_everybody_out(client_for: ClientFor, alice: User) -> None:
    client = client_for(alice)
    assert client.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    page = client.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert 'name="is_superuser"' not in page


def test_tokens_are_revoked_in_the_admin(client_for: ClientFor, alice: User, vic: User) -> None:
    token, secret = tokens.make(vic, "ci", ["read"])
    form = {"action": "revoke", "_selected_action": [str(token.pk)]}
    client_for(alice).post("/admin/accounts/apitoken/", form)
    assert tokens.actor_from_bearer(f"Bearer {secret}") is None
    assert AuditEntry.objects.get(verb="token.revoke").actor == alice
