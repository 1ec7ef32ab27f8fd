"""Limits and restart policy of a container that goes on meanwhile: what is wanted against what is, and the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor
from containers_app.models import Container
from engine.specs import ENDS_FOR_GOOD, STAYS, SpecError, UpdateSpec
from operations.models import Operation
from operations.plans import Item, Plan
from streams import stats

FIELDS = ("restart_policy", "resources")
_WORDS = {
    "no": _lazy("never"),
    "always": _lazy("always"),
    "unless-stopped": _lazy("unless stopped"),
    "on-failure": _lazy("on failure"),
}
_TITLES = {
    "memory limit": _lazy("Memory limit"),
    "CPU limit": _lazy("CPU limit"),
    "process limit": _lazy("Process limit"),
    "restart policy": _lazy("Restart policy"),
}
"""What differs → its heading."""
_FULL = 0.8
"""Of a new memory limit in use, from which on one should know."""
_SAME_CPU = 0.0005
"""Cores: a quota may count in steps of a thousandth."""


class Limited(Protocol):
    """A row, or what an engine says now."""

    @property
    def restart_policy(self) -> str: ...
    @property
    def restart_max_retries(self) -> int: ...
    @property
    def memory_limit(self) -> int: ...
    @property
    def cpu_limit(self) -> float: ...
    @property
    def pids_limit(self) -> int: ...


def wanted(container: Container, body: Mapping[str, Any]) -> UpdateSpec:
    """The wish, where this container can be so; else `SpecError` with what to do about it."""
    spec = UpdateSpec.parse(body)
    if errors := dict(_impossible(container, spec)):
        raise SpecError(errors)
    return spec


def kept(params: Mapping[str, Any]) -> UpdateSpec:
    """The wish again, from an operation's parameters."""
    return UpdateSpec.parse({key: params[key] for key in FIELDS if key in params})


def differs(found: Limited, spec: UpdateSpec) -> list[str]:
    """What is not as it is wanted, in words."""
    policy = (found.restart_policy or "no", found.restart_max_retries)
    cpus_differ = spec.cpus is not None and abs(found.cpu_limit - spec.cpus) > _SAME_CPU
    other = {
        "memory limit": spec.memory is not None and found.memory_limit != spec.memory,
        "CPU limit": cpus_differ,
        "process limit": spec.pids is not None and max(0, found.pids_limit) != spec.pids,
        "restart policy": spec.restart_policy is not None
        and policy != (spec.restart_policy, spec.restart_max_retries),
    }
    return [name for name, is_other in other.items() if is_other]


def _impossible(container: Container, spec: UpdateSpec) -> Iterator[tuple[str, list[str]]]:
    if spec.memory == 0 and container.memory_limit:
        yield "resources.memory", [STAYS["memory"]]
    if spec.cpus == 0 and container.cpu_limit and not _by_quota(container):
        yield "resources.cpus", [STAYS["cpus"]]
    cores = container.engine.cpus
    if spec.cpus and cores and spec.cpus > cores:
        words = ngettext(
            "The engine has %(n)s core: choose from 0.01 to %(n)s.",
            "The engine has %(n)s cores: choose from 0.01 to %(n)s.",
            cores,
        )
        yield "resources.cpus", [words % {"n": cores}]
    if container.auto_remove and spec.restart_policy not in (None, "no"):
        yield "restart_policy.name", [ENDS_FOR_GOOD]


def _by_quota(container: Container) -> bool:
    """Whether its CPU limit is of the kind that can be taken away."""
    quota = (container.inspect.get("HostConfig") or {}).get("CpuQuota")
    return isinstance(quota, int) and quota > 0


# The plan


