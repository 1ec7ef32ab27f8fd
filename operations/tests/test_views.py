"""Pages of operations: what they say, to whom; and how a page answers what was accepted or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.access import Denied, person
from accounts.models import Team, User
from accounts.querysets import visible_to
from engine.errors import PolicyDenied
from engine.specs import SpecError
from operations import present, queries, web
from operations.admin import Facts
from operations.models import Engine, Operation, OperationEvent
from operations.services import Refused
from tests import rows

Browser = Callable[..., Client]


@pytest.fixture
def engine(db: None) -> Engine:
    return rows.make_engine()


def make(engine: Engine, team: Team | None, state: str, **fields: Any) -> Operation:
    """An operation of a minute ago, in that state."""
    started = None if state == "queued" else timezone.now() - timedelta(seconds=60)
    ended = timezone.now() if state in Operation.ENDED else None
    return rows.make_operation(engine, team, state=state, started_at=started, finished_at=ended, **fields)


def tell(operation: Operation, *story: tuple[str, dict[str, Any]]) -> None:
    """Writes events."""
    OperationEvent.objects.bulk_create(
        OperationEvent(operation=operation, seq=seq, kind=kind, data=data)
        for seq, (kind, data) in enumerate(story, 1)
    )


# The list


def test_list_has_running_queued_and_finished_apart(
    client_for: Browser, vic: User, engine: Engine, team: Team
) -> None:
    for state in ("running", "queued", "unknown", "failed", "succeeded"):
        make(engine, team, state)
    old = make(engine, team, "cancelled")
    Operation.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=2))
    groups = client_for(vic).get("/operations/").context["groups"]
    assert [(g.title, len(g.lines)) for g in groups] == [
        ("Running", 2), ("Queued", 1), ("Finished in the last 24 h", 2), ("Finished earlier", 1),
    ]  # fmt: skip


def test_list_hides_what_is_another_teams(
    client_for: Browser, charlie: User, engine: Engine, team: Team
) -> None:
    operation = make(engine, team, "running")
    answer = client_for(charlie).get("/operations/")
    assert answer.context["groups"] == []
    assert answer.context["counts"] == {"running": 0, "queued": 0, "failed": 0}
    for part in ("", "events/", "log/"):
        assert client_for(charlie).get(f"/operations/{operation.pk}/{part}").status_code == 404


@pytest.mark.parametrize(
    ("query", "states"),
    [
        ("?view=running", ["running"]),
        ("?view=queued", ["queued"]),
        ("?view=failed", ["failed"]),
        ("?view=mine", ["queued"]),
        ("?view=nonsense", ["running", "queued", "failed"]),
        ("?kind=image.pull", ["failed"]),
        ("?who=ann", ["failed"]),
        ("?q=REDIS", ["failed"]),
        ("?q=refused", ["failed"]),
        ("?before=yesterday", ["running", "queued", "failed"]),
    ],
)
def test_list_filters(
    client_for: Browser, vic: User, engine: Engine, team: Team, query: str, states: list[str]
) -> None:
    make(engine, team, "running")
    make(engine, team, "queued", actor=vic)
    make(
        engine,
        team,
        "failed",
        kind="image.pull",
        target_name="redis:7",
        actor_name="ann",
        error_message="Refused.",
    )
    groups = client_for(vic).get(f"/operations/{query}").context["groups"]
    assert [line.operation.state for g in groups for line in g.lines] == states


def test_list_goes_on_with_older_ones(
    client_for: Browser, vic: User, engine: Engine, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    for _ in range(3):
        make(engine, team, "succeeded")
    client = client_for(vic)
    first = client.get("/operations/")
    assert sum(len(g.lines) for g in first.context["groups"]) == 2
    older = client.get("/operations/", {"before": first.context["older"].isoformat()})
    assert sum(len(g.lines) for g in older.context["groups"]) == 1
    assert older.context["older"] is None


def test_a_viewer_is_offered_no_cancel(
    client_for: Browser, vic: User, bob: User, engine: Engine, team: Team
) -> None:
    operation = make(engine, team, "running")
    assert f"/operations/{operation.pk}/cancel/" not in client_for(vic).get("/operations/").content.decode()
    assert f"/operations/{operation.pk}/cancel/" in client_for(bob).get("/operations/").content.decode()
    assert client_for(vic).post(f"/operations/{operation.pk}/cancel/").status_code == 403


# In words


def test_queued_ones_say_why(engine: Engine, team: Team, alice: User) -> None:
    from accounts.access import Actor

    for _ in range(2):
        make(engine, team, "queued")
    actor = Actor(user=alice)
    groups, _ = queries.groups(actor, queries.Wanted())
    assert [line.waits for line in groups[0].lines] == ["Next in line", "After Stop web"]
    Engine.objects.update(status=Engine.Status.UNREACHABLE)
    groups, _ = queries.groups(actor, queries.Wanted())
    assert "starts when the engine is back" in groups[0].lines[0].waits


@pytest.mark.parametrize(
    ("progress", "pct", "label"),
    [
        ({}, None, ""),
        ({"current": 3}, None, ""),
        ({"current": 3, "total": 0}, None, ""),
        ({"current": 3, "total": 4, "unit": "steps"}, 75, "3 of 4"),
        ({"current": 1, "total": 3, "unit": "bytes"}, 33, "33 %"),
        ({"current": 9, "total": 3, "unit": "bytes"}, 100, "100 %"),
    ],
)
def test_a_bar_claims_only_what_is_known(progress: dict[str, Any], pct: int | None, label: str) -> None:
    assert present.bar(progress) == present.Bar(pct, label)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (48, "0:48"), (260, "4:20"), (3723, "1:02:03")])
def test_lengths_read_like_a_clock(seconds: float, text: str) -> None:
    assert present.clock(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[32m✓\x1b[0m done", "✓ done"),
        ("10 %\r20 %\r30 %", "30 %"),
        ("line\r\n", "line"),
        ("\x1b]0;title\x07x", "x"),
        ("a\x00\x08b\tc", "ab\tc"),
    ],
)
def test_output_is_shown_without_its_codes(text: str, plain: str) -> None:
    assert present.plain(text) == plain


def test_lines_belong_to_the_step_they_came_from(engine: Engine, team: Team) -> None:
    operation = make(engine, team, "running", kind="image.build")
    tell(
        operation,
        ("state", {"state": "running", "attempt": 1}),
        ("log", {"stream": 1, "text": "Step 1/2 : FROM a"}),
        ("step", {"step": 1, "n": 1}),
        ("log", {"stream": 1, "text": " ---> 1234"}),
        ("log", {"stream": 1, "text": "Step 2/2 : RUN b"}),
        ("step", {"step": 2, "n": 2}),
        ("log", {"stream": 2, "text": "no"}),
        ("state", {"state": "failed", "message": "Step 2 ended with exit code 1."}),
    )
    found, seq = queries.log(operation)
    assert seq == 8
    assert [(line.step, line.first, line.own, line.text) for line in found] == [
        (0, False, True, "Started"),
        (1, True, False, "Step 1/2 : FROM a"),
        (1, False, False, " ---> 1234"),
        (2, True, False, "Step 2/2 : RUN b"),
        (2, False, False, "no"),
        (0, False, True, "Failed: Step 2 ended with exit code 1."),
    ]


def test_layers_show_their_newest_word_in_the_order_they_came(
    engine: Engine, team: Team, client_for: Browser, vic: User
) -> None:
    operation = make(engine, team, "running", kind="image.pull")
    tell(
        operation,
        ("step", {"layer": "bbb", "status": "Downloading", "current": 1, "total": 10}),
        ("step", {"layer": "aaa", "status": "Already exists", "current": 0, "total": 0}),
        ("step", {"layer": "bbb", "status": "Downloading", "current": 5, "total": 10}),
    )
    bars = queries.layers_of([operation.pk])[operation.pk]
    assert [(b.id, b.pct, b.here) for b in bars] == [("bbb", 50, False), ("aaa", 100, True)]
    assert "<code>bbb</code>" in client_for(vic).get("/operations/").content.decode()


def test_a_failure_tells_its_cause_and_what_to_do(
    client_for: Browser, vic: User, engine: Engine, team: Team
) -> None:
    operation = make(
        engine, team, "failed", error_code="port_in_use", error_message="Port 80 is taken by <b>x</b>."
    )
    text = client_for(vic).get(f"/operations/{operation.pk}/").content.decode()
    assert "Port 80 is taken by &lt;b&gt;x&lt;/b&gt;." in text
    assert str(present.REMEDIES["port_in_use"]) in text


def test_what_ends_while_its_page_is_made_is_not_shown_as_running(
    client_for: Browser, vic: User, engine: Engine, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is told of no event that it has: one whose log says how it ended would say so for ever."""
    operation, read = make(engine, team, "running"), queries.log

    def ended_meanwhile(one: Operation, *args: Any) -> Any:
        Operation.objects.filter(pk=one.pk).update(state="failed", error_message="No such registry.")
        tell(one, ("state", {"state": "failed", "message": "No such registry."}))
        return read(one, *args)

    monkeypatch.setattr(queries, "log", ended_meanwhile)
    text = client_for(vic).get(f"/operations/{operation.pk}/").content.decode()
    assert "<b>No such registry.</b>" in text


