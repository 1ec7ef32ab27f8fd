"""S-79: what is expensive has a bucket of its own, one for all processes; and one each while Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import rates
from accounts.access import SYSTEM, Actor
from accounts.models import User
from operations.models import Operation
from tests.rows import make_engine

PULL = "/api/v1/images/pull/"


def test_expensive_calls_wait_and_say_how_long(
    api_for: Callable[..., APIClient], client_for: Callable[..., Any], bob: User, tara: User, settings: Any
) -> None:
    """S-79: by token and by person, over all ways in; plans and what joins cost nothing."""
    settings.EXPENSIVE_RATE = 2
    make_engine()
    api = api_for(bob)
    for name in ("a", "b"):
        assert api.post(f"{PULL}?dry_run=1", {"reference": name}, format="json").status_code == 200
        assert api.post(PULL, {"reference": name}, format="json").status_code == 202
    assert api.post(PULL, {"reference": "b"}, format="json").status_code == 202, "it joins the one on its way"
    late = api.post(PULL, {"reference": "c"}, format="json")
    assert (late.status_code, late.json()["code"]) == (429, "rate_limited")
    assert 25 <= int(late["Retry-After"]) <= 30
    assert Operation.objects.count() == 2
    assert api.get("/api/v1/images/").status_code == 200
    assert api_for(tara).post(PULL, {"reference": "d"}, format="json").status_code == 202
    page = client_for(bob)  # another caller than his token
    for name in ("e", "f", "g"):
        page.post("/images/pull/", {"reference": name})
    assert Operation.objects.filter(actor=bob).count() == 4


def test_searches_of_logs_wait_too(
    api_for: Callable[..., APIClient], client_for: Callable[..., Any], bob: User, settings: Any
) -> None:
    """S-79."""
    settings.SEARCH_RATE = 1
    api, browser = api_for(bob), client_for(bob)
    assert [api.get("/api/v1/log-history/search/?q=x").status_code for _ in range(2)] == [200, 429]
    pages = [browser.get(reverse("loghistory:search") + "?q=x").content for _ in range(2)]
    assert [b"times a minute" in page for page in pages] == [False, True]


def test_all_processes_share_one_bucket_and_each_has_one_while_redis_is_away(
    bob: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-79."""
    actor = Actor(bob, source="ui")
    monkeypatch.setattr(rates, "_here", rates.Buckets())  # another process counts nothing for itself
    assert rates.wait_for("x", actor, 2) == 0
    monkeypatch.setattr(rates, "_here", rates.Buckets())
    assert rates.wait_for("x", actor, 2) == 0
    assert 25 < rates.wait_for("x", actor, 2) <= 30
    assert rates.wait_for("y", actor, 2) == 0, "another kind has its own"
    assert [
        rates.wait_for("x", actor, 0),
        rates.wait_for("x", SYSTEM, 1),
        rates.wait_for("x", SYSTEM, 1),
    ] == [0] * 3
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"
    assert [rates.wait_for("x", actor, 1) > 0 for _ in range(2)] == [False, True]
