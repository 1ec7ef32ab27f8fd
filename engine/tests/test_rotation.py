"""Logs that rotate, fall silent or cannot be read, on a real engine: nothing is missing without a word."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.types import LogConfig

from engine import docker_follow
from engine.base import EngineStreams
from engine.connect import connect_streams
from engine.types import LogHole, LogLine

BUSYBOX = "slipway-test/busybox:1"
FLOOD = "n=0; while :; do n=$((n+1)); echo $n; done"
BURSTS = (
    "n=0; while :; do i=0; while [ $i -lt 500 ]; do i=$((i+1)); n=$((n+1)); echo $n; done; sleep 0.5; done"
)
PACED = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done"


@pytest.fixture
def streams(engine_url: str) -> EngineStreams:
    return connect_streams(engine_url)


@contextlib.contextmanager
def writing(client: docker.DockerClient, script: str, driver: str, **config: str) -> Iterator[Container]:
    container = client.containers.run(
        BUSYBOX,
        ["sh", "-c", script],
        detach=True,
        network_mode="none",
        log_config=LogConfig(type=driver, config={key.replace("_", "-"): v for key, v in config.items()}),
    )
    try:
        yield container
    finally:
        container.remove(force=True)


class Followed:
    """What came of a log, and what was said to be missing."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.holes: list[LogHole] = []
        self.error = ""

    async def follow(self, streams: EngineStreams, native_id: str, rotates_at: int) -> None:
        async with streams.logs(
            native_id, tty=False, rotates_at=rotates_at, missing=self.holes.append
        ) as batches:
            async for lines in batches:
                self.lines += lines

    @property
    def jumps(self) -> list[tuple[LogLine, LogLine]]:
        return [(a, b) for a, b in itertools.pairwise(self.lines) if int(b.text) != int(a.text) + 1]

    def unannounced(self) -> list[tuple[str, str]]:
        return [
            (a.text, b.text)
            for a, b in self.jumps
            if not any(hole.from_ns <= a.ts_ns and b.ts_ns <= hole.to_ns for hole in self.holes)
        ]


@contextlib.asynccontextmanager
async def followed(
    streams: EngineStreams, container: Container, rotates_at: int, *, ends: bool = False
) -> AsyncIterator[Followed]:
    """``ends``: following it ends with an error, whose words are in ``error``."""
    found = Followed()
    task = asyncio.create_task(found.follow(streams, str(container.id), rotates_at))
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        found.error = str(error or "")
        if error and not ends:
            raise error


@pytest.mark.parametrize(
    ("driver", "size", "files"),
    [("json-file", "20k", "1"), ("json-file", "100k", "3"), ("json-file", "1m", "2"), ("local", "100k", "3")],
)
async def test_whatever_a_flood_loses_at_rotation_is_announced(
    docker_client: docker.DockerClient,
    busybox: str,
    streams: EngineStreams,
    driver: str,
    size: str,
    files: str,
) -> None:
    """A plain follower got 106,447 of 504,753 lines here, with 140 jumps that nothing told of."""
    rotates_at = int(size[:-1]) * (1000 if size.endswith("k") else 10**6)
    for _ in range(4):  # a writer that gets too little of a busy machine loses nothing, which shows nothing
        with writing(docker_client, FLOOD, driver, max_size=size, max_file=files) as container:
            async with followed(streams, container, rotates_at) as found:
                await asyncio.sleep(4)
        if found.jumps:
            break
    assert len(found.lines) > 1000
    assert found.jumps, "the flood lost nothing: this shows nothing"
    assert found.unannounced() == []
    assert all(int(b.text) > int(a.text) for a, b in found.jumps), "a line came again"


async def test_bursts_lose_nothing_at_rotation(
    docker_client: docker.DockerClient, busybox: str, streams: EngineStreams
) -> None:
    with writing(docker_client, BURSTS, "json-file", max_size="100k", max_file="3") as container:
        async with followed(streams, container, 100_000) as found:
            await asyncio.sleep(4)
    assert len(found.lines) > 2000
    assert found.jumps == []


async def test_a_log_of_one_file_does_not_fall_silent_when_that_begins_again(
    docker_client: docker.DockerClient, busybox: str, streams: EngineStreams
) -> None:
    """The engine's own stream says nothing any more after the first rotation."""
    with writing(docker_client, PACED, "json-file", max_size="5k", max_file="1") as container:
        async with followed(streams, container, 5000) as found:
            await asyncio.sleep(5)
            before = int(found.lines[-1].text)
            await asyncio.sleep(3)
    assert before > 100, "it was silent before it had rotated"
    assert int(found.lines[-1].text) > before + 50
    assert found.unannounced() == []


async def test_a_log_file_that_is_gone_is_said_to_be(
    docker_client: docker.DockerClient, busybox: str, streams: EngineStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed by hand while it is quiet: asking the log tells, and the reader tries again."""
    monkeypatch.setattr(docker_follow, "QUIET", (0.3, 0.3))
    with writing(docker_client, "echo 1; sleep 1000", "json-file") as container:
        path = docker_client.api.inspect_container(container.id)["LogPath"]
        async with followed(streams, container, 0, ends=True) as found:
            await asyncio.sleep(0.6)
            await asyncio.to_thread(Path(path).unlink)
            await asyncio.sleep(1.5)
    assert "no such file" in found.error


async def test_a_log_that_is_kept_nowhere_says_so(
    docker_client: docker.DockerClient, busybox: str, streams: EngineStreams
) -> None:
    with writing(docker_client, PACED, "none") as container:
        async with followed(streams, container, 0, ends=True) as found:
            await asyncio.sleep(0.5)
    assert "does not support reading" in found.error


async def test_a_quiet_log_is_asked_and_goes_on(
    docker_client: docker.DockerClient, busybox: str, streams: EngineStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_follow, "QUIET", (0.1, 0.2))
    with writing(
        docker_client, "echo 1; sleep 1.5; printf 2; sleep 1; echo; sleep 9", "json-file"
    ) as container:
        async with followed(streams, container, 0) as found:
            await asyncio.sleep(3.2)
    assert [line.text for line in found.lines] == ["1", "2"]
    assert found.holes == []
