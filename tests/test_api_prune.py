"""REST of cleaning up: the plan first, then exactly what it lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Membership, Role, Team, User
from containers_app.models import PrunePlan
from operations import reads, runner, tasks
from operations.models import Operation
from tests.rows import make_container, make_engine, make_image, make_prune_plan, make_volume

ApiFor = Callable[..., APIClient]
PRUNE = "/api/v1/prune/"


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the engine counts; it answers at once, from here."""
    from engine.disk import DiskUsage

    containers: dict[str, int] = {}
    volumes: dict[str, int] = {}

    class Counts:
        def disk_usage(self, *, deadline: float) -> DiskUsage:
            return DiskUsage(0, containers, {}, volumes)

    def send(name: str, args: tuple[str], **options: Any) -> None:
        if name == reads.TASK:
            tasks.answer_read(args[0])

    monkeypatch.setattr(reads.current_app, "send_task", send)
    monkeypatch.setattr(runner, "backend", lambda endpoint: Counts())
    return {"containers": containers, "volumes": volumes}


def test_a_plan_lists_what_its_kinds_hold_and_is_then_carried_out(
    api_for: ApiFor, alice: User, team: Team, counted: dict[str, Any]
) -> None:
    engine = make_engine()
    done = make_container(engine, team, "done", state="exited")
    web = make_container(engine, team, "web")
    image = make_image(engine, team, "shop/old:1")
    untagged = make_image(engine, None)
    data, _ = make_volume(engine, team, "data"), make_volume(engine, team, "used", web)
    counted["containers"][done.native_id] = 70
    counted["volumes"]["data"] = 5
    api, kinds = api_for(alice), ["named_volumes", "images", "unused_images", "containers"]
    answer = api.post(f"{PRUNE}?dry_run=1", {"kinds": kinds}, format="json")
    plan = answer.json()
    assert answer.status_code == 200, plan
    assert plan["items"] == [
        {"kind": "containers", "id": str(done.pk), "name": "done", "size": 70},
        {"kind": "images", "id": str(untagged.pk), "name": untagged.short_id, "size": 1000},
        {"kind": "unused_images", "id": str(image.pk), "name": "shop/old:1", "size": 1000},
        {"kind": "named_volumes", "id": str(data.pk), "name": "data", "size": 5},
    ]
    assert (plan["frees"], plan["would_run"], plan["kind"], plan["unknown"]) == (
        2075,
        True,
        "engine.prune",
        [],
    )
    assert [line["what"] for line in plan["lost"]] == [
        "1 stopped container", "1 untagged image", "1 unused image", "1 named volume",
    ]  # fmt: skip
    assert (plan["undo_hours"], "not into the trash" in plan["no_undo"]) == (0, True)
    row = PrunePlan.objects.get(pk=plan["id"])
    assert timedelta(minutes=59) < row.expires_at - timezone.now() <= timedelta(hours=1)
    assert not Operation.objects.exists()

    again = api.post(f"{PRUNE}?dry_run=1", {"plan": plan["id"]}, format="json")
    assert (again.status_code, again.json()["items"]) == (200, plan["items"])
    assert not Operation.objects.exists()
    answer = api.post(PRUNE, {"plan": plan["id"]}, format="json")
    operation = answer.json()
    assert (answer.status_code, operation["kind"], operation["state"]) == (202, "engine.prune", "queued")
    assert operation["target"] == {"type": "engine", "id": str(engine.pk), "name": "quiet"}
    assert api.post(PRUNE, {"plan": plan["id"]}, format="json").json()["id"] == operation["id"], "joined"


def test_without_a_plan_it_says_how(api_for: ApiFor, alice: User) -> None:
    make_engine()
    answer = api_for(alice).post(PRUNE, {"kinds": ["images"]}, format="json")
    assert answer.status_code == 400
    assert "?dry_run=1" in answer.json()["errors"]["plan"][0]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "kinds"),
        ({"kinds": []}, "kinds"),
        ({"kinds": ["everything"]}, "kinds.0"),
        ({"kinds": ["images"], "engine": "11111111-1111-4111-8111-111111111111"}, "engine"),
        ({"plan": "x"}, "plan"),
        ({"plan": "11111111-1111-4111-8111-111111111111", "kinds": ["images"]}, "plan"),
        ({"kinds": ["images"], "force": True}, "force"),
    ],
)
def test_what_makes_no_sense_is_refused(api_for: ApiFor, alice: User, wish: Any, field: str) -> None:
    make_engine()
    answer = api_for(alice).post(f"{PRUNE}?dry_run=1", wish, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.json()


def test_only_site_administrators_may_and_each_has_their_own_plans(
    api_for: ApiFor, alice: User, tara: User, vic: User, person: Callable[..., User], team: Team
) -> None:
    plan = make_prune_plan(make_engine(), alice)
    for user in (tara, vic):
        answer = api_for(user).post(f"{PRUNE}?dry_run=1", {"kinds": ["images"]}, format="json")
        assert (answer.status_code, "site administrator" in answer.json()["detail"]) == (403, True)
    assert AuditEntry.objects.filter(verb="engine.prune", outcome="denied").count() == 2
    assert api_for(alice, "write").post(PRUNE, {"plan": plan.pk}, format="json").status_code == 403
    other = person("ada", is_superuser=True)
    assert api_for(other).post(PRUNE, {"plan": plan.pk}, format="json").status_code == 404
    assert api_for(other).post(f"{PRUNE}?dry_run=1", {"plan": plan.pk}, format="json").status_code == 404
    assert not Operation.objects.exists()


def test_a_teams_token_reaches_no_further_than_its_team(api_for: ApiFor, alice: User, team: Team) -> None:
    Membership.objects.create(user=alice, team=team, role=Role.ADMIN)
    plan = make_prune_plan(make_engine(), alice)
    api = api_for(alice, team=team)
    assert api.post(PRUNE, {"plan": plan.pk}, format="json").status_code in (403, 404)
    answer = api.post(f"{PRUNE}?dry_run=1", {"kinds": ["images"]}, format="json")
    assert answer.status_code in (403, 404)
    assert not Operation.objects.exists()


def test_a_plan_that_has_expired_or_lists_nothing_is_refused(api_for: ApiFor, alice: User) -> None:
    engine, api = make_engine(), api_for(alice)
    old = make_prune_plan(engine, alice, expires_at=timezone.now())
    answer = api.post(PRUNE, {"plan": old.pk}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "plan_expired")
    plan = api.post(f"{PRUNE}?dry_run=1", {"kinds": ["volumes"]}, format="json").json()
    assert (plan["items"], plan["would_run"], plan["summary"]) == ([], False, "Nothing is unused.")
    answer = api.post(PRUNE, {"plan": plan["id"]}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_engine_that_does_not_count_leaves_sizes_open(
    api_for: ApiFor, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_container(make_engine(), None, "done", state="exited")
    monkeypatch.setattr(reads.current_app, "send_task", _no_broker)
    plan = api_for(alice).post(f"{PRUNE}?dry_run=1", {"kinds": ["containers"]}, format="json").json()
    assert (plan["items"][0]["size"], plan["frees"]) == (None, 0)
    assert plan["unknown"] == ["how much some of them hold"]


def _no_broker(*args: Any, **options: Any) -> None:
    raise OSError("away")
