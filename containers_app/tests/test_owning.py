"""S-24, S-30, S-32: what nobody owns is given to a team, and what one owns goes to another."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Team, User
from containers_app import owning
from containers_app.backed import BackupSchedule
from containers_app.models import Container
from operations.models import Engine, Operation
from tests import rows

ApiFor = Callable[..., APIClient]
ClientFor = Callable[..., Client]


@pytest.fixture
def engine(db: None) -> Engine:
    return rows.make_engine()


@pytest.fixture
def found(engine: Engine) -> dict[str, Any]:
    """A container that somebody made at a terminal, with all that it uses; its labels claim to be blue's."""
    image = rows.make_image(engine, None, "shop/app:1")
    web = rows.make_container(
        engine, None, "web", image=image, labels={"slipway.team": "blue", "team": "blue"}
    )
    return {
        "container": web, "image": image, "volume": rows.make_volume(engine, None, "data", web),
        "network": rows.make_network(engine, None, "front", web),
    }  # fmt: skip


def post(client: Any, path: str, **said: Any) -> Any:
    return client.generic("POST", f"/api/v1{path}", json.dumps(said), content_type="application/json")


def owners(things: dict[str, Any]) -> dict[str, str | None]:
    """Kind → slug of its team."""
    for row in things.values():
        row.refresh_from_db()
    return {kind: row.team.slug if row.team else None for kind, row in things.items()}


def test_labels_own_nothing_and_an_administrator_gives_it_all_to_a_team(
    api_for: ApiFor, alice: User, tara: User, found: dict[str, Any], team: Team
) -> None:
    api, web = api_for(alice), found["container"]
    assert api_for(tara).get("/api/v1/containers/").json()["results"] == []
    for kind, row in found.items():
        listed = api.get(f"/api/v1/{kind}s/?team=none").json()["results"]
        assert [one["id"] for one in listed] == [str(row.pk)], kind
    answer = post(api, f"/containers/{web.pk}/move/", team="blue", along=True)
    assert answer.status_code == 200, answer.content
    assert {(one["type"], one["status"]) for one in answer.json()["results"]} == {
        (kind, 200) for kind in found
    }
    assert set(owners(found).values()) == {"blue"}
    assert [row["name"] for row in api_for(tara).get("/api/v1/containers/").json()["results"]] == ["web"]
    lines = AuditEntry.objects.filter(verb="object.move")
    assert {(line.target_type, line.team_slug) for line in lines} == {(kind, "blue") for kind in found}


