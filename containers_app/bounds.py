"""What bounds a container, in words: what was asked for, and what comes of it where nobody asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from containers_app.limits import size
from containers_app.models import Container
from containers_app.present import Fact
from operations.plans import count, listed

_ULIMITS = {
    "nofile": "Open files",
    "nproc": "Processes of its user",
    "core": "Core dumps",
    "memlock": "Locked memory",
}
_COUNTED = ("nofile", "nproc")


def in_words(container: Container) -> str:
    """``512 MB of memory and as much swap, 2 cores, no limit of processes.``"""
    memory = f"{size(container.memory_limit)} of memory" if container.memory_limit else "No limit of memory"
    cores = f"{container.cpu_limit:.4g} core{'' if container.cpu_limit == 1 else 's'}"
    cpu = cores if container.cpu_limit else "no limit of CPU"
    pids = (
        count(container.pids_limit, "process", "processes")
        if container.pids_limit > 0
        else "no limit of processes"
    )
    swap = _swap(container, _host(container))
    return f"{memory}{f' and {swap}' if swap else ''}, {cpu} and {pids}."


def more(container: Container) -> list[Fact]:
    """Bounds beyond memory, CPU and processes, where there are any."""
    return [Fact(name, value) for name, value in _more(container, _host(container))]


def _host(container: Container) -> Mapping[str, Any]:
    found = container.inspect.get("HostConfig")
    return found if isinstance(found, Mapping) else {}


def _swap(container: Container, host: Mapping[str, Any]) -> str:
    """Engines tell memory and swap together: -1 is no limit, 0 as much again."""
    both = _number(host, "MemorySwap")
    if not container.memory_limit:
        return ""
    if both < 0:
        return "swap without limit"
    if both in (0, 2 * container.memory_limit):
        return "as much swap"
    return f"{size(both - container.memory_limit)} of swap" if both > container.memory_limit else "no swap"


def _more(container: Container, host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if kept := _number(host, "MemoryReservation"):
        yield "Memory it is left", f"{size(kept)} where memory is short"
    if cores := host.get("CpusetCpus"):
        yield "Cores", f"only {cores}"
    if shares := _number(host, "CpuShares"):
        yield "CPU share", f"{shares} where CPU is short, 1024 is usual"
    if shared := _number(host, "ShmSize"):
        yield "Shared memory", size(shared)
    for limit in host.get("Ulimits") or []:
        if isinstance(limit, Mapping):
            yield _ulimit(limit)
    if host.get("ReadonlyRootfs"):
        yield "Its own layer", "read only"
    options = [str(one) for one in host.get("SecurityOpt") or [] if str(one).startswith("no-new-privileges")]
    if options and not options[0].endswith("false"):
        yield "Privileges", "its programs can get no more"
    dropped = [str(one) for one in host.get("CapDrop") or []]
    if dropped:
        yield (
            "Taken away",
            listed(dropped[:4]) + (f" and {len(dropped) - 4} more" if len(dropped) > 4 else ""),
        )


def _ulimit(limit: Mapping[str, Any]) -> tuple[str, str]:
    name, soft, hard = str(limit.get("Name", "")), _number(limit, "Soft"), _number(limit, "Hard")
    words = [_amount(name, one) for one in dict.fromkeys((soft, hard))]
    return _ULIMITS.get(name, name), " to ".join(words)


def _amount(name: str, value: int) -> str:
    if value < 0:
        return "no limit"
    return f"{value:,}" if name in _COUNTED or name not in _ULIMITS else size(value) if value else "none"


def _number(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
