"""REST of the trash and of undo."""

from __future__ import annotations

from collections.abc import Callable

from rest_framework.test import APIClient

from accounts.models import AuditEntry, Team, User
from operations.models import Operation
from tests.rows import in_the_trash, make_engine

ApiFor = Callable[..., APIClient]


def test_what_can_be_taken_back_is_listed_for_its_team_alone(
    api_for: ApiFor, vic: User, charlie: User, alice: User, team: Team
) -> None:
    item = in_the_trash("volume", make_engine(), team, "data", size=12)
    in_the_trash("container", item.engine, team, "back", state="restored")
    found = api_for(vic).get("/api/v1/trash/").json()["results"]
    assert [(row["name"], row["kind"], row["size"], row["removed_by"]) for row in found] == [
        ("data", "volume", 12, "somebody")
    ]
    assert found[0]["expires_at"] == api_for(vic).get(found[0]["url"]).json()["expires_at"]
    assert api_for(charlie).get("/api/v1/trash/").json()["results"] == []
    assert api_for(charlie).get(f"/api/v1/trash/{item.pk}/").status_code == 404
    assert len(api_for(alice).get("/api/v1/trash/?kind=volume&q=dat").json()["results"]) == 1


def test_an_operation_says_until_when_it_can_be_undone_and_is(
    api_for: ApiFor, tara: User, vic: User, team: Team
) -> None:
    item = in_the_trash("image", make_engine(), team, "shop/app:1")
    address = f"/api/v1/operations/{item.operation_id}/"
    assert api_for(vic).get(address).json()["undoable_until"]
    assert api_for(vic).post(f"{address}undo/").status_code == 403
    plan = api_for(tara).post(f"{address}undo/?dry_run=1").json()
    assert (plan["kind"], plan["would_run"]) == ("image.restore", True)
    answer = api_for(tara).post(f"{address}undo/")
    assert (answer.status_code, answer.json()["kind"]) == (202, "image.restore"), answer.content
    assert AuditEntry.objects.filter(verb="image.restore", outcome="accepted").count() == 1
    assert api_for(tara).post(f"{address}undo/").json()["id"] == answer.json()["id"], "joined"


def test_what_is_not_in_the_trash_cannot_be_undone(api_for: ApiFor, bob: User, team: Team) -> None:
    item = in_the_trash("container", make_engine(), team, state="purged")
    for operation in (
        item.operation,
        Operation.objects.create(kind="container.stop", engine=item.engine, team=team),
    ):
        answer = api_for(bob).post(f"/api/v1/operations/{operation.pk}/undo/")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_undoable")
        assert api_for(bob).get(f"/api/v1/operations/{operation.pk}/").json()["undoable_until"] is None


def test_a_role_that_may_not_remove_may_not_purge(api_for: ApiFor, bob: User, tara: User, team: Team) -> None:
    item = in_the_trash("volume", make_engine(), team, "data")
    assert api_for(bob).delete(f"/api/v1/trash/{item.pk}/").status_code == 403
    answer = api_for(tara).delete(f"/api/v1/trash/{item.pk}/")
    assert (answer.status_code, answer.json()["kind"]) == (202, "volume.purge")
