"""Pure: an engine's reading as counters, and two readings as rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.docker_map import items, mapping
from engine.docker_text import number, time_ns
from engine.types import StatsSample


@dataclass(frozen=True, slots=True)
class StatsRate:
    """What a container uses at ``time_ns``. CPU in cores, memory in bytes, the rest in bytes a second."""

    native_id: str
    time_ns: int
    cpu: float
    memory: int
    memory_limit: int
    net_rx: float
    net_tx: float
    blk_read: float
    blk_write: float
    pids: int


def sample(native_id: str, data: Mapping[str, Any]) -> StatsSample | None:
    """One answer of ``/stats``, of cgroup version 1 or 2; ``None`` for a container that does not run.

    Memory is what is used without the page cache that could be dropped at once, as ``docker stats`` counts it.
    """
    read = time_ns(data.get("read"))
    cpu, memory = mapping(data.get("cpu_stats")), mapping(data.get("memory_stats"))
    if not read or not cpu:
        return None
    kinds = mapping(memory.get("stats"))
    # Version 1 has both: the total is with the cgroups below, as the usage is.
    cache = number(kinds.get("total_inactive_file", kinds.get("inactive_file")))
    networks = mapping(data.get("networks"))
    blocks = items(mapping(data.get("blkio_stats")).get("io_service_bytes_recursive"), 4096)
    return StatsSample(
        native_id=native_id,
        time_ns=read,
        cpu_total=number(mapping(cpu.get("cpu_usage")).get("total_usage")) / 1e9,
        memory=used(number(memory.get("usage")), cache),
        memory_limit=number(memory.get("limit")),
        net_rx_total=sum(number(mapping(network).get("rx_bytes")) for network in networks.values()),
        net_tx_total=sum(number(mapping(network).get("tx_bytes")) for network in networks.values()),
        blk_read_total=_blocks(blocks, "read"),
        blk_write_total=_blocks(blocks, "write"),
        pids=number(mapping(data.get("pids_stats")).get("current")),
    )


def used(usage: int, cache: int) -> int:
    """Memory in use without the page cache that could be dropped, in bytes: the arithmetic of ``docker stats``."""
    return usage - cache if cache < usage else usage


def _blocks(blocks: list[Mapping[str, Any]], operation: str) -> int:
    """Version 1 says Read, version 2 read; both may say it for several devices."""
    return sum(number(block.get("value")) for block in blocks if str(block.get("op")).lower() == operation)


def rate(before: StatsSample, after: StatsSample) -> StatsRate | None:
    """``None`` where no rate can be told: the same reading twice, time gone back, or the container restarted."""
    seconds = (after.time_ns - before.time_ns) / 1e9
    if seconds <= 0 or after.cpu_total < before.cpu_total:
        return None

    def per_second(old: int, new: int) -> float:
        # A single counter that went back is a network that was disconnected or a device that went away.
        return max(0, new - old) / seconds

    return StatsRate(
        native_id=after.native_id,
        time_ns=after.time_ns,
        cpu=(after.cpu_total - before.cpu_total) / seconds,
        memory=after.memory,
        memory_limit=after.memory_limit,
        net_rx=per_second(before.net_rx_total, after.net_rx_total),
        net_tx=per_second(before.net_tx_total, after.net_tx_total),
        blk_read=per_second(before.blk_read_total, after.blk_read_total),
        blk_write=per_second(before.blk_write_total, after.blk_write_total),
        pids=after.pids,
    )
