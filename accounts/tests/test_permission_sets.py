"""Roles of one's own making: who makes, gives, changes and removes them, and what they open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import members, permission_sets, tokens
from accounts.access import Denied, can, why_not
from accounts.access import person as actor_of
from accounts.models import AuditEntry, Membership, PermissionSet, Role, Team, User
from accounts.permission_texts import AREAS
from accounts.permissions import ALWAYS, whole
from accounts.tests.test_members import form_of, send
from accounts.tests.test_members import path as members_path
from tests import rows

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]


def path(team: Team | None, row: PermissionSet | None = None) -> str:
    """The REST address of the sets of a team, of those for all, or of one."""
    return f"/api/v1/{f'teams/{team.pk}/' if team else ''}permission-sets/{f'{row.pk}/' if row else ''}"


@pytest.fixture
def restarts(team: Team) -> PermissionSet:
    """Of team blue."""
    return PermissionSet.objects.create(team=team, name="Restart only", permissions=["container.restart"])


@pytest.fixture
def sue(person: Callable[..., User], team: Team, restarts: PermissionSet) -> User:
    """In team blue, by that set."""
    user = person("sue")
    Membership.objects.create(user=user, team=team, role=Role.CUSTOM, permission_set=restarts)
    return user


def test_the_sentence_of_a_right_says_what_it_lets_one_do() -> None:
    said = {name: str(text) for _, texts in AREAS for name, text in texts.items()}
    assert said["container.copy"] == "Download what containers wrote outside their volumes"
    for name in ("care.container", "care.team", "care.site"):  # as `containers_app.care.WORDS` has it
        assert "restarted when unhealthy, stopped in a crash loop" in said[name]


def test_a_team_admin_makes_a_set_gives_it_and_takes_it_away(
    client_for: ClientFor, tara: User, bob: User, team: Team
) -> None:
    client = client_for(tara)
    made = send(client, "POST", path(team), name="Log readers", permissions=["container.logs"])
    assert made.status_code == 201, made.content
    assert made.json()["permissions"] == [
        "account.own", "container.logs", "container.read", "engine.read", "team.read", "token.own",
    ]  # fmt: skip
    assert (
        send(client, "POST", path(team), name="log readers", permissions=[]).json()["code"] == "name_in_use"
    )
    pk = made.json()["id"]
    given = send(client, "PATCH", members_path(team, bob), permission_set=pk).json()
    assert (given["role"], given["permission_set"]["name"]) == ("custom", "Log readers")
    assert client.get(made["Location"]).json()["members"] == ["bob"]

    refused = send(client, "DELETE", made["Location"])
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["holders"] == ["bob"]
    assert "bob have it" in refused.json()["detail"]
    assert send(client, "DELETE", made["Location"], role="viewer").status_code == 204
    assert bob.memberships.get().called == "Viewer"
    lines = AuditEntry.objects.filter(verb__regex="^(permission_set|member)").order_by("seq")
    assert [line.verb for line in lines] == [
        "permission_set.create", "member.change", "member.change", "permission_set.remove",
    ]  # fmt: skip
    assert lines[1].detail["now"] == {
        "role": "custom", "console": False, "files": False, "permission_set": "Log readers",
    }  # fmt: skip


def test_nobody_gives_or_changes_a_set_into_more_than_they_have(
    client_for: ClientFor,
    api_for: ApiFor,
    sue: User,
    restarts: PermissionSet,
    tara: User,
    bob: User,
    team: Team,
) -> None:
    """S-28, and it begins with who may put people in at all."""
    client = client_for(sue)
    assert send(client, "POST", path(team), name="More", permissions=[]).status_code == 403
    PermissionSet.objects.filter(pk=restarts.pk).update(permissions=["container.restart", "team.members"])
    for method, to, said in (
        ("POST", path(team), {"name": "More", "permissions": ["container.remove"]}),
        (
            "PATCH",
            path(team, restarts),
            {"permissions": ["container.restart", "team.members", "container.stop"]},
        ),
        ("PATCH", members_path(team, sue), {"role": "operator"}),
        ("PATCH", members_path(team, bob), {"permission_set": str(restarts.pk)}),  # an operator has more
        ("DELETE", members_path(team, tara), {}),
    ):
        answer = send(client, method, to, **said)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), (to, answer.content)
    assert send(client, "POST", path(team), name="Less", permissions=["container.read"]).status_code == 201
    offered = client.get(f"/teams/{team.pk}/members/").content.decode()
    assert "Less" in offered
    assert "Operator</option>" not in offered
    # A token neither gives nor takes what puts people in.
    api = api_for(tara, "admin")
    assert send(api, "PATCH", path(team, restarts), permissions=["container.restart"]).status_code == 403
    assert send(api, "PATCH", members_path(team, sue), role="viewer").status_code == 403


def test_a_set_of_one_team_is_none_in_another_and_those_for_all_are_the_site_s(
    client_for: ClientFor,
    alice: User,
    tara: User,
    restarts: PermissionSet,
    other_team: Team,
    charlie: User,
    team: Team,
) -> None:
    admin = client_for(alice)
    foreign = {"permission_set": str(restarts.pk)}
    assert send(admin, "PATCH", members_path(other_team, charlie), **foreign).status_code == 400
    with pytest.raises(members.Kept, match="no such permission set"):
        members.put(other_team, charlie, actor=actor_of(alice, source="ui"), permission_set=restarts)
    assert admin.get(path(other_team, restarts)).status_code == 404

    assert send(client_for(tara), "POST", path(None), name="All", permissions=[]).status_code == 403
    made = send(admin, "POST", path(None), name="Readers", permissions=["image.read"]).json()
    assert (made["team"], made["url"].endswith(path(None) + f"{made['id']}/")) == (None, True)
    assert (
        send(admin, "PATCH", members_path(other_team, charlie), permission_set=made["id"]).status_code == 200
    )
    assert [row["name"] for row in client_for(tara).get(path(team)).json()] == ["Readers", "Restart only"]
    shown = client_for(tara).get(f"{path(None)}{made['id']}/").json()
    assert shown["members"] == []  # charlie is none of hers to see
    site = send(admin, "POST", path(None), name="Site", permissions=["engine.manage"])
    assert site.status_code == 400


def test_a_token_for_one_team_makes_and_changes_no_set_of_all_teams(alice: User, team: Team) -> None:
    Membership.objects.create(user=alice, team=team, role=Role.ADMIN)
    all_teams = PermissionSet.objects.create(name="All", permissions=["container.read"])
    _, secret = tokens.make(alice, "ci", ["admin"], team=team)
    api = APIClient(headers={"Authorization": f"Bearer {secret}"})
    wish = {"name": "More", "permissions": ["container.console"]}
    for method, address in (
        ("post", path(None)),
        ("patch", path(None, all_teams)),
        ("delete", path(None, all_teams)),
    ):
        answer = getattr(api, method)(address, wish if method != "delete" else None, format="json")
        assert answer.status_code in (403, 404), (method, address)
    all_teams.refresh_from_db()
    assert all_teams.permissions == ["container.read"]
    assert api.post(path(team), wish, format="json").status_code == 201


def test_the_start_is_a_list_that_the_set_shows(
    client_for: ClientFor, sue: User, restarts: PermissionSet
) -> None:
    assert client_for(sue).get("/")["Location"] == "/containers/"
    PermissionSet.objects.filter(pk=restarts.pk).update(permissions=["volume.read"])
    start = client_for(sue).get("/", follow=True)
    assert (start.redirect_chain, start.status_code) == ([("/volumes/", 302)], 200)


def test_what_is_not_said_stays_as_it_is_by_now(tara: User, restarts: PermissionSet) -> None:
    actor, old = actor_of(tara, source="ui"), PermissionSet.objects.get(pk=restarts.pk)
    permission_sets.save(restarts, actor=actor, permissions=["container.logs"])
    permission_sets.save(old, actor=actor, name="Readers")
    restarts.refresh_from_db()
    assert (restarts.name, "container.logs" in restarts.permissions) == ("Readers", True)
    permission_sets.remove(restarts, actor=actor)
    with pytest.raises(Http404):
        permission_sets.save(old, actor=actor, name="Back again")


def test_a_change_counts_at_the_next_request_for_pages_and_tokens(
    client_for: ClientFor, api_for: ApiFor, sue: User, restarts: PermissionSet, team: Team, alice: User
) -> None:
    image = rows.make_image(rows.make_engine(), team, "shop/web:1")
    client, api = client_for(sue), api_for(sue, "admin")
    for one in (client, api):
        assert one.get("/api/v1/images/").status_code == 403
        assert one.get(f"/api/v1/images/{image.pk}/").status_code == 403
    permission_sets.save(restarts, actor=actor_of(alice, source="ui"), permissions=["image.read"])
    for one in (client, api):
        assert one.get("/api/v1/images/").json()["results"][0]["id"] == str(image.pk)
    line = AuditEntry.objects.get(verb="permission_set.change")
    assert line.detail["added"] == ["image.read"]
    assert line.detail["taken"] == ["container.read", "container.restart", "operation.read"]
    assert line.detail["holders"] == ["sue"]


def test_lists_hold_what_the_set_shows_and_nothing_else(
    client_for: ClientFor, sue: User, team: Team, other_team: Team
) -> None:
    """S-22. That she may see images elsewhere opens none of this team's."""
    engine = rows.make_engine()
    web = rows.make_container(engine, team, "web")
    rows.make_image(engine, team, "secret/app:1")
    rows.make_volume(engine, team, "secret-data")
    rows.make_network(engine, team, "secret-net")
    Membership.objects.create(user=sue, team=other_team, role=Role.VIEWER)
    client = client_for(sue)
    assert "web" in client.get("/containers/").content.decode()
    for page in ("/images/", "/volumes/", "/networks/", "/search/?q=secret", "/api/v1/search/?q=secret"):
        answer = client.get(page)
        assert (answer.status_code, b"secret-" in answer.content, b"secret/" in answer.content) == (
            200,
            False,
            False,
        )
    assert client.get(f"/api/v1/containers/{web.pk}/logs/").status_code == 403
    assert client.get(f"/containers/{web.pk}/logs/").status_code == 403