def updating(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.update``."""
    container = Container.everything.select_related("engine").filter(pk=operation.target_id).first()
    return updated(container, kept(operation.params)) if container else Plan(lead=_("It is gone."))


def updated(container: Container, spec: UpdateSpec) -> Plan:
    """What this would change, and what may come of it by what it uses now."""
    plan = Plan(button=_("Change limits"))
    other = differs(container, spec)
    if not other:
        plan.lead = _("It is set so already: nothing changes.")
        return plan
    plan.changed = list(_changes(container, spec, other))
    live = container.state in ("running", "paused", "restarting")
    if live:
        _against_use(plan, container, spec, other)
        plan.kept.append(
            Item(_("It is not restarted"), "", _("its processes, files, ports and settings stay"))
        )
    else:
        plan.kept.append(Item(_("It is not started"), "", _("limits hold from its next start")))
    if spec.memory and 0 < container.engine.memory < spec.memory:
        has = size(container.engine.memory)
        plan.affected.append(
            Item(
                _("Memory limit"),
                _("beyond the %(has)s that the engine has: it limits nothing") % {"has": has},
            )
        )
    if "restart policy" in other and (words := _afterwards(spec)):
        plan.affected.append(Item(_("From now on"), words))
    return plan


def _changes(container: Container, spec: UpdateSpec, other: list[str]) -> Iterator[Item]:
    pairs = {
        "memory limit": (size(container.memory_limit), size(spec.memory or 0)),
        "CPU limit": (cores(container.cpu_limit), cores(spec.cpus or 0)),
        "process limit": (_processes(container.pids_limit), _processes(spec.pids or 0)),
        "restart policy": (
            policy(container.restart_policy, container.restart_max_retries),
            policy(spec.restart_policy or "no", spec.restart_max_retries),
        ),
    }
    for name in other:
        before, after = pairs[name]
        yield Item(str(_TITLES[name]), f"{before} → {after}")


def _against_use(plan: Plan, container: Container, spec: UpdateSpec, other: list[str]) -> None:
    """What its newest figures say to lower limits; what nobody has measured is unknown."""
    row = next(iter(stats.latest([container.pk])), None)
    less_memory = "memory limit" in other and bool(spec.memory)
    fewer = "process limit" in other and bool(spec.pids)
    if row is None:
        lower = less_memory and (not container.memory_limit or (spec.memory or 0) < container.memory_limit)
        plan.unknown += [_("how much memory it uses now")] if lower else []
        return
    uses, has = int(row[2] or 0), int(row[8] or 0)
    if less_memory and spec.memory and uses > spec.memory:
        words = _("more than the new limit: the engine refuses it, or the kernel ends a process")
        plan.affected.append(Item(_("It uses %(size)s now") % {"size": size(uses)}, words))
    elif less_memory and spec.memory and uses > _FULL * spec.memory:
        words = _("%(n)s %% of the new limit") % {"n": f"{uses / spec.memory * 100:.0f}"}
        plan.affected.append(Item(_("It uses %(size)s now") % {"size": size(uses)}, words))
    if fewer and spec.pids and has > spec.pids:
        processes = ngettext("It has %(n)s process now", "It has %(n)s processes now", has)
        words = _("more than the new limit: none can be started until some have ended")
        plan.affected.append(Item(processes % {"n": has}, words))


def _afterwards(spec: UpdateSpec) -> str:
    tries = ngettext(
        "it stays down after %(n)s restart in a row that failed",
        "it stays down after %(n)s restarts in a row that failed",
        spec.restart_max_retries,
    ) % {"n": spec.restart_max_retries}
    return {
        "no": _("it stays down after a crash, and after a restart of the engine"),
        "always": _("it is started with the engine even where somebody had stopped it"),
        "on-failure": tries if spec.restart_max_retries else "",
    }.get(spec.restart_policy or "", "")


# Words


def size(memory: int) -> str:
    """``256 MB``, ``1.5 GB``, by 1024; ``no limit`` for 0."""
    if memory <= 0:
        return _("no limit")
    value, unit = memory / 1024**2, "MB"
    if value >= 1000:
        value, unit = value / 1024, "GB"
    return f"{value:.4g} {unit}"


def policy(name: str, retries: int = 0) -> str:
    """``on failure, 3 times at most``."""
    words = str(_WORDS.get(name or "no", name))
    return _most(words, retries) if retries else words


def _most(words: str, retries: int) -> str:
    most = ngettext("%(policy)s, %(n)s time at most", "%(policy)s, %(n)s times at most", retries)
    return most % {"policy": words, "n": retries}


def cores(cpus: float) -> str:
    if not cpus:
        return _("no limit")
    return ngettext("%(n)s core", "%(n)s cores", 1 if cpus == 1 else 2) % {"n": f"{cpus:.4g}"}


def _processes(pids: int) -> str:
    return str(pids) if pids > 0 else _("no limit")
