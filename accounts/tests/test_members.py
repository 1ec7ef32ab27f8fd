"""S-28: who puts whom into which team, and what stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts import members
from accounts.access import Denied
from accounts.access import person as actor_of
from accounts.models import AuditEntry, Membership, Role, Team, User

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]


def path(team: Team, user: User | None = None) -> str:
    """The REST address of a team's members, or of one."""
    return f"/api/v1/teams/{team.pk}/members/{f'{user.pk}/' if user else ''}"


def send(client: Any, method: str, to: str, **said: Any) -> Any:
    """A JSON call by session or token."""
    return client.generic(method, to, json.dumps(said), content_type="application/json")


@pytest.fixture
def nora(person: Callable[..., User]) -> User:
    """In no team yet."""
    return person("nora")


def test_a_team_admin_puts_somebody_in_changes_and_takes_them_out(
    client_for: ClientFor, tara: User, nora: User, team: Team
) -> None:
    client = client_for(tara)
    made = send(client, "POST", path(team), username="nora", role="operator", console=True)
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["username"], body["role"], body["console"], body["files"]) == (
        "nora",
        "operator",
        True,
        False,
    )
    assert made["Location"] == path(team, nora)
    assert body["since"]
    assert send(client, "POST", path(team), username="nora").status_code == 409
    assert send(client, "PATCH", path(team, nora), role="admin").json()["role"] == "admin"
    assert [row["username"] for row in client.get(path(team)).json()] == ["nora", "tara"]
    assert send(client, "DELETE", path(team, nora)).status_code == 204
    assert client.get(path(team, nora)).status_code == 404
    lines = AuditEntry.objects.filter(target_id=str(nora.pk)).order_by("seq")
    assert [line.verb for line in lines] == ["member.add", "member.change", "member.remove"]
    assert all(line.actor == tara and line.team_slug == "blue" for line in lines)
    assert lines[1].detail["was"]["role"] == "operator"
    assert lines[1].detail["now"]["role"] == "admin"


def test_nobody_gives_what_they_have_not(
    client_for: ClientFor, tara: User, bob: User, vic: User, charlie: User, other_team: Team, team: Team
) -> None:
    """Not in another team, not as an operator, and not to themselves."""
    assert send(client_for(bob), "PATCH", path(team, bob), role="admin").status_code == 403
    assert send(client_for(vic), "POST", path(team), username="charlie").status_code == 403
    assert send(client_for(tara), "POST", path(other_team), username="vic").status_code == 404
    assert send(client_for(tara), "PATCH", path(other_team, charlie), role="viewer").status_code == 404
    assert set(Membership.objects.values_list("user__username", "role")) == {
        ("tara", "admin"), ("bob", "operator"), ("vic", "viewer"), ("charlie", "operator"),
    }  # fmt: skip


def test_a_site_administrator_is_changed_by_another_one_alone(
    alice: User, tara: User, team: Team, person: Callable[..., User]
) -> None:
    root = person("root", team, Role.VIEWER, is_superuser=True)
    by_tara = actor_of(tara, source="ui")
    with pytest.raises(Denied, match="site administrator"):
        members.put(team, root, actor=by_tara, role=Role.OPERATOR)
    with pytest.raises(Denied, match="site administrator"):
        members.take_out(root.memberships.get(), actor=by_tara)
    assert members.put(team, root, actor=actor_of(alice, source="ui"), role=Role.OPERATOR).role == "operator"


def test_the_last_team_admin_stays(
    client_for: ClientFor, alice: User, tara: User, team: Team, person: Callable[..., User]
) -> None:
    gone = person("gone", team, Role.ADMIN, is_active=False)  # nobody who could do anything
    for client in (client_for(tara), client_for(alice)):
        for method, said in (("PATCH", {"role": "operator"}), ("DELETE", {})):
            answer = send(client, method, path(team, tara), **said)
            assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    User.objects.filter(pk=gone.pk).update(is_active=True)
    assert send(client_for(tara), "PATCH", path(team, tara), role="viewer").status_code == 200


def test_a_token_makes_no_team_admin(api_for: ApiFor, tara: User, vic: User, team: Team) -> None:
    """S-14: that takes somebody who shows who they are."""
    api = api_for(tara)
    assert send(api, "PATCH", path(team, vic), role="operator").status_code == 200
    assert send(api, "PATCH", path(team, vic), role="admin").status_code == 403
    assert send(api_for(tara, "write"), "PATCH", path(team, vic), role="viewer").status_code == 403


def test_unknown_fields_and_people_are_refused(
    client_for: ClientFor, tara: User, vic: User, team: Team
) -> None:
    """S-29: what is nobody's to set is an error, not ignored."""
    client = client_for(tara)
    for field in ("is_staff", "is_superuser", "team", "user", "since", "created_by", "state", "owner"):
        answer = send(client, "PATCH", path(team, vic), **{field: "x"})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field"), field
    assert "username" in send(client, "POST", path(team), username="no.such").json()["errors"]