def test_a_refusal_names_the_set_and_the_permission(client_for: ClientFor, sue: User, team: Team) -> None:
    web = rows.make_container(rows.make_engine(), team, "web")
    problem = send(client_for(sue), "POST", f"/api/v1/containers/{web.pk}/stop/").json()
    assert problem["detail"].startswith(
        "Your permission set “Restart only” does not hold “container.stop”; the role operator does."
    )
    assert (problem["rule"], problem["needed"], problem["yours"]) == (
        "container.stop",
        "operator",
        "Restart only",
    )
    assert "Restart only" in str(why_not(actor_of(sue, source="ui"), "image.read"))
    page = client_for(sue).get(f"/teams/{team.pk}/members/{sue.pk}/may/").content.decode()
    assert "Restart only" in page


def test_the_last_team_admin_gets_no_set(
    client_for: ClientFor, tara: User, restarts: PermissionSet, team: Team
) -> None:
    everything = PermissionSet.objects.create(team=team, name="All", permissions=["team.members"])
    answer = send(client_for(tara), "PATCH", members_path(team, tara), permission_set=str(everything.pk))
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")


def test_a_set_ends_grants_and_a_role_ends_a_set(
    alice: User, bob: User, team: Team, restarts: PermissionSet
) -> None:
    by = actor_of(alice, source="ui")
    members.put(team, bob, actor=by, console=True)
    assert can(actor_of(User.objects.get(pk=bob.pk), source="ui"), "container.console", team)
    row = members.put(team, bob, actor=by, permission_set=restarts)
    assert (row.role, row.console) == ("custom", False)
    with pytest.raises(members.Kept, match="Grants go with a role"):
        members.put(team, bob, actor=by, console=True)
    assert members.put(team, bob, actor=by, role=Role.OPERATOR).permission_set is None
    with pytest.raises(Denied):
        members.put(team, bob, actor=actor_of(bob, source="ui"), role=Role.ADMIN)


