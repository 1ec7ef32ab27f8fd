"""Engine events to read: whose they are, how they are filtered, and how pages and REST show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Membership, PermissionSet, Role, Team, User
from containers_app import chronicle
from containers_app.models import Container, EngineEvent
from engine.types import Event
from images_app.models import Image
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_image, make_operation

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]
NOW_NS = 1_800_000_000 * 10**9


@pytest.fixture
def engine(db: None) -> Engine:
    return make_engine()


def heard(engine: Engine, *events: Event) -> list[EngineEvent]:
    """What the gateway does with events."""
    return chronicle.keep(engine, events, chronicle.known(engine, events), timezone.now())


def event(row: Container | None, action: str, after: float = 0, **fields: Any) -> Event:
    """Something that happened to a container, so many seconds after a time."""
    native_id = row.native_id if row else "f" * 64
    return Event("container", action, native_id, NOW_NS + int(after * 10**9), **fields)


def test_the_same_event_is_kept_once_however_often_it_is_heard(engine: Engine, team: Team) -> None:
    web = make_container(engine, team)
    again = [event(web, "start"), event(web, "start"), event(web, "die", 1)]
    assert len(heard(engine, *again)) == 2
    assert heard(engine, *again) == []
    assert heard(engine, *again, event(web, "start", 2))[0].action == "start"
    assert EngineEvent.objects.count() == 3


def test_an_event_knows_its_thing_and_the_name_of_then(engine: Engine, team: Team) -> None:
    web, image = make_container(engine, team), make_image(engine, team, "blue/app:1")
    heard(
        engine,
        event(web, "start", name="old-name"),
        Event("image", "tag", image.native_id, NOW_NS, "blue/app:2"),
    )
    started, tagged = EngineEvent.objects.order_by("type")
    assert (started.container, started.name, started.team) == (web, "old-name", team)
    assert (tagged.object_id, tagged.name, tagged.team) == (image.pk, "blue/app:2", team)


def test_a_label_does_not_forge_how_it_ended(engine: Engine, team: Team) -> None:
    honest = make_container(engine, team, "honest")
    forger = make_container(engine, team, "forger", labels={"exitCode": "0", "signal": "1"})
    for row in (honest, forger):
        heard(engine, event(row, "kill", signal=9), event(row, "die", 1, exit_code=137))
    assert list(honest.happened.order_by("at").values_list("signal", "exit_code")) == [(9, None), (None, 137)]
    assert list(forger.happened.order_by("at").values_list("signal", "exit_code")) == [(None, None)] * 2


def test_hostile_times_and_names_are_no_reason_to_stop(engine: Engine) -> None:
    heard(
        engine,
        Event("container", "start", "a" * 64, -5),
        Event("container", "start", "b" * 64, 2**70),
        Event("volume", "create", "v" * 500, NOW_NS, name="<script>" * 60),
    )
    kept = EngineEvent.objects.get()
    assert (len(kept.native_id), len(kept.name)) == (255, 255)


def test_a_burst_is_cut_and_that_is_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle, "AT_ONCE", 3)
    heard(engine, *(event(None, "start", n) for n in range(10)))
    assert EngineEvent.objects.filter(action="start").count() == 3
    assert "7 events" in EngineEvent.objects.get(action="reconciled").detail


def test_old_events_and_too_many_are_taken_away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(engine, *(event(None, "start", n) for n in range(6)))
    EngineEvent.objects.filter(time_ns=NOW_NS).update(heard_at=timezone.now() - timedelta(days=31))
    assert chronicle.prune(engine) == 1
    monkeypatch.setattr(chronicle, "MOST", 2)
    assert chronicle.prune(engine) == 3
    assert sorted(row.time_ns // 10**9 % 10 for row in EngineEvent.objects.all()) == [4, 5]


# --- Who caused it -----------------------------------------------------------------------------------


def at_work(row: Container, kind: str, user: User) -> Operation:
    """An operation that is being carried out now."""
    return Operation.objects.create(
        kind=kind, state="running", engine=row.engine, team=row.team, actor=user, actor_name=user.username,
        target_type="container", target_id=str(row.pk), target_name=row.name,
        started_at=timezone.now() - timedelta(seconds=2),
    )  # fmt: skip


def causes(row: Container) -> list[tuple[str, str, bool]]:
    found = row.happened.order_by("time_ns").values_list("action", "origin", "operation")
    return [(action, origin, operation is not None) for action, origin, operation in found]


def test_a_stop_by_an_operation_is_the_operation_s_and_the_crash_after_a_restart_is_not(
    engine: Engine, team: Team, bob: User
) -> None:
    web = make_container(engine, team, restart_policy="always")
    at_work(web, "container.restart", bob)
    heard(engine, event(web, "kill", 0, signal=15), event(web, "die", 1), event(web, "start", 2))
    heard(engine, event(web, "die", 3, exit_code=1), event(web, "oom", 2.5))
    assert causes(web) == [
        ("kill", "operation", True),
        ("die", "operation", True),
        ("start", "operation", True),
        ("oom", "engine", False),
        ("die", "engine", False),
    ]


def test_a_kill_from_a_terminal_is_from_outside_and_a_policy_is_the_engine_s(
    engine: Engine, team: Team
) -> None:
    web = make_container(engine, team, restart_policy="always")
    heard(engine, event(web, "die", 0, exit_code=1), event(web, "start", 1))
    heard(engine, event(web, "kill", 2, signal=9), event(web, "die", 3), event(web, "start", 4))
    assert [origin for _, origin, _ in causes(web)] == ["engine", "engine", "outside", "outside", "outside"]


def test_a_signal_that_only_wakes_is_no_cause_of_a_crash(engine: Engine, team: Team) -> None:
    web = make_container(engine, team)
    heard(engine, event(web, "kill", 0, signal=10), event(web, "die", 1, exit_code=1))
    assert causes(web)[-1] == ("die", "engine", False)


def test_an_operation_s_label_counts_only_while_it_is_at_work(engine: Engine, team: Team, bob: User) -> None:
    work = at_work(make_container(engine, team, "other"), "container.run", bob)
    made = make_container(engine, team, labels={"io.slipway.operation": str(work.pk)})
    heard(engine, event(made, "create"))
    assert causes(made) == [("create", "operation", True)]
    Operation.objects.filter(pk=work.pk).update(
        state="succeeded", finished_at=timezone.now() - timedelta(minutes=1)
    )
    heard(engine, event(made, "start", 1))
    assert causes(made)[-1] == ("start", "outside", False)


# --- Whose they are ----------------------------------------------------------------------------------


def test_events_are_seen_by_the_owner_of_today_and_after_the_end_by_the_last_one(
    engine: Engine, team: Team, other_team: Team, vic: User, charlie: User, alice: User, api_for: ApiFor
) -> None:
    web = make_container(engine, other_team)
    heard(engine, event(web, "start"), event(None, "start"))
    Container.objects.filter(pk=web.pk).update(team=team)

    def seen(user: User) -> int:
        return len(api_for(user).get("/api/v1/events/").json()["results"])

    assert (seen(vic), seen(charlie), seen(alice)) == (1, 0, 2)
    chronicle.forgotten([web.pk])
    web.delete()
    assert (seen(vic), seen(charlie), seen(alice)) == (1, 0, 2)


def test_when_nobody_listened_is_no_secret(engine: Engine, vic: User, api_for: ApiFor) -> None:
    now = timezone.now()
    chronicle.missing(engine, now, "Slipway was not running.", since=now - timedelta(hours=1))
    found = api_for(vic).get("/api/v1/events/").json()["results"]
    assert [(one["type"], one["action"], one["detail"]) for one in found] == [
        ("slipway", "reconciled", "Slipway was not running.")
    ]
    assert found[0]["blind_since"] < found[0]["at"]


def test_rest_filters_and_pages_by_time(engine: Engine, team: Team, vic: User, api_for: ApiFor) -> None:
    web, db = make_container(engine, team), make_container(engine, team, "db")
    heard(engine, *(event(web, "start", n) for n in range(5)), event(db, "die", 2.5, exit_code=3))
    api = api_for(vic)
    page = api.get("/api/v1/events/?limit=4").json()
    rest = api.get(page["next"]).json()["results"]
    times = [datetime.fromisoformat(row["at"]) for row in (*page["results"], *rest)]
    assert len(times) == 6
    assert times == sorted(times, reverse=True)
    assert [r["exit_code"] for r in api.get(f"/api/v1/events/?container={db.pk}").json()["results"]] == [3]
    assert len(api.get("/api/v1/events/?action=die&type=container,image").json()["results"]) == 1
    assert len(api.get("/api/v1/events/?since=2027-01-15T08:00:02.2Z&q=web").json()["results"]) == 2
    assert api.get("/api/v1/events/?type=plugin").status_code == 400
    assert api.get("/api/v1/events/?kind=x").json()["code"] == "unknown_parameter"


def test_the_page_tells_who_and_escapes_what_engines_say(
    engine: Engine, team: Team, vic: User, bob: User, client_for: ClientFor
) -> None:
    web = make_container(engine, team, "<b>web</b>")
    at_work(web, "container.stop", bob)
    heard(engine, event(web, "kill", 0, signal=15), event(web, "die", 1, exit_code=143))
    heard(engine, event(web, "health_status", 2, health="unhealthy", name="<b>web</b>"))
    page = client_for(vic).get("/events/").content.decode()
    assert "SIGTERM" in page
    assert "exit 143" in page
    assert "bob" in page
    assert "&lt;b&gt;web&lt;/b&gt;" in page
    assert "<b>web</b>" not in page
    part = client_for(vic).get("/events/?action=die", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "exit 143" in part
    assert "SIGTERM" not in part


def test_older_events_are_a_link_away_and_a_torn_link_is_not_found(
    engine: Engine, team: Team, vic: User, client_for: ClientFor
) -> None:
    web = make_container(engine, team)
    heard(engine, *(event(web, "start", n) for n in range(130)))
    client = client_for(vic)
    first = client.get("/events/")
    older = client.get(f"/events/{first.context['older']}")
    assert (len(first.context["found"]), len(older.context["found"])) == (100, 30)
    assert older.context["older"] == ""
    for torn in ("x", "1-", f"{2**64}-1"):
        assert client.get(f"/events/?before={torn}").status_code == 404
    assert "cannot be asked" in client.get("/events/?container=x").content.decode()
    assert "No event matches" in client.get("/events/?q=nothing").content.decode()


def test_the_admin_shows_events_and_changes_none(engine: Engine, alice: User, client_for: ClientFor) -> None:
    heard(engine, event(None, "start", name="shown"))
    client = client_for(alice)
    row = EngineEvent.objects.get()
    assert "shown" in client.get("/admin/containers/engineevent/").content.decode()
    assert client.get(f"/admin/containers/engineevent/{row.pk}/change/").status_code == 200
    assert client.post(f"/admin/containers/engineevent/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/containers/engineevent/add/").status_code == 403


def test_a_row_that_is_gone_leaves_its_events_behind(
    engine: Engine, team: Team, alice: User, api_for: ApiFor
) -> None:
    web, image = make_container(engine, team), make_image(engine, team, "blue/app:1")
    heard(engine, event(web, "destroy"), Event("image", "delete", image.native_id, NOW_NS))
    gone = str(web.pk)
    web.delete()
    Image.objects.all().delete()
    found = api_for(alice).get("/api/v1/events/").json()["results"]
    assert {(one["action"], one["container"] or one["object"]) for one in found} == {
        ("destroy", gone),
        ("delete", str(image.pk)),
    }


def test_events_tell_of_what_a_permission_set_shows(
    engine: Engine, team: Team, person: Callable[..., User], client_for: ClientFor
) -> None:
    """S-22: nor of images, volumes and networks by what shows containers, nor who asked for it."""
    some = PermissionSet.objects.create(team=team, name="Looks", permissions=["container.read"])
    sue = person("sue")
    Membership.objects.create(user=sue, team=team, role=Role.CUSTOM, permission_set=some)
    web, image = make_container(engine, team), make_image(engine, team, "secret/app:1")
    work = make_operation(engine, team, actor_name="somebody-else")
    heard(
        engine,
        event(web, "start", name="web"),
        Event("image", "tag", image.native_id, NOW_NS, "secret/app:2"),
    )
    EngineEvent.objects.filter(type="container").update(operation=work, origin="operation")
    client = client_for(sue)
    page = client.get("/events/").content.decode()
    assert ("web" in page, "secret/" in page, "somebody-else" in page) == (True, False, False)
    assert [one["name"] for one in client.get("/api/v1/events/").json()["results"]] == ["web"]
    PermissionSet.objects.update(permissions=["container.read", "image.read", "operation.read"])
    page = client_for(sue).get("/events/").content.decode()
    assert ("secret/" in page, "somebody-else" in page) == (True, True)
