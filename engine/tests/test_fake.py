"""What goes wrong on purpose, and time, in the fake engine."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from engine.connect import connect, connect_streams
from engine.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineError,
    ImageNotFound,
    Invalid,
    NotFound,
    PortInUse,
    Unreachable,
)
from engine.fake import FakeEngine, FakeStreams, World, new_world
from engine.fake_program import plan
from engine.specs import ContainerSpec
from engine.types import ContainerState, Health, Progress

IMAGE = "busybox:1"


@pytest.fixture
def world() -> Iterator[World]:
    with new_world("faults", instant=True) as made:
        made.add_image(IMAGE)
        yield made


@pytest.fixture
def engine(world: World) -> FakeEngine:
    return FakeEngine(world)


def make(engine: FakeEngine, script: str = "wait", **body: object) -> str:
    spec = ContainerSpec.parse({"image": IMAGE, "command": ["sh", "-c", script], **body})
    return engine.create(spec, operation_id=str(uuid.uuid4()))


def test_a_fake_address_must_be_allowed(world: World) -> None:
    with pytest.raises(Invalid):
        connect("fake://faults")
    with pytest.raises(Invalid):
        connect_streams("fake://faults")
    assert len(connect("fake://faults", allow_fake=True).images()) == 1


def test_refused_nothing_is_done(world: World, engine: FakeEngine) -> None:
    world.fail("refuse", "create")
    with pytest.raises(Unreachable):
        make(engine)
    assert engine.containers() == []


def test_hanging_takes_the_whole_deadline_and_does_nothing(world: World, engine: FakeEngine) -> None:
    before = world.now()
    world.fail("hang", "create")
    with pytest.raises(DeadlineExceeded):
        make(engine)
    assert world.now() - before >= 30 * 10**9
    assert engine.containers() == []


def test_a_late_engine_does_it_after_all(world: World, engine: FakeEngine) -> None:
    world.fail("late", "create")
    with pytest.raises(DeadlineExceeded):
        make(engine)
    assert len(engine.containers()) == 1


def test_a_lost_answer_is_done(world: World, engine: FakeEngine) -> None:
    world.fail("lose_answer", "create")
    with pytest.raises(AnswerLost):
        make(engine)
    assert len(engine.containers()) == 1
    world.fail("lose_answer", "containers")
    with pytest.raises(Unreachable):
        engine.containers()


def test_faults_are_counted_and_chosen(world: World, engine: FakeEngine) -> None:
    world.fail("error", "*", times=2, error=ImageNotFound("gone"))
    for _ in range(2):
        with pytest.raises(ImageNotFound):
            engine.images()
    assert engine.images()


def test_an_engine_that_is_down_refuses_everything(world: World, engine: FakeEngine) -> None:
    world.up = False
    with pytest.raises(Unreachable):
        engine.ping()
    world.up = True
    engine.ping()


def test_time_passes_when_it_is_told_to(world: World, engine: FakeEngine) -> None:
    native_id = make(
        engine, "sleep 3600; exit 4", healthcheck={"test": ["CMD-SHELL", "false"], "interval": 30}
    )
    engine.start(native_id)
    assert engine.container(native_id).health == Health.STARTING
    world.advance(100)
    assert engine.container(native_id).health == Health.UNHEALTHY
    world.advance(3600)
    ended = engine.container(native_id)
    assert (ended.state, ended.exit_code) == (ContainerState.EXITED, 4)
    assert ended.finished_at
    assert ended.started_at
    assert 3599 < (ended.finished_at - ended.started_at).total_seconds() < 3601


def test_waiting_for_a_stop_takes_no_time(world: World, engine: FakeEngine) -> None:
    native_id = make(engine)
    engine.start(native_id)
    began = time.monotonic()
    engine.stop(native_id, timeout=300)
    assert time.monotonic() - began < 5
    assert engine.container(native_id).exit_code == 137


def test_a_pull_comes_from_the_registry_of_the_world(world: World, engine: FakeEngine) -> None:
    progress: list[Progress] = []
    world.registry["nginx:1"] = 3
    native_id = engine.pull("nginx:1", emit=progress.append)
    assert [(step.current, step.total) for step in progress] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert engine.image(native_id).tags == ("nginx:1",)
    with pytest.raises(ImageNotFound):
        engine.pull("nginx:2", emit=progress.append)


def test_ports_are_freed_by_an_end(engine: FakeEngine) -> None:
    first, second = (make(engine, ports=[{"container": 80, "host": 8080}]) for _ in range(2))
    engine.start(first)
    with pytest.raises(PortInUse):
        engine.start(second)
    engine.kill(first)
    engine.start(second)


async def test_streams_break_when_the_engine_goes(world: World) -> None:
    engine, streams = FakeEngine(world), FakeStreams(world)
    native_id = make(engine, "echo hello; wait")
    engine.start(native_id)
    async with streams.logs(native_id, tty=False) as batches:
        assert [line.text for line in await anext(batches)] == ["hello"]
        world.up = False
        with pytest.raises(Unreachable):
            await anext(batches)
    world.up = True
    world.fail("refuse", "streams.events")
    with pytest.raises(Unreachable):
        async with streams.events():
            pass
    world.fail("hang", "streams.stats")
    with pytest.raises(DeadlineExceeded):
        await streams.stats([native_id])
    assert len(await asyncio.wait_for(streams.stats([native_id]), 5)) == 1


@pytest.mark.parametrize(
    ("script", "said", "ends_at", "code"),
    [
        ("echo a; echo b >&2", [(0, 1, "a"), (0, 2, "b")], 0, 0),
        ("sleep 2; seq 1 2; exit 3; echo never", [(2, 1, "1"), (2, 1, "2")], 2, 3),
        ("seq 2", [(0, 1, "1"), (0, 1, "2")], 0, 0),
        ("false && echo no", [], 0, 1),
        ("true && echo yes", [(0, 1, "yes")], 0, 0),
        ("echo a\nnonsense", [(0, 1, "a")], 0, 127),
        ("sleep 9 & wait", [], None, 0),
        ("echo 'a; b'", [(0, 1, "a; b")], 0, 0),
    ],
)
def test_programs(script: str, said: list[tuple[float, int, str]], ends_at: float | None, code: int) -> None:
    program = plan(["sh", "-c", script])
    assert [(line.at, line.stream, line.text) for line in program.output] == said
    assert (program.ends_at, program.exit_code) == (ends_at, code)


def test_traps() -> None:
    assert plan(["sh", "-c", "trap 'exit 7' TERM; wait"]).on_term == 7
    assert plan(["sh", "-c", "trap 'exit' TERM; wait"]).on_term == 0
    assert plan(["sh", "-c", "trap '' TERM; wait"]).on_term is None


def test_nobody_is_nobody_here_too(engine: FakeEngine) -> None:
    with pytest.raises(NotFound):
        engine.logs("0" * 64).__next__()
    assert issubclass(NotFound, EngineError)
