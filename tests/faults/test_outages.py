"""What an operation needs goes away under it and comes back: Redis, the engine, the worker, the gateway, the web."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from conftest import BUSYBOX
from dashboard import invariants
from operations import claims, services, tasks
from operations.models import Operation
from tests import machine
from tests.faults.conftest import Start, processes
from tests.faults.mortal import MortalRedis, mortal_site
from tests.faults.site import KINDS, SLEEPY, Site
from tests.faults.test_zombies import gone
from tests.faults.web import Web

STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
SLOW = ["sh", "-c", "trap 'sleep 2; exit' TERM; while :; do sleep 0.1; done"]
LONG_BUILD = f"FROM {BUSYBOX}\nRUN trap exit TERM; sleep 60\n"


def worker_pid(site: Site, keeper: subprocess.Popen[bytes], besides: int = 0) -> int:
    """The Celery worker that this keeper runs now."""
    said = site.plan.folder / f"worker-{keeper.pid}"

    def found() -> int:
        pid = int(said.read_text() or 0) if said.exists() else 0
        return pid if pid != besides else 0

    return int(machine.wait_for(found, 30, "no worker"))


def put(site: Site, name: str, command: list[str]) -> None:
    """A container that runs."""
    site.docker.containers.run(BUSYBOX, command, name=name, detach=True, network_mode="none")
    site.look()


# --- Redis -------------------------------------------------------------------------------------------


def test_a_redis_that_comes_back_empty_loses_no_queued_operation(site: Site, own_redis: MortalRedis) -> None:
    with processes(site, own_redis.url) as begin:
        keeper = begin("worker")
        worker = worker_pid(site, keeper)
        (first,) = site.wait([site.ask("volume.create", "before")])
        os.kill(worker, signal.SIGSTOP)
        queued = [site.ask("volume.create", f"queued-{n}") for n in range(20)]
        own_redis.empty()
        os.kill(worker, signal.SIGCONT)
        ended = site.wait(queued)
        (last,) = site.wait([site.ask("volume.create", "afterwards")])
        assert {row.state for row in [first, *ended, last]} == {"succeeded"}
        assert worker_pid(site, keeper) == worker, "no worker had to be started again"
    site.holds()


@pytest.mark.long
def test_without_any_redis_operations_are_carried_out_all_the_same(
    site: Site, own_redis: MortalRedis
) -> None:
    with processes(site, own_redis.url) as begin:
        begin("worker")
        site.wait([site.ask("volume.create", "before")])
        own_redis.kill()
        ended = site.wait([site.ask("volume.create", f"without-{n}") for n in range(5)])
        assert {row.state for row in ended} == {"succeeded"}
    site.holds()


# --- Processes ---------------------------------------------------------------------------------------


def test_a_web_process_killed_between_commit_and_wake_up_loses_nothing(site: Site, start: Start) -> None:
    put(site, "web", SLEEPY)
    user = site.actor.user
    assert user is not None
    web = Web(start, user, pace="")
    web.begin(FAULTS_DEAF="1")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(web.ask, f"/containers/{site.row('web').pk}/pause/", {})
        assert web.process is not None
        assert web.process.wait(60) == 9
        operation = Operation.objects.get()
        assert (operation.state, operation.dispatched_at) == ("queued", None)
        web.begin()
        assert asked.result(60) == str(operation.pk), "asked again with the same key: the same operation"
    assert web.lost == [str(operation.pk)]
    start("worker")
    (ended,) = site.wait([operation])
    assert ended.state == "succeeded"
    assert Operation.objects.count() == 1
    assert claims.UNSENT.total_seconds() + tasks.TICK <= 5, (
        "picked up within five seconds, with a worker there"
    )
    site.holds()


def test_a_worker_asked_to_end_finishes_what_it_has_begun(site: Site, start: Start) -> None:
    put(site, "slow", SLOW)
    keeper = start("worker")
    operation = site.ask("container.stop", "slow", timeout=20)
    machine.wait_for(lambda: site.door.effects("kill"), 30, "not begun")
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 0
    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == ("succeeded", 1)
    site.holds()


@pytest.mark.long
def test_a_worker_that_does_not_end_in_its_grace_is_taken_over(site: Site, start: Start) -> None:
    put(site, "slow", SLOW)
    keeper = start("worker")
    worker = worker_pid(site, keeper)
    operation = site.ask("container.stop", "slow", timeout=20)
    machine.wait_for(lambda: site.door.effects("kill"), 30, "not begun")
    os.kill(worker, signal.SIGTERM)
    os.kill(worker, signal.SIGKILL)
    (ended,) = site.wait([operation])
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    site.holds()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_workers_killed_at_random_under_load_lose_nothing(site: Site, start: Start, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same each time is what is wanted
    keepers = [start("worker"), start("worker")]
    workers = {keeper.pid: worker_pid(site, keeper) for keeper in keepers}
    asked: list[Operation] = []
    for n in range(6):
        names = {kind: f"r{n}-{kind.replace('.', '-')}" for kind in KINDS}
        site.prepare(list(names.items()))
        kinds = list(names)
        dice.shuffle(kinds)
        asked += [site.ask(kind, names[kind]) for kind in kinds]
        for _ in range(5):
            time.sleep(dice.uniform(0.05, 0.8))
            keeper = dice.choice(keepers)
            os.kill(workers[keeper.pid], signal.SIGKILL)
            workers[keeper.pid] = worker_pid(site, keeper, besides=workers[keeper.pid])
    ended = site.wait(asked, 90)
    # What is not begun again after a loss may have been lost before it was asked for.
    odd = [(row.kind, row.state, row.error_code) for row in ended if row.state != "succeeded"]
    assert {(kind, code) for kind, _, code in odd} <= {
        ("container.restart", "lost"),
        ("container.kill", "lost"),
    }
    assert [row.kind for row in ended if row.state == "failed" and site.calls(row, row.target_name)] == []
    site.holds()


# --- The engine --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(240)
def test_an_engine_killed_under_running_operations_leaves_the_truth(
    transactional_db: None, team, tara, redis_server: str, tmp_path: Path
) -> None:
    with mortal_site(team, tara, tmp_path / "plan") as (engine, site), processes(site, redis_server) as begin:
        begin("nursery")
        for n in range(3):
            put(site, f"slow-{n}", SLOW)
        asked = [site.ask("container.stop", f"slow-{n}", timeout=20) for n in range(3)]
        asked += [site.ask("container.run", f"run-{n}") for n in range(3)]
        asked += [site.ask("image.build", "built", dockerfile=LONG_BUILD)]
        machine.wait_for(lambda: site.door.effects("kill") and site.door.effects("create"), 30, "not begun")
        engine.kill()
        engine.start()
        ended = site.wait(asked, 90)
        assert {row.state for row in ended} <= {"succeeded", "failed"}
        site.look()
        for row in ended:
            found = [c for c in site.docker.api.containers(all=True) if row.target_name in c["Names"][0]]
            if row.kind == "container.run":
                assert bool(found) == (row.state == "succeeded")
            elif row.kind == "container.stop" and row.state == "succeeded":
                assert found[0]["State"] == "exited"
        site.holds()


def test_a_build_that_takes_longer_than_it_may_is_ended_on_the_engine_too(site: Site, start: Start) -> None:
    """S-49."""
    start("nursery", FAULTS_DEADLINE="2")
    (row,) = site.wait([site.ask("image.build", "endless", dockerfile=LONG_BUILD, builder="classic")])
    assert (row.state, row.error_code) == ("failed", "engine_timeout")
    no_trace(site)


def test_a_cancelled_build_is_ended_on_the_engine_too(site: Site, nursery: subprocess.Popen[bytes]) -> None:
    operation = site.ask("image.build", "unwanted", dockerfile=LONG_BUILD, builder="classic")
    machine.wait_for(site.docker.api.containers, 30, "not begun", every=0.1)
    services.cancel(operation, actor=site.actor)
    (row,) = site.wait([operation])
    assert (row.state, row.error_code) == ("cancelled", "cancelled")
    no_trace(site)


def test_a_build_whose_worker_dies_is_built_by_another(site: Site, nursery: subprocess.Popen[bytes]) -> None:
    died = site.will("image.build", "again", "after-call")
    text = f"FROM {BUSYBOX}\nRUN echo built\n"
    (row,) = site.wait([site.ask("image.build", "again", dockerfile=text)])
    assert died.exists()
    assert (row.state, row.attempt, len(site.calls(row, "again"))) == ("succeeded", 2, 1)
    assert {step["state"] for step in row.build.steps} == {"done"}
    assert row.build.context_path == ""
    assert site.docker.api.containers(all=True) == []


def no_trace(site: Site) -> None:
    """Neither the step's container, nor an image, nor the files sent for it."""
    assert site.docker.api.containers(all=True) == []
    assert [i for i in site.docker.api.images() if any("faults/" in tag for tag in i["RepoTags"] or [])] == []
    build = Operation.objects.get().build
    assert build.context_path == ""
    assert {step["state"] for step in build.steps} <= {"done", "failed", "cancelled"}
    site.holds()


