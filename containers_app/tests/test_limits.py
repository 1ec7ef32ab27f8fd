"""Limits and restart policies are changed in place, once, and looked up where the answer was lost. On a real engine."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from accounts.access import person
from accounts.models import AuditEntry
from containers_app import operations
from containers_app.models import Container
from containers_app.tests.test_operations import Bench, bench, failed
from engine.base import Engine as EngineBackend
from engine.docker_backend import DockerEngine
from engine.errors import AnswerLost
from engine.specs import SpecError, UpdateSpec
from operations.models import Operation

__all__ = ["bench"]
MB = 1024**2
FEW = {"memory": 64 * MB, "cpus": 0.5, "pids": 50}


def limits(row: Container) -> tuple[int, float, int, str]:
    row.refresh_from_db()
    return row.memory_limit, row.cpu_limit, row.pids_limit, row.restart_policy


def test_all_of_it_changes_and_it_goes_on(bench: Bench, engine_backend: EngineBackend) -> None:
    web = bench.container(name="web", resources={"memory": 32 * MB})
    before = engine_backend.container(web.native_id)
    asked = bench.do(web, "update", resources=FEW, restart_policy={"name": "unless-stopped"})
    assert (asked.state, asked.result["changed"]) == ("succeeded", True), asked.error_message
    assert limits(web) == (64 * MB, 0.5, 50, "unless-stopped")
    after = engine_backend.container(web.native_id)
    assert (after.memory_limit, after.restart_policy) == (64 * MB, "unless-stopped")
    assert (after.pid, after.started_at) == (before.pid, before.started_at)
    told = AuditEntry.objects.filter(verb="container.update").order_by("pk")
    assert [entry.outcome for entry in told] == ["accepted", "succeeded"]


def test_what_is_so_already_asks_the_engine_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    web = bench.container(name="web", resources=FEW)

    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(DockerEngine, "update", never)
    asked = bench.do(web, "update", resources=FEW, restart_policy={"name": "no"})
    assert (asked.state, asked.result["changed"]) == ("succeeded", False), asked.error_message


def test_a_stopped_container_is_changed_and_not_started(bench: Bench) -> None:
    web = bench.container(name="web")
    assert bench.do(web, "stop").state == "succeeded"
    asked = bench.do(web, "update", resources=FEW, restart_policy={"name": "always"})
    assert (asked.state, asked.result["state"]) == ("succeeded", "exited"), asked.error_message
    assert limits(web) == (64 * MB, 0.5, 50, "always")


@pytest.mark.parametrize("happened", [True, False])
def test_a_lost_answer_is_looked_up_before_anything_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    web = bench.container(name="web")
    truly, calls = DockerEngine.update, []

    def lost(self: DockerEngine, native_id: str, spec: UpdateSpec, **options: Any) -> None:
        calls.append(native_id)
        if happened or len(calls) > 1:
            truly(self, native_id, spec, **options)
        if len(calls) == 1:
            raise AnswerLost("The connection to the engine broke.")

    monkeypatch.setattr(DockerEngine, "update", lost)
    monkeypatch.setattr("operations.verifying.LOOKS", (0.0,))
    asked = bench.do(web, "update", resources=FEW)
    if happened:
        assert asked.state == "succeeded", asked.error_message
        assert len(calls) == 1
        assert limits(web)[:3] == (64 * MB, 0.5, 50)
    else:
        assert asked.state == "unknown"
        assert limits(web)[:3] == (0, 0, 0)


def test_what_somebody_else_has_limited_meanwhile_is_refused_in_words(
    bench: Bench, docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web")
    docker_client.api.update_container(web.native_id, mem_limit=64 * MB, memswap_limit=64 * MB)
    asked = bench.do(web, "update", resources={"memory": None})
    failed(asked, "conflict")
    assert "cannot take a memory limit" in asked.error_message


@pytest.mark.parametrize(
    ("made", "wish", "field", "words"),
    [
        ({"resources": FEW}, {"resources": {"memory": 0}}, "resources.memory", "give it a higher one"),
        ({"resources": FEW}, {"resources": {"cpus": None}}, "resources.cpus", "give it more cores"),
        ({}, {"resources": {"cpus": 4000}}, "resources.cpus", "The engine has"),
        ({}, {"resources": {"memory": 1024}}, "resources.memory", "6291456"),
        (
            {"auto_remove": True},
            {"restart_policy": {"name": "always"}},
            "restart_policy.name",
            "removes itself",
        ),
        (
            {},
            {"restart_policy": {"name": "no", "max_retries": 2}},
            "restart_policy.max_retries",
            "on-failure",
        ),
        ({}, {}, "body", "Name what is to change"),
    ],
)
def test_what_cannot_be_is_told_at_its_field_and_nothing_is_asked(
    bench: Bench, made: dict[str, Any], wish: dict[str, Any], field: str, words: str
) -> None:
    bench.engine.cpus = 2
    bench.engine.save()
    web = bench.container(name="web", **made)
    with pytest.raises(SpecError) as wrong:
        operations.request(web, "update", actor=person(bench.bob, source="ui"), params=wish)
    assert words in wrong.value.errors[field][0]
    assert not Operation.objects.filter(kind="container.update").exists()
