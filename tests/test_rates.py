"""S-79: what is expensive has a bucket of its own, one for all processes; and one each while Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import rates
from accounts.access import SYSTEM, Actor, person
from accounts.models import Team, User
from images_app import spool
from images_app.models import Build
from images_app.operations import request_build
from operations.models import Operation
from operations.services import Refused
from tests.rows import make_container, make_engine, make_image, make_volume

PULL = "/api/v1/images/pull/"


def test_expensive_calls_wait_and_say_how_long(
    api_for: Callable[..., APIClient], client_for: Callable[..., Any], bob: User, tara: User, team: Team,
    settings: Any,
) -> None:  # fmt: skip
    """S-79: by person, over all ways in and all tokens; a team's token by itself; plans and what joins cost nothing."""
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
    assert api_for(bob).post(PULL, {"reference": "c"}, format="json").status_code == 429, (
        "another token of his"
    )
    page = client_for(bob)
    page.post("/images/pull/", {"reference": "e"})
    assert Operation.objects.filter(actor=bob).count() == 2
    of_team = api_for(bob, team=team)
    assert [of_team.post(PULL, {"reference": n}, format="json").status_code for n in "fgh"] == [202, 202, 429]


def test_searches_of_logs_wait_too(
    api_for: Callable[..., APIClient], client_for: Callable[..., Any], bob: User, settings: Any
) -> None:
    """S-79."""
    settings.SEARCH_RATE = 1
    api, browser = api_for(bob), client_for(bob)
    assert [api.get("/api/v1/log-history/search/?q=x").status_code for _ in range(2)] == [200, 429]
    assert b"times a minute" in browser.get(reverse("loghistory:search") + "?q=x").content


def test_what_pulls_or_copies_besides_has_the_same_pace(
    api_for: Callable[..., APIClient], tara: User, team: Team, settings: Any
) -> None:
    """S-79: a run and a recreation that fetch an image, clones, imports; what is here already costs nothing."""
    settings.EXPENSIVE_RATE = 1
    engine = make_engine()
    make_image(engine, team, "here:1")
    volume, old = make_volume(engine, team, "data"), make_container(engine, team, "old", image_ref="gone:1")
    api, run = api_for(tara), "/api/v1/containers/"
    for name in ("one", "two"):
        assert api.post(run, {"image": "here:1", "name": name}, format="json").status_code == 202
    assert api.post(run, {"image": "away:1", "name": "three"}, format="json").status_code == 202
    late = [
        (run, {"image": "away:1", "name": "four"}),
        (run, {"image": "here:1", "name": "five", "pull": "always"}),
        (f"/api/v1/containers/{old.pk}/recreate/", {}),
        (f"/api/v1/volumes/{volume.pk}/clone/", {"name": "copy"}),
    ]
    assert [api.post(path, wish, format="json").json().get("code") for path, wish in late] == [
        "rate_limited"
    ] * 4
    assert Operation.objects.count() == 3
    body = {"name": "new", "archive": SimpleUploadedFile("x.tar", b"no tar")}
    told = api.post("/api/v1/volumes/import/", body, format="multipart")
    assert told.json()["code"] == "rate_limited", "before a byte of it is looked at"


def test_a_build_that_is_too_soon_is_refused_before_its_context_is_kept(
    bob: User, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-79: Redis is asked outside the transaction, a refusal leaves nothing, and the same wish is counted once."""
    settings.EXPENSIVE_RATE, settings.HOME = 2, tmp_path
    make_engine()
    actor, asked = person(bob, source="ui"), []

    def told(what: str, actor: Actor, most: int, **how: Any) -> float:
        asked.append((how.get("number", 1), list(connection.savepoint_ids)))
        return real(what, actor, most, **how)

    real = rates.wait_for
    monkeypatch.setattr(rates, "wait_for", told)

    def build(tag: str, key: str = "") -> Operation:
        return request_build(actor=actor, tags=[tag], dockerfile="FROM scratch\n", idempotency_key=key)

    first = build("a:1", "k")
    assert [build("a:1", "k").pk, build("a:1").pk] == [first.pk, first.pk]
    build("b:1")
    outside = asked[0][1]
    assert (sum(number for number, _ in asked), {str(where) for _, where in asked}) == (2, {str(outside)})
    kept = sorted(path.name for path in tmp_path.rglob("*.tar"))
    monkeypatch.setattr(spool, "spool", lambda *_a, **_b: pytest.fail("its context was read"))
    with pytest.raises(Refused, match="times a minute"):
        build("c:1")
    assert (Operation.objects.count(), Build.objects.count(), len(kept)) == (2, 2, 2)
    assert sorted(path.name for path in tmp_path.rglob("*.tar")) == kept


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
