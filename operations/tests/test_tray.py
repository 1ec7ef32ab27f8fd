"""The tray of every page, and the story of one operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.access import Actor, person
from accounts.models import Team, User
from operations import queries, services, story, tray
from operations.models import Engine, Operation, OperationEvent
from tests import rows

Browser = Callable[..., Client]


def make(engine: Engine, team: Team | None, state: str, user: User, **fields: Any) -> Operation:
    """An operation that this person has asked for, in that state; what has ended has ended just now."""
    started = None if state == "queued" else timezone.now() - timedelta(seconds=60)
    return rows.make_operation(
        engine, team,
        **{
            "state": state, "actor": user, "actor_name": user.username, "started_at": started,
            "finished_at": timezone.now() if state in Operation.ENDED else None, **fields,
        },
    )  # fmt: skip


def ended(operation: Operation, **ago: float) -> Operation:
    """It ended so long ago."""
    operation.finished_at = timezone.now() - timedelta(**ago)
    operation.save()
    return operation


def tell(operation: Operation, *data: dict[str, Any]) -> None:
    """Changes of state, a minute apart."""
    start = timezone.now() - timedelta(minutes=len(data))
    for seq, one in enumerate(data, 1):
        at = start + timedelta(minutes=seq)
        OperationEvent.objects.create(operation=operation, seq=seq, kind="state", data=one, at=at)


def names(found: tray.Tray) -> list[str]:
    """What stands in it."""
    return [line.operation.target_name for line in found.lines]


# What stands in it


def test_the_tray_has_one_s_own_and_counts_the_others(
    engine: Engine, team: Team, bob: User, vic: User
) -> None:
    make(engine, team, "running", bob, target_name="first")
    make(engine, team, "queued", bob, target_name="second")
    make(engine, team, "running", vic, target_name="theirs")
    found = tray.read(Actor(user=bob))
    assert (names(found), found.others, found.words) == (["first", "second"], 1, "1 running, 1 waiting")


def test_where_only_others_have_something_there_is_no_tray(
    client_for: Browser, engine: Engine, team: Team, bob: User, vic: User
) -> None:
    make(engine, team, "running", vic)
    assert tray.read(Actor(user=bob)).lines == []
    assert " hidden>\n\n</aside>" in client_for(bob).get("/operations/tray/").content.decode()


def test_what_is_another_team_s_is_not_even_counted(
    engine: Engine, team: Team, other_team: Team, bob: User, charlie: User
) -> None:
    make(engine, team, "running", bob)
    make(engine, other_team, "running", charlie)
    make(engine, other_team, "queued", charlie)
    found = tray.read(Actor(user=bob))
    assert (len(found.lines), found.others) == (1, 0)


def test_what_one_may_not_see_any_more_is_gone_although_one_has_asked_for_it(
    engine: Engine, other_team: Team, bob: User
) -> None:
    gone = make(engine, other_team, "running", bob)
    assert tray.read(Actor(user=bob), also=[gone.pk]).lines == []


def test_what_has_ended_well_is_told_for_a_moment_and_a_failure_until_it_is_dismissed(
    engine: Engine, team: Team, bob: User
) -> None:
    ended(make(engine, team, "succeeded", bob, target_name="now"), seconds=1)
    long_ago = ended(make(engine, team, "succeeded", bob, target_name="earlier"), minutes=1)
    failed = ended(make(engine, team, "failed", bob, target_name="broken"), hours=2)
    ended(make(engine, team, "failed", bob, target_name="yesterday"), hours=20)
    script = ended(make(engine, team, "failed", bob, target_name="script", source="api"), seconds=1)
    assert names(tray.read(Actor(user=bob))) == ["now", "broken"]
    assert names(tray.read(Actor(user=bob), [str(failed.pk)])) == ["now"]
    seen = [long_ago.pk, script.pk]
    assert sorted(names(tray.read(Actor(user=bob), also=seen))) == ["broken", "earlier", "now", "script"]


def test_queued_ones_say_how_many_come_first(engine: Engine, team: Team, bob: User, vic: User) -> None:
    make(engine, team, "queued", vic)
    make(engine, team, "queued", bob)
    assert tray.read(Actor(user=bob)).lines[0].waits == "After 1 before it"


def test_the_tray_shows_a_few_and_says_how_many_more(engine: Engine, team: Team, bob: User) -> None:
    for _ in range(tray.MOST + 2):
        make(engine, team, "running", bob)
    found = tray.read(Actor(user=bob))
    assert (len(found.lines), found.more) == (tray.MOST, 2)


def test_the_tray_is_one_query_however_much_is_in_it(engine: Engine, team: Team, bob: User) -> None:
    actor = person(bob, source="ui")
    for state in ("running", "queued", "failed", "succeeded"):
        make(engine, team, state, bob)
    tray.read(actor)
    with CaptureQueriesContext(connection) as asked:
        assert len(tray.read(actor).lines) == 4
    assert len(asked) == 1


# On pages


@pytest.mark.parametrize("path", ["/containers/", "/images/", "/account/", "/operations/", "/audit/"])
def test_every_page_comes_with_the_tray(
    client_for: Browser, engine: Engine, team: Team, bob: User, path: str
) -> None:
    operation = make(engine, team, "running", bob, progress={"current": 1, "total": 4, "unit": "steps"})
    text = client_for(bob).get(path).content.decode()
    assert f'id="tray-{operation.pk}"' in text
    assert 'aria-valuetext="1 of 4"' in text
    assert f'action="/operations/{operation.pk}/cancel/"' in text


def test_a_viewer_sees_no_cancel_in_the_tray(
    client_for: Browser, engine: Engine, team: Team, vic: User
) -> None:
    running = make(engine, team, "running", vic)
    failed = make(engine, team, "failed", vic)
    text = client_for(vic).get("/operations/tray/").content.decode()
    assert f'id="tray-{running.pk}"' in text
    assert f'id="tray-{failed.pk}"' in text
    assert "/cancel/" not in text
    assert "/retry/" not in text
    assert "/tray/dismiss/" in text


def test_a_total_that_nobody_knows_gives_no_percentage(
    client_for: Browser, engine: Engine, team: Team, bob: User
) -> None:
    make(engine, team, "running", bob)
    text = client_for(bob).get("/operations/tray/").content.decode()
    assert 'class="bar acc moving"' in text
    assert "data-since=" in text
    assert "aria-valuenow" not in text


def test_a_failure_in_the_tray_tells_its_cause_as_text(
    client_for: Browser, engine: Engine, team: Team, bob: User
) -> None:
    make(engine, team, "failed", bob, error_message="Port 80 is taken by <b>x</b>.")
    text = client_for(bob).get("/operations/tray/").content.decode()
    assert '<small class="bad">Port 80 is taken by &lt;b&gt;x&lt;/b&gt;.</small>' in text


def test_the_tray_comes_folded_where_it_was_left_folded(
    client_for: Browser, engine: Engine, team: Team, bob: User
) -> None:
    make(engine, team, "running", bob)
    client = client_for(bob)
    assert '<details class="tray-in" id="tray-in" open>' in client.get("/operations/tray/").content.decode()
    client.cookies["tray"] = "pill"
    assert '<details class="tray-in" id="tray-in">' in client.get("/containers/").content.decode()


@pytest.mark.parametrize("also", ["x", "x,,11111111-1111-4111-8111-111111111111", ""])
def test_the_tray_bears_anything_in_its_address(client_for: Browser, bob: User, also: str) -> None:
    assert client_for(bob).get("/operations/tray/", {"also": also}).status_code == 200


def test_a_dismissed_failure_stays_away_on_every_page(
    client_for: Browser, engine: Engine, team: Team, bob: User
) -> None:
    one, two = make(engine, team, "failed", bob), make(engine, team, "failed", bob)
    client = client_for(bob)
    answer = client.post("/operations/tray/dismiss/", {"id": [str(one.pk), "nonsense"]}, follow=True)
    assert answer.redirect_chain == [("/operations/", 302)]
    text = client.get("/containers/").content.decode()
    assert f'id="tray-{one.pk}"' not in text
    assert f'id="tray-{two.pk}"' in text


def test_what_is_asked_for_again_is_dismissed(
    client_for: Browser, engine: Engine, team: Team, bob: User, kind: Callable[..., str], sent: list[str]
) -> None:
    operation = make(engine, team, "failed", bob, kind=kind())
    client = client_for(bob)
    answer = client.post(f"/operations/{operation.pk}/retry/", headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["slipway:toast"]["tone"] == "busy"
    text = client.get("/operations/tray/").content.decode()
    assert f'id="tray-{operation.pk}"' not in text
    assert text.count("data-tray=") == 1


# The list


def test_the_list_filters_by_state_engine_target_and_time(
    client_for: Browser, engine: Engine, team: Team, vic: User
) -> None:
    target = "22222222-2222-4222-8222-222222222222"
    other = rows.make_engine("other")
    cases = {
        "state=succeeded": make(engine, team, "succeeded", vic),
        f"engine={other.pk}": make(other, team, "failed", vic),
        f"target={target}": make(engine, team, "running", vic, target_id=target),
    }
    old = make(engine, team, "cancelled", vic)
    Operation.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    client = client_for(vic)

    def found(query: str) -> list[Operation]:
        groups = client.get(f"/operations/?{query}").context["groups"]
        return [line.operation for group in groups for line in group.lines]

    for query, operation in cases.items():
        assert found(query) == [operation], query
    assert old not in found("since=1d")
    assert old in found("since=7d")
    day = (timezone.now() - timedelta(days=1)).date()
    assert old not in found(f"since={day}")
    assert old in found(f"since={day - timedelta(days=9)}")
    assert len(found("since=nonsense")) == len(found("engine=x&target=y")) == 4
    assert "No operation matches" in client.get("/operations/?since=1h&state=cancelled").content.decode()


def test_queued_ones_name_what_they_wait_for(engine: Engine, team: Team, bob: User) -> None:
    actor = Actor(user=bob)
    for name in ("one", "two", "three"):
        last = make(engine, team, "queued", bob, target_name=name)
    groups, _ = queries.groups(actor, queries.Wanted())
    assert [line.waits for line in groups[0].lines] == [
        "Next in line", "After Stop one", "After Stop two and 1 more",
    ]  # fmt: skip
    assert queries.one(last, actor).waits == "After Stop two and 1 more"


# The story of one


def test_the_timeline_tells_states_attempts_and_what_was_looked_up(
    engine: Engine, team: Team, bob: User
) -> None:
    operation = make(engine, team, "succeeded", bob)
    tell(
        operation,
        {"state": "queued"},
        {"state": "running", "attempt": 1},
        {"state": "unknown", "message": "The engine took too long."},
        {"state": "running", "attempt": 2},
        {"state": "running", "cancel": "tara"},
        {"state": "unknown"},
        {"state": "succeeded"},
    )
    found = story.timeline(operation, queries.states(operation))
    assert [(one.title, one.note) for one in found] == [
        ("Asked", "by bob (UI)"),
        ("Started", ""),
        ("No answer came", "The engine took too long."),
        ("Started again", "Attempt 2"),
        ("Cancel asked for", "by tara"),
        ("No answer came", ""),
        ("Verified: done", "Looked up on the engine"),
    ]
    assert [one.after for one in found] == ["", *["1:00"] * 6]
    assert not any(one.now for one in found)


def test_the_timeline_says_where_it_stands(engine: Engine, team: Team, bob: User) -> None:
    operation = make(engine, team, "running", bob)
    tell(operation, {"state": "queued"}, {"state": "running", "attempt": 1})
    assert [one.now for one in story.timeline(operation, queries.states(operation))] == [False, True]


def test_what_it_was_asked_with_is_shown_as_it_is_stored(
    client_for: Browser, engine: Engine, team: Team, vic: User
) -> None:
    params = {
        "timeout": 10, "environment": {"PASSWORD": "••••••••"}, "command": ["sh", "-c", "true"], "name": "",
        services.WITHHELD: ["environment"], services.REMEMBERED: {"started_at": "yesterday"},
    }  # fmt: skip
    operation = make(engine, team, "succeeded", vic, params=params, sealed="sealed-away")
    assert [one.name for one in story.parameters(operation)] == ["Timeout", "Environment", "Command"]
    text = client_for(vic).get(f"/operations/{operation.pk}/").content.decode()
    assert "••••••••" in text
    assert "sealed-away" not in text
    assert "yesterday" not in text


def test_the_result_leads_to_what_was_made(engine: Engine, team: Team, bob: User) -> None:
    made = "33333333-3333-4333-8333-333333333333"
    operation = make(engine, team, "succeeded", bob, result={"container": made, "changed": True, "state": ""})
    assert story.result(operation) == [
        story.Fact("Container", "web", f"/containers/{made}/"), story.Fact("Changed", "yes"),
    ]  # fmt: skip
