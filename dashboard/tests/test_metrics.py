"""The figures for Prometheus: what they say, and whom they tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from accounts import tokens
from accounts.models import Team, User
from accounts.notice import Notice
from containers_app.models import DeployHook, HookCall
from operations.models import Channel, Delivery
from streams import health as beats
from tests.rows import make_engine, make_operation

AWAY = {"REMOTE_ADDR": "203.0.113.7"}


def figures(client: Client, **extra: Any) -> dict[tuple[str, ...], float]:
    """``{(name, label values…): value}``."""
    answer = client.get("/metrics", **extra)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.content.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.fixture
def busy(db: None) -> None:
    """Two have ended, one waits, one lies about, and two are nobody's business yet."""
    engine, now = make_engine("far\nslipway_up 1"), timezone.now()
    for took in (2, 4):
        make_operation(engine, None, kind="container.run", state="succeeded", started_at=now - timedelta(seconds=took),
                       finished_at=now)  # fmt: skip
    make_operation(engine, None, kind="container.run", state="cancelled", finished_at=now)
    make_operation(
        engine,
        None,
        kind="image.pull",
        finished_at=None,
        state="queued",
        created_at=now - timedelta(minutes=3),
    )
    late = {"lease_until": now - timedelta(minutes=1), "deadline_at": now - timedelta(seconds=1)}
    make_operation(engine, None, kind="image.pull", finished_at=None, state="running", **late)
    beats.beat("worker")


def test_the_figures_are_those_of_the_rows(client: Client, busy: None) -> None:
    found = figures(client, HTTP_ACCEPT="application/openmetrics-text;version=1.0.0")
    assert found["slipway_operations", "queued"] == found["slipway_operations", "running"] == 1
    assert 180 <= found["slipway_operations_oldest_queued_seconds",] < 240
    assert found["slipway_operations_expired_leases",] == found["slipway_operations_overdue",] == 1
    assert found["slipway_operations_ended_total", "container.run", "succeeded"] == 2
    assert found["slipway_operations_ended_total", "container.run", "cancelled"] == 1
    assert found["slipway_operation_seconds_count", "container.run"] == 2
    assert found["slipway_operation_seconds_sum", "container.run"] == pytest.approx(6, abs=0.1)
    assert (found["slipway_up", "worker"], found["slipway_up", "gateway"]) == (1, 0)
    assert found["slipway_engine_up", "far\nslipway_up 1"] in (0, 1)
    assert found["slipway_state_free_bytes",] > 0


def test_messages_and_calls_are_counted(client: Client, db: None, team: Team, bob: User) -> None:
    now = timezone.now()
    engine = make_engine()
    channel = Channel.objects.create(name="ops", kind="mail", sealed="", shown="o…@example.com", failures=3)
    Channel.objects.create(name="off", sealed="", shown="h", failures=3, enabled=False)
    for state, minutes in (("sent", 9), ("waiting", 5), ("waiting", 1), ("waiting", -5)):
        at = now - timedelta(minutes=minutes)
        Delivery.objects.create(
            channel=channel, event_id=uuid4(), last_id=uuid4(), event="container.oom", state=state, at=at, due_at=at,
            expires_at=at + timedelta(days=1),
        )  # fmt: skip
    hook = DeployHook.objects.create(engine=engine, team=team, name="web", sealed="", actor_name="bob")
    shop = DeployHook.objects.create(
        engine=engine, team=team, kind="stack", name="shop", sealed="", actor_name="bob"
    )
    for to, digest in ((hook, "a" * 64), (hook, ""), (hook, ""), (shop, "b" * 64), (shop, "c" * 64)):
        HookCall.objects.create(hook=to, digest=digest, outcome="x")
    Notice.objects.create(user=bob, address="bob@example.com", about="password", language="en", at=now)
    found = figures(client)
    assert found["slipway_messages", "mail", "sent"] == 1
    assert found["slipway_messages", "mail", "waiting"] == 3
    assert 300 <= found["slipway_messages_oldest_waiting_seconds",] < 360
    assert (found["slipway_channels_failing",], found["slipway_account_mails_waiting",]) == (1, 1)
    calls = [found["slipway_hook_calls", of, done] for of in ("container", "stack") for done in ("yes", "no")]
    assert calls == [1, 2, 2, 0]


def test_more_rows_are_no_more_queries(
    client: Client, busy: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(20):
        figures(client)


def test_strangers_are_told_nothing(client: Client, busy: None) -> None:
    assert client.get("/metrics", **AWAY).status_code == 401
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 401
    assert client.get("/metrics", **AWAY, HTTP_AUTHORIZATION="Bearer slp_no.thing").status_code == 401


@pytest.mark.parametrize(("who", "status"), [("vic", 403), ("alice", 200)])
def test_a_token_of_the_site_alone_opens_it_from_elsewhere(
    client: Client, busy: None, request: pytest.FixtureRequest, who: str, status: int
) -> None:
    user: User = request.getfixturevalue(who)
    _, secret = tokens.make(user, name="scraper", scopes=["read"])
    answer = client.get("/metrics", **AWAY, HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert answer.status_code == status, answer.content