def test_the_last_administrator_stays_and_nobody_disables_themselves(
    client_for: ClientFor, alice: User, vic: User, person: Callable[..., User], api_for: ApiFor
) -> None:
    client = client_for(alice)
    own = send(client, "PATCH", f"/api/v1/users/{alice.pk}/", is_active=False)
    assert (own.status_code, own.json()["code"]) == (409, "own_account")
    root = person("root", is_superuser=True)
    with pytest.raises(members.Kept):
        members.set_active(alice, False, actor=actor_of(alice, source="ui"))
    assert send(client, "PATCH", f"/api/v1/users/{root.pk}/", is_active=False).status_code == 200
    with pytest.raises(members.Kept, match="Nobody else"):
        members.keep_an_administrator(alice, stays=False)


def test_who_is_disabled_is_out_at_once_and_comes_back_with_their_tokens(
    client_for: ClientFor, api_for: ApiFor, alice: User, vic: User
) -> None:
    """S-12."""
    admin, browser, script = client_for(alice), client_for(vic), api_for(vic, "read")
    assert browser.get("/account/").status_code == 200
    page = admin.get(f"/teams/people/{vic.pk}/active/").content.decode()
    assert "1 session," in page
    assert "1 token," in page
    assert admin.post(f"/teams/people/{vic.pk}/active/").status_code == 302
    assert browser.get("/account/").status_code == 302
    assert script.get("/api/v1/containers/").status_code == 401
    line = AuditEntry.objects.get(verb="user.disable")
    assert (line.target_name, line.detail["sessions"], line.detail["tokens"]) == ("vic", 1, 1)
    assert admin.post(f"/teams/people/{vic.pk}/active/").status_code == 302
    assert script.get("/api/v1/containers/").status_code == 200
    assert browser.get("/account/").status_code == 302


def test_teams_are_made_and_renamed_by_site_administrators(
    client_for: ClientFor, alice: User, tara: User
) -> None:
    client = client_for(alice)
    made = send(client, "POST", "/api/v1/teams/", slug="green", name="Green")
    assert made.status_code == 201, made.content
    assert send(client, "POST", "/api/v1/teams/", slug="green", name="G").status_code == 409
    assert send(client, "POST", "/api/v1/teams/", slug="Gr een", name="G").status_code == 400
    assert send(client, "PATCH", made["Location"], name="Greener").json()["name"] == "Greener"
    assert send(client, "PATCH", made["Location"], slug="other").status_code == 400
    assert send(client_for(tara), "POST", "/api/v1/teams/", slug="mine", name="Mine").status_code == 403
    verbs = AuditEntry.objects.filter(team_slug="green").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["team.create", "team.change"]


def test_pages_do_the_same(client_for: ClientFor, alice: User, tara: User, nora: User, team: Team) -> None:
    client, page = client_for(tara), f"/teams/{team.pk}/"
    assert "Nora" not in client.get(page).content.decode()
    offered = client.get(f"{page}members/").content.decode()
    assert "Team admin" in offered
    client.post(f"{page}members/", {"username": "nora", "role": "operator", "files": "on"})
    assert nora.memberships.get().files
    client.post(f"{page}members/{nora.pk}/", {"role": "viewer"})
    assert nora.memberships.get().role == "viewer"
    client.post(f"{page}members/{nora.pk}/", {"out": "1", "role": "viewer"})
    assert not nora.memberships.exists()
    wrong = client.post(f"{page}members/", {"username": "no.such", "role": "viewer"})
    assert b"Nobody who may sign in" in wrong.content
    answer = client.post(f"{page}members/{tara.pk}/", {"role": "viewer"}, follow=True)
    assert b"Nobody else administers Blue" in answer.content
    client_for(alice).post("/teams/new/", {"name": "Green", "slug": "green"})
    assert Team.objects.get(slug="green").memberships.count() == 0


def form_of(row: Membership, **said: str) -> dict[str, str]:
    """What the admin sends of a team with one member."""
    given = {"user": row.user_id, "team": row.team_id, "id": row.pk, "role": row.role, **said}
    fields = {f"memberships-0-{name}": str(value) for name, value in given.items()}
    counts = {"TOTAL_FORMS": "1", "INITIAL_FORMS": "1", "MIN_NUM_FORMS": "0", "MAX_NUM_FORMS": "1000"}
    head = {f"memberships-{name}": value for name, value in counts.items()}
    return {"name": row.team.name, "slug": row.team.slug, **head, **fields}


def test_the_last_ones_stay_in_the_admin_too(
    client_for: ClientFor, alice: User, tara: User, team: Team, person: Callable[..., User]
) -> None:
    client, row = client_for(alice), tara.memberships.get()
    there = f"/admin/accounts/team/{team.pk}/change/"
    for said in ({"role": "viewer"}, {"DELETE": "on"}):
        assert b"Nobody else administers Blue" in client.post(there, form_of(row, **said)).content
        assert Membership.objects.get().role == "admin"
    second = Membership.objects.create(user=person("second"), team=team, role=Role.ADMIN)
    assert client.post(there, {**form_of(row, role="viewer")}).status_code == 302
    row.refresh_from_db()
    assert (row.role, second.role) == ("viewer", "admin")

    root = person("root", is_superuser=True, is_staff=True)
    there = f"/admin/accounts/user/{root.pk}/change/"
    counts = {key: value for key, value in form_of(row).items() if "FORMS" in key}
    off = {**counts, "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0", "username": "root"}
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    assert client.post(there, off).status_code == 302
    root.refresh_from_db()
    assert not root.is_superuser
