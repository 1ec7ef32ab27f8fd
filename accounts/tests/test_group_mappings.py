"""What groups of single sign-on give: by the real way through a provider, by pages and by REST.

S-28 for what no person gives: nobody by a name, nobody beyond the table, and a team keeps its last admin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from rest_framework.test import APIClient

from accounts import group_mappings, members, permission_sets
from accounts.access import person as actor_of
from accounts.members import Kept
from accounts.models import AuditEntry, GroupMapping, Membership, PermissionSet, Role, Team, User
from accounts.tests.test_members import form_of, send
from accounts.tests.test_sso import Provider, linked, provider, through, who  # noqa: F401 - a fixture

ClientFor = Callable[..., Client]
PATH = "/api/v1/group-mappings/"


@pytest.fixture
def sam(person: Callable[..., User]) -> User:
    """In no team, and linked with subject 0001."""
    user = person("sam")
    linked(user)
    return user


def mapping(group: str, team: Team | None, role: str = "", **more: Any) -> GroupMapping:
    """A row of the table."""
    return GroupMapping.objects.create(group=group, team=team, role=role, **more)


def sign_in(provider: Provider, *groups: Any) -> Client:  # noqa: F811
    """A browser that has come in with these groups."""
    provider.claims = {"groups": list(groups)}
    client = Client()
    assert through(client)["Location"] == "/"
    return client


def roles(user: User) -> dict[str, str]:
    """Team → what they are there."""
    return {m.team.slug: m.called for m in Membership.objects.filter(user=user).select_related("team")}


def lines(verb: str, **more: Any) -> list[AuditEntry]:
    """Of the trail."""
    return list(AuditEntry.objects.filter(verb=verb, **more).order_by("seq"))


def test_a_group_gives_a_role_changes_it_and_takes_it_away(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    """S-12: what goes, goes for sessions that are open already."""
    mapping("crew", team, "operator", console=True)
    mapping("look", team, "viewer")
    first = sign_in(provider, "crew", "elsewhere")
    row = Membership.objects.get(user=sam)
    assert (row.team, row.role, row.console, row.mapping.group) == (team, "operator", True, "crew")  # type: ignore[union-attr]
    assert first.get(f"/api/v1/teams/{team.pk}/").status_code == 200
    sign_in(provider, "look")
    assert roles(sam) == {"blue": "Viewer"}
    sign_in(provider, "look")
    sign_in(provider)
    assert roles(sam) == {}
    assert first.get(f"/api/v1/teams/{team.pk}/").status_code == 404
    said = [(line.verb, line.detail["group"], line.actor_name, line.team_slug) for line in (
        *lines("member.add"), *lines("member.change"), *lines("member.remove")
    )]  # fmt: skip
    assert said == [
        ("member.add", "crew", "system", "blue"), ("member.change", "look", "system", "blue"),
        ("member.remove", "look", "system", "blue"),
    ]  # fmt: skip


def test_of_several_groups_the_one_that_holds_most_counts(
    provider: Provider,  # noqa: F811
    sam: User, team: Team, other_team: Team,
) -> None:  # fmt: skip
    logs = PermissionSet.objects.create(name="Log readers", permissions=["container.logs"])
    for group, role in (("a", "viewer"), ("b", "admin"), ("c", "operator")):
        mapping(group, team, role)
    mapping("c", other_team, "custom", permission_set=logs)
    mapping("d", other_team, "viewer")
    sign_in(provider, "c", "b", "a")
    assert roles(sam) == {"blue": "Team admin", "red": "Log readers"}
    sign_in(provider, "a", "c", "d")
    assert roles(sam) == {"blue": "Team admin", "red": "Viewer"}  # its last admin
    Membership.objects.create(user=User.objects.create(username="tom"), team=team, role="admin")
    sign_in(provider, "a", "c", "d")
    assert roles(sam) == {"blue": "Operator", "red": "Viewer"}


def test_what_was_given_by_hand_is_never_touched(
    provider: Provider,  # noqa: F811
    vic: User, team: Team,
) -> None:  # fmt: skip
    linked(vic)
    mapping("crew", team, "admin")
    sign_in(provider, "crew")
    sign_in(provider)
    row = Membership.objects.get(user=vic)
    assert (row.role, row.mapping) == ("viewer", None)
    assert not AuditEntry.objects.filter(verb__startswith="member.").exists()


def test_what_a_group_gave_is_marked_and_not_changed_by_hand(
    provider: Provider,  # noqa: F811
    client_for: ClientFor, sam: User, tara: User, alice: User, team: Team,
) -> None:  # fmt: skip
    mapping("crew", team, "operator")
    sign_in(provider, "crew")
    admin = client_for(tara)
    page = admin.get(f"/teams/{team.pk}/").content.decode()
    assert "by group crew" in page
    assert f"/teams/{team.pk}/members/{sam.pk}/" not in page.replace("/may/", "")
    where = f"/api/v1/teams/{team.pk}/members/{sam.pk}/"
    assert admin.get(where).json()["group"] == "crew"
    for answer in (send(admin, "PATCH", where, role="viewer"), send(admin, "DELETE", where)):
        assert (answer.status_code, answer.json()["code"]) == (409, "given_by_group")
    at_page = admin.post(
        f"/teams/{team.pk}/members/{sam.pk}/", {"role": "viewer"}, headers={"HX-Request": "true"}
    )
    assert "crew" in at_page["HX-Trigger"]
    admin.post(f"/teams/{team.pk}/members/{sam.pk}/", {"out": "1"})
    alice.is_staff = True
    alice.save()
    boss = client_for(alice)
    row = Membership.objects.get(user=sam)
    others = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "slug": team.slug,
        "name": team.name,
    }
    form = {**form_of(row, role="admin"), **others}
    refused = boss.post(f"/admin/accounts/team/{team.pk}/change/", form)
    assert "crew" in refused.content.decode()
    assert roles(sam) == {"blue": "Operator"}


def test_what_a_group_gave_may_stay_by_hand_once_it_is_gone(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    mapping("crew", team, "operator", when_gone="keep")
    sign_in(provider, "crew")
    sign_in(provider)
    row = Membership.objects.get(user=sam)
    assert (row.role, row.mapping) == ("operator", None)
    assert lines("member.change")[0].detail["by_hand_now"]


def test_the_last_admin_of_a_team_stays_and_is_let_in(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    mapping("bosses", team, "admin")
    sign_in(provider, "bosses")
    client = sign_in(provider)
    assert who(client) == "sam"
    assert roles(sam) == {"blue": "Team admin"}
    line = lines("member.remove")[0]
    assert (line.outcome, line.detail["reason"], line.detail["group"]) == ("denied", "last_admin", "bosses")
    Membership.objects.create(user=User.objects.create(username="tom"), team=team, role="admin")
    sign_in(provider)
    assert roles(sam) == {}


def test_site_administrators_come_of_a_mapping_of_that_kind_alone(
    provider: Provider,  # noqa: F811
    sam: User, alice: User, team: Team,
) -> None:  # fmt: skip
    mapping("admins", team, "admin")
    client = sign_in(provider, "admins", "root", "site", "superusers")
    assert not User.objects.get(pk=sam.pk).is_superuser
    mapping("root", None)
    sign_in(provider, "root")
    assert User.objects.get(pk=sam.pk).is_superuser
    assert client.get("/api/v1/users/").status_code == 200
    assert not User.objects.get(pk=sam.pk).is_staff
    alice.site_admin_by = None
    sign_in(provider)
    assert not User.objects.get(pk=sam.pk).is_superuser
    assert client.get("/api/v1/users/").status_code == 403
    assert [line.detail["site_admin"] for line in lines("user.change")] == [True, False]
    # By hand: not taken away. The last one: neither, with a line.
    User.objects.filter(pk=sam.pk).update(is_superuser=True)
    sign_in(provider)
    assert User.objects.get(pk=sam.pk).is_superuser
    User.objects.filter(pk=sam.pk).update(site_admin_by=GroupMapping.objects.get(group="root"))
    User.objects.filter(pk=alice.pk).update(is_superuser=False)
    assert who(sign_in(provider)) == "sam"
    assert User.objects.get(pk=sam.pk).is_superuser
    assert lines("user.change", outcome="denied")[0].detail["reason"] == "last_administrator"


HOSTILE: dict[str, tuple[Any, str]] = {
    "a number": (7, "no list"), "an object": ({"crew": True}, "no list"), "true": (True, "no list"),
    "nested": ([["crew"], {"crew": "crew"}, None, 1], "4 of 4"),
    "10,000 groups": (["crew", *(f"g{n}" for n in range(9_999))], "10000 groups"),
    "too long": (["crew" * 100_000], "1 of 1"), "empty": ([""], "1 of 1"),
    "another case, spaces, wild cards": (["CREW", " crew", "crew ", "crew\x00", "cr*w", "%", "crew,look", "сrew"], ""),
    "several in one text": ("look crew", ""), "null": (None, "no list"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_claim_that_says_odd_things_gives_nothing_and_breaks_nothing(
    provider: Provider,  # noqa: F811
    sam: User, team: Team, what: str,
) -> None:  # fmt: skip
    mapping("crew", team, "admin")
    mapping("look", team, "viewer")
    claim, said = HOSTILE[what]
    provider.claims = {"groups": claim}
    client = Client()
    assert through(client)["Location"] == "/"
    assert who(client) == "sam"
    assert roles(sam) == {}
    found = lines("auth.groups", outcome="failed")
    assert len(found) == bool(said)
    assert all(said in line.detail["reason"] for line in found)


def test_one_group_may_come_as_a_text_and_odd_ones_beside_it_do_no_harm(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    mapping("Crew of the sea/ÄÖ", team, "viewer")
    provider.claims = {"groups": "Crew of the sea/ÄÖ"}
    through(Client())
    assert roles(sam) == {"blue": "Viewer"}
    sign_in(provider, {"x": 1}, "Crew of the sea/ÄÖ", ["y"])
    assert roles(sam) == {"blue": "Viewer"}


def test_groups_that_are_told_elsewhere_are_none(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    """As Entra does it for whoever is in more than 200: rights end rather than stay, and the trail says why."""
    mapping("crew", team, "viewer")
    sign_in(provider, "crew")
    provider.claims = {
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "http://127.0.0.1:1"}},
    }
    through(Client())
    assert roles(sam) == {}
    assert "too many groups" in lines("auth.groups")[0].detail["reason"]


def test_another_claim_another_scope_and_what_the_user_info_says(
    provider: Provider,  # noqa: F811
    sam: User, team: Team, settings: Any,
) -> None:  # fmt: skip
    settings.OIDC = settings.OIDC | {"groups": "https://id.example/roles", "scopes": ["openid", "groups"]}
    mapping("crew", team, "viewer")
    sign_in(provider, "crew")
    assert roles(sam) == {}
    provider.claims, provider.info = {}, {"https://id.example/roles": ["crew"]}
    through(Client())
    assert roles(sam) == {"blue": "Viewer"}
    assert sorted(provider.asked["scope"].split()) == ["groups", "openid"]
    # What is signed comes first.
    provider.claims = {"https://id.example/roles": []}
    through(Client())
    assert roles(sam) == {}


def test_somebody_new_gets_what_their_groups_give(
    provider: Provider,  # noqa: F811
    vic: User, team: Team, settings: Any,
) -> None:  # fmt: skip
    settings.OIDC = settings.OIDC | {"unknown": "create"}
    mapping("crew", team, "operator")
    sign_in(provider, "crew")
    assert roles(User.objects.get(username="sso-sam")) == {"blue": "Operator"}


def test_who_is_disabled_or_unlinks_is_given_nothing(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    mapping("crew", team, "operator")
    User.objects.filter(pk=sam.pk).update(is_active=False)
    provider.claims = {"groups": ["crew"]}
    through(Client())
    assert roles(sam) == {}
    User.objects.filter(pk=sam.pk).update(is_active=True)
    client = sign_in(provider, "crew")
    assert roles(sam) == {"blue": "Operator"}
    client.post("/account/sso/unlink/")
    assert roles(sam) == {}


# --- The table -------------------------------------------------------------------------------------------


def test_the_table_is_kept_by_rest(
    provider: Provider,  # noqa: F811
    client_for: ClientFor, alice: User, sam: User, team: Team,
) -> None:  # fmt: skip
    client = client_for(alice)
    made = send(client, "POST", PATH, group="crew", team="blue", role="operator", files=True)
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["group"], body["team"], body["role"], body["files"], body["when_gone"]) == (
        "crew", "blue", "operator", True, "remove",
    )  # fmt: skip
    assert (
        send(client, "POST", PATH, group="crew", team="blue", role="viewer").json()["code"] == "name_in_use"
    )
    assert send(client, "POST", PATH, group="crew", team="blue").status_code == 400
    assert send(client, "POST", PATH, group="crew", team="green", role="viewer").status_code == 400
    assert send(client, "POST", PATH, group="crew", team=None, role="admin").json()["code"] == "conflict"
    assert send(client, "POST", PATH, group="x" * 256, team="blue", role="viewer").status_code == 400
    sign_in(provider, "crew")
    where = made["Location"]
    assert client.get(where).json()["members"] == ["sam"]
    changed = send(client, "PATCH", where, role="viewer", files=False, when_gone="keep")
    assert changed.json()["role"] == "viewer"
    assert roles(sam) == {"blue": "Viewer"}
    send(client, "PATCH", where, when_gone="remove")
    assert send(client, "DELETE", where).status_code == 204
    assert roles(sam) == {}
    verbs = (
        AuditEntry.objects.filter(verb__startswith="group_mapping.")
        .order_by("seq")
        .values_list("verb", flat=True)
    )
    assert list(verbs) == [f"group_mapping.{verb}" for verb in ("create", "change", "change", "remove")]


def test_the_table_is_for_site_administrators_who_have_signed_in(
    client_for: ClientFor, api_for: Callable[..., APIClient], alice: User, tara: User, team: Team
) -> None:
    row = mapping("crew", team, "operator")
    token = api_for(alice)
    assert token.get(PATH).status_code == 200
    for method, to, said in (
        ("POST", PATH, {"group": "x", "team": None}), ("PATCH", f"{PATH}{row.pk}/", {"role": "admin"}),
        ("DELETE", f"{PATH}{row.pk}/", {}),
    ):  # fmt: skip
        assert send(token, method, to, **said).status_code == 403
        assert send(client_for(tara), method, to, **said).status_code == 403
    assert client_for(tara).get("/teams/group-mappings/").status_code == 403
    assert client_for(tara).post("/teams/group-mappings/new/", {}).status_code == 403
    assert list(GroupMapping.objects.values_list("role", flat=True)) == ["operator"]


def test_the_table_has_pages(
    provider: Provider,  # noqa: F811
    client_for: ClientFor, alice: User, sam: User, team: Team, other_team: Team,
) -> None:  # fmt: skip
    client = client_for(alice)
    theirs = PermissionSet.objects.create(team=other_team, name="Theirs", permissions=["container.logs"])
    form = {
        "group": "crew",
        "gives": "operator",
        "team": str(team.pk),
        "console": "on",
        "when_gone": "remove",
    }
    new = "/teams/group-mappings/new/"
    assert "Choose the team" in client.post(new, form | {"team": ""}).content.decode()
    assert "choose none" in client.post(new, form | {"gives": "site"}).content.decode()
    wrong = client.post(new, form | {"gives": f"set:{theirs.pk}", "console": ""}).content.decode()
    assert "no such permission set" in wrong
    assert client.post(new, form)["Location"] == "/teams/group-mappings/"
    assert "There is a mapping" in client.post(new, form).content.decode()
    assert client.post(new, {"group": "root", "gives": "site", "when_gone": "keep"})["Location"]
    assert GroupMapping.objects.get(group="root").team is None
    sign_in(provider, "crew")
    page = client.get("/teams/group-mappings/").content.decode()
    assert all(word in page for word in ("crew", "sam", "Site administrator", "Take it away again"))
    row = GroupMapping.objects.get(group="crew")
    change = f"/teams/group-mappings/{row.pk}/change/"
    client.post(change, {"gives": "viewer", "when_gone": "remove"})
    assert roles(sam) == {"blue": "Viewer"}
    remove = f"/teams/group-mappings/{row.pk}/remove/"
    assert "sam" in client.get(remove).content.decode()
    assert roles(sam) == {"blue": "Viewer"}
    client.post(remove)
    assert roles(sam) == {}
    boss = client_for(User.objects.create(username="root", is_superuser=True, is_staff=True))
    assert b"root" in boss.get("/admin/accounts/groupmapping/").content


def test_a_mapping_that_goes_leaves_the_last_admin_by_hand(
    provider: Provider,  # noqa: F811
    alice: User, sam: User, team: Team,
) -> None:  # fmt: skip
    row = mapping("bosses", team, "admin")
    sign_in(provider, "bosses")
    group_mappings.remove(row, actor=actor_of(alice, source="ui"))
    kept = Membership.objects.get(user=sam)
    assert (kept.role, kept.mapping) == (Role.ADMIN, None)
    assert lines("member.remove", outcome="denied")[0].detail["reason"] == "last_admin"


def test_a_set_that_groups_give_stays_and_a_team_takes_its_mappings_along(
    provider: Provider,  # noqa: F811
    alice: User, sam: User, other_team: Team,
) -> None:  # fmt: skip
    readers = PermissionSet.objects.create(team=other_team, name="Readers", permissions=["container.logs"])
    mapping("crew", other_team, "custom", permission_set=readers)
    sign_in(provider, "crew")
    with pytest.raises(Kept, match="crew"), transaction.atomic():
        permission_sets.remove(readers, actor=actor_of(alice, source="ui"), role=Role.VIEWER)
    other_team.delete()
    assert not GroupMapping.objects.exists()
    assert User.objects.get(pk=sam.pk).memberships.count() == 0


def test_without_a_mapping_nothing_is_asked(
    provider: Provider,  # noqa: F811
    sam: User, team: Team,
) -> None:  # fmt: skip
    sign_in(provider, "crew")
    assert not Membership.objects.exists()
    assert members.is_last_admin(team, sam)
