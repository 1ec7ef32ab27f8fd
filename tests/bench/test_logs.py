"""The way of a log line, from the engine to a program on the socket."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import pytest
from docker.models.containers import Container

from tests.bench.conftest import Tell
from tests.bench.figures import memory, percentile
from tests.bench.site import Raw, Site, curl, delays

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

Run = Callable[..., Container]
LINES = 300_000
LONG_LOG = (
    "awk 'BEGIN { for (i = 1; i <= %d; i++) printf \"%%09d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n\", i }'"
)
PACED = "while :; do echo paced; sleep 0.01; done"
ROUNDS = 3
SDK = """
import docker, resource, sys
client = docker.DockerClient(base_url=sys.argv[1], timeout=600)
before = resource.getrusage(resource.RUSAGE_SELF)
lines = sum(1 for _ in client.containers.get(sys.argv[2]).logs(stream=True, timestamps=True))
after = resource.getrusage(resource.RUSAGE_SELF)
print(lines, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""


async def replayed(site: Site, container: str) -> tuple[float, int]:
    """Seconds from the opening of a socket to the last of all lines, and how many came."""
    began, lines = time.monotonic(), 0
    async with site.socket(f"/ws/logs/?container={container}&tail={LINES}") as socket:
        while lines < LINES:
            async with asyncio.timeout(60):
                frame = await socket.recv(decode=False)
            if frame.startswith((b'{"type":"past"', b'{"type":"lines"')):
                lines += frame.count(b'],["'[:2]) + 1 if frame.endswith(b"]]}") else 0
    return time.monotonic() - began, lines


async def test_a_long_log_is_replayed(site: Site, run: Run, tell: Tell) -> None:
    made = run("long-log", LONG_LOG % LINES)
    await asyncio.to_thread(made.wait)
    row = await asyncio.to_thread(site.row, "long-log")
    path = f"/v1.40/containers/{made.id}/logs?stdout=1&timestamps=1&tail=all"
    raw, ours, raw_cpu, our_cpu = [], [], [], []
    for _ in range(ROUNDS):
        seconds, used = await asyncio.to_thread(curl, site.engine, path)
        raw.append(LINES / seconds)
        raw_cpu.append(used / LINES * 1e6)
        before = site.cpu()
        seconds, lines = await replayed(site, row["id"])
        assert lines == LINES
        ours.append(LINES / seconds)
        our_cpu.append((site.cpu() - before) / LINES * 1e6)
        await asyncio.sleep(1)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", SDK, f"unix://{site.engine}", str(made.id)],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    count, sdk = (float(word) for word in done.stdout.split())
    assert count == LINES
    sdk = sdk / LINES * 1e6
    ratio = median(ours) / median(raw)
    tell(
        "replay of 300,000 lines, engine to socket",
        f"{median(ours):,.0f} lines/s ({ratio:.2f} of raw)", f"{median(raw):,.0f} lines/s (curl)",
        "≥ 0.7", ratio >= 0.7,
    )  # fmt: skip
    cost = median(our_cpu) / median(raw_cpu)
    tell(
        "CPU of a million lines, gateway and web",
        f"{median(our_cpu):.1f} s ({cost:.1f} × raw)", f"{median(raw_cpu):.1f} s (curl), {sdk:.1f} s (Docker SDK)",
        "≤ 3 × raw, below the SDK", cost <= 3 and median(our_cpu) < sdk,
    )  # fmt: skip


async def test_a_paced_line_arrives(site: Site, run: Run, tell: Tell) -> None:
    made = run("paced", PACED)
    row = await asyncio.to_thread(site.row, "paced")
    async with site.socket(f"/ws/logs/?container={row['id']}&tail=0") as socket:
        await delays(socket, 2)
        reader = asyncio.create_task(Raw(site.engine, str(made.id)).delays(10))
        ours, raw = await delays(socket, 10), await reader
    assert len(ours) > 500
    for part, more in ((0.5, 60), (0.99, 120)):
        seen, floor = percentile(ours, part), percentile(raw, part)
        tell(
            f"a line of 100 a second, p{part * 100:.0f}",
            f"{seen:.1f} ms", f"{floor:.1f} ms", f"raw + {more} ms", seen <= floor + more,
        )  # fmt: skip


async def test_two_hundred_look_at_one_container(site: Site, run: Run, tell: Tell) -> None:
    run("popular", PACED)
    row = await asyncio.to_thread(site.row, "popular")
    before, web_before = site.upstreams(), memory(site.web)
    path = f"/ws/logs/?container={row['id']}&tail=0"

    async def one(start: asyncio.Event) -> tuple[list[float], set[int], int]:
        async with site.socket(path) as socket:
            ready.append(1)
            await start.wait()
            return await counted(socket, 10)

    ready: list[int] = []
    start = asyncio.Event()
    tasks = [asyncio.create_task(one(start)) for _ in range(200)]
    while len(ready) < len(tasks):
        await asyncio.sleep(0.05)
        if failed := [task for task in tasks if task.done()]:
            await failed[0]
    await asyncio.sleep(2)
    upstreams = site.upstreams() - before
    each = (memory(site.web) - web_before) / len(tasks)
    start.set()
    answers = await asyncio.gather(*tasks)
    late = [delay for found, _, _ in answers for delay in found]
    common = set.intersection(*(numbers for _, numbers, _ in answers))
    whole = sum(1 for _, numbers, announced in answers if holes(numbers) <= announced)
    p99 = percentile(late, 0.99)
    tell(
        "200 viewers of one container: all delivered or announced",
        f"{whole} of 200, {len(common):,} lines each", "", "all", whole == 200,
    )  # fmt: skip
    tell("200 viewers, p99", f"{p99:.0f} ms", "", "< 300 ms", p99 < 300)
    tell("200 viewers, upstreams", str(upstreams), "", "1", upstreams == 1)
    tell("memory of web a viewer", f"{each / 1024:.0f} kB", "", "stated")


def holes(numbers: set[int]) -> int:
    """How many numbers are missing between the first and the last."""
    return max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 1 << 30


async def counted(socket: object, seconds: float) -> tuple[list[float], set[int], int]:
    """Delays, numbers and how many were announced as missing."""
    import orjson

    delays_, numbers, announced = [], set(), 0
    until, began = time.monotonic() + seconds, time.time_ns()
    while (left := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                frame = orjson.loads(await socket.recv(decode=False))  # type: ignore[attr-defined]
        except TimeoutError:
            break
        now = time.time_ns()
        if frame["type"] == "lines":
            for line in frame["lines"]:
                numbers.add(line[0])
                if (at := int(line[2])) >= began:
                    delays_.append((now - at) / 1e6)
        elif frame["type"] == "gap":
            announced += frame["lines"] or 0
    return delays_, numbers, announced


async def test_a_flood_drowns_nobody_else(site: Site, run: Run, tell: Tell) -> None:
    run("flood", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")
    names = [f"quiet-{n}" for n in range(5)]
    for name in names:
        run(name, "while :; do echo quiet; sleep 0.05; done")
    flood = await asyncio.to_thread(site.row, "flood")
    quiet = [await asyncio.to_thread(site.row, name) for name in names]

    async def drown() -> None:
        async with site.socket(f"/ws/logs/?container={flood['id']}&tail=0") as socket:
            while True:
                await socket.recv(decode=False)

    async def look(id_: str, seconds: float) -> list[float]:
        async with site.socket(f"/ws/logs/?container={id_}&tail=0") as socket:
            return await delays(socket, seconds)

    task = asyncio.create_task(drown())
    await asyncio.sleep(5)
    before = site.memory()
    found = await asyncio.gather(*(look(row["id"], 20) for row in quiet))
    after = site.memory()
    task.cancel()
    late = [delay for one in found for delay in one]
    p95 = percentile(late, 0.95)
    tell("beside a flood: lines of others, p95", f"{p95:.0f} ms", "", "< 1000 ms", p95 < 1000)
    grown = [(b - a) / 2**20 for a, b in zip(before, after, strict=True)]
    tell(
        "beside a flood: memory of web and gateway",
        f"{after[0] / 2**20:.0f} MB ({grown[0]:+.1f}) and {after[1] / 2**20:.0f} MB ({grown[1]:+.1f}) in 20 s",
        "", "flat", grown[0] < 10,
    )  # fmt: skip


async def test_a_stream_costs_memory(site: Site, run: Run, tell: Tell) -> None:
    many = 40
    for n in range(many):
        run(f"stream-{n}", "while :; do echo line; sleep 0.5; done")
    rows = [await asyncio.to_thread(site.row, f"stream-{n}") for n in range(many)]
    before = site.memory()

    async def look(id_: str) -> None:
        async with site.socket(f"/ws/logs/?container={id_}&tail=0") as socket:
            while True:
                await socket.recv(decode=False)

    tasks = [asyncio.create_task(look(row["id"])) for row in rows]
    await asyncio.sleep(10)
    after = site.memory()
    for task in tasks:
        task.cancel()
    web, gateway = ((b - a) / many / 1024 for a, b in zip(before, after, strict=True))
    tell("memory of gateway and web a followed log", f"{gateway:.0f} kB and {web:.0f} kB", "", "stated")
