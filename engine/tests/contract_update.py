"""How every engine changes limits in place: part of the suite of `engine.tests.contract`."""

from __future__ import annotations

import pytest

from engine.base import Engine
from engine.errors import Conflict, Invalid, NotFound
from engine.specs import UpdateSpec
from engine.tests.conftest import Create
from engine.tests.contract import ENDS, NOBODY

MB = 1024**2


def test_a_restart_policy_is_changed_while_it_runs(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, restart_policy={"name": "always"})
    engine.update(native_id, UpdateSpec("on-failure", restart_max_retries=3))
    info = engine.container(native_id)
    assert (info.restart_policy, info.restart_max_retries, info.state) == ("on-failure", 3, "running")
    engine.update(native_id, UpdateSpec("no"))
    assert engine.container(native_id).restart_policy == "no"
    with pytest.raises(Invalid):
        engine.update(native_id, UpdateSpec("sometimes"))


def limits(engine: Engine, native_id: str) -> tuple[int, float, int]:
    info = engine.container(native_id)
    return info.memory_limit, info.cpu_limit, info.pids_limit


@pytest.mark.parametrize("started", [True, False])
def test_limits_are_changed_up_and_down_and_it_goes_on(engine: Engine, create: Create, started: bool) -> None:
    native_id = create(ENDS, resources={"memory": 64 * MB})
    if started:
        engine.start(native_id)
    before = engine.container(native_id)
    engine.update(native_id, UpdateSpec(memory=128 * MB, cpus=0.5, pids=50))
    assert limits(engine, native_id) == (128 * MB, 0.5, 50)
    engine.update(native_id, UpdateSpec(memory=32 * MB))
    assert limits(engine, native_id) == (32 * MB, 0.5, 50)
    after = engine.container(native_id)
    assert (after.state, after.started_at) == (before.state, before.started_at)


def test_a_container_without_limits_gets_some_and_loses_that_of_processes(
    engine: Engine, run: Create
) -> None:
    native_id = run(ENDS)
    assert limits(engine, native_id) == (0, 0, 0)
    engine.update(native_id, UpdateSpec(memory=0, cpus=0, pids=0))
    engine.update(native_id, UpdateSpec(memory=64 * MB, cpus=1, pids=9))
    assert limits(engine, native_id) == (64 * MB, 1, 9)
    engine.update(native_id, UpdateSpec(pids=0))
    assert limits(engine, native_id) == (64 * MB, 1, 0)


@pytest.mark.parametrize("wanted", [UpdateSpec(memory=0), UpdateSpec(cpus=0), UpdateSpec(pids=5, cpus=0)])
def test_what_an_engine_cannot_take_away_is_refused_and_stays(
    engine: Engine, run: Create, wanted: UpdateSpec
) -> None:
    native_id = run(ENDS, resources={"memory": 64 * MB, "cpus": 1, "pids": 9})
    with pytest.raises(Conflict, match="cannot take"):
        engine.update(native_id, wanted)
    assert limits(engine, native_id) == (64 * MB, 1, 9)


def test_what_removes_itself_gets_limits_and_no_restart_policy(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, auto_remove=True)
    engine.update(native_id, UpdateSpec("no", pids=9))
    with pytest.raises(Conflict, match="removes itself"):
        engine.update(native_id, UpdateSpec("always", pids=10))
    info = engine.container(native_id)
    assert (info.restart_policy, info.pids_limit) == ("no", 9)


def test_what_is_not_there_has_no_limits_to_change(engine: Engine) -> None:
    for wanted in (UpdateSpec(memory=64 * MB), UpdateSpec(pids=9)):
        with pytest.raises(NotFound, match="no such container"):
            engine.update(NOBODY, wanted)
