"""Readings from the kernel's files: the same as the engine's, and refused where they could be another's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from engine.cgroups import TREE, Cgroups, Refused
from engine.connect import connect_streams
from engine.types import FirstProcess, StatsSample

ID, OTHER = "a" * 64, "b" * 64
SOCKET = "unix:///run/docker.sock"
NET = """Inter-|   Receive                            |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0    0    0      100       1    0    0    0     0       0    0
  eth0:     646       7    0    0    0     0    0    0       50       2    0    0    0     0       0    0
  eth1:{eth1}       7    0    0    0     0    0    0        5       2    0    0    0     0       0    0
docker0:    9000       7    0    0    0     0    0    0     9000       2    0    0    0     0       0    0
"""
MEMINFO = "MemTotal:        2097152 kB\nMemFree:          829532 kB\n"
STAT_V1 = "cache 90\ninactive_file 1\ntotal_cache 90\ntotal_inactive_file 40\n"
BLOCKS_V1 = "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Total 12288\n8:16 Read 1\nTotal 12289\n"
STAT_V2 = "anon 53248\nfile 13107200\ninactive_anon 0\ninactive_file 13107200\nactive_file 0\n"
IO_V2 = "254:0 rbytes=4096 wbytes=13107200 rios=1 wios=100 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2\n"


class Host:
    """A recorded tree with one container in it, of either version."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.proc = folder / "cgroup", folder / "proc"
        self.tree.mkdir()
        self.write(self.proc / "meminfo", MEMINFO)

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def process(self, pid: int, lines: str) -> None:
        self.write(self.proc / f"{pid}/cgroup", lines)
        self.write(self.proc / f"{pid}/net/dev", NET.format(eth1=" 4000000000000"))

    def version_1(self, pid: int, parent: str = "docker", name: str = ID) -> None:
        own = f"{parent}/{name}"
        files = {
            "cpuacct/cpuacct.usage": "2621176000\n",
            "memory/memory.usage_in_bytes": "100\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.stat": STAT_V1,
            "pids/pids.current": "3\n",
            "blkio/blkio.throttle.io_service_bytes_recursive": BLOCKS_V1,
        }
        for file, text in files.items():
            controller, _, rest = file.partition("/")
            self.write(self.tree / controller / own / rest, text)
            self.write(self.tree / controller / own / "cgroup.procs", f"{pid}\n")
        controllers = ("pids", "blkio", "memory", "cpu,cpuacct", "name=systemd")
        self.process(pid, "".join(f"{i}:{c}:/{own}\n" for i, c in enumerate(controllers)) + "0::/\n")

    def version_2(self, pid: int, path: str, below: str = "") -> None:
        self.write(self.tree / "cgroup.controllers", "cpu io memory pids\n")
        files = {
            "cpu.stat": "usage_usec 2621176\nuser_usec 1\nsystem_usec 2\n",
            "memory.current": "13840384\n",
            "memory.max": "67108864\n",
            "memory.stat": STAT_V2,
            "pids.current": "3\n",
            "io.stat": IO_V2,
        }
        for file, text in files.items():
            self.write(self.tree / path / file, text)
        self.write(self.tree / f"{path}{below}" / "cgroup.procs", f"{pid}\n")
        self.process(pid, f"0::/{path}{below}\n")

    def open(self, endpoint: str = SOCKET) -> Cgroups:
        return Cgroups(endpoint, tree=self.tree, proc=self.proc)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def facts(sample: StatsSample) -> tuple[object, ...]:
    return dataclasses.astuple(sample)[2:]


def test_version_1_is_read(host: Host) -> None:
    host.version_1(7)
    cgroups = host.open()
    cgroups.adopt(FirstProcess(ID, 7))
    (sample,) = cgroups.read([ID, OTHER])
    assert sample.native_id == ID
    assert abs(sample.time_ns - time.time_ns()) < 10**10
    # Without a limit it may use all that the machine has: 2 GB.
    assert facts(sample) == (2.621176, 60, 2**31, 646 + 4 * 10**12, 55, 4097, 8192, 3)
    cgroups.close()


