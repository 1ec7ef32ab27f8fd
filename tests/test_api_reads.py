"""REST of what a container is doing: its processes, changes, output and figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import AsyncClient
from redis.asyncio import Redis
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import Team, User
from containers_app.models import Container
from engine import errors
from operations import reads
from streams import hub, stats, want
from streams.connection import aclient
from streams.ring import Writer
from tests.rows import make_container, make_engine

ApiFor = Callable[..., APIClient]


@pytest.fixture
def web(db: None, team: Team) -> Container:
    """Team blue's, which runs."""
    return make_container(make_engine(), team)


class Worker:
    """Stands in for the worker's half of a read, which has tests of its own."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] | Exception = {}

    def __call__(
        self, kind: str, obj: Any, *, actor: Any, params: Any = None, deadline: float = 10
    ) -> dict[str, Any]:
        self.asked.append((kind, dict(params or {})))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """What it answers is the test's business."""
    stand_in = Worker()
    monkeypatch.setattr(reads, "read", stand_in)
    return stand_in


def test_processes_and_changes_are_asked_of_the_engine(
    api_for: ApiFor, vic: User, web: Container, worker: Worker
) -> None:
    change = {"path": "/a", "kind": "added", "size": 4, "modified_at": None, "lost": True}
    worker.answer = {"titles": ["PID"], "rows": [["1"]], "changes": [change]}
    found = api_for(vic).get(f"/api/v1/containers/{web.pk}/processes/").json()
    assert found == {"titles": ["PID"], "rows": [["1"]]}
    changes = api_for(vic).get(f"/api/v1/containers/{web.pk}/changes/").json()
    assert changes == [change]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.Unreachable("Gone."), 502, "engine_unreachable"),
        (errors.DeadlineExceeded("Late."), 504, "engine_timeout"),
        (errors.NotFound("None."), 404, "not_found"),
        (errors.Conflict("Not running."), 409, "conflict"),
    ],
)
def test_what_an_engine_says_has_its_own_code(
    api_for: ApiFor, vic: User, web: Container, worker: Worker, error: Exception, status: int, code: str
) -> None:
    worker.answer = error
    answer = api_for(vic).get(f"/api/v1/containers/{web.pk}/processes/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


LINES = [
    [1, "1767225600000000001", "ready"],
    [2, "1767225601000000000", "Oh no"],
    [1, "1767225602000000000", "<b>"],
]


def test_logs_are_text(api_for: ApiFor, vic: User, web: Container, worker: Worker) -> None:
    worker.answer = {"lines": LINES}
    answer = api_for(vic).get(f"/api/v1/containers/{web.pk}/logs/?tail=5&since=10m")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.getvalue().decode() == "ready\nOh no\n<b>\n"
    assert worker.asked[0][1]["tail"] == 5
    assert worker.asked[0][1]["since_ns"] > 0
    answer = api_for(vic).get(f"/api/v1/containers/{web.pk}/logs/?since=999999d")
    assert (answer.status_code, worker.asked[1][1]["since_ns"]) == (200, 10**9), "before there was a year"
    stamped = (
        api_for(vic).get(f"/api/v1/containers/{web.pk}/logs/?timestamps=1&stream=stderr").getvalue().decode()
    )
    assert stamped == "2026-01-01T00:00:01.000000000Z Oh no\n"


def test_logs_are_objects_for_who_asks_for_json(
    api_for: ApiFor, vic: User, web: Container, worker: Worker
) -> None:
    worker.answer = {"lines": LINES}
    url = f"/api/v1/containers/{web.pk}/logs/?stream=stdout&tail=1"
    worker.answer = {"lines": LINES[:2]}
    answer = api_for(vic).get(url, headers={"Accept": "application/x-ndjson"})
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer.getvalue().decode() == (
        '{"seq":1,"ts":"2026-01-01T00:00:00.000000001Z","stream":"stdout","line":"ready"}\n'
    )


@pytest.mark.parametrize(
    "query",
    [
        "follow=1&until=1",
        "tail=0",
        "tail=x",
        "tail=-1",
        "tail=10001",
        "since=yesterday",
        "stream=both",
        "regex=a",
        "since=2026-13-01T00:00:00Z",
    ],
)
def test_a_log_query_that_is_not_valid_is_refused(
    api_for: ApiFor, vic: User, web: Container, query: str
) -> None:
    assert api_for(vic).get(f"/api/v1/containers/{web.pk}/logs/?{query}").status_code == 400


@pytest.mark.parametrize(
    "part",
    [
        "",
        "inspect/",
        "health/",
        "logs/",
        "logs/?q=a",
        "logs/?all=1",
        "logs/search/?q=a",
        "changes/",
        "processes/",
        "stats/",
    ],
)
def test_a_stranger_finds_nothing(
    api_for: ApiFor, charlie: User, web: Container, worker: Worker, part: str
) -> None:
    assert api_for(charlie).get(f"/api/v1/containers/{web.pk}/{part}").status_code == 404
    assert not worker.asked


@asynccontextmanager
async def redis_of_ours() -> AsyncIterator[Redis]:
    """A connection that is closed."""
    connection = aclient()
    yield connection
    await connection.aclose()


async def frame(row: Container, first: int, *texts: str) -> tuple[bytes, int]:
    """What the gateway writes: lines without the brackets around them."""
    lines = [
        [first + i, str(row.pk), str(1767225600 * 10**9 + first + i), 1, text] for i, text in enumerate(texts)
    ]
    return orjson.dumps(lines)[1:-1], len(lines)


@pytest.mark.django_db(transaction=True)
async def test_logs_can_be_followed_to_the_end(bob: User, web: Container) -> None:
    _, secret = await sync_to_async(tokens.make)(bob, "test", ["read"])
    async with redis_of_ours() as connection:
        writer = Writer(connection, f"logs:{web.pk}")
        await writer.open()
        await writer.append(*await frame(web, 1, "one", "two", "three"))
        await writer.say('{"state": "following"}')
        answer = await AsyncClient().get(
            f"/api/v1/containers/{web.pk}/logs/?follow=1&tail=2",
            headers={"Authorization": f"Bearer {secret}", "Accept": "application/x-ndjson"},
        )
        assert answer["Content-Type"] == "application/x-ndjson"
        chunks = aiter(answer.streaming_content)
        found = (await anext(chunks)).decode().splitlines()
        assert [orjson.loads(line)["line"] for line in found] == ["two", "three"]
        await writer.append(*await frame(web, 5, "five"), skipped=1)
        gap = (await anext(chunks)).decode()
        assert orjson.loads(gap) == {"gap": 1, "cause": "load"}
        assert orjson.loads((await anext(chunks)).decode())["seq"] == 5
        await writer.note('{"lines":7,"cause":"rotation","from":"5000000001","to":"6000000000"}')
        hole = orjson.loads((await anext(chunks)).decode())
        assert hole == {
            "gap": 7,
            "cause": "rotation",
            "from": "1970-01-01T00:00:05.000000001Z",
            "to": "1970-01-01T00:00:06.000000000Z",
        }
        await writer.say('{"state": "ended"}')
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
    await hub.close()


@pytest.mark.django_db(transaction=True)
async def test_following_ends_when_the_token_does(
    bob: User, web: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers_app.api.follow.RECHECK", 0.2)
    token, secret = await sync_to_async(tokens.make)(bob, "test", ["read"])
    head = {"Authorization": f"Bearer {secret}"}
    answer = await AsyncClient().get(f"/api/v1/containers/{web.pk}/logs/?follow=1", headers=head)
    assert answer.status_code == 200
    await sync_to_async(tokens.revoke)(token)
    async with asyncio.timeout(10):
        assert [chunk async for chunk in answer.streaming_content] == []
    await hub.close()


def test_the_newest_figures(api_for: ApiFor, vic: User, web: Container) -> None:
    row = [str(web.pk), 0.25, 1024, 2048, 1, 2, 3, 4, 5, 1767225600123]
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.set(stats._key(str(web.pk)), orjson.dumps(row))
        figures = {
            "t": "2026-01-01T00:00:00.123Z",
            "cpu": 0.25,
            "memory": 1024,
            "memory_limit": 2048,
            "net_rx": 1,
        }
        shown = api_for(vic).get(f"/api/v1/containers/{web.pk}/").json()["stats"]
        assert {name: shown[name] for name in figures} == figures
        arrays = api_for(vic).get(f"/api/v1/containers/{web.pk}/stats/?range=1h").json()
        assert (arrays["t"], arrays["cpu"], arrays["pids"]) == ([figures["t"]], [0.25], [5])
        assert client.zrange(want.WANTED, 0, -1) == [f"stats:{web.pk}".encode()]
    assert api_for(vic).get(f"/api/v1/containers/{web.pk}/stats/?range=1y").status_code == 400
