"""A container's past as a page, as a line of 24 hours and by REST; and what needs attention until it was seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import SYSTEM, person
from accounts.models import AuditEntry, Membership, PermissionSet, Role, Team, User
from containers_app import chronicle, incidents, lifeline, queries
from containers_app.models import Container, EngineEvent, Incident
from engine.types import Event
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]
NOW = timezone.now().replace(microsecond=0)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def engine(db: None) -> Engine:
    found = make_engine()
    Engine.objects.filter(pk=found.pk).update(created_at=NOW - timedelta(days=9))
    found.refresh_from_db()
    return found


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    long_ago = NOW - timedelta(days=3)
    return make_container(engine, team, created_at=long_ago, started_at=long_ago)


def happened(row: Container, action: str, ago: timedelta, **fields: Any) -> None:
    """The gateway hears of it then."""
    moment = NOW - ago
    event = Event("container", action, row.native_id, int(moment.timestamp()) * 10**9, row.name, **fields)
    incidents.note(chronicle.keep(row.engine, [event], chronicle.known(row.engine, [event]), moment))


def asked(
    row: Container, user: User, kind: str = "container.stop", ago: timedelta = timedelta(0), **fields: Any
) -> Operation:
    """An operation that somebody asked for then."""
    at = NOW - ago
    return Operation.objects.create(
        kind=kind, state="succeeded", engine=row.engine, team=row.team, actor=user, actor_name=user.username,
        target_type="container", target_id=str(row.pk), target_name=row.name, created_at=at, started_at=at,
        finished_at=at, **fields,
    )  # fmt: skip


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


# --- The page ----------------------------------------------------------------------------------------


def test_a_fault_is_shown_with_all_that_led_to_it(web: Container, vic: User, client_for: ClientFor) -> None:
    happened(web, "start", minutes(60))
    Container.objects.update(environment={"MODE": "<i>fast</i>"})
    happened(web, "die", minutes(20), exit_code=137)
    Incident.objects.update(
        lines=[["1", 1, "<script>alert(1)</script>"], ["2", 2, "\x1b[31mred\x1b[0m words"]],
        lines_state="kept",
    )
    page = client_for(vic).get(f"/containers/{web.pk}/history/").content.decode()
    for words in (
        "Exited 137",
        "SIGKILL: killed, with no chance to clean up, after 40 min",
        "by itself",
        "red words",
    ):
        assert words in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page
    assert "details" in page
    assert "open>" in page, "the newest fault is unfolded"


def test_an_operation_s_end_names_its_asker_and_says_it_once(
    web: Container, bob: User, vic: User, client_for: ClientFor
) -> None:
    stop = asked(web, bob, ago=minutes(30))
    happened(web, "kill", minutes(30), signal=15)
    happened(web, "die", minutes(30), exit_code=143)
    page = client_for(vic).get(f"/containers/{web.pk}/history/").content.decode()
    assert page.count('class="ev') - page.count('class="ev-') == 2, (
        "the operation and its end, not each event"
    )
    assert f"/operations/{stop.pk}/" in page
    assert "bob (Stop)" in page


def test_views_show_a_part_each_and_pages_meet_without_a_gap(
    web: Container, bob: User, vic: User, client_for: ClientFor
) -> None:
    for n in range(60):
        asked(web, bob, ago=minutes(n))
    happened(web, "die", minutes(90), exit_code=1)
    happened(web, "pause", minutes(91))
    client, base = client_for(vic), f"/containers/{web.pk}/history/"

    def shown(address: str) -> list[str]:
        return [entry.kind for day in client.get(base + address).context["days"] for entry in day.entries]

    first = client.get(base)
    assert shown("") + shown(first.context["older"]) == ["operation"] * 60 + ["incident", "event"]
    assert shown("?view=incidents") == ["incident"]
    assert shown("?view=engine") == ["event", "event"]
    assert set(shown("?view=people")) == {"operation"}
    assert client.get(f"{base}?before=nonsense").status_code == 404
    assert (
        "Nothing has happened"
        in client.get(
            f"/containers/{make_container(web.engine, web.team, 'new').pk}/history/"
        ).content.decode()
    )


def test_lines_of_older_incidents_are_a_link_away(web: Container, vic: User, client_for: ClientFor) -> None:
    for n in range(8):
        happened(web, "die", timedelta(hours=n + 1), exit_code=n + 1)
    Incident.objects.update(lines=[["1", 1, "last words"]], lines_state="kept")
    client, base = client_for(vic), f"/containers/{web.pk}/history/"
    assert client.get(base).content.decode().count("last words") == 5
    oldest = Incident.objects.earliest("last_at")
    page = client.get(f"{base}?incident={oldest.pk}").content.decode()
    assert page.count("last words") == 6
    assert client.get(f"{base}?incident=nonsense").status_code == 200


def test_last_lines_are_a_log_which_not_everybody_who_sees_the_container_may_read(
    web: Container, person: Callable[..., User], team: Team, client_for: ClientFor
) -> None:
    happened(web, "die", timedelta(hours=1), exit_code=1)
    Incident.objects.update(lines=[["1", 1, "last words"]], lines_state="kept")
    for permissions, said in ((["container.restart"], False), (["container.logs"], True)):
        row = PermissionSet.objects.create(
            team=team, name=permissions[0], permissions=[*permissions, "container.read"]
        )
        sue = person(f"sue-{said}")
        Membership.objects.create(user=sue, team=team, role=Role.CUSTOM, permission_set=row)
        page = client_for(sue).get(f"/containers/{web.pk}/history/").content.decode()
        assert ("last words" in page, "Whoever may read its log" in page) == (said, not said)


def test_a_stranger_sees_no_past(
    web: Container, charlie: User, client_for: ClientFor, api_for: ApiFor
) -> None:
    happened(web, "die", minutes(5), exit_code=1)
    assert client_for(charlie).get(f"/containers/{web.pk}/history/").status_code == 404
    api = api_for(charlie)
    assert api.get(f"/api/v1/containers/{web.pk}/timeline/").status_code == 404
    assert api.post(f"/api/v1/containers/{web.pk}/seen/").status_code == 404


# --- REST --------------------------------------------------------------------------------------------


def test_the_timeline_merges_everything_in_order(
    web: Container, bob: User, vic: User, api_for: ApiFor
) -> None:
    stop = asked(web, bob, ago=minutes(10))
    happened(web, "kill", minutes(10), signal=15)
    happened(web, "die", minutes(9), exit_code=0)
    api, base = api_for(vic), f"/api/v1/containers/{web.pk}/timeline/"
    found = api.get(base).json()
    assert [row["kind"] for row in found["results"]] == ["incident", "event", "operation", "event"]
    assert found["next"] is None
    incident, die, operation, kill = found["results"]
    assert (incident["incident"]["asked"], incident["incident"]["words"]) == (
        "operation",
        "finished without an error",
    )
    assert (die["event"]["action"], kill["event"]["signal"]) == ("die", 15)
    assert operation["operation"]["id"] == str(stop.pk)
    pages, address = [], f"{base}?limit=1"
    while address:
        page = api.get(address).json()
        pages += page["results"]
        address = page["next"]
    assert pages == found["results"]
    assert [r["kind"] for r in api.get(f"{base}?kind=incident,operation").json()["results"]] == [
        "incident",
        "operation",
    ]
    for wrong in ("kind=x", "cursor=x", "limit=0", "limit=21&lines=1", "lines=1&size=3"):
        assert api.get(f"{base}?{wrong}").status_code == 400, wrong


def test_last_lines_come_where_they_are_asked_for(web: Container, vic: User, api_for: ApiFor) -> None:
    happened(web, "die", minutes(9), exit_code=1)
    Incident.objects.update(lines=[["1700000000000000001", 2, "oops"]], lines_state="kept")
    base = f"/api/v1/containers/{web.pk}/timeline/?kind=incident"
    assert api_for(vic).get(base).json()["results"][0]["incident"]["lines"] is None
    lines = api_for(vic).get(f"{base}&lines=1").json()["results"][0]["incident"]["lines"]
    assert lines == [{"seq": 1, "ts": "2023-11-14T22:13:20.000000001Z", "stream": "stderr", "line": "oops"}]


def test_the_timeline_asks_as_often_for_many_as_for_few(
    web: Container, vic: User, bob: User, api_for: ApiFor, django_assert_max_num_queries: Any
) -> None:
    for n in range(20):
        asked(web, bob, ago=minutes(n))
        happened(web, "die", minutes(30 + 20 * n), exit_code=n)
    api = api_for(vic)
    with django_assert_max_num_queries(14):
        assert len(api.get(f"/api/v1/containers/{web.pk}/timeline/").json()["results"]) == 50


# --- What needs attention, and Seen ------------------------------------------------------------------


def test_seen_is_written_in_the_trail_and_takes_it_out_of_the_view(
    web: Container, bob: User, vic: User, client_for: ClientFor, api_for: ApiFor
) -> None:
    Container.objects.update(state="exited", exit_code=1, finished_at=NOW)
    happened(web, "die", timedelta(0), exit_code=1)
    client = client_for(bob)
    assert client.get("/containers/?view=attention").context["counts"]["attention"] == 1
    assert 'value="seen"' in client.get("/containers/?view=attention").content.decode()
    assert "do/seen/" in client.get(f"/containers/{web.pk}/").content.decode()
    assert "do/seen/" not in client_for(vic).get(f"/containers/{web.pk}/").content.decode()
    answer = client.post(f"/containers/{web.pk}/do/seen/", headers=HTMX)
    assert "needs no attention" in answer.headers["HX-Trigger"]
    assert client.get("/containers/").context["counts"]["attention"] == 0
    entry = AuditEntry.objects.get(verb="container.seen")
    assert (entry.actor, entry.outcome, entry.target_id) == (bob, "succeeded", str(web.pk))
    assert entry.detail["status"].startswith("Exited 1")
    rows = api_for(bob).get("/api/v1/containers/?attention=1").json()["results"]
    assert rows == []
    assert api_for(bob).get("/api/v1/containers/?attention=maybe").status_code == 400
    happened(web, "start", -minutes(20))
    happened(web, "die", -minutes(21), exit_code=1)
    rows = api_for(bob).get("/api/v1/containers/?attention=1").json()["results"]
    assert [(row["name"], row["attention"], row["ended"]) for row in rows] == [("web", True, "fault")]


def test_a_viewer_may_not_take_note(
    web: Container, vic: User, client_for: ClientFor, api_for: ApiFor
) -> None:
    client_for(vic).post(f"/containers/{web.pk}/do/seen/", headers=HTMX)
    assert api_for(vic).post(f"/api/v1/containers/{web.pk}/seen/").status_code == 403
    web.refresh_from_db()
    assert web.noted_at is None
    assert AuditEntry.objects.filter(verb="container.seen", outcome="denied").count() == 2


def test_several_can_be_seen_at_once(
    engine: Engine, team: Team, bob: User, client_for: ClientFor, api_for: ApiFor
) -> None:
    rows = [make_container(engine, team, f"c{n}", state="dead") for n in range(3)]
    client_for(bob).post("/containers/bulk/", {"action": "seen", "ids": [rows[0].pk, rows[1].pk]})
    answer = api_for(bob).post(f"/api/v1/containers/{rows[2].pk}/seen/").json()
    assert (answer["attention"], answer["seen_at"] is None) == (False, False)
    assert not Container.objects.filter(noted_at=None).exists()


def test_a_row_says_of_itself_what_the_database_says_of_it(engine: Engine, team: Team) -> None:
    now = timezone.now()
    early, late = now - timedelta(hours=2), now + timedelta(hours=2)
    choices = itertools.product(
        [("exited", 0), ("exited", 1), ("exited", 137), ("exited", None), ("running", None), ("restarting", 1)],
        ["", "fault", "asked", "done"],
        [False, True],
        [None, early, late],
        [(None, None), (early, None), (None, early), (early, now), (now, early)],
    )  # fmt: skip
    Container.objects.bulk_create(
        Container(
            engine=engine, team=team, native_id=f"{n:064x}", name=f"c{n}", state=state, exit_code=code, ended=ended,
            oom_killed=bad, health="unhealthy" if bad else "none", trouble_until=until, trouble_at=since,
            noted_at=noted,
        )
        for n, ((state, code), ended, bad, until, (since, noted)) in enumerate(choices)
    )  # fmt: skip
    rows = {row.pk: queries.attention_of(row) for row in Container.objects.all()}
    found = set(Container.objects.filter(queries.needs_attention()).values_list("pk", flat=True))
    rest = set(Container.objects.exclude(queries.needs_attention()).values_list("pk", flat=True))
    assert {pk for pk, says in rows.items() if says} == found
    assert rest == rows.keys() - found


# --- The line of 24 hours ----------------------------------------------------------------------------


def drawn(row: Container, now: Any = NOW) -> list[tuple[str, int]]:
    """Kinds of the bands, and their widths in minutes."""
    row.refresh_from_db()
    line = lifeline.lifeline(row, SYSTEM, now)
    assert line is not None
    assert all(0 <= band.x <= 100 and 0 < band.width <= 100 for band in line.bands)
    return [(band.kind, round((band.width + 0.12) * 14.4)) for band in line.bands]


def test_a_quiet_day_is_one_band(web: Container) -> None:
    assert drawn(web) == [("up", 1440)]


def test_a_stop_is_a_gap_and_failing_checks_are_a_band_of_their_own(web: Container) -> None:
    Container.objects.update(healthcheck={"test": ["CMD", "true"]}, started_at=NOW - minutes(600))
    happened(web, "die", minutes(720), exit_code=0)
    happened(web, "start", minutes(600))
    happened(web, "health_status", minutes(594), health="healthy")
    happened(web, "health_status", minutes(300), health="unhealthy")
    happened(web, "health_status", minutes(240), health="healthy")
    assert [kind for kind, _ in drawn(web)] == ["up", "off", "start", "up", "bad", "up"]
    line = lifeline.lifeline(web, SYSTEM, NOW)
    assert line is not None
    assert [mark.label for mark in line.marks] == ["Unhealthy, 1 h"]
    assert "about 1 h of trouble" in line.summary


def test_what_is_new_has_nothing_before_it(engine: Engine, team: Team) -> None:
    new = make_container(engine, team, created_at=NOW - minutes(60), started_at=NOW - minutes(60))
    assert [kind for kind, _ in drawn(new)] == ["none", "up"]
    never = make_container(engine, team, "never", state="created", started_at=None)
    assert lifeline.lifeline(never, SYSTEM, NOW) is None


def test_a_crash_loop_draws_no_more_than_a_quiet_day(web: Container) -> None:
    for n in range(200):
        happened(web, "die", minutes(400 - n), exit_code=1)
        happened(web, "start", minutes(399.5 - n))
    Container.objects.update(started_at=NOW - minutes(200.5), finished_at=NOW - minutes(201))
    assert [kind for kind, _ in drawn(web)] == ["up", "bad", "up"]


def test_an_end_while_nobody_listened_is_drawn_as_not_known(web: Container) -> None:
    chronicle.missing(web.engine, NOW - minutes(100), "Slipway was not running.", since=NOW - minutes(220))
    assert [kind for kind, _ in drawn(web)] == ["up"], "it ran all the time, and its row says so"
    Container.objects.update(finished_at=NOW - minutes(160), started_at=NOW - minutes(150))
    assert [kind for kind, _ in drawn(web)] == ["up", "blind", "up"]


def test_deploys_and_trouble_have_words_where_there_is_room(web: Container, bob: User) -> None:
    happened(web, "die", minutes(500), exit_code=137)
    happened(web, "start", minutes(499))
    for n in range(4):
        asked(
            web, bob, "container.recreate", ago=minutes(505 + n), params={"image": "reg:5000/blue/app:2.14"}
        )
    asked(web, bob, "container.recreate", ago=minutes(5), params={"image": "reg:5000/blue/app"})
    line = lifeline.lifeline(web, person(bob, source="ui"), NOW)
    assert line is not None
    labels = [(mark.label, mark.kind, mark.side) for mark in line.marks]
    assert labels == [("Deploy 2.14", "deploy", "")] * 4 + [
        ("Killed", "bad", "start"),
        ("Recreated", "deploy", "end"),
    ]
    assert line.summary == "5 deploys, 1 fault"
    assert line.sentence.startswith("The last 24 hours: up 100% of them")


def test_the_overview_draws_it_with_a_sentence_and_without_styles(
    web: Container, vic: User, client_for: ClientFor
) -> None:
    happened(web, "die", minutes(30), exit_code=3)
    page = client_for(vic).get(f"/containers/{web.pk}/").content.decode()
    assert 'class="life-svg"' in page
    assert 'aria-label="The last 24 hours: up' in page
    assert "Exit 3" in page
    assert "style=" not in page


def test_events_of_the_container_are_a_link_away(web: Container, vic: User, client_for: ClientFor) -> None:
    happened(web, "pause", minutes(5))
    page = client_for(vic).get(f"/events/?container={web.pk}").content.decode()
    assert "Paused" in page
    assert EngineEvent.objects.count() == 1


def test_a_container_s_past_is_told_by_the_days_of_the_reader(
    web: Container, vic: User, bob: User, client_for: ClientFor
) -> None:
    """An hour before midnight in UTC it is the next day in Berlin, and the evening before in New York."""
    asked(web, bob, ago=NOW - NOW.replace(hour=23, minute=0) + timedelta(days=1))
    day = (NOW - timedelta(days=1)).date()
    client = client_for(vic)
    for zone, date in (("Europe/Berlin", day + timedelta(days=1)), ("America/New_York", day), ("", day)):
        client.cookies["zone"] = zone
        days = client.get(f"/containers/{web.pk}/history/?view=people").context["days"]
        assert [found.date for found in days] == [date], zone