@pytest.mark.parametrize(
    ("path", "below"),
    [
        (f"system.slice/docker-{ID}.scope", ""),
        (f"docker/{ID}", ""),
        (f"user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", ""),
        (f"machine.slice/libpod-{ID}.scope", ""),
        # A systemd inside moves its first process below.
        (f"our/own/parent/{ID}", "/init.scope"),
    ],
)
def test_version_2_is_read_below_any_parent(host: Host, path: str, below: str) -> None:
    host.version_2(7, path, below)
    cgroups = host.open()
    cgroups.adopt(FirstProcess(ID, 7))
    (sample,) = cgroups.read([ID])
    assert facts(sample) == (2.621176, 733184, 67108864, 646 + 4 * 10**12, 55, 4097, 13107202, 3)
    cgroups.close()


def test_files_that_there_is_no_room_for_are_opened_each_time(host: Host) -> None:
    host.version_2(7, f"docker/{ID}")
    before = open_files()
    cgroups = host.open()
    cgroups._files.room = 2
    cgroups.adopt(FirstProcess(ID, 7))
    assert open_files() == before + 2
    assert facts(cgroups.read([ID])[0])[0] == 2.621176
    cgroups.close()
    assert open_files() == before
    assert cgroups._files.room == 2


def test_the_host_s_own_network_is_nobody_s(host: Host) -> None:
    host.version_2(7, f"docker/{ID}")
    cgroups = host.open()
    cgroups.adopt(FirstProcess(ID, 7, host_network=True))
    (sample,) = cgroups.read([ID])
    assert (sample.net_rx_total, sample.net_tx_total) == (0, 0)
    cgroups.close()


def refused(cgroups: Cgroups, first: FirstProcess) -> str:
    with pytest.raises(Refused) as found:
        cgroups.adopt(first)
    assert first.native_id not in cgroups
    assert cgroups.read([first.native_id]) == []
    return str(found.value)


def test_an_engine_elsewhere_is_never_read(host: Host) -> None:
    host.version_1(7)
    for endpoint in ("tcp://127.0.0.1:2375", "ssh://host", "fake://world"):
        cgroups = host.open(endpoint)
        assert not cgroups.possible
        assert "not reached" in refused(cgroups, FirstProcess(ID, 7))


def test_the_process_must_be_this_container_s(host: Host) -> None:
    host.version_1(7)
    host.process(8, "3:memory:/docker/" + OTHER + "\n0::/\n")
    host.process(9, "3:memory:/\n0::/\n")
    cgroups = host.open()
    # An engine elsewhere: its numbers are free here, or another's.
    assert "not on this host" in refused(cgroups, FirstProcess(ID, 12345))
    assert "another's" in refused(cgroups, FirstProcess(ID, 8))
    assert "another's" in refused(cgroups, FirstProcess(ID, 9))
    assert "no process" in refused(cgroups, FirstProcess(ID, 0))
    # And an engine that names a process of a container of its neighbour's.
    assert "another's" in refused(cgroups, FirstProcess(OTHER, 7))


def test_the_tree_must_be_the_one_that_its_process_is_in(host: Host) -> None:
    host.version_1(7)
    for procs in host.tree.rglob("cgroup.procs"):
        procs.write_text("8\n")
    assert "not those of its process" in refused(host.open(), FirstProcess(ID, 7))
    host.process(7, f"3:memory:/../docker/{ID}\n")
    assert "another's" in refused(host.open(), FirstProcess(ID, 7))


def test_half_a_tree_is_refused_and_nothing_stays_open(host: Host) -> None:
    host.version_1(7)
    (host.tree / "memory/docker" / ID / "memory.stat").unlink()
    before = open_files()
    assert "cannot be opened" in refused(host.open(), FirstProcess(ID, 7))
    assert open_files() == before


# --- The real kernel, and the real engine --------------------------------------------------------------

Run = Callable[..., FirstProcess]
PARENT = "slipway-test-parent"
BUSY = (
    "trap 'exit 0' TERM; dd if=/dev/zero of=/filled bs=1M count=24 2>/dev/null; sync;"
    " while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; done"
)


