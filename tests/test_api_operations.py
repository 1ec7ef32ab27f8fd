"""REST of engines and operations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Team, User
from operations.models import Engine, Operation, OperationEvent
from streams import want
from tests.rows import make_container, make_engine, make_operation

ApiFor = Callable[..., APIClient]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine(version="28.5", cpus=2, memory=4096)


def test_an_operation_shows_what_the_contract_names(
    api_for: ApiFor, vic: User, engine: Engine, team: Team
) -> None:
    row = make_operation(
        engine,
        team,
        state="failed",
        error_code="in_use",
        error_message="A container uses it.",
        progress={"current": 3, "total": 7, "unit": "layers", "message": "Extracting"},
        result={"image": "x"},
    )
    found = api_for(vic, "read").get(f"/api/v1/operations/{row.pk}/").json()
    assert set(found) == {
        "id", "kind", "state", "target", "engine", "team", "progress", "error", "result", "actor", "source",
        "attempt", "batch", "undoable_until", "created_at", "started_at", "finished_at", "url", "discarded",
    }  # fmt: skip
    assert found["progress"] == {"current": 3, "total": 7, "unit": "layers", "message": "Extracting"}
    assert found["error"] == {"code": "in_use", "message": "A container uses it."}
    assert found["target"] == {"type": "container", "id": None, "name": "web"}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state=queued", 1),
        ("state=queued,succeeded", 2),
        ("kind=image.pull", 1),
        ("actor=bob", 1),
        ("actor=nobody", 0),
        ("target=11111111-1111-4111-8111-111111111111", 1),
        ("team=blue", 2),
        ("team=red", 0),
        ("q=ngin", 1),
    ],
)
def test_filters(api_for: ApiFor, vic: User, engine: Engine, team: Team, query: str, count: int) -> None:
    make_operation(engine, team, target_id="11111111-1111-4111-8111-111111111111")
    make_operation(
        engine, team, kind="image.pull", state="queued", actor_name="tara", target_name="nginx:1.27"
    )
    assert len(api_for(vic).get(f"/api/v1/operations/?{query}").json()["results"]) == count


def test_since_is_a_time(api_for: ApiFor, vic: User, engine: Engine, team: Team) -> None:
    make_operation(engine, team, created_at=timezone.now() - timedelta(hours=2))
    make_operation(engine, team)
    hour_ago = (timezone.now() - timedelta(hours=1)).isoformat()
    api = api_for(vic)
    assert len(api.get("/api/v1/operations/", {"since": hour_ago}).json()["results"]) == 1
    assert api.get("/api/v1/operations/?since=yesterday").status_code == 400


def test_the_log_has_numbers(api_for: ApiFor, vic: User, engine: Engine, team: Team) -> None:
    row = make_operation(engine, team)
    texts = [(2, 1, "one"), (4, 2, "two"), (5, 1, "<b>three</b>")]
    for seq, stream, text in texts:
        OperationEvent.objects.create(
            operation=row, seq=seq, kind="log", data={"stream": stream, "text": text}
        )
    OperationEvent.objects.create(operation=row, seq=3, kind="state", data={"state": "running"})
    url = f"/api/v1/operations/{row.pk}/log/"
    plain = api_for(vic).get(url)
    assert plain["Content-Type"] == "text/plain; charset=utf-8"
    assert plain["X-Content-Type-Options"] == "nosniff"
    assert (plain.getvalue().decode(), plain["Slipway-Last-Seq"]) == ("one\ntwo\n<b>three</b>\n", "5")
    objects = (
        api_for(vic).get(f"{url}?after=2", headers={"Accept": "application/x-ndjson"}).getvalue().decode()
    )
    assert [line.split(",")[0] for line in objects.splitlines()] == ['{"seq":4', '{"seq":5']
    assert '"stream":"stderr"' in objects
    assert api_for(vic).get(f"{url}?after=5").getvalue() == b""
    assert api_for(vic).get(f"{url}?after=-1").status_code == 400


def test_cancelling(api_for: ApiFor, bob: User, vic: User, engine: Engine, team: Team) -> None:
    row = make_container(engine, team)
    made = api_for(bob).post(f"/api/v1/containers/{row.pk}/stop/").json()
    url = f"/api/v1/operations/{made['id']}/cancel/"
    assert api_for(vic).post(url).status_code == 403
    answer = api_for(bob).post(url, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    again = api_for(bob).post(url)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_retrying_needs_the_right_to_the_change_itself(
    api_for: ApiFor, bob: User, vic: User, engine: Engine, team: Team
) -> None:
    row = make_container(engine, team)
    made = api_for(bob).post(f"/api/v1/containers/{row.pk}/stop/").json()
    url = f"/api/v1/operations/{made['id']}/retry/"
    assert api_for(bob).post(url).status_code == 409
    Operation.objects.update(state="failed", error_code="conflict")
    assert api_for(vic).post(url).status_code == 403
    assert api_for(bob, "read").post(url).status_code == 403
    answer = api_for(bob, "operate").post(url)
    assert (answer.status_code, answer.json()["kind"]) == (202, "container.stop"), answer.content
    assert answer.json()["id"] != made["id"]


def test_a_stranger_finds_no_operation(api_for: ApiFor, charlie: User, engine: Engine, team: Team) -> None:
    row = make_operation(engine, team)
    api = api_for(charlie)
    assert api.get("/api/v1/operations/").json()["results"] == []
    for path in ("", "log/"):
        assert api.get(f"/api/v1/operations/{row.pk}/{path}").status_code == 404
    for path in ("cancel/", "retry/"):
        assert api.post(f"/api/v1/operations/{row.pk}/{path}").status_code == 404


def test_an_engine_shows_its_address_to_site_administrators_alone(
    api_for: ApiFor, vic: User, alice: User, engine: Engine
) -> None:
    found = api_for(vic).get(f"/api/v1/engines/{engine.pk}/").json()
    assert (found["status"], found["version"], found["endpoint"]) == ("online", "28.5", None)
    assert api_for(alice).get(f"/api/v1/engines/{engine.pk}/").json()["endpoint"] == engine.endpoint
    info = api_for(vic).get(f"/api/v1/engines/{engine.pk}/info/").json()
    assert (info["cpus"], info["memory"]) == (2, 4096)


def test_whoever_has_no_role_sees_no_engine(
    api_for: ApiFor, person: Callable[..., User], engine: Engine
) -> None:
    api = api_for(person("nobody"))
    assert api.get("/api/v1/engines/").json()["results"] == []
    assert api.get(f"/api/v1/engines/{engine.pk}/").status_code == 404


def test_asking_for_a_comparison(api_for: ApiFor, bob: User, vic: User, engine: Engine) -> None:
    url = f"/api/v1/engines/{engine.pk}/sync/"
    assert api_for(vic).post(url).status_code == 403
    deaf = api_for(bob).post(url)
    assert (deaf.status_code, deaf.json()["code"]) == (503, "unavailable")
    with (
        redis.Redis.from_url(settings.REDIS_URL) as client,
        client.pubsub(ignore_subscribe_messages=True) as gateway,
    ):
        gateway.subscribe(want.SYNC)
        gateway.get_message(timeout=1)
        answer = api_for(bob).post(url)
        heard = gateway.get_message(timeout=1)
    assert (answer.status_code, answer.json()["id"]) == (202, str(engine.pk))
    assert heard is not None
    assert heard["data"] == str(engine.pk).encode()
    assert api_for(bob).post(url, {"full": True}, format="json").status_code == 400
