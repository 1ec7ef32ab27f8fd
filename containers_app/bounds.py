"""What bounds a container, in words: what was asked for, and what comes of it where nobody asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from containers_app.limits import size
from containers_app.models import Container
from containers_app.present import Fact
from operations.plans import listed

_ULIMITS = {
    "nofile": _lazy("Open files"),
    "nproc": _lazy("Processes of its user"),
    "core": _lazy("Core dumps"),
    "memlock": _lazy("Locked memory"),
}
_COUNTED = ("nofile", "nproc")


def in_words(container: Container) -> str:
    """``512 MB of memory and as much swap, 2 cores, no limit of processes.``"""
    memory = _("No limit of memory")
    if container.memory_limit:
        memory = _("%(size)s of memory") % {"size": size(container.memory_limit)}
    pids = _("no limit of processes")
    if container.pids_limit > 0:
        n = container.pids_limit
        pids = ngettext("%(n)s process", "%(n)s processes", n) % {"n": n}
    if swap := _swap(container, _host(container)):
        memory = _("%(memory)s and %(swap)s") % {"memory": memory, "swap": swap}
    return _("%(memory)s, %(cpu)s and %(pids)s.") % {"memory": memory, "cpu": _cores(container), "pids": pids}


def more(container: Container) -> list[Fact]:
    """Bounds beyond memory, CPU and processes, where there are any."""
    return [Fact(name, value) for name, value in _more(container, _host(container))]


def _cores(container: Container) -> str:
    if not container.cpu_limit:
        return _("no limit of CPU")
    words = _("%(cores)s core") if container.cpu_limit == 1 else _("%(cores)s cores")
    return words % {"cores": f"{container.cpu_limit:.4g}"}


def _host(container: Container) -> Mapping[str, Any]:
    found = container.inspect.get("HostConfig")
    return found if isinstance(found, Mapping) else {}


def _swap(container: Container, host: Mapping[str, Any]) -> str:
    """Engines tell memory and swap together: -1 is no limit, 0 as much again."""
    both = _number(host, "MemorySwap")
    if not container.memory_limit:
        return ""
    if both < 0:
        return _("swap without limit")
    if both in (0, 2 * container.memory_limit):
        return _("as much swap")
    more = both - container.memory_limit
    return _("%(size)s of swap") % {"size": size(more)} if more > 0 else _("no swap")


def _more(container: Container, host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if kept := _number(host, "MemoryReservation"):
        yield _("Memory it is left"), _("%(kept)s where memory is short") % {"kept": size(kept)}
    if cores := host.get("CpusetCpus"):
        yield _("Cores"), _("only %(cores)s") % {"cores": cores}
    if shares := _number(host, "CpuShares"):
        yield _("CPU share"), _("%(shares)s where CPU is short, 1024 is usual") % {"shares": shares}
    if shared := _number(host, "ShmSize"):
        yield _("Shared memory"), size(shared)
    for limit in host.get("Ulimits") or []:
        if isinstance(limit, Mapping):
            yield _ulimit(limit)
    if host.get("ReadonlyRootfs"):
        yield _("Its own layer"), _("read only")
    options = [str(one) for one in host.get("SecurityOpt") or [] if str(one).startswith("no-new-privileges")]
    if options and not options[0].endswith("false"):
        yield _("Privileges"), _("its programs can get no more")
    dropped = [str(one) for one in host.get("CapDrop") or []]
    if dropped:
        words = listed(dropped[:4])
        if len(dropped) > 4:
            words = _("%(names)s and %(number)s more") % {"names": words, "number": len(dropped) - 4}
        yield _("Taken away"), words


def _ulimit(limit: Mapping[str, Any]) -> tuple[str, str]:
    name, soft, hard = str(limit.get("Name", "")), _number(limit, "Soft"), _number(limit, "Hard")
    words = [_amount(name, one) for one in dict.fromkeys((soft, hard))]
    if len(words) > 1:
        words = [_("%(from)s to %(to)s") % {"from": words[0], "to": words[1]}]
    return str(_ULIMITS.get(name, name)), words[0]


def _amount(name: str, value: int) -> str:
    if value < 0:
        return _("no limit")
    return f"{value:,}" if name in _COUNTED or name not in _ULIMITS else size(value) if value else _("none")


def _number(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
