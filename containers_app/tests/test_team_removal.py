"""A team is deleted: what it had goes on under another one or nobody, the rest goes with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import models
from django.test import Client

from accounts.models import AuditEntry, Membership, PermissionSet, Role, Team, User
from accounts.tests.test_members import send
from containers_app import owning
from containers_app.team_removal import REST
from operations.models import Operation
from operations.variable import Variable
from tests import rows

ClientFor = Callable[..., Client]


@pytest.fixture
def full(team: Team, tara: User) -> Team:
    """Team blue, with a container, a volume, a variable, a set, and somebody who has that."""
    engine = rows.make_engine()
    web = rows.make_container(engine, team, "web")
    rows.make_volume(engine, team, "data", web)
    rows.make_operation(engine, team, target_name="web")
    Operation.objects.update(state="succeeded")
    Variable.objects.create(team=team, name="KEY", value="value")
    held = PermissionSet.objects.create(team=team, name="Restart only")
    sue = User.objects.create(username="sue")
    Membership.objects.create(user=sue, team=team, role=Role.CUSTOM, permission_set=held)
    return team


def test_whatever_points_at_a_team_is_in_the_plan_of_its_end() -> None:
    relations = [one for one in Team._meta.related_objects if one.on_delete is not models.DO_NOTHING]
    known = {*REST, *owning.KINDS}
    assert {one.related_model._meta.model_name for one in relations if not one.many_to_many} <= known
    assert {one.on_delete for one in relations if not one.many_to_many} == {models.CASCADE, models.SET_NULL}


def test_its_things_go_where_it_is_said_and_nothing_happens_before(
    client_for: ClientFor, alice: User, tara: User, full: Team, other_team: Team
) -> None:
    client, there = client_for(alice), f"/api/v1/teams/{full.pk}/"
    plan = send(client, "DELETE", f"{there}?dry_run=1").json()
    assert plan["would_run"]
    assert [one["what"] for one in plan["affected"]] == ["Containers: 1", "Volumes: 1"]
    assert {one["what"] for one in plan["lost"]} == {
        "Members, whose accounts stay: 2", "Permission sets: 1", "Variables: 1",
    }  # fmt: skip
    assert [one["what"] for one in plan["kept"]] == ["Past operations: 1"]

    refused = send(client, "DELETE", there)
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["things"] == {"container": 1, "volume": 1}
    assert send(client, "DELETE", there, team="blue").status_code == 409
    Operation.objects.update(state="running")
    assert send(client, "DELETE", there, team="red").json()["code"] == "conflict"
    Operation.objects.update(state="succeeded")
    assert send(client_for(tara), "DELETE", there, team=None).status_code == 403
    assert send(client, "PATCH", f"{there}?dry_run=1", name="Other").status_code == 400
    assert (Team.objects.get(pk=full.pk).name, Membership.objects.count()) == ("Blue", 2)

    assert send(client, "DELETE", there, team="red").status_code == 204
    assert not Team.objects.filter(pk=full.pk).exists()
    assert {model.objects.get().team for model in (owning.Container, owning.Volume)} == {other_team}
    assert Operation.objects.get().team is None
    assert client_for(tara).get("/api/v1/containers/").json()["results"] == []
    line = AuditEntry.objects.get(verb="team.remove")
    assert (line.team_slug, line.detail["to"], line.detail["things"]) == (
        "blue",
        "red",
        {"container": 1, "volume": 1},
    )
    assert AuditEntry.objects.filter(verb="object.move", team_slug="red").count() == 2


def test_the_page_asks_who_gets_what_it_had(client_for: ClientFor, alice: User, full: Team) -> None:
    client, page = client_for(alice), f"/teams/{full.pk}/remove/"
    shown = client.get(page).content.decode()
    assert "Containers: 1" in shown
    assert "Who gets what it has" in shown
    assert client.post(page, {"team": ""}).status_code == 200
    assert Team.objects.filter(pk=full.pk).exists()
    assert client.post(page, {"team": "-"}).status_code == 302
    assert owning.Container.objects.get().team is None
    assert not Team.objects.filter(pk=full.pk).exists()
    empty = Team.objects.create(slug="empty", name="Empty")
    assert client.post(f"/teams/{empty.pk}/remove/").status_code == 302
    assert not Team.objects.filter(pk=empty.pk).exists()