def test_pages_of_sets(
    client_for: ClientFor, tara: User, sue: User, restarts: PermissionSet, team: Team
) -> None:
    client, here = client_for(tara), f"/teams/{team.pk}/permission-sets/"
    assert "Restart only" in client.get(here).content.decode()
    assert (
        'value="image.pull" aria-label="Pull images" checked'
        in client.get(f"{here}new/?from=operator").content.decode()
    )
    made = client.post(f"{here}new/", {"name": "Pullers", "permissions": ["image.pull"]})
    row = PermissionSet.objects.get(name="Pullers")
    assert made["Location"] == f"{here}{row.pk}/"
    assert row.permissions == sorted({*row.allowed})
    again = client.post(f"{here}new/", {"name": "Pullers"})
    assert "There is a permission set of this name." in again.content.decode()
    client.post(f"{here}{row.pk}/change/", {"name": "Pullers", "permissions": ["image.pull", "image.push"]})
    assert "image.push" in PermissionSet.objects.get(pk=row.pk).permissions
    client.post(f"/teams/{team.pk}/members/{sue.pk}/", {"role": f"set:{row.pk}"})
    assert sue.memberships.get().called == "Pullers"
    assert "sue" in client.get(f"{here}{row.pk}/").content.decode()
    assert "In use" not in client.post(f"{here}{restarts.pk}/remove/").content.decode()
    assert not PermissionSet.objects.filter(pk=restarts.pk).exists()
    asked = client.get(f"{here}{row.pk}/remove/").content.decode()
    assert "It is in use:" in asked
    client.post(f"{here}{row.pk}/remove/", {"role": ""})
    assert PermissionSet.objects.filter(pk=row.pk).exists()
    client.post(f"{here}{row.pk}/remove/", {"role": "viewer"})
    assert sue.memberships.get().role == "viewer"


