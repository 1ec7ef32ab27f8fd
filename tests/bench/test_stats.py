"""What the figures of 200 running containers cost: Slipway's way, and the others that there are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import docker
import pytest

from engine.cgroups import Cgroups
from engine.connect import connect_streams
from tests.bench.conftest import Tell
from tests.bench.figures import Figure, cpu, percentile
from tests.bench.site import Site

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

MANY = 200
SECONDS = 30.0
QUIET = "trap 'exit 0' TERM; while :; do sleep 5 & wait $!; done"


@pytest.fixture
def many(docker_client: docker.DockerClient, busybox: str) -> Iterator[list[str]]:
    """The ids of so many running containers."""

    def start(number: int) -> str:
        name = f"many-{number}"
        made = docker_client.containers.run(
            busybox, ["sh", "-c", QUIET], name=name, detach=True, network_mode="none"
        )
        return str(made.id)

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(start, range(MANY)))
        yield ids
        list(pool.map(lambda one: docker_client.api.remove_container(one, force=True), ids))


def engine_cpu(folder: str) -> float:
    """Seconds that this engine has used: its daemon, containerd, and their shims."""
    used = 0.0
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            ours = any(f"{folder}/".encode() in word for word in words)
            if ours and words[0].rpartition(b"/")[2].startswith((b"dockerd", b"containerd")):
                used += cpu(int(process.name))
        except (OSError, ValueError, IndexError):
            continue
    return used


@dataclass(frozen=True)
class Cost:
    """Percent of one core, of who reads and of the engine, and how far apart the readings were, in seconds."""

    reader: float
    engine: float
    apart: float
    late: float

    def over(self, floor: float) -> str:
        """In words, with what it adds to the engine."""
        adds = self.engine - floor
        return f"{self.reader:.1f} %, adds {adds:.1f} % to the engine, every {self.apart:.1f} s (p95 {self.late:.1f})"


async def measured(
    work: Callable[[Callable[[str], None]], Awaitable[None]], own: Callable[[], float], folder: str
) -> Cost:
    """What it costs for so many seconds. ``work`` calls back with each container whose figures have come."""
    seen: dict[str, list[float]] = {}

    def came(id_: str) -> None:
        seen.setdefault(id_, []).append(time.monotonic())

    task = asyncio.ensure_future(work(came))
    await asyncio.sleep(6)
    seen.clear()
    began, before, engine = time.monotonic(), own(), engine_cpu(folder)
    await asyncio.sleep(SECONDS)
    took, used, spent = time.monotonic() - began, own() - before, engine_cpu(folder) - engine
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gaps = [b - a for times in seen.values() for a, b in pairwise(times)]
    apart, late = (median(gaps), percentile(gaps, 0.95)) if gaps else (0.0, 0.0)
    return Cost(100 * used / took, 100 * spent / took, apart, late)


async def rows(site: Site, engine_url: str, ids: list[str]) -> list[Figure]:
    """The table. ``ids``: running containers, by the engine's ids."""
    folder, streams = str(Path(site.engine).parent), connect_streams(engine_url)
    site.row(f"many-{MANY - 1}")

    async def nothing(_came: Callable[[str], None]) -> None:
        await asyncio.sleep(3600)

    async def watched(came: Callable[[str], None]) -> None:
        async with site.socket("/ws/live/") as socket:
            await socket.send(json.dumps({"subscribe": ["stats"]}))
            async for frame in socket:
                for row in json.loads(frame).get("rows", []):
                    came(row[0])

    async def one_shot(came: Callable[[str], None]) -> None:
        while True:
            began = time.monotonic()
            for sample in await streams.stats(ids, deadline=30):
                came(sample.native_id)
            await asyncio.sleep(max(0.0, 5 - (time.monotonic() - began)))

    async def streamed(came: Callable[[str], None]) -> None:
        await asyncio.gather(*(_stream(site.engine, one, came) for one in ids))

    idle = await measured(nothing, site.cpu, folder)
    slipway = await measured(watched, site.cpu, folder)
    asked = await measured(one_shot, time.process_time, folder)
    flowing = await measured(streamed, time.process_time, folder)
    # Holding so many containers costs an engine something, whoever reads.
    floor = idle.engine
    return [
        Figure(
            f"{MANY} containers, nobody looks", f"{idle.reader:.1f} %; the engine by itself {floor:.1f} %", ""
        ),
        Figure(
            f"{MANY} containers, all seen", slipway.over(floor), "", "adds < 2 %", slipway.engine - floor < 2
        ),
        Figure("the same asked one-shot, 50 at once, every 5 s", "", asked.over(floor)),
        Figure("the same by 200 streams", "", flowing.over(floor)),
        *_files(streams.endpoint, await streams.first_processes(ids, deadline=60)),
    ]


async def _stream(path: str, native_id: str, came: Callable[[str], None]) -> None:
    """The engine's own stream of one container, read as plainly as one can."""
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    try:
        writer.write(f"GET /v1.40/containers/{native_id}/stats?stream=1 HTTP/1.1\r\nHost: e\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b"{"):
                json.loads(line)
                came(native_id)
    finally:
        writer.transport.abort()


def _files(endpoint: str, processes: list) -> Iterator[Figure]:
    """Reading the kernel's files, kept open and opened each time: milliseconds a sweep."""
    for words, room in (("kept open", 4000), ("opened each time", 0)):
        cgroups = Cgroups(endpoint)
        cgroups._files.room = room
        for first in processes:
            cgroups.adopt(first)
        took = []
        for _ in range(20):
            began = time.perf_counter()
            count = len(cgroups.read([first.native_id for first in processes]))
            took.append(1000 * (time.perf_counter() - began))
        assert count == MANY
        cgroups.close()
        yield Figure(f"a sweep of the kernel's files, {words}", f"{median(took):.1f} ms", "")


async def test_the_figures_of_two_hundred_containers(
    site: Site, engine_url: str, many: list[str], tell: Tell
) -> None:
    found = await rows(site, engine_url, many)
    for figure in found:
        tell(figure.what, figure.slipway, figure.raw, figure.target, figure.met)
    assert all(figure.met is not False for figure in found)
