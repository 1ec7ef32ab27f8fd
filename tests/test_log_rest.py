"""REST of logs on the whole of Slipway: all that the engine holds is searched, in bounds that are told."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import docker
import pytest

from tests import machine

LINES = 12_000
WRITES = (
    f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done; echo last words >&2; exec sleep 300"
)
Ask = Callable[..., tuple[int, Any, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def made(docker_client: docker.DockerClient, busybox: str) -> Any:
    """A container with more lines than one answer holds."""
    container = docker_client.containers.run(
        busybox, ["sh", "-c", WRITES], name="rest-logs", detach=True, network_mode="none"
    )
    last = f"line {LINES}\n".encode()
    machine.wait_for(
        lambda: container.logs(stderr=False, tail=500).endswith(last), 60, "it goes on writing", every=0.3
    )
    machine.wait_for(lambda: container.logs(stdout=False), 10, "no last words")
    yield container
    container.remove(force=True)


@pytest.fixture
def ask(live_app: machine.LiveApp, made: Any) -> Ask:
    """``ask("?q=a")``: status, headers, and the objects of the answer."""
    token = live_app.token("admin", "read")

    def row() -> Any:
        _, found = live_app.api(token, "GET", "/api/v1/containers/?name=rest-logs")
        return found["results"][0]["id"] if found["results"] else None

    id_ = machine.wait_for(row, 10, "it did not show up")

    def get(part: str, accept: str = "application/x-ndjson") -> tuple[int, Any, list[dict[str, Any]]]:
        connection = http.client.HTTPConnection("127.0.0.1", live_app.port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        connection.request("GET", f"/api/v1/containers/{id_}/logs/{part}", headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        objects = [
            json.loads(line) if accept.endswith("ndjson") else {"line": line} for line in body.splitlines()
        ]
        return answer.status, answer.headers, objects

    return get


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["line"] for row in rows]


def test_everything_is_searched_and_the_newest_matches_are_given(ask: Ask) -> None:
    _, headers, rows = ask("?q=LINE+11&tail=5")
    assert texts(rows) == [f"line {n}" for n in range(11995, 12000)]
    assert headers["Slipway-Searched"] == str(LINES + 1)
    assert headers["Slipway-Truncated"] == "1"
    assert "Slipway-Stopped" not in headers
    _, headers, rows = ask(r"?q=%5Eline+(7%7C8)%24&regex=1")
    assert texts(rows) == ["line 7", "line 8"]
    assert "Slipway-Truncated" not in headers
    assert texts(ask("?q=last&stream=stderr&cased=1")[2]) == ["last words"]
    assert ask("?q=last&stream=stdout")[2] == []


def test_a_search_tells_how_far_it_is(ask: Ask) -> None:
    status, _, rows = ask("search/?q=line+77&whole=1")
    assert status == 200
    assert [row["line"] for row in rows if "line" in row] == ["line 77"]
    assert rows[-1] == {"searched": LINES + 1, "matches": 1, "kept": 1, "stopped": "", "last": ""}


def test_lines_around_a_time_and_all_of_them(ask: Ask) -> None:
    (one,) = ask("?q=line+500&whole=1")[2]
    found = texts(ask(f"?at={one['ts']}&context=3")[2])
    assert found == [f"line {n}" for n in range(497, 503)]
    status, _, rows = ask("?all=1", "text/plain")
    assert status == 200
    assert sorted(texts(rows)) == sorted([f"line {n}" for n in range(1, LINES + 1)] + ["last words"])
    assert texts(ask(f"?until={one['ts']}&tail=2")[2]) == ["line 499", "line 500"]


@pytest.mark.parametrize(
    "query",
    ["?q=(a&regex=1", r"?q=(a)%5C1&regex=1", "?regex=1", "search/", "search/?q=a&most=5000", "?at=1&tail=3"],
)
def test_what_makes_no_sense_is_refused(ask: Ask, query: str) -> None:
    status, _, (problem,) = ask(query)
    assert (status, problem["code"]) == (400, "invalid")