def test_moving_is_all_or_nothing_and_leaves_the_past_where_it_was(
    api_for: ApiFor, alice: User, tara: User, charlie: User, engine: Engine, team: Team, other_team: Team
) -> None:
    web = rows.make_container(engine, team, "web")
    own, shared = rows.make_volume(engine, team, "own", web), rows.make_volume(engine, team, "shared", web)
    other = rows.make_container(engine, team, "other")
    shared.mounts.create(container=other, type="volume", source="shared", target="/shared")
    BackupSchedule.objects.create(
        engine=engine, team=team, volume_name="own", next_at="2030-01-01T00:00:00Z", created_by=tara
    )
    old = rows.make_operation(engine, team, target_id=str(web.pk))
    api, path = api_for(alice), f"/containers/{web.pk}/move/"
    busy = rows.make_operation(
        engine, team, state="running", kind="volume.backup", target_type="volume", target_id=str(own.pk)
    )
    refused = post(api, path, team="red", along=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert owners({"web": web, "own": own}) == {"web": "blue", "own": "blue"}
    Operation.objects.filter(pk=busy.pk).update(state="succeeded")
    assert post(api, path, team="red", along=True).status_code == 200
    assert owners({"web": web, "own": own, "shared": shared}) == {
        "web": "red",
        "own": "red",
        "shared": "blue",
    }
    assert BackupSchedule.objects.get().team == other_team
    old.refresh_from_db()
    assert old.team == team
    told = AuditEntry.objects.filter(verb="object.move", target_type="container")
    assert {line.team_slug for line in told} == {"blue", "red"}
    assert all(line.detail["from"] == "blue" and line.detail["to"] == "red" for line in told)
    assert api_for(tara).get(f"/api/v1/containers/{web.pk}/").status_code == 404
    assert api_for(charlie).get(f"/api/v1/containers/{web.pk}/").status_code == 200


def test_of_many_each_is_answered_on_its_own(
    api_for: ApiFor, alice: User, tara: User, found: dict[str, Any], engine: Engine, team: Team
) -> None:
    """S-30: one line in the trail for each that changed."""
    own = rows.make_network(engine, None, "bridge")
    rows.make_operation(engine, None, state="queued", target_id=str(found["container"].pk))
    nowhere = "11111111-1111-4111-8111-111111111111"
    items = [{"type": kind, "id": str(row.pk)} for kind, row in found.items()]
    items += [{"type": "volume", "id": nowhere}, {"type": "network", "id": str(own.pk)}]
    answer = post(api_for(alice), "/move/", team="blue", items=items)
    assert answer.status_code == 207
    came = [
        (one["type"], one["status"], one.get("error", {}).get("code")) for one in answer.json()["results"]
    ]
    assert came == [
        ("container", 409, "conflict"), ("image", 200, None), ("volume", 200, None), ("network", 200, None),
        ("volume", 404, "not_found"), ("network", 409, "conflict"),
    ]  # fmt: skip
    assert AuditEntry.objects.filter(verb="object.move", outcome="succeeded").count() == 3
    assert post(api_for(tara), "/move/", team="blue", items=items).status_code == 403
    assert post(api_for(alice), "/move/", team="no-such", items=items).status_code == 400


def test_the_page_offers_what_goes_along(
    client_for: ClientFor, alice: User, found: dict[str, Any], team: Team
) -> None:
    client, web = client_for(alice), found["container"]
    page = client.get("/teams/unowned/").content.decode()
    for name in ("web", "data", "front", "shop/app:1"):
        assert name in page
    key = f"container:{web.pk}"
    page = client.post("/teams/unowned/", {"team": "blue", "item": key, "along": key}).content.decode()
    assert "4 belong to Blue now" in page
    assert set(owners(found).values()) == {"blue"}
    client.post(f"/containers/{web.pk}/move/", {"team": "-", "item": f"volume:{found['volume'].pk}"})
    assert owners(found) == {"container": None, "volume": None, "image": "blue", "network": "blue"}


def test_what_goes_along_takes_no_more_questions_for_more_containers(
    engine: Engine, team: Team, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        rows.make_volume(engine, team, f"data-{number}", rows.make_container(engine, team, f"web-{number}"))
    found = list(Container.objects.select_related("image").prefetch_related("mounts__volume"))
    with django_assert_max_num_queries(4):
        along = owning.along(found)
    assert all(len(things) == 1 for things in along.values())


@pytest.mark.parametrize(
    "name", ["abcdef123456", "a" * 64, "-web", "we/b", "slipway-worker", "w" * 64, "ＷEB"]
)
def test_names_that_look_like_ids_or_are_ours_are_given_to_nobody(
    api_for: ApiFor, alice: User, bob: User, engine: Engine, team: Team, name: str
) -> None:
    """S-26."""
    web = rows.make_container(engine, team, "web")
    for api in (api_for(bob), api_for(alice)):
        run = post(api, "/containers/", engine=str(engine.pk), image="app:1", name=name, team="blue")
        assert (run.status_code, list(run.json()["errors"])) == (400, ["name"]), name
        assert post(api, f"/containers/{web.pk}/rename/", name=name).status_code == 400, name
    assert not Operation.objects.exists()


def test_labels_of_ours_cannot_be_asked_for(api_for: ApiFor, alice: User, engine: Engine, team: Team) -> None:
    """S-24."""
    for label in ("io.slipway.operation", "io.slipway.anything", "IO.Slipway.operation"):
        run = post(api_for(alice), "/containers/", engine=str(engine.pk), image="app:1", labels={label: "x"})
        assert run.status_code == 400, label
        assert "kept for Slipway" in run.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.parametrize("whose", ["red's", "nobody's"])
def test_what_is_not_the_team_s_cannot_be_used_for_its_containers(
    api_for: ApiFor, bob: User, engine: Engine, team: Team, other_team: Team, whose: str
) -> None:
    """S-27."""
    owner = other_team if whose == "red's" else None
    rows.make_volume(engine, owner, "theirs")
    rows.make_network(engine, owner, "their-net")
    api, wish = api_for(bob), {"engine": str(engine.pk), "image": "app:1", "team": "blue"}
    mounts = [{"type": "volume", "source": "theirs", "target": "/data"}]
    for more in ({"mounts": mounts}, {"networks": ["their-net"]}):
        answer = post(api, "/containers/", **wish, **more)
        assert answer.status_code in (400, 403, 404), (more, answer.content)
    assert not Operation.objects.exists()