def test_the_page_of_one_answers_htmx_with_what_changes(
    client_for: Browser, vic: User, engine: Engine, team: Team
) -> None:
    operation = make(engine, team, "running")
    text = (
        client_for(vic).get(f"/operations/{operation.pk}/", headers={"HX-Request": "true"}).content.decode()
    )
    assert text.strip().startswith('<div id="state"')
    assert "<html" not in text
    assert 'role="log"' not in text


def test_what_was_removed_is_no_link(engine: Engine, team: Team) -> None:
    gone = make(
        engine, team, "succeeded", kind="container.remove", target_id="0" * 8 + "-0000-0000-0000-" + "0" * 12
    )
    assert present.target_url(gone) == ""
    gone.state = "failed"
    assert present.target_url(gone).startswith("/containers/")
    gone.target_id = "not-a-uuid"
    assert present.target_url(gone) == ""


# Following


def test_a_page_that_missed_some_reads_on(client_for: Browser, vic: User, engine: Engine, team: Team) -> None:
    operation = make(engine, team, "running")
    tell(operation, *[("log", {"stream": 1, "text": str(n)}) for n in range(3)])
    client = client_for(vic)
    found = client.get(f"/operations/{operation.pk}/events/?after=1").json()
    assert found["state"] == "running"
    assert [(e["seq"], e["kind"], e["data"]["text"]) for e in found["events"]] == [
        (2, "log", "1"),
        (3, "log", "2"),
    ]
    assert len(client.get(f"/operations/{operation.pk}/events/?after=x").json()["events"]) == 3


