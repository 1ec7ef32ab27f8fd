"""What is asked of an engine to change limits in place, and what only a real engine shows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest

from engine.base import Engine
from engine.docker_update import body
from engine.errors import Conflict
from engine.specs import UpdateSpec
from engine.tests.conftest import until

MB = 1024**2
SLEEP = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
Make = Callable[..., str]


@pytest.mark.parametrize(
    ("spec", "host", "made"),
    [
        (UpdateSpec("always"), {}, {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}),
        (UpdateSpec(pids=0), {"PidsLimit": 9}, {"PidsLimit": 0}),
        (UpdateSpec(memory=64 * MB), {}, {"Memory": 64 * MB, "MemorySwap": 64 * MB}),
        (
            UpdateSpec(memory=64 * MB),
            {"Memory": 128 * MB, "MemorySwap": 128 * MB},
            {"Memory": 64 * MB, "MemorySwap": 64 * MB},
        ),
        (
            UpdateSpec(memory=256 * MB),
            {"Memory": 128 * MB, "MemorySwap": 192 * MB},
            {"Memory": 256 * MB, "MemorySwap": 320 * MB},
        ),
        (
            UpdateSpec(memory=256 * MB),
            {"Memory": 128 * MB, "MemorySwap": -1},
            {"Memory": 256 * MB, "MemorySwap": -1},
        ),
        (UpdateSpec(memory=0, cpus=0), {"Memory": 0, "MemorySwap": 0, "CpuQuota": 0}, {}),
        (UpdateSpec(cpus=1.5), {"NanoCpus": 10**9}, {"NanoCpus": 1_500_000_000}),
        (UpdateSpec(cpus=1.5), {"CpuQuota": 50_000}, {"CpuQuota": 150_000}),
        (UpdateSpec(cpus=0.5), {"CpuQuota": 50_000, "CpuPeriod": 50_000}, {"CpuQuota": 25_000}),
        (UpdateSpec(cpus=0), {"CpuQuota": 50_000}, {"CpuQuota": -1}),
        (UpdateSpec(cpus=1), {"CpuQuota": -1}, {"NanoCpus": 10**9}),
    ],
)
def test_the_body_fits_how_the_container_is_now(
    spec: UpdateSpec, host: dict[str, Any], made: dict[str, Any]
) -> None:
    assert body(spec, host) == made


@pytest.fixture
def make(docker_client: docker.DockerClient, busybox: str) -> Make:
    """A container of somebody else, running, with these settings of the host."""

    def made(command: list[str] = SLEEP, **host: Any) -> str:
        config = docker_client.api.create_host_config(network_mode="none", **host)
        native_id = str(docker_client.api.create_container(busybox, command, host_config=config)["Id"])
        docker_client.api.start(native_id)
        return native_id

    return made


def test_a_limit_that_was_made_as_a_quota_is_changed_and_taken_away(
    engine_backend: Engine, make: Make
) -> None:
    native_id = make(cpu_quota=50_000)
    assert engine_backend.container(native_id).cpu_limit == 0.5
    for cores in (1.5, 0.25, 0, 1):
        engine_backend.update(native_id, UpdateSpec(cpus=cores))
        assert engine_backend.container(native_id).cpu_limit == cores


def test_swap_beside_the_memory_stays_as_much_as_it_was(
    docker_client: docker.DockerClient, engine_backend: Engine, make: Make
) -> None:
    native_id = make(mem_limit=64 * MB, memswap_limit=96 * MB)
    for memory in (256 * MB, 32 * MB):
        engine_backend.update(native_id, UpdateSpec(memory=memory))
        host = docker_client.api.inspect_container(native_id)["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (memory, memory + 32 * MB)


def test_without_a_limit_of_processes_there_is_none(
    docker_client: docker.DockerClient, engine_backend: Engine, make: Make
) -> None:
    native_id = make(pids_limit=20)
    fork = ["sh", "-c", "for n in $(seq 40); do sleep 5 & done"]
    few = docker_client.api.exec_create(native_id, fork)["Id"]
    assert b"can't fork" in docker_client.api.exec_start(few)
    engine_backend.update(native_id, UpdateSpec(pids=0))
    many = docker_client.api.exec_create(native_id, fork)["Id"]
    assert b"can't fork" not in docker_client.api.exec_start(many)


def test_less_memory_than_it_uses_is_refused_or_ends_it(
    docker_client: docker.DockerClient, engine_backend: Engine, make: Make
) -> None:
    eats = (
        'trap exit TERM; x=$(head -c 60000000 /dev/zero | tr "\\0" x); echo full; while :; do sleep 0.1; done'
    )
    native_id = make(["sh", "-c", eats], mem_limit=400 * MB, memswap_limit=400 * MB)
    until(lambda: b"full" in docker_client.api.logs(native_id))
    refusal = ""
    try:
        engine_backend.update(native_id, UpdateSpec(memory=16 * MB))
    except Conflict as error:
        refusal = error.message
    info = engine_backend.container(native_id)
    if refusal:
        assert "of memory now" in refusal
        assert (info.memory_limit, info.state) == (400 * MB, "running")
    else:  # the kernel reclaims what it can, and ends what is left
        until(lambda: engine_backend.container(native_id).state == "exited")
