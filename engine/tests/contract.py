"""What every engine does: one suite, run by ``test_contract`` on the fake engine and on a real one.

Commands keep to the small shell of `engine.fake_program`. First processes get no default SIGTERM, so what must end
traps it.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
import time
import uuid

import pytest

from engine.base import Engine, EngineStreams
from engine.errors import (
    BuildFailed,
    Cancelled,
    Conflict,
    EngineError,
    ImageNotFound,
    InUse,
    Invalid,
    NameInUse,
    NotFound,
    PortInUse,
    RegistryUnreachable,
    TooLarge,
)
from engine.specs import BuildSpec, ContainerSpec, VolumeSpec
from engine.stats import rate
from engine.tests.conftest import BUSYBOX, Create, until, unused_name
from engine.types import ContainerState, Event, Health, LogLine, Progress

ENDS = "trap 'exit 0' TERM; sleep 1000 & wait"
NOBODY = "0" * 64


def state(engine: Engine, native_id: str) -> ContainerState:
    return engine.container(native_id).state


def has_ended(engine: Engine, native_id: str) -> bool:
    return until(lambda: state(engine, native_id) == ContainerState.EXITED)


# --- Who is there --------------------------------------------------------------------------------------


def test_an_engine_says_who_it_is(engine: Engine) -> None:
    engine.ping()
    info = engine.info()
    assert info.native_id
    assert info.cpus > 0
    assert info.memory > 0
    assert tuple(map(int, info.api_version.split("."))) >= (1, 41)


# --- The life of a container ---------------------------------------------------------------------------


def test_a_container_lives_and_ends(engine: Engine, create: Create) -> None:
    name = unused_name()
    native_id = create("echo hello; sleep 0.3; exit 3", name=name)
    made = engine.container(native_id)
    assert (made.state, made.name, made.exit_code) == (ContainerState.CREATED, name, None)
    assert made.started_at is None
    engine.start(native_id)
    has_ended(engine, native_id)
    ended = engine.container(native_id)
    assert ended.exit_code == 3
    assert ended.started_at
    assert ended.finished_at
    assert ended.finished_at >= ended.started_at
    engine.remove(native_id)
    with pytest.raises(NotFound):
        engine.container(native_id)


def test_a_spec_comes_back_as_facts(engine: Engine, create: Create) -> None:
    native_id = create(
        ENDS,
        environment={"COLOUR": "blue", "API_TOKEN": "hush"},
        secrets={"PLAIN": "hush too"},
        labels={"tier": "web"},
        resources={"memory": 67108864, "cpus": 0.5, "pids": 64},
        restart_policy={"name": "on-failure", "max_retries": 4},
        mounts=[
            {"type": "volume", "source": "slipway-test-data", "target": "/data", "read_only": True},
            {"type": "tmpfs", "target": "/scratch"},
        ],
        hostname="inside",
        working_dir="/tmp",
        tty=True,
    )
    info = engine.container(native_id)
    assert info.image_ref == BUSYBOX
    assert info.command[:2] == ("sh", "-c")
    assert info.environment["COLOUR"] == "blue"
    assert info.labels["tier"] == "web"
    assert (info.memory_limit, info.cpu_limit, info.pids_limit) == (67108864, 0.5, 64)
    assert (info.restart_policy, info.restart_max_retries) == ("on-failure", 4)
    assert (info.hostname, info.working_dir, info.tty) == ("inside", "/tmp", True)
    data, scratch = info.mounts
    assert (data.type, data.source, data.target, data.read_only) == (
        "volume",
        "slipway-test-data",
        "/data",
        True,
    )
    assert (scratch.type, scratch.source, scratch.target) == ("tmpfs", "", "/scratch")
    assert info.created_at is not None
    assert not info.privileged
    assert info.log_driver == "json-file"


def test_secrets_are_masked_by_name_and_by_declaration(engine: Engine, create: Create) -> None:
    info = engine.container(create(ENDS, environment={"API_TOKEN": "hush"}, secrets={"PLAIN": "hush too"}))
    assert info.environment["API_TOKEN"] == info.environment["PLAIN"] == "********"
    assert "hush" not in repr(info)


def test_names_are_unique(engine: Engine, create: Create) -> None:
    first, second = unused_name(), unused_name()
    create(ENDS, name=first)
    other = create(ENDS, name=second)
    with pytest.raises(NameInUse):
        create(ENDS, name=first)
    with pytest.raises(NameInUse):
        engine.rename(other, first)
    third = unused_name()
    engine.rename(other, third)
    assert engine.container(other).name == third


def test_a_container_is_found_by_its_whole_name_only(engine: Engine, create: Create) -> None:
    name = unused_name()
    native_id = create(ENDS, name=name)
    found = engine.find_container(name)
    assert found is not None
    assert found.native_id == native_id
    assert engine.find_container(name + "x") is None
    assert engine.find_container(native_id[:12]) is None
    assert engine.find_container(native_id) is None


def test_a_container_is_found_by_the_operation_that_made_it(engine: Engine) -> None:
    operation = str(uuid.uuid4())
    assert engine.find_by_operation(operation) is None
    spec = ContainerSpec.parse({"image": BUSYBOX, "command": ["true"]})
    native_id = engine.create(spec, operation_id=operation)
    engine.create(spec, operation_id=str(uuid.uuid4()))
    found = engine.find_by_operation(operation)
    assert found is not None
    assert found.native_id == native_id


def test_an_image_that_is_not_there_cannot_be_run(create: Create) -> None:
    with pytest.raises(ImageNotFound):
        create(image="slipway-test/nowhere:1")


def test_a_network_that_is_not_there_cannot_be_used(engine: Engine, run: Create) -> None:
    with pytest.raises(NotFound):
        run(ENDS, networks=["slipway-test-nowhere"])


def test_a_program_that_is_not_there_does_not_start_and_the_container_stays(
    engine: Engine, create: Create
) -> None:
    native_id = create(command=["/nowhere"])
    with pytest.raises(Invalid, match="no such program"):
        engine.start(native_id)
    engine.remove(native_id)


def test_a_port_that_is_taken_is_said_with_its_number(engine: Engine, run: Create, create: Create) -> None:
    port = 28431
    ports = [{"container": 80, "host": port, "host_ip": "127.0.0.1"}]
    first = run(ENDS, networks=[], ports=ports)
    assert [found.host for found in engine.container(first).ports] == [port]
    second = create(ENDS, networks=[], ports=ports)
    with pytest.raises(PortInUse) as caught:
        engine.start(second)
    assert caught.value.details["port"] == port
    assert state(engine, second) == ContainerState.CREATED
    engine.remove(second)


def test_the_engine_chooses_a_host_port(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, networks=[], ports=[{"container": 80}])
    assert all(found.host for found in engine.container(native_id).ports)


def test_starting_and_stopping_twice_is_no_error(engine: Engine, run: Create) -> None:
    native_id = run(ENDS)
    engine.start(native_id)
    assert state(engine, native_id) == ContainerState.RUNNING
    engine.stop(native_id, timeout=5)
    engine.stop(native_id, timeout=5)
    assert engine.container(native_id).exit_code == 0


def test_stop_lets_a_program_end_by_itself(engine: Engine, run: Create) -> None:
    native_id = run("trap 'exit 7' TERM; sleep 1000 & wait")
    time.sleep(0.3)
    began = time.monotonic()
    engine.stop(native_id, timeout=10)
    assert time.monotonic() - began < 5
    ended = engine.container(native_id)
    assert (ended.state, ended.exit_code) == (ContainerState.EXITED, 7)


def test_stop_kills_what_does_not_end(engine: Engine, run: Create) -> None:
    native_id = run("trap '' TERM; sleep 1000")
    time.sleep(0.2)
    engine.stop(native_id, timeout=1)
    assert engine.container(native_id).exit_code == 137


def test_stop_ends_the_restart_policy(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, restart_policy={"name": "always"})
    time.sleep(0.2)
    engine.stop(native_id, timeout=5)
    time.sleep(0.5)
    ended = engine.container(native_id)
    assert (ended.state, ended.restart_count) == (ContainerState.EXITED, 0)


def test_a_cancelled_stop_never_kills(engine: Engine, run: Create) -> None:
    native_id = run("trap '' TERM; sleep 1000")
    time.sleep(0.2)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        engine.stop(native_id, timeout=2, should_stop=lambda: time.monotonic() - began > 0.3)
    time.sleep(2.2)
    assert state(engine, native_id) == ContainerState.RUNNING


def test_stopping_a_container_that_removes_itself(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, auto_remove=True)
    time.sleep(0.3)
    engine.stop(native_id, timeout=5)
    assert until(lambda: all(found.native_id != native_id for found in engine.containers()))


def test_restart_policy_starts_again(engine: Engine, run: Create) -> None:
    native_id = run("exit 1", restart_policy={"name": "on-failure", "max_retries": 2})
    until(
        lambda: (
            engine.container(native_id).restart_count == 2
            and state(engine, native_id) == ContainerState.EXITED
        )
    )
    assert engine.container(native_id).exit_code == 1


def test_pause_and_unpause(engine: Engine, run: Create) -> None:
    native_id = run(ENDS)
    engine.pause(native_id)
    assert state(engine, native_id) == ContainerState.PAUSED
    with pytest.raises(Conflict, match="paused already"):
        engine.pause(native_id)
    engine.unpause(native_id)
    assert state(engine, native_id) == ContainerState.RUNNING
    with pytest.raises(Conflict, match="not paused"):
        engine.unpause(native_id)


def test_kill_and_restart(engine: Engine, run: Create) -> None:
    native_id = run(ENDS)
    before = engine.container(native_id).started_at
    engine.restart(native_id, timeout=5)
    after = engine.container(native_id)
    assert after.state == ContainerState.RUNNING
    assert before
    assert after.started_at
    assert after.started_at > before
    engine.kill(native_id)
    has_ended(engine, native_id)
    assert engine.container(native_id).exit_code == 137
    with pytest.raises(Conflict, match="not running"):
        engine.kill(native_id)


def test_a_running_container_is_removed_by_force_only(engine: Engine, run: Create) -> None:
    native_id = run(ENDS)
    with pytest.raises(Conflict, match="running"):
        engine.remove(native_id)
    engine.remove(native_id, force=True)
    with pytest.raises(NotFound):
        engine.remove(native_id)


@pytest.mark.parametrize(
    "call",
    ["container", "start", "stop", "restart", "kill", "pause", "unpause", "remove", "processes", "changes"],
)
def test_nobody_is_nobody(engine: Engine, call: str) -> None:
    with pytest.raises(NotFound):
        getattr(engine, call)(NOBODY)


def test_processes_and_changes(engine: Engine, run: Create) -> None:
    native_id = run(ENDS, mounts=[{"type": "tmpfs", "target": "/scratch"}])
    assert "PID" in engine.processes(native_id)[0]
    # For a moment the process is still the engine's own, which becomes the program.
    assert until(lambda: any("sh -c" in row[-1] for row in engine.processes(native_id)[1]))
    assert ("added", "/scratch") in engine.changes(native_id)


def test_health_is_told(engine: Engine, run: Create) -> None:
    check = {"test": ["CMD-SHELL", "true"], "interval": 5}
    native_id = run(ENDS, healthcheck=check)
    assert engine.container(native_id).health == Health.STARTING
    assert engine.container(run(ENDS)).health == Health.NONE


# --- Lists ---------------------------------------------------------------------------------------------


def test_a_list_and_an_inspection_have_the_same_fingerprint(engine: Engine, create: Create) -> None:
    """Else a reconcile would inspect everything each time."""
    check = {"test": ["CMD-SHELL", "true"], "interval": 60}
    mounts = [{"type": "volume", "source": "slipway-test-data", "target": "/data"}]
    native_id = create(
        ENDS,
        networks=["bridge"],
        ports=[{"container": 80}],
        healthcheck=check,
        mounts=mounts,
        labels={"a": "b"},
    )

    def fingerprint() -> str:
        listed = next(found for found in engine.containers() if found.native_id == native_id)
        inspected = engine.container(native_id)
        assert listed.fingerprint == inspected.fingerprint
        assert (listed.name, listed.state) == (inspected.name, inspected.state)
        return listed.fingerprint

    seen = [fingerprint()]
    engine.start(native_id)
    seen.append(fingerprint())
    engine.pause(native_id)
    seen.append(fingerprint())
    engine.unpause(native_id)
    engine.rename(native_id, unused_name())
    seen.append(fingerprint())
    engine.kill(native_id)
    has_ended(engine, native_id)
    seen.append(fingerprint())
    assert len(set(seen)) == len(seen)


def test_a_restart_shows_by_the_age_of_the_state(engine: Engine, run: Create) -> None:
    native_id = run(ENDS)
    listed = next(found for found in engine.containers() if found.native_id == native_id)
    started = engine.container(native_id).started_at
    assert listed.state_since
    assert started
    assert listed.state_since <= started


# --- Logs ----------------------------------------------------------------------------------------------


def test_logs_keep_stdout_and_stderr_apart(engine: Engine, run: Create) -> None:
    native_id = run("echo out; echo err >&2; echo more")
    has_ended(engine, native_id)
    lines = list(engine.logs(native_id))
    assert [line.text for line in lines if line.stream == 1] == ["out", "more"]
    assert [line.text for line in lines if line.stream == 2] == ["err"]
    assert len({(line.stream, line.ts_ns, line.n) for line in lines}) == 3
    assert [line.text for line in engine.logs(native_id, tail=1)] == [lines[-1].text]


async def collected(streams: EngineStreams, native_id: str, **options: object) -> list[LogLine]:
    found: list[LogLine] = []
    async with streams.logs(native_id, tty=False, **options) as batches:  # type: ignore[arg-type]
        async for batch in batches:
            assert batch
            found += batch
    return found


async def test_following_ends_with_the_container(engine: Engine, streams: EngineStreams, run: Create) -> None:
    native_id = run("echo one; sleep 0.5; echo two; sleep 0.2; echo three")
    lines = await asyncio.wait_for(collected(streams, native_id), 10)
    assert [line.text for line in lines] == ["one", "two", "three"]


async def test_a_cursor_resumes_without_loss_or_repetition(
    engine: Engine, streams: EngineStreams, run: Create
) -> None:
    native_id = run("seq 1 300; echo err >&2; seq 301 600")
    await asyncio.to_thread(has_ended, engine, native_id)
    whole = await collected(streams, native_id)
    assert len(whole) == 601
    for cut in (1, 2, 299, 300, 301, 302, 600, 601):
        cursor = {line.stream: (line.ts_ns, line.n) for line in whole[:cut]}
        rest = await collected(streams, native_id, cursor=cursor)
        assert sorted(_keys(rest)) == sorted(_keys(whole[cut:]))


def _keys(lines: list[LogLine]) -> list[tuple[int, int, int]]:
    return [(line.stream, line.ts_ns, line.n) for line in lines]


async def test_the_log_of_nobody_is_not_found(streams: EngineStreams) -> None:
    with pytest.raises(NotFound):
        await collected(streams, NOBODY)


# --- Events and readings -------------------------------------------------------------------------------


async def test_events_tell_what_changes(engine: Engine, streams: EngineStreams, create: Create) -> None:
    found: list[Event] = []
    made: list[str] = []

    def work() -> str:
        native_id = create(ENDS)
        made.append(native_id)
        engine.start(native_id)
        engine.rename(native_id, unused_name())
        engine.kill(native_id)
        has_ended(engine, native_id)
        engine.remove(native_id)
        return native_id

    async with streams.events() as events:
        worker = asyncio.create_task(asyncio.to_thread(work))
        async with asyncio.timeout(15):
            async for event in events:
                found.append(event)
                if event.action == "destroy" and event.native_id in made:
                    break
    native_id = await worker
    actions = [event.action for event in found if event.native_id == native_id]
    assert [a for a in actions if a in ("create", "start", "rename", "die", "destroy")] == [
        "create",
        "start",
        "rename",
        "die",
        "destroy",
    ]


async def test_stats_are_of_running_containers_only(
    engine: Engine, streams: EngineStreams, run: Create, create: Create
) -> None:
    running, ended = run(ENDS), create(ENDS)
    first = await streams.stats([running, ended])
    second = await streams.stats([running, ended, NOBODY])
    assert [reading.native_id for reading in first] == [running]
    assert [reading.native_id for reading in second] == [running]
    assert first[0].pids > 0
    assert first[0].memory_limit > 0
    told = rate(first[0], second[0])
    assert told is not None
    assert 0 <= told.cpu < 4
    assert await streams.stats([]) == []


async def test_streams_answer_a_ping(streams: EngineStreams) -> None:
    await streams.ping()


# --- Images --------------------------------------------------------------------------------------------


def context(dockerfile: str, **files: str) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in {"Dockerfile": dockerfile, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    made.seek(0)
    return made


def built(engine: Engine, dockerfile: str, **options: object) -> tuple[str, list[Progress]]:
    progress: list[Progress] = []
    spec = BuildSpec.parse({"tags": ["slipway-test/built:1"], **options})
    native_id = engine.build(spec, context(dockerfile, file="content"), emit=progress.append, deadline=60)
    return native_id, progress


def lines_of(progress: list[Progress]) -> list[str]:
    return [line for step in progress for line in step.log]


def test_an_image_is_built_step_by_step(engine: Engine) -> None:
    word = uuid.uuid4().hex
    dockerfile = f'FROM {BUSYBOX}\nCOPY file /file\nRUN echo {word}\nCMD ["true"]\n'
    native_id, progress = built(engine, dockerfile)
    steps = [step for step in progress if step.current]
    assert {step.total for step in steps} == {4}
    assert {step.extra["instruction"] for step in steps if step.current == 3} == {f"RUN echo {word}"}
    assert not any(step.extra["cached"] for step in steps if step.current == 3)
    assert word in lines_of(progress)
    found = engine.resolve_image("slipway-test/built:1")
    assert found is not None
    assert found.native_id == native_id
    assert len(found.layers) == 4
    assert found.config["Cmd"] == ["true"]

    again, progress = built(engine, dockerfile)
    assert again == native_id
    assert any(step.extra["cached"] for step in progress if step.current == 3)


@pytest.mark.parametrize(
    ("dockerfile", "step", "message"),
    [
        (f"FROM {BUSYBOX}\nRUN echo before; exit 3\n", 2, "non-zero code: 3"),
        (f"FROM {BUSYBOX}\nRUNN true\n", 0, "unknown instruction: RUNN"),
        (f"FROM {BUSYBOX}\nCOPY nowhere /x\n", 2, "COPY failed"),
        ("", 0, "cannot be empty"),
    ],
)
def test_a_broken_dockerfile_names_its_step(engine: Engine, dockerfile: str, step: int, message: str) -> None:
    before = {image.native_id for image in engine.images() if image.tags}
    with pytest.raises(BuildFailed, match=message) as caught:
        built(engine, dockerfile)
    assert caught.value.details["step"] == step
    assert {image.native_id for image in engine.images() if image.tags} == before


def test_the_output_of_a_failed_step_is_in_the_log(engine: Engine) -> None:
    progress: list[Progress] = []
    spec = BuildSpec.parse({"tags": ["slipway-test/built:1"]})
    dockerfile = f"FROM {BUSYBOX}\nRUN echo why; exit 3\n"
    with pytest.raises(BuildFailed) as caught:
        engine.build(spec, context(dockerfile), emit=progress.append)
    assert caught.value.details["exit_code"] == 3
    assert "why" in lines_of(progress)
    assert any("non-zero code: 3" in line for line in lines_of(progress))


def test_a_cancelled_build_has_ended(engine: Engine) -> None:
    stop = threading.Event()
    before = {found.native_id for found in engine.containers()}
    spec = BuildSpec.parse({"tags": ["slipway-test/built:1"], "no_cache": True})
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        engine.build(
            spec,
            context(f"FROM {BUSYBOX}\nRUN sleep 30\n"),
            emit=lambda progress: None,
            should_stop=stop.is_set,
        )
    timer.join()
    assert time.monotonic() - began < 12
    assert {found.native_id for found in engine.containers()} == before
    assert engine.resolve_image("slipway-test/built:1") is None


def test_tags_come_and_go(engine: Engine) -> None:
    native_id, _ = built(engine, f"FROM {BUSYBOX}\nRUN echo {uuid.uuid4().hex}\n")
    engine.tag(native_id, "slipway-test/other:2")
    assert engine.image(native_id).tags == ("slipway-test/built:1", "slipway-test/other:2")
    with pytest.raises(Conflict, match="several tags"):
        engine.remove_image(native_id)
    engine.untag("slipway-test/other:2")
    assert engine.image(native_id).tags == ("slipway-test/built:1",)
    listed = next(found for found in engine.images() if found.native_id == native_id)
    assert listed.fingerprint == engine.image(native_id).fingerprint
    engine.remove_image(native_id)
    with pytest.raises(ImageNotFound):
        engine.image(native_id)
    with pytest.raises(ImageNotFound):
        engine.untag("slipway-test/built:1")


def test_an_image_in_use_is_not_removed(engine: Engine, create: Create) -> None:
    native_id, _ = built(engine, f"FROM {BUSYBOX}\nRUN echo {uuid.uuid4().hex}\n")
    create(ENDS, image="slipway-test/built:1")
    with pytest.raises(InUse):
        engine.remove_image(native_id)
    with pytest.raises(InUse):
        engine.untag("slipway-test/built:1")


def test_without_a_registry_a_pull_says_so(engine: Engine) -> None:
    with pytest.raises(RegistryUnreachable):
        engine.pull("127.0.0.1:9/slipway-test/nowhere:1", emit=lambda progress: None, deadline=60)


# --- Volumes and networks ------------------------------------------------------------------------------


def test_volumes_come_and_go(engine: Engine, create: Create) -> None:
    name = unused_name()
    made = engine.create_volume(VolumeSpec.parse({"name": name, "labels": {"a": "b"}}))
    assert (made.name, made.driver, made.labels, made.anonymous) == (name, "local", {"a": "b"}, False)
    assert name in {volume.name for volume in engine.volumes()}
    assert name in engine.volume_sizes()
    user = create(ENDS, mounts=[{"type": "volume", "source": name, "target": "/data"}])
    with pytest.raises(InUse):
        engine.remove_volume(name)
    engine.remove(user)
    engine.remove_volume(name)
    with pytest.raises(NotFound):
        engine.volume(name)
    with pytest.raises(NotFound):
        engine.remove_volume(name)


def test_what_is_in_a_volume_is_read_and_written(engine: Engine) -> None:
    name, content = unused_name(), io.BytesIO()
    engine.create_volume(VolumeSpec.parse({"name": name}))
    before = {image.native_id for image in engine.images()}
    with pytest.raises(TooLarge):
        engine.read_volume(name, io.BytesIO(), operation_id=str(uuid.uuid4()), most=100)
    engine.write_volume(name, io.BytesIO(volume_tar()), operation_id=str(uuid.uuid4()))
    written = engine.read_volume(name, content, operation_id=str(uuid.uuid4()), most=2**20)
    assert written == len(content.getvalue())
    with tarfile.open(fileobj=io.BytesIO(content.getvalue())) as archive:
        member = archive.getmember("volume/kept.txt")
        found = archive.extractfile(member)
        assert found
        assert found.read() == b"kept"
        assert (member.uid, member.gid, oct(member.mode & 0o7777)) == (1234, 567, "0o640")
    engine.remove_volume(name)  # nothing that still mounts it was left
    assert {image.native_id for image in engine.images()} == before
    with pytest.raises(NotFound):
        engine.read_volume("slipway-test-nowhere", io.BytesIO(), operation_id=str(uuid.uuid4()), most=100)


def volume_tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("volume/kept.txt")
        entry.size, entry.uid, entry.gid, entry.mode = 4, 1234, 567, 0o640
        archive.addfile(entry, io.BytesIO(b"kept"))
    return made.getvalue()


def test_the_engines_own_networks_are_listed(engine: Engine) -> None:
    assert {"bridge", "host", "none"} <= {network.name for network in engine.networks()}


# --- Nothing but ids reaches an engine -----------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["", "..", "../images/x", "a" * 63, "A" * 64, "a" * 64 + "\n", "web", "%2e%2e"]
)
def test_what_is_no_id_is_refused_here(engine: Engine, bad: str) -> None:
    for call in (engine.container, engine.start, engine.stop, engine.remove, engine.pause, engine.logs):
        with pytest.raises(Invalid):
            call(bad)
    with pytest.raises(Invalid):
        engine.remove_image(bad)
    with pytest.raises(Invalid):
        engine.remove_volume("../containers/" + bad)


async def test_what_is_no_id_is_refused_by_the_streams(streams: EngineStreams) -> None:
    with pytest.raises(Invalid):
        await collected(streams, "../containers")
    with pytest.raises(Invalid):
        await streams.stats(["web"])


def test_errors_are_all_of_one_tree() -> None:
    assert all(
        issubclass(error, EngineError) for error in (Invalid, NotFound, Conflict, BuildFailed, Cancelled)
    )
