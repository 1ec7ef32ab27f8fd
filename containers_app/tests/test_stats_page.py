"""The page of figures as the server makes it: numbers in words, a table, moments, a file; and only for whom it is."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.access import Actor
from accounts.models import Team, User
from containers_app.history import History
from containers_app.marks import marks
from containers_app.models import Container, EngineEvent
from containers_app.plots import RANGES, Point
from containers_app.stats_page import ROWS, table
from operations.models import Engine, Operation

ClientFor = Callable[..., Client]


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock", status="online")


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    """It has run for an hour, at half a core, with a peak."""
    row = Container.objects.create(
        engine=engine, native_id="a" * 64, name="web", state="running", team=team,
        memory_limit=64 * 2**20, cpu_limit=2, started_at=timezone.now(),
    )  # fmt: skip
    history, now = History(engine.pk), time.time()
    history.begin(history.load([str(row.pk)]))
    for ago in range(3500, 0, -10):
        cpu = 1.5 if ago == 1000 else 0.5
        history.add(
            [[str(row.pk), cpu, 32 * 2**20, 0, 2_000_000, 1_000, 0, 96_000, 4, int((now - ago) * 1000)]]
        )
    history.write(history.take(everything=True))
    return row


def page_of(client: Client, container: Container, query: str = "") -> str:
    answer = client.get(f"/containers/{container.pk}/stats/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_plots_say_in_a_sentence_what_they_show(client_for: ClientFor, vic: User, web: Container) -> None:
    text = page_of(client_for(vic), web)
    assert re.search(
        r'role="img" aria-label="CPU over the last hour: on average 50\.\d %, at most 150\.0 % of one core"',
        text,
    )
    assert 'aria-label="Memory over the last hour: on average 32 MB, at most 32 MB of 64 MB"' in text
    assert "in on average 2 MB/s, at most 2 MB/s; out on average 1 KB/s" in text
    assert "limit 200.0 %, peak 150.0" in text
    found = json.loads(
        re.search(r'data-figures="([^"]*)"', text)[1].replace("&quot;", '"')  # type: ignore[index]
    )
    assert len({len(found[name]) for name in ("t", "cpu", "cpu_max", "pids")}) == 1
    assert found["step"] == 15
    assert max(found["cpu_max"]) == 1.5
    assert (found["live"], found["cpuLimit"]) == (True, 2)


@pytest.mark.parametrize("name", RANGES)
def test_every_range_has_its_page_and_its_file(
    client_for: ClientFor, vic: User, web: Container, name: str
) -> None:
    client = client_for(vic)
    assert f'href="?range={name}" aria-current="true"' in page_of(client, web, f"?range={name}")
    answer = client.get(f"/containers/{web.pk}/stats/?range={name}&format=csv")
    assert answer["Content-Disposition"] == f'attachment; filename="{"a" * 12}-stats.csv"'
    lines = list(csv.reader(io.StringIO(answer.content.decode())))
    assert lines[0][:3] == ["time", "cpu", "memory"]
    assert len(lines[0]) == len(lines[1]) == 15


def test_a_range_that_there_is_not_is_the_usual_one(client_for: ClientFor, vic: User, web: Container) -> None:
    assert 'href="?range=1h" aria-current="true"' in page_of(client_for(vic), web, "?range=2000y")


def test_one_that_never_ran_says_so(client_for: ClientFor, vic: User, engine: Engine, team: Team) -> None:
    made = Container.objects.create(engine=engine, native_id="b" * 64, name="new", state="created", team=team)
    text = page_of(client_for(vic), made)
    assert "Nothing was measured in the last hour" in text
    assert 'class="chart"' not in text


def test_strangers_learn_nothing(client_for: ClientFor, charlie: User, web: Container) -> None:
    for query in ("", "?format=csv", "?range=5m"):
        assert client_for(charlie).get(f"/containers/{web.pk}/stats/{query}").status_code == 404


def test_the_table_is_short_and_leaves_gaps_out() -> None:
    gap = Point(1000, (None,) * 7, (None,) * 7)
    found = [Point(at, (1.0,) * 7, (2.0,) * 7) for at in range(0, 86400, 300)]
    lines = table([*found, gap], RANGES["24h"])
    assert len(lines) == ROWS
    assert lines[0].at > lines[-1].at
    assert (lines[0].average["cpu"], lines[0].most["pids"]) == (1.0, 2.0)


# --- What happened -------------------------------------------------------------------------------------


def asked(web: Container, kind: str, **fields: object) -> Operation:
    fields = {"state": "succeeded", "finished_at": timezone.now(), "target_id": str(web.pk), **fields}
    return Operation.objects.create(
        kind=kind, engine=web.engine, team=web.team, actor_name="bob", target_type="container", **fields
    )


def said(web: Container, action: str, seconds_ago: float = 5, **fields: object) -> EngineEvent:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    return EngineEvent.objects.create(
        engine=web.engine, type="container", action=action, native_id=web.native_id, container=web, team=web.team,
        at=at, time_ns=int(at.timestamp() * 1e9), **fields,
    )  # fmt: skip


def test_what_was_asked_and_what_happened_is_marked_once(web: Container, vic: User, charlie: User) -> None:
    since = timezone.now() - timedelta(hours=1)
    work = asked(web, "container.restart", finished_at=timezone.now() - timedelta(seconds=60))
    asked(web, "container.recreate", finished_at=timezone.now() - timedelta(seconds=50))
    asked(web, "container.stop", state="failed", finished_at=timezone.now() - timedelta(seconds=40))
    asked(web, "container.rename")  # changes no figure
    asked(web, "container.start", state="running", finished_at=None)
    asked(web, "container.start", finished_at=since - timedelta(hours=1))
    said(web, "die", 20, exit_code=137, origin="outside")
    said(web, "oom", 21)
    said(web, "start", 59, origin="operation", operation=work)  # is marked as the operation
    said(web, "exec_create", 10)
    found = marks([str(web.pk)], Actor(vic), since)
    assert [(mark.label, mark.kind, mark.bad) for mark in found] == [
        ("Restart", "change", False),
        ("Recreate", "deploy", False),
        ("Stop failed", "change", True),
        ("Out of memory", "event", True),
        ("Ended, exit 137", "event", True),
    ]
    assert found[0].url == f"/operations/{work.pk}/"
    assert marks([str(web.pk)], Actor(charlie), since) == []


def test_they_stand_on_the_page(client_for: ClientFor, vic: User, web: Container) -> None:
    work = asked(web, "container.restart")
    text = page_of(client_for(vic), web)
    assert f'<a class="plain" href="/operations/{work.pk}/">Restart</a>' in text
    assert "&quot;Restart&quot;,&quot;change&quot;,false" in text
