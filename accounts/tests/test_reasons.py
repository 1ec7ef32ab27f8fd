"""Why somebody may not, and what they may: the same words for pages, REST and the admin."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client
from rest_framework.test import APIClient

from accounts import reasons
from accounts.access import can, why_not
from accounts.access import person as actor_of
from accounts.models import Membership, Team, User
from accounts.permissions import GRANTS, PERMISSIONS
from tests import rows


def test_a_refusal_names_what_is_needed_what_one_has_and_who_can_help(
    client_for: Callable[..., Client], vic: User, tara: User, team: Team
) -> None:
    web = rows.make_container(rows.make_engine(), team, "web")
    client = client_for(vic)
    problem = client.post(f"/api/v1/containers/{web.pk}/stop/", {}, content_type="application/json").json()
    assert problem["rule"] == "container.stop"
    assert (problem["needed"], problem["yours"]) == ("operator", "viewer")
    page = client.get(f"/containers/{web.pk}/ask/stop/").content.decode()
    assert "This needs the role operator of the owning team; yours there is viewer." in page
    assert "tara can do it, or give it to you." in page
    general = client.get("/containers/run/").content.decode()
    assert "yours is viewer. Somebody with that role can do it" in general
    assert "tara" not in general


def test_nobody_is_told_names_of_a_team_that_they_do_not_see(
    vic: User, tara: User, charlie: User, team: Team, other_team: Team
) -> None:
    from accounts.access import Denied

    reason = why_not(actor_of(charlie, source="ui"), "container.stop", team)
    assert reason is not None
    assert reasons.who(Denied(reason), actor_of(charlie, source="ui")) == []
    assert reasons.who(Denied(reason), actor_of(vic, source="ui")) == ["tara"]


def test_a_token_is_told_its_scopes(api_for: Callable[..., APIClient], bob: User, team: Team) -> None:
    web = rows.make_container(rows.make_engine(), team, "web")
    problem = api_for(bob, "read").post(f"/api/v1/containers/{web.pk}/stop/", {}, format="json").json()
    assert (problem["rule"], problem["needed"], problem["yours"]) == ("container.stop", "operate", "read")
    assert "it has read." in problem["detail"]


def test_a_team_s_page_tells_all_that_one_may_in_it(
    client_for: Callable[..., Client], bob: User, team: Team
) -> None:
    Membership.objects.filter(user=bob).update(console=True)
    actor = actor_of(bob, source="ui")
    rights = {right.permission: right for _, rows in reasons.effective(actor, team) for right in rows}
    assert set(rights) == set(PERMISSIONS)
    assert {name for name, right in rights.items() if right.may} == {
        permission for permission in PERMISSIONS if can(actor, permission, team)
    }
    assert rights["container.console"].by == "a grant"
    assert "container.console" in GRANTS
    assert (rights["container.stop"].by, rights["image.remove"].by) == ("operator", "team admin")
    client = client_for(bob)
    address = f"/teams/{team.pk}/members/{bob.pk}/may/"
    assert "needs team admin" in client.get(address).content.decode()
    for page in (f"/teams/{team.pk}/", "/account/"):
        assert address in client.get(page).content.decode()
