"""Whether the dashboard itself is well, and how much of that strangers are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from dashboard import health
from operations.models import Engine
from streams import health as beats
from streams.connection import LOST
from tests.rows import make_engine, make_operation

AWAY = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture
def all_well(db: None) -> None:
    """Everything is there."""
    make_engine()
    for name in health.PROCESSES:
        assert beats.beat(name)


def ready(client: Client, **extra: Any) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    answer = client.get("/readyz", **extra)
    return answer.status_code, answer.json()


def test_a_process_that_answers_is_alive(client: Client) -> None:
    """No database is asked: there is none in this test."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_where_everything_is_there(client: Client, all_well: None) -> None:
    status, body = ready(client)
    assert (status, body["status"], body["down"]) == (200, "ok", [])
    assert set(body["parts"]) == {"database", "redis", "worker", "gateway", "operations", "engine quiet"}


def test_what_is_down_is_named(client: Client, db: None) -> None:
    make_engine("far", status="unreachable", status_detail="Connection refused.")
    status, body = ready(client)
    assert (status, body["down"]) == (503, ["worker", "gateway", "engine far"])
    assert body["parts"]["engine far"]["detail"] == "Connection refused."


def test_what_waits_and_what_nobody_looks_after_is_told(client: Client, all_well: None) -> None:
    engine = Engine.objects.get()
    ago = timezone.now() - timedelta(minutes=5)
    make_operation(engine, None, state="queued", finished_at=None, created_at=ago)
    status, body = ready(client)
    part = body["parts"]["operations"]
    assert (status, part["queued"], part["stuck"]) == (200, 1, 0)
    assert part["oldest_seconds"] >= 300
    make_operation(engine, None, state="running", finished_at=None, lease_until=ago)
    status, body = ready(client)
    assert (status, body["down"], body["parts"]["operations"]["stuck"]) == (503, ["operations"], 1)


def test_no_engine_at_all_is_down(client: Client, all_well: None) -> None:
    Engine.objects.all().delete()
    assert ready(client)[1]["down"] == ["engine"]


def test_strangers_learn_neither_names_nor_reasons(client: Client, db: None) -> None:
    make_engine("secret-name", status="unreachable", status_detail="secret-reason")
    answer = client.get("/readyz", **AWAY)
    assert answer.json() == {"status": "down", "down": ["engine", "gateway", "worker"]}
    assert "secret" not in answer.content.decode()


def test_who_is_signed_in_learns_more(client_for: Callable[..., Client], vic: User, all_well: None) -> None:
    assert "parts" in ready(client_for(vic), **AWAY)[1]


def test_without_redis_it_is_not_ready(
    client: Client, all_well: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(name: str) -> float:
        raise LOST[0]

    monkeypatch.setattr(health, "last_beat", lost)
    assert ready(client)[1]["down"] == ["redis", "worker", "gateway"]


def test_without_a_database_it_is_not_ready(
    client: Client, all_well: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise OperationalError("/secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", lost)
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["down"] == ["database"]
    assert "secret" not in answer.content.decode()


def ids(**_: Any) -> set[str]:
    """Our own messages."""
    return {str(message.id) for message in run_checks() if str(message.id).startswith("slipway.")}


def test_a_weak_installation_is_told_so(settings: Any) -> None:
    settings.DEBUG, settings.ADMIN_PASSWORD, settings.BIND, settings.SECURE = (
        True,
        "short",
        "0.0.0.0:8000",
        False,
    )
    settings.TRUSTED_PROXIES = ["proxy.example"]
    assert {"slipway.E002", "slipway.W001", "slipway.W002", "slipway.E003"} <= ids()


def test_a_usual_installation_has_no_security_message(settings: Any) -> None:
    settings.BIND, settings.ADMIN_PASSWORD = "127.0.0.1:8000", ""
    assert not {"slipway.E002", "slipway.W001", "slipway.W002", "slipway.E003", "slipway.E004"} & ids()


def test_a_public_site_without_second_factors_is_told_so(settings: Any) -> None:
    settings.SECURE = True
    assert "slipway.W004" in ids()
    settings.SECOND_FACTOR = "staff"
    assert "slipway.W004" not in ids()


def test_a_key_that_others_may_read_is_an_error(settings: Any) -> None:
    from pathlib import Path

    path = Path(settings.HOME) / "secret_key"
    mode = path.stat().st_mode
    path.chmod(0o644)
    try:
        assert "slipway.E004" in ids()
    finally:
        path.chmod(mode)


def test_missing_assets_and_a_missing_engine_are_told(settings: Any, tmp_path: Any) -> None:
    settings.BASE_DIR, settings.DOCKER_HOST = tmp_path, ""
    assert "slipway.E001" in ids()
    settings.DOCKER_HOST = "unix:///x.sock"
    assert "slipway.W003" not in ids()
