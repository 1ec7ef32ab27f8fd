"""What only a real engine can show: rotated logs, streams cut short, long lines, forged build output."""

from __future__ import annotations

import asyncio
import io
import random
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator

import docker
import pytest

from engine import docker_build, docker_create
from engine.base import Engine, EngineStreams
from engine.connect import connect, connect_streams
from engine.errors import Cancelled, DeadlineExceeded, NotFound, TooLarge
from engine.specs import BuildSpec, ContainerSpec
from engine.tests.conftest import BUSYBOX, until, unused_name
from engine.tests.contract import ENDS, context
from engine.types import ContainerState, LogLine
from tests import machine


@pytest.fixture
def endpoint(engine_url: str, busybox: str, docker_client: docker.DockerClient) -> Iterator[str]:
    inventory = machine.Inventory(docker_client)
    yield engine_url
    inventory.restore()


@pytest.fixture
def engine(endpoint: str) -> Engine:
    return connect(endpoint)


@pytest.fixture
def streams(endpoint: str) -> EngineStreams:
    return connect_streams(endpoint)


def started(engine: Engine, script: str, **body: object) -> str:
    spec = ContainerSpec.parse(
        {"image": BUSYBOX, "command": ["sh", "-c", script], "networks": ["none"], **body}
    )
    native_id = engine.create(spec, operation_id=str(uuid.uuid4()))
    engine.start(native_id)
    return native_id


def ended(engine: Engine, native_id: str) -> None:
    until(lambda: engine.container(native_id).state == ContainerState.EXITED, 60)


async def collected(streams: EngineStreams, native_id: str, **options: object) -> list[LogLine]:
    found: list[LogLine] = []
    async with streams.logs(native_id, **{"tty": False, "tail": 100_000, **options}) as batches:  # type: ignore[arg-type]
        async for batch in batches:
            found += batch
    return found


@pytest.mark.parametrize("tty", [False, True])
async def test_a_log_followed_while_its_container_ends_is_whole(
    engine: Engine, streams: EngineStreams, tty: bool
) -> None:
    """Engines cut such a stream off in three of four trials."""
    native_id = await asyncio.to_thread(started, engine, "seq 1 80000", tty=tty)
    numbers = [int(line.text) for line in await collected(streams, native_id, tty=tty)]
    assert numbers == list(range(1, 80001))


