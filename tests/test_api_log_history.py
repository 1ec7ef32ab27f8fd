"""REST of the log history: what is found, by whom, and who may switch it on."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry
from containers_app.log_blocks import Block
from containers_app.models import Container, KeptLog, LogBlock, LogGap, LogRule
from engine.types import LogLine
from operations.models import Engine

pytestmark = pytest.mark.django_db

T0 = 1_764_300_000 * 10**9


@pytest.fixture
def log(team):
    engine = Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock")
    Container.objects.create(engine=engine, native_id="a" * 64, name="shop", team=team, state="running")
    made = KeptLog.objects.create(
        engine=engine, native_id="a" * 64, name="shop", team=team, lines=3, first_ns=T0, last_ns=T0 + 2
    )
    block = Block()
    block.add([LogLine(1 + n % 2, T0 + n, 1, f"order {n} declined") for n in range(3)])
    data, words = block.pack()
    LogBlock.objects.create(
        log=made, first_ns=T0, last_ns=T0 + 2, lines=3, data=data, words=words, size=len(data) + len(words)
    )
    LogGap.objects.create(log=made, from_ns=T0 + 1, to_ns=T0 + 2, lines=None, cause="rotation")
    return made


def test_found_and_gone_on(log, alice, client_for) -> None:
    client = client_for(alice)
    first = client.get("/api/v1/log-history/search/?q=DECLINED&limit=2").json()
    assert [line["line"] for line in first["lines"]] == ["order 2 declined", "order 1 declined"]
    assert first["lines"][1] | {"line": ""} == {
        "log": str(log.pk), "container": "shop", "ts_ns": str(T0 + 1), "stream": "stderr", "line": "",
    }  # fmt: skip
    rest = client.get(f"/api/v1/log-history/search/?q=DECLINED&before={first['next']}").json()
    assert [line["line"] for line in rest["lines"]] == ["order 0 declined"]
    assert (rest["next"], rest["reached_ns"]) == (None, None)


@pytest.mark.parametrize("query", ["q=(&regex=1", "before=x", "log=x", "limit=501", "since=x", "nonsense=1"])
def test_what_makes_no_sense_is_refused(log, alice, client_for, query) -> None:
    assert client_for(alice).get(f"/api/v1/log-history/search/?{query}").status_code == 400


def test_lines_around_a_moment_with_gaps(log, alice, client_for) -> None:
    found = client_for(alice).get(f"/api/v1/log-history/{log.pk}/lines/?at_ns={T0 + 2}&before=1").json()
    assert [row.get("line", row.get("cause")) for row in found["lines"]] == [
        "order 1 declined", "rotation", "order 2 declined",
    ]  # fmt: skip
    assert (found["older"], found["newer"]) == (True, False)


def test_another_teams_log_does_not_exist(log, person, client_for) -> None:
    client = client_for(person("stranger"))
    assert client.get("/api/v1/log-history/").json()["results"] == []
    assert client.get("/api/v1/log-history/search/?q=order").json()["lines"] == []
    assert client.get(f"/api/v1/log-history/{log.pk}/lines/").status_code == 404
    assert client.get(f"/log-history/{log.pk}/").status_code == 404
    assert b"order" not in client.get("/log-history/?q=declined").content


def test_a_rule_is_made_and_taken_away(log, team, person, client_for) -> None:
    client, container = client_for(person("operator", team, "operator")), Container.objects.get()
    made = client.post("/api/v1/log-history/rules/", {"container": str(container.pk)}, "application/json")
    assert (made.status_code, made.json()["name"], made.json()["team"]) == (201, "shop", "blue")
    refused = client.post("/api/v1/log-history/rules/", {"team": "blue"}, "application/json")
    assert refused.status_code == 403
    assert client.post("/api/v1/log-history/rules/", {}, "application/json").status_code == 400
    assert client.delete(f"/api/v1/log-history/rules/{made.json()['id']}/").status_code == 204
    assert not LogRule.objects.exists()
    told = AuditEntry.objects.filter(verb__startswith="logs.").order_by("seq")
    assert [(entry.verb, entry.outcome) for entry in told] == [
        ("logs.keep", "succeeded"), ("logs.keep_team", "denied"), ("logs.keep", "succeeded"),
    ]  # fmt: skip


def test_a_viewer_reads_but_does_not_switch(log, team, person, client_for) -> None:
    client, container = client_for(person("viewer", team, "viewer")), Container.objects.get()
    assert b"order <mark>2 declined</mark>" in client.get("/log-history/?q=2+declined").content
    client.post("/log-history/switch/", {"what": "container", "id": container.pk, "on": 1})
    answer = client.post("/api/v1/log-history/rules/", {"container": str(container.pk)}, "application/json")
    assert answer.status_code == 403
    assert not LogRule.objects.exists()