def test_a_cancelled_stop_spares_the_container_the_kill(site: Site, nursery: subprocess.Popen[bytes]) -> None:
    put(site, "stubborn", STUBBORN)
    operation = site.ask("container.stop", "stubborn", timeout=60)
    machine.wait_for(lambda: site.door.effects("kill"), 30, "not begun")
    services.cancel(operation, actor=site.actor)
    (row,) = site.wait([operation])
    assert row.state == "cancelled"
    site.look()
    assert site.row("stubborn").state == "running"
    assert site.door.effects(r"POST \S*/stop") == []
    site.holds()


def test_a_cancelled_pull_lets_go_of_a_registry_that_never_answers(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    from images_app import operations as images

    with socket.create_server(("127.0.0.1", 0)) as registry:
        asked = threading.Event()

        def listen() -> None:
            connections = []
            while True:
                try:
                    connections.append(registry.accept()[0])
                except OSError:
                    break
                asked.set()
            for one in connections:
                one.close()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            reference = f"127.0.0.1:{registry.getsockname()[1]}/slow/image:1"
            operation = images.request_pull(reference, actor=site.actor, engine=site.engine, team=site.team)
            assert asked.wait(30), "the registry was not asked"
            services.cancel(operation, actor=site.actor)
            (row,) = site.wait([operation], 20)
        finally:
            registry.shutdown(socket.SHUT_RDWR)
            listener.join(10)
    assert (row.state, row.error_code) == ("cancelled", "cancelled")
    site.holds()


# --- The gateway -------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_gateway_that_slept_through_a_thousand_changes_is_true_soon_after_it_wakes(
    site: Site, start: Start
) -> None:
    put(site, "restless", SLEEPY)
    gateway = start("gateway")

    def differs() -> list[str]:
        return list(invariants.differences(site.engine, site.backend))

    def name_in_rows() -> str:
        return site.engine.containers.get().name

    site.docker.api.rename("restless", "seen")
    machine.wait_for(lambda: name_in_rows() == "seen", 30, "the gateway does not look")
    os.kill(gateway.pid, signal.SIGSTOP)
    name = "seen"
    for n in range(1000):
        site.docker.api.rename(name, f"name-{n}")
        name = f"name-{n}"
    site.docker.api.create_container(BUSYBOX, SLEEPY, name="late")
    assert name_in_rows() == "seen"
    os.kill(gateway.pid, signal.SIGCONT)
    machine.wait_for(lambda: not differs(), 30, "the rows are not true", every=0.5)
    assert site.engine.containers.filter(name="name-999").exists()


@pytest.mark.long
def test_of_several_gateways_another_takes_over_whatever_happens_to_the_one_that_reads(
    site: Site, start: Start
) -> None:
    gateways = [start("gateway") for _ in range(3)]

    def reader() -> int:
        site.engine.refresh_from_db()
        return int(site.engine.lease_owner.rpartition(":")[2] or 0)

    before = 0
    for n, number in enumerate((signal.SIGKILL, signal.SIGSTOP)):
        alive = {g.pid for g in gateways} - {before}
        pid = int(machine.wait_for(lambda now=alive: reader() in now and reader(), 30, "nobody reads"))
        os.kill(pid, number)
        before = pid
        machine.wait_for(lambda old=pid: reader() not in (0, old), 30, "nobody takes over", every=0.2)
        site.docker.api.create_container(BUSYBOX, SLEEPY, name=f"made-{n}")
        machine.wait_for(
            lambda n=n: site.engine.containers.filter(name=f"made-{n}").exists(), 30, "not seen", every=0.2
        )
    os.kill(before, signal.SIGCONT)
    assert not gone(before)
    machine.wait_for(
        lambda: not list(invariants.differences(site.engine, site.backend)), 30, "not true", every=0.5
    )
    connection.close()