async def test_a_rotated_log_has_each_line_once(
    engine: Engine, streams: EngineStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_create, "LOG_OPTIONS", {"max-size": "1m", "max-file": "3"})
    padding = "x" * 80
    script = (
        "i=0; while [ $i -lt 30 ]; do seq $((i*1000)) $((i*1000+999)) "
        f"| sed 's/$/ {padding}/'; i=$((i+1)); sleep 0.05; done"
    )
    native_id = await asyncio.to_thread(started, engine, script)
    numbers = [int(line.text.split()[0]) for line in await collected(streams, native_id)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 29999


@pytest.mark.parametrize("tty", [False, True])
async def test_long_lines_come_whole_or_split_at_a_bound(
    engine: Engine, streams: EngineStreams, tty: bool
) -> None:
    zeros = "head -c {} /dev/zero | tr '\\0' {}; echo"
    script = f"{zeros.format(40000, 'y')}; echo z; {zeros.format(2500000, 'q')}; printf end"
    native_id = await asyncio.to_thread(started, engine, script, tty=tty)
    await asyncio.to_thread(ended, engine, native_id)
    lines = await collected(streams, native_id, tty=tty)
    assert [len(line.text) for line in lines] == [40000, 1, 1048576, 1048576, 402848, 3]
    assert set("".join(line.text for line in lines)) == set("yzqend")


async def test_a_cursor_survives_random_cuts(engine: Engine, streams: EngineStreams) -> None:
    script = (
        "i=0; while [ $i -lt 1000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); "
        'if [ $((i%250)) = 0 ]; then head -c 70000 /dev/zero | tr "\\0" Z; echo; fi; done'
    )
    native_id = await asyncio.to_thread(started, engine, script)
    await asyncio.to_thread(ended, engine, native_id)
    whole = await collected(streams, native_id, follow=False)
    assert len(whole) == 2004
    for seed in range(5):
        dice = random.Random(seed)  # noqa: S311 - cuts, not secrets
        got: list[LogLine] = []
        while True:
            budget = dice.randint(1, 600)
            cursor = {line.stream: (line.ts_ns, line.n) for line in got}
            more = await some(streams, native_id, cursor, budget, follow=dice.random() < 0.5)
            got += more
            if len(more) < budget:
                break
        for stream in (1, 2):
            assert [one for one in got if one.stream == stream] == [
                one for one in whole if one.stream == stream
            ]


async def some(
    streams: EngineStreams,
    native_id: str,
    cursor: dict[int, tuple[int, int]],
    budget: int,
    *,
    follow: bool,
) -> list[LogLine]:
    """At most ``budget`` lines, then gone, as a browser that loses its connection."""
    found: list[LogLine] = []
    async with streams.logs(native_id, tty=False, tail=100_000, cursor=cursor, follow=follow) as batches:
        async for batch in batches:
            found += batch
            if len(found) >= budget:
                break
    return found[:budget]


async def test_many_followers_leave_nothing_behind(engine: Engine, streams: EngineStreams) -> None:
    native_id = await asyncio.to_thread(started, engine, "echo hello; sleep 1000")
    for _ in range(3):
        followers = [asyncio.create_task(collected(streams, native_id)) for _ in range(30)]
        await asyncio.sleep(0.2)
        for follower in followers:
            follower.cancel()
        await asyncio.wait(followers)
        assert all(follower.cancelled() for follower in followers)
    await asyncio.to_thread(engine.ping)


def test_two_networks_or_no_container(engine: Engine, docker_client: docker.DockerClient) -> None:
    docker_client.networks.create("slipway-test-front")
    native_id = started(engine, ENDS, networks=["bridge", "slipway-test-front"])
    assert {network.name for network in engine.container(native_id).networks} == {
        "bridge",
        "slipway-test-front",
    }
    before = len(engine.containers())
    with pytest.raises(NotFound):
        started(engine, ENDS, networks=["bridge", "slipway-test-nowhere"])
    assert len(engine.containers()) == before


def test_a_container_from_our_containers_image_is_not_ours(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    operation = str(uuid.uuid4())
    spec = ContainerSpec.parse({"image": BUSYBOX, "command": ["true"]})
    native_id = engine.create(spec, operation_id=operation)
    docker_client.api.commit(native_id, "slipway-test/committed", "1")
    heir = docker_client.api.create_container("slipway-test/committed:1")["Id"]
    found = engine.find_by_operation(operation)
    assert found is not None
    assert found.native_id == native_id
    engine.remove(native_id)
    assert engine.container(heir).labels["io.slipway.operation"] == operation
    assert engine.find_by_operation(operation) is None


def test_a_builds_output_cannot_have_another_container_removed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step may print what the builder prints before it runs a step."""
    monkeypatch.setattr(docker_build, "ENDS_WITHIN", 1.0)
    victim = started(engine, ENDS)
    stop = threading.Event()
    timer = threading.Timer(1.5, stop.set)
    timer.start()
    forged = f"echo 'Step 3/3 : RUN x'; sleep 0.3; echo ' ---> Running in {victim[:12]}'; sleep 30"
    dockerfile = f"FROM {BUSYBOX}\nRUN {forged}\nCMD x\n"
    with pytest.raises((Cancelled, DeadlineExceeded)):
        engine.build(
            BuildSpec.parse({"tags": ["slipway-test/built:1"], "no_cache": True}),
            context(dockerfile),
            emit=lambda progress: None,
            should_stop=stop.is_set,
        )
    timer.join()
    assert engine.container(victim).state == ContainerState.RUNNING


def test_a_restart_between_two_lists_shows(engine: Engine) -> None:
    """On a network without addresses only the age of the state tells that a container was restarted."""
    native_id = started(engine, ENDS)
    started_at = engine.container(native_id).started_at
    time.sleep(4.5)
    engine.restart(native_id, timeout=1)
    listed = next(found for found in engine.containers() if found.native_id == native_id)
    assert started_at
    assert listed.state_since
    assert listed.state_since > started_at


def test_exactly_the_files_that_were_written_are_copied(engine: Engine) -> None:
    script = (
        "mkdir -p /srv/new/deep; echo one > /srv/new/deep/a; ln -s a /srv/new/deep/link; echo host >> /etc/made;"
        " echo data > /data/in-volume; rm /bin/vi; sleep 100"
    )
    native_id = started(
        engine, script, mounts=[{"type": "volume", "source": unused_name(), "target": "/data"}]
    )
    until(lambda: ("added", "/etc/made") in engine.changes(native_id))
    until(lambda: ("deleted", "/bin/vi") in engine.changes(native_id))
    paths = [path for kind, path in engine.changes(native_id) if kind == "added" and path != "/data"]
    told = engine.file_stats(native_id, paths, deadline=10)
    assert (told["/srv/new/deep/a"].size, told["/etc/made"].size) == (4, 5)
    assert (told["/srv/new"].kind, told["/srv/new/deep/link"].target) == ("folder", "/srv/new/deep/a")
    out = io.BytesIO()
    assert engine.copy_out(native_id, paths, out, most=1000) == 9
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        assert {member.name for member in archive} == {path.strip("/") for path in paths}
        assert archive.getmember("srv/new/deep/link").linkname == "a"
        found = archive.extractfile("srv/new/deep/a")
        assert found
        assert found.read() == b"one\n"
    with pytest.raises(TooLarge):
        engine.copy_out(native_id, paths, io.BytesIO(), most=5)
    assert engine.container(native_id).state == "running"