@pytest.fixture
def run(docker_client: docker.DockerClient, busybox: str) -> Iterator[Run]:
    """``run(script, …)``: a running container's first process."""
    made = []

    def start(script: str, **options: object) -> FirstProcess:
        found = docker_client.containers.run(busybox, ["sh", "-c", script], detach=True, **options)
        made.append(found)
        found.reload()
        return FirstProcess(found.id, found.attrs["State"]["Pid"])

    yield start
    for container in made:
        container.remove(force=True)
    # An engine leaves a parent that it made.
    for left in (*TREE.glob(PARENT), *TREE.glob(f"*/{PARENT}")):
        with contextlib.suppress(OSError):
            left.rmdir()


@pytest.fixture
def cgroups(engine_url: str) -> Iterator[Cgroups]:
    found = Cgroups(engine_url)
    yield found
    found.close()


async def test_both_ways_say_the_same(engine_url: str, run: Run, cgroups: Cgroups) -> None:
    busy = run(BUSY, mem_limit="256m", nano_cpus=400_000_000)
    idle = run("sleep 60", cgroup_parent=f"/{PARENT}")
    lonely = run("sleep 60", network_mode="none")
    streams = connect_streams(engine_url)
    processes = await streams.first_processes([busy.native_id, idle.native_id, lonely.native_id])
    assert sorted(p.native_id for p in processes) == sorted(
        [busy.native_id, idle.native_id, lonely.native_id]
    )
    for first in processes:
        cgroups.adopt(first)
    await asyncio.sleep(1.5)  # the file is written
    ids = [first.native_id for first in processes]
    before = {s.native_id: s for s in cgroups.read(ids)}
    told = {s.native_id: s for s in await streams.stats(ids)}
    after = {s.native_id: s for s in cgroups.read(ids)}
    assert before.keys() == told.keys() == after.keys() == set(ids)
    for id_, engine in told.items():
        low, high = before[id_], after[id_]
        # Counters only grow, and the engine's reading lies between ours.
        assert low.cpu_total - 0.001 <= engine.cpu_total <= high.cpu_total + 0.001
        assert low.blk_write_total <= engine.blk_write_total <= high.blk_write_total
        assert low.blk_read_total <= engine.blk_read_total <= high.blk_read_total
        assert low.net_rx_total <= engine.net_rx_total <= high.net_rx_total
        assert low.net_tx_total <= engine.net_tx_total <= high.net_tx_total
        assert abs(engine.memory - low.memory) < 2_000_000
        assert engine.memory_limit == low.memory_limit
        assert abs(engine.pids - low.pids) <= 1
    assert told[busy.native_id].memory_limit == 256 * 2**20
    # Its 24 MB of page cache are not counted.
    assert told[busy.native_id].memory < 8 * 2**20
    assert told[busy.native_id].cpu_total > 0.1
    assert after[lonely.native_id].net_rx_total == 0


async def test_one_that_ended_is_forgotten_and_taken_anew_when_it_starts(
    engine_url: str, run: Run, cgroups: Cgroups, docker_client: docker.DockerClient
) -> None:
    first = run("trap 'exit 0' TERM; while :; do sleep 1; done")
    cgroups.adopt(first)
    container = docker_client.containers.get(first.native_id)
    container.pause()
    assert len(cgroups.read([first.native_id])) == 1  # paused is not ended
    container.unpause()
    container.kill()
    container.wait()
    assert cgroups.read([first.native_id]) == []
    assert first.native_id not in cgroups
    assert await connect_streams(engine_url).first_processes([first.native_id]) == []
    container.start()
    (again,) = await connect_streams(engine_url).first_processes([first.native_id])
    assert again.pid != first.pid
    cgroups.adopt(again)
    (sample,) = cgroups.read([first.native_id])
    assert sample.pids >= 1


def test_another_engine_s_container_is_refused_on_the_real_host(run: Run, cgroups: Cgroups) -> None:
    first = run("sleep 60")
    assert "another's" in refused(cgroups, FirstProcess(OTHER, first.pid))
    assert "another's" in refused(cgroups, FirstProcess(first.native_id, os.getpid()))