def test_the_log_is_a_file(client_for: Browser, vic: User, engine: Engine, team: Team) -> None:
    operation = make(engine, team, "succeeded")
    tell(
        operation, ("state", {"state": "running"}), ("log", {"text": "\x1b[1mone"}), ("log", {"text": "two"})
    )
    answer = client_for(vic).get(f"/operations/{operation.pk}/log/")
    assert b"".join(answer.streaming_content) == b"one\ntwo\n"
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Content-Disposition"].startswith("attachment")


# Cancel and retry


def test_cancelling_answers_with_a_toast(client_for: Browser, bob: User, engine: Engine, team: Team) -> None:
    operation = make(engine, team, "queued")
    answer = client_for(bob).post(f"/operations/{operation.pk}/cancel/", headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["slipway:toast"]["text"] == "Asked to cancel: Stop web"
    operation.refresh_from_db()
    assert operation.state == "cancelled"


def test_cancelling_what_has_ended_is_refused_in_words(
    client_for: Browser, bob: User, engine: Engine, team: Team
) -> None:
    operation = make(engine, team, "succeeded")
    answer = client_for(bob).post(f"/operations/{operation.pk}/cancel/", headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["slipway:toast"] == {
        "text": "It has already ended.",
        "tone": "bad",
        "operation": None,
    }


def test_without_javascript_the_browser_goes_back_with_a_message(
    client_for: Browser, bob: User, engine: Engine, team: Team
) -> None:
    operation = make(engine, team, "queued")
    answer = client_for(bob).post(
        f"/operations/{operation.pk}/cancel/",
        headers={"Referer": "http://testserver/operations/?view=queued"},
        follow=True,
    )
    assert answer.redirect_chain == [("http://testserver/operations/?view=queued", 302)]
    assert [(str(m), m.extra_tags) for m in answer.context["messages"]] == [
        ("Asked to cancel: Stop web", "ok")
    ]


# How pages answer


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site(url: str) -> None:
    request = RequestFactory().post("/", {"next": url}, headers={"Referer": url})
    assert web.came_from(request, default="/home/") == "/home/"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Denied("This needs the role operator."), "This needs the role operator."),
        (Refused("conflict", "Not now."), "Not now."),
        (PolicyDenied("A guard rail forbids it."), "A guard rail forbids it."),
        (
            SpecError({"name": ["Too long.", "Too odd."], "memory_limit": ["Too low."]}),
            "Name: Too long. Memory limit: Too low.",
        ),
        (SpecError({}), "Some fields are not valid."),
    ],
)
def test_refusals_become_sentences(error: Exception, text: str) -> None:
    def view(request: Any) -> HttpResponse:
        raise error

    answer = web.answers(view)(RequestFactory().post("/", headers={"HX-Request": "true"}))
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"])["slipway:toast"] == {
        "text": text,
        "tone": "bad",
        "operation": None,
    }
    with pytest.raises(BadRequest if isinstance(error, SpecError) else type(error)):
        web.answers(view)(RequestFactory().get("/"))


def test_what_the_panel_lists_of_a_team_s_can_be_read_by_a_set(vic: User, team: Team) -> None:
    """Parts of something, too: the events of an operation, the blocks of a log."""
    found = [panel for panel in site._registry.values() if isinstance(panel, Facts) and panel.owner]
    assert len(found) > 15
    for panel in found:
        assert not visible_to(
            person(vic, source="ui"), panel.model._base_manager.all(), panel.owner or ""
        ).exists()