def test_the_admin_gives_sets_too_and_takes_no_team_s_last_admin(
    client_for: ClientFor,
    alice: User,
    tara: User,
    bob: User,
    restarts: PermissionSet,
    team: Team,
    other_team: Team,
) -> None:
    client, row = client_for(alice), bob.memberships.get()
    Membership.objects.filter(pk=row.pk).update(console=True)
    there = f"/admin/accounts/user/{bob.pk}/change/"
    said: dict[str, Any] = {
        **form_of(row, permission_set=str(restarts.pk)),
        "username": "bob",
        "is_active": "on",
    }
    assert client.post(there, said).status_code == 302, client.post(there, said).content
    row = bob.memberships.get()
    assert (row.role, row.permission_set, row.console) == ("custom", restarts, False)
    foreign = PermissionSet.objects.create(team=other_team, name="Theirs")
    said = {**said, **form_of(row, permission_set=str(foreign.pk))}
    assert b"no such permission set in this team" in client.post(there, said).content

    gone = f"/admin/accounts/user/{tara.pk}/delete/"
    assert b"Blue, which nobody else administers" in client.get(gone).content
    client.post(gone, {"post": "yes"})
    assert User.objects.filter(pk=tara.pk).exists()


def test_a_row_of_the_admin_that_nobody_touched_is_no_change_and_one_that_is_has_its_line(
    client_for: ClientFor, alice: User, sue: User, restarts: PermissionSet, team: Team
) -> None:
    client, row = client_for(alice), sue.memberships.get()
    Membership.objects.create(user=alice, team=team, role=Role.CUSTOM, permission_set=restarts)
    there = f"/admin/accounts/user/{alice.pk}/change/"
    own = form_of(alice.memberships.get(), permission_set=str(restarts.pk))
    assert b'<option value="custom" selected>' in client.get(there).content
    said = {**own, "username": "alice", "is_active": "on", "first_name": "Alice"}
    answer = client.post(there, said)
    assert answer.status_code == 302, "nobody changes their own roles, and she has not"
    there = f"/admin/accounts/user/{sue.pk}/change/"
    said = {**form_of(row, role="operator", console="on"), "username": "sue", "is_active": "on"}
    assert client.post(there, said).status_code == 302
    line = AuditEntry.objects.filter(verb="member.change", target_name="sue").get()
    assert line.detail["was"] == {
        "role": "custom", "console": False, "files": False, "permission_set": "Restart only"
    }  # fmt: skip
    assert line.detail["now"] == {"role": "operator", "console": True, "files": False}
    assert not AuditEntry.objects.filter(verb__startswith="member.", target_name="alice").exists()


