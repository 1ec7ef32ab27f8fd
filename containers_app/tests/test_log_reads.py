"""What is asked of an engine's logs, on a real engine: around a time, before one, a search of all, a mean pattern."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from containers_app import log_reads
from containers_app.patterns import Search, Unsearchable
from engine.base import Engine as EngineBackend
from tests.machine import wait_for

LINES = 25_000
WRITES = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done; echo ERROR last words >&2"


@pytest.fixture
def row(docker_client: docker.DockerClient, busybox: str) -> Any:
    """A container that has written more than the last lines that a read looks at first."""
    made = docker_client.containers.run(busybox, ["sh", "-c", WRITES], detach=True, network_mode="none")
    wait_for(lambda: docker_client.containers.get(made.id).status == "exited", 60, "it goes on writing")
    return SimpleNamespace(native_id=made.id)


def search(engine: EngineBackend, row: Any, **params: Any) -> tuple[list[str], dict[str, Any]]:
    """The lines found, and the last word."""
    pieces = list(log_reads.search(engine, row, {"streams": [1, 2], "most": 2000, **params}))
    return [line[2] for piece in pieces for line in piece.get("lines", ())], dict(pieces[-1])


def numbers(rows: list[list[Any]]) -> list[int]:
    return [int(text.removeprefix("line ")) for _, _, text in rows if text.startswith("line ")]


def test_all_that_an_engine_holds_can_be_read_around_a_time(engine_backend: EngineBackend, row: Any) -> None:
    pieces = log_reads.everything(engine_backend, row, {"streams": [1, 2]})
    everything = [line for piece in pieces for line in piece.get("lines", ())]
    assert sorted(numbers(everything)) == list(range(1, LINES + 1))
    for wanted in (40, LINES - 9000, LINES - 50):
        at = int(next(line[1] for line in everything if line[2] == f"line {wanted}"))
        around = numbers(log_reads.logs(engine_backend, row, {"at_ns": at, "context": 20})["lines"])
        assert around == list(range(wanted - 20, wanted + 20))
        before = numbers(log_reads.logs(engine_backend, row, {"until_ns": at, "tail": 30})["lines"])
        assert before == list(range(wanted - 29, wanted + 1))


def test_a_search_looks_at_everything_and_gives_the_newest(engine_backend: EngineBackend, row: Any) -> None:
    found, end = search(engine_backend, row, q="LINE 12")
    assert end == {
        "searched": LINES + 1,
        "matches": 1 + 10 + 100 + 1000,
        "kept": 1111,
        "stopped": "",
        "last_ns": "",
    }
    assert found[:3] == ["line 12", "line 120", "line 121"]
    found, end = search(engine_backend, row, q="line", cased=True, most=10)
    assert (found[-1], len(found), end["matches"]) == (f"line {LINES}", 10, LINES)
    assert search(engine_backend, row, q="LINE", cased=True)[1]["matches"] == 0
    assert search(engine_backend, row, q="12", whole=True)[0] == ["line 12"]
    assert search(engine_backend, row, q=r"^line 1?2\d{2}5$", regex=True)[1]["matches"] == 200
    assert search(engine_backend, row, q="", streams=[2])[0] == ["ERROR last words"]


def test_a_search_says_where_its_time_was_up(
    engine_backend: EngineBackend, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reads, "SECONDS", 0.0)
    _, end = search(engine_backend, row, q="line")
    assert end["stopped"] == "time"
    assert 0 < end["searched"] < LINES
    assert int(end["last_ns"]) > 0
    monkeypatch.setattr(log_reads, "SECONDS", 60.0)
    monkeypatch.setattr(log_reads, "MOST_SEARCHED", 1000)
    assert search(engine_backend, row, q="line")[1]["stopped"] == "size"


@pytest.mark.parametrize(
    "mean", [r"(a+)+$", r"(.*a){30}", r"(x+x+)+y", r"([a-z]+)*[0-9]{50}b", r"(.*a){30}b"]
)
def test_a_mean_pattern_takes_no_longer(mean: str) -> None:
    """S-80."""
    matches = Search(mean, regex=True).matcher()
    began = time.monotonic()
    matches("a" * 1_000_000 + "!")
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("wrong", [r"(a)\1", r"(?=a)", r"(?<!a)b", "(", "[a", "a{1001}", "*a", "a" * 257])
def test_what_re2_does_not_know_is_refused_in_words(wrong: str) -> None:
    """S-80."""
    with pytest.raises(Unsearchable, match=r"RE2|characters"):
        Search(wrong, regex=True).matcher()
