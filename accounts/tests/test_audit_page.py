"""The page of the audit trail."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts import anchors, audit
from accounts.access import person as actor_for
from accounts.models import AuditEntry, Team, User
from tests import trail

ClientFor = Callable[..., Client]


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    """A state directory without anchors."""
    settings.HOME = tmp_path
    return tmp_path


@pytest.fixture
def many(bob: User, team: Team) -> None:
    """250 entries of team blue."""
    for number in range(250):
        audit.record(
            "container.stop", actor_for(bob, source="ui"), team_id=team.pk, target_name=f"<b>web-{number}</b>"
        )


def names(page: Any) -> list[str]:
    """What the entries of a page are about."""
    return [line.entry.target_name for line in page.context["lines"]]


def test_pages_stay_what_they_are_while_more_happens(client_for: ClientFor, bob: User, many: None) -> None:
    client = client_for(bob)
    first = client.get("/audit/")
    assert names(first) == [f"<b>web-{number}</b>" for number in range(249, 149, -1)]
    assert "&lt;b&gt;web-249&lt;/b&gt;" in first.content.decode()
    assert first.context["newer"] == ""
    audit.record("container.stop", actor_for(bob, source="ui"), target_name="new")
    second = client.get("/audit/" + first.context["older"])
    third = client.get("/audit/" + second.context["older"])
    assert names(second) == [f"<b>web-{number}</b>" for number in range(149, 49, -1)]
    assert names(third) == [f"<b>web-{number}</b>" for number in range(49, -1, -1)]
    assert third.context["older"] == ""
    assert names(client.get("/audit/" + third.context["newer"])) == names(second)
    assert names(client.get("/audit/" + second.context["newer"])) == names(first)
    again = client.get("/audit/" + first.context["older"].replace("before", "after"))
    assert (names(again)[0], again.context["newer"]) == ("new", "")


@pytest.mark.parametrize("cursor", ["x", "before-", "before-x", "before--1", "after-٣", "before-" + "9" * 40])
def test_a_cursor_that_is_none_is_no_page(client_for: ClientFor, bob: User, cursor: str) -> None:
    assert client_for(bob).get("/audit/", {"cursor": cursor}).status_code == 404


def test_the_page_can_be_filtered(client_for: ClientFor, alice: User, bob: User, team: Team) -> None:
    audit.record(
        "container.stop", actor_for(bob, source="ui"), target_id="17", target_name="web", team_id=team.pk
    )
    audit.record("image.pull", actor_for(alice, source="ui"), outcome="failed", target_name="app:1")
    client = client_for(alice)
    for query, found in (
        ("verb=container.*", ["web"]),
        ("verb=image.pull", ["app:1"]),
        ("actor=bob", ["web"]),
        ("outcome=failed", ["app:1"]),
        ("target=17", ["web"]),
        ("target=web", ["web"]),
        ("team=blue", ["web"]),
        ("q=APP", ["app:1"]),
        ("since=2020-01-01&until=2020-01-02", []),
        ("verb=&outcome=&since=&until=&q=", ["app:1", "web"]),
    ):
        assert names(client.get(f"/audit/?{query}")) == found, query
    assert "No entry matches" in client.get("/audit/?q=nothing").content.decode()


def test_a_day_that_is_none_shows_nothing_and_says_so(client_for: ClientFor, alice: User) -> None:
    audit.record("container.stop", actor_for(alice, source="ui"))
    page = client_for(alice).get("/audit/?until=yesterday")
    assert names(page) == []
    assert "Until: Enter a valid date" in page.content.decode()


def test_what_is_chosen_can_be_exported(client_for: ClientFor, alice: User) -> None:
    audit.record("container.stop", actor_for(alice, source="ui"))
    page = client_for(alice).get("/audit/?verb=container.*&outcome=&foo=1&cursor=before-9")
    assert page.context["export"] == "/api/v1/audit/?verb=container.%2A&format=csv"
    assert client_for(alice).get(page.context["export"]).status_code == 200


def test_an_entry_says_all_of_itself(client_for: ClientFor, bob: User, team: Team) -> None:
    entry = audit.record(
        "container.run", actor_for(bob, source="api", ip="192.0.2.7"), outcome="accepted", target_type="container",
        target_id="17", target_name="web", team_id=team.pk, operation_id=team.pk,
        detail={"env": {"PASSWORD": "********"}, "x": "</pre><script>"},
    )  # fmt: skip
    text = client_for(bob).get("/audit/").content.decode()
    for part in ("192.0.2.7", "blue", f"/operations/{team.pk}/", "********", entry.hash, "its seal is right"):
        assert part in text, part
    assert "</pre><script>" not in text


def test_the_page_says_how_the_chain_stands(client_for: ClientFor, alice: User) -> None:
    client = client_for(alice)
    for name in ("one", "two", "three"):
        audit.record("container.stop", actor_for(alice, source="ui"), target_name=name)
    assert "Not anchored yet" in client.get("/audit/").content.decode()
    anchors.drop()
    text = re.sub(r"<[^>]+>", "", client.get("/audit/").content.decode())
    assert "Chain whole as of just now: entry 3 stands as it was anchored; the seals on this page" in text
    with trail.unguarded():
        AuditEntry.objects.filter(seq=2).update(target_name="zwei")
    page = client.get("/audit/")
    assert page.context["chain"].wrong == [2]
    assert "The chain is broken" in page.content.decode()
    with trail.unguarded():
        AuditEntry.objects.filter(seq__gt=1).delete()
    page = client.get("/audit/")
    assert (page.context["chain"].wrong, page.context["chain"].holds) == ([], False)
    assert "The chain is broken" in page.content.decode()


def test_neighbours_on_a_page_are_held_against_each_other(client_for: ClientFor, alice: User) -> None:
    made = [audit.record("container.stop", actor_for(alice, source="ui")) for _ in range(3)]
    with trail.unguarded():
        AuditEntry.objects.filter(seq=2).update(prev_hash=made[2].hash)
    assert client_for(alice).get("/audit/").context["chain"].wrong == [2]


def test_people_to_choose_from_are_those_of_ones_own_teams(
    client_for: ClientFor, alice: User, bob: User, charlie: User
) -> None:
    assert client_for(bob).get("/audit/").context["people"] == ["bob"]
    assert client_for(alice).get("/audit/").context["people"] == ["alice", "bob", "charlie"]


def test_a_part_of_the_page_comes_with_what_depends_on_it(client_for: ClientFor, alice: User) -> None:
    audit.record("container.stop", actor_for(alice, source="ui"))
    part = client_for(alice).get("/audit/?outcome=failed", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'id="audit-views"' in part
    assert "outcome=failed&amp;format=csv" in part


def test_viewer_may_not_read_the_trail_and_that_is_in_it(client_for: ClientFor, vic: User) -> None:
    assert client_for(vic).get("/audit/").status_code == 403
    line = AuditEntry.objects.get()
    assert (line.verb, line.outcome, line.actor, line.detail) == (
        "audit.read",
        "denied",
        vic,
        {"path": "/audit/", "request": line.detail["request"]},
    )


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        # An hour before UTC's midnight in winter, two in summer.
        ("Europe/Berlin", "2026-01-15", "2026-01-14T23:00:00Z", "2026-01-15T22:59:59Z"),
        ("Europe/Berlin", "2026-07-15", "2026-07-14T22:00:00Z", "2026-07-15T21:59:59Z"),
        # 23 hours and 25 hours: the clock is put forward, and back.
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z"),
        # There is no midnight in Beirut that day: it begins at one.
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z", "2026-03-29T20:59:59Z"),
        # There are two in Havana: the day begins with the first.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z"),
        ("Pacific/Kiritimati", "2026-01-15", "2026-01-14T10:00:00Z", "2026-01-15T09:59:59Z"),
    ],
)
@pytest.mark.parametrize("by", ["account", "browser"])
def test_a_day_is_one_of_the_readers_clock(
    client_for: ClientFor, alice: User, zone: str, day: str, first: str, last: str, by: str
) -> None:
    begin, end = (datetime.fromisoformat(text) for text in (first, last))
    second = timedelta(seconds=1)
    for name, at in (("eve", begin - second), ("first", begin), ("last", end), ("morrow", end + second)):
        with time_machine.travel(at):
            audit.record("container.stop", actor_for(alice, source="ui"), target_name=name)
    client = client_for(alice)
    if by == "account":
        User.objects.filter(pk=alice.pk).update(zone=zone)
        client.cookies["zone"] = "Asia/Tokyo"  # of a browser that is elsewhere: the person's word counts
    else:
        client.cookies["zone"] = zone
    page = client.get(f"/audit/?since={day}&until={day}")
    assert names(page) == ["last", "first"]
    assert f"by the clock of {zone}" in page.text
    # The table comes from REST, whose clock is UTC: the same entries are in it.
    rows = client.get(page.context["export"].replace("&format=csv", "")).json()["results"]
    assert [row["target"]["name"] for row in rows] == ["last", "first"]


def test_rest_reads_days_in_utc_and_a_zone_that_is_none_is_utc(client_for: ClientFor, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(zone="Asia/Tokyo")
    with time_machine.travel("2026-01-15T00:00:00Z"):
        audit.record("container.stop", actor_for(alice, source="ui"), target_name="midnight")
    client = client_for(alice)
    found = client.get("/api/v1/audit/?since=2026-01-15&until=2026-01-15").json()["results"]
    assert [row["target"]["name"] for row in found] == ["midnight"]
    User.objects.filter(pk=alice.pk).update(zone="")
    for wrong in ("../../etc/passwd", "Mars/Olympus", "x" * 3000):
        client.cookies["zone"] = wrong
        assert names(client.get("/audit/?since=2026-01-15&until=2026-01-15")) == ["midnight"], wrong