def test_grants_beside_a_set_are_refused_whether_somebody_comes_or_changes(
    client_for: ClientFor, tara: User, bob: User, restarts: PermissionSet, team: Team,
    person: Callable[..., User],
) -> None:  # fmt: skip
    person("nora")
    client, wish = client_for(tara), {"permission_set": str(restarts.pk), "console": True}
    for answer in (
        send(client, "POST", members_path(team), username="nora", **wish),
        send(client, "PATCH", members_path(team, bob), **wish),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert set(team.memberships.values_list("user__username", flat=True)) == {"tara", "bob"}


def test_muting_messages_shows_no_channels() -> None:
    assert whole(["webhook.mute"]) == {
        *ALWAYS, "webhook.mute", "container.read", "operation.read"
    }  # fmt: skip
    assert "webhook.read" in whole(["webhook.manage"])


def test_counts_quotas_and_rules_are_shown_by_the_set(
    client_for: ClientFor, sue: User, team: Team, other_team: Team
) -> None:
    """S-22. That she may see the rules of another team opens none of this one's."""
    engine = rows.make_engine()
    rows.make_container(engine, team, "web")
    rows.make_image(engine, team, "app:1")
    client, here = client_for(sue), f"/teams/{team.pk}/"
    page, listed = client.get(here).content.decode(), client.get("/teams/").content.decode()
    assert ("1 containers" in page, "1 images" in page, ">Quotas<" in page) == (True, False, False)
    assert '<span class="nil">–</span>' in listed
    assert client.get("/api/v1/policies/usage/?team=blue").status_code == 403
    Membership.objects.create(user=sue, team=other_team, role=Role.VIEWER)
    client = client_for(sue)
    assert client.get(f"/api/v1/policies/usage/?team={team.slug}").status_code == 404
    assert client.get(f"/guard-rails/rules/?team={team.slug}").status_code == 404
    told = client.get("/api/v1/policies/").json()["results"]
    assert [one["team"] for one in told] == [None, other_team.slug]
    found = client.get("/api/v1/policies/findings/").json()
    assert found["looked_at"] == 0
    assert ">Quotas<" in client.get(f"/teams/{other_team.pk}/").content.decode()


def test_a_set_s_page_asks_once_for_all_who_have_it(
    client_for: ClientFor, tara: User, sue: User, restarts: PermissionSet, team: Team,
    person: Callable[..., User], django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    client, here = client_for(tara), f"/teams/{team.pk}/permission-sets/{restarts.pk}/"
    with CaptureQueriesContext(connection) as few:
        client.get(here)
    for number in range(5):
        user = person(f"more{number}")
        Membership.objects.create(user=user, team=team, role=Role.CUSTOM, permission_set=restarts)
    with django_assert_max_num_queries(len(few)):
        assert b"more4" in client.get(here).content
