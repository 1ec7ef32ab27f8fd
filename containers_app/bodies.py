"""A container that exists, as the run body that would make another one like it.

What its image brought along is left out, and so is what only Slipway sets. The values of secrets are not here: those
of ``hidden`` have to come from elsewhere. What a run body cannot say is in ``extras``, as ``docker run`` and compose
say it; ``lost`` names what neither takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from containers_app.models import Container
from engine import names
from engine.docker_create import LOG_DRIVER, LOG_OPTIONS
from engine.docker_text import MASK
from engine.errors import Invalid

Json = Mapping[str, Any]
COMPOSE_LABELS = "com.docker.compose."
OWN_NETWORKS = ("default", "bridge")
_USUAL_SHM = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Extra:
    """A setting beyond the run body: ``flag`` and its values for ``docker run``, ``key`` and value for compose."""

    flag: str
    values: tuple[str, ...]
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What a container was made with. ``body`` is the run body without engine, team and pull."""

    body: dict[str, Any]
    hidden: tuple[str, ...] = ()
    extras: tuple[Extra, ...] = ()
    lost: tuple[str, ...] = field(default=())


def of(row: Container) -> Settings:
    """The settings of this container, as its row knows them."""
    config, host = _object(row.inspect.get("Config")), _object(row.inspect.get("HostConfig"))
    image: Json = (row.image.config or {}) if row.image else {}
    variables = _environment(row, image)
    hidden = tuple(name for name, value in variables.items() if MASK in value)
    body = {
        "name": row.name,
        "image": image_of(row.image_ref, row.image_native_id),
        **_command(row, image),
        "environment": {name: value for name, value in variables.items() if name not in hidden},
        "ports": list(ports(host)),
        "mounts": [
            {"type": m.type, "target": m.target, "read_only": m.read_only, **({"source": m.source} if m.source else {})}
            for m in row.mounts.select_related("volume")
            if m.type in ("volume", "bind", "tmpfs") and not names.is_anonymous_volume(m.source)
        ],
        "networks": _networks(row, host),
        "hostname": "" if row.native_id.startswith(row.hostname) else row.hostname,
        "user": "" if row.user == image.get("User", "") else row.user,
        "working_dir": "" if row.working_dir in ("", "/", image.get("WorkingDir")) else row.working_dir,
        "tty": row.tty,
        "init": host.get("Init") is True,
        "restart_policy": {"name": row.restart_policy or "no", "max_retries": row.restart_max_retries},
        "resources": {"memory": row.memory_limit, "cpus": row.cpu_limit, "pids": max(0, row.pids_limit)},
        "healthcheck": _check(row, config, image),
        "labels": _labels(row, image),
        "cap_add": _capabilities(host, "CapAdd"),
        "cap_drop": _capabilities(host, "CapDrop"),
        "read_only": host.get("ReadonlyRootfs") is True,
        "privileged": row.privileged,
        "auto_remove": row.auto_remove,
    }  # fmt: skip
    said = {key: value for key, value in body.items() if value or key in ("image", "command", "entrypoint")}
    return Settings(said, hidden, tuple(_extras(row, config, host, image)), tuple(_lost(row, config, host)))


def image_of(reference: str, image_id: str) -> str:
    """What a container was made from, as something that another one can be made from."""
    try:
        if image_id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:")):
            return names.image_id(image_id)
        return names.image_target(reference)
    except Invalid:
        return image_id


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _environment(row: Container, image: Json) -> dict[str, str]:
    brought = set(_texts(image.get("Env")))
    # Two hidden values may be different ones.
    pairs = sorted(row.environment.items())
    return {name: value for name, value in pairs if MASK in value or f"{name}={value}" not in brought}


def _command(row: Container, image: Json) -> dict[str, Any]:
    """Whoever gives an entrypoint gets no command of the image, so both are said then."""
    entrypoint, command = list(row.entrypoint), list(row.command)
    same = entrypoint == _texts(image.get("Entrypoint"))
    if same and command == _texts(image.get("Cmd")):
        return {}
    if same and command:
        return {"command": command}
    return {"entrypoint": entrypoint or [""], **({"command": command} if command else {})}


def ports(host: Json) -> Iterator[dict[str, Any]]:
    """As they were asked for: without a host's port where the engine has chosen."""
    for key, bindings in sorted(_object(host.get("PortBindings")).items(), key=lambda pair: _inside(pair[0])):
        for binding in _objects(bindings):
            port = str(binding.get("HostPort") or "")
            address = str(binding.get("HostIp") or "")
            made: dict[str, Any] = {"container": _inside(key), "protocol": key.partition("/")[2] or "tcp"}
            if port.isascii() and port.isdecimal() and int(port):
                made["host"] = int(port)
            yield made | ({"host_ip": address} if address else {})


def _inside(key: str) -> int:
    port = key.partition("/")[0]
    return int(port) if port.isascii() and port.isdecimal() else 0


def _networks(row: Container, host: Json) -> list[str]:
    """The one that it was made with first."""
    found = [str(network.get("name") or "") for network in row.networks]
    mode = str(host.get("NetworkMode") or "default")
    first = next(
        (str(n.get("name")) for n in row.networks if mode in (n.get("name"), n.get("native_id"))), ""
    )
    if mode in ("none", "host") or mode.startswith("container:"):
        return [mode]
    ordered = [first, *(name for name in found if name != first)] if first else found
    return [name for name in ordered if name and (name not in OWN_NETWORKS or len(ordered) > 1)]


def _check(row: Container, config: Json, image: Json) -> dict[str, Any] | None:
    """``None`` where it is that of the image, or there is none."""
    asked, brought = _object(config.get("Healthcheck")), _object(image.get("Healthcheck"))
    if _texts(asked.get("Test"))[:1] == ["NONE"]:
        return {"test": ["NONE"]}
    same = all((asked.get(key) or 0) == (brought.get(key) or 0) for key in (*asked, *brought))
    return None if same or not row.healthcheck else dict(row.healthcheck)


def _labels(row: Container, image: Json) -> dict[str, str]:
    brought = _object(image.get("Labels"))
    return {
        key: value
        for key, value in sorted(row.labels.items())
        if brought.get(key) != value and not key.startswith(names.LABEL_PREFIX)
    }


def _capabilities(host: Json, key: str) -> list[str]:
    return [name.upper().removeprefix("CAP_") for name in _texts(host.get(key))]


# Beyond the run body

_LISTS = {
    "Dns": ("--dns", "dns"), "DnsSearch": ("--dns-search", "dns_search"), "DnsOptions": ("--dns-option", "dns_opt"),
    "ExtraHosts": ("--add-host", "extra_hosts"), "GroupAdd": ("--group-add", "group_add"),
    "SecurityOpt": ("--security-opt", "security_opt"),
    "DeviceCgroupRules": ("--device-cgroup-rule", "device_cgroup_rules"),
}  # fmt: skip
_WORDS = {
    "PidMode": ("--pid", "pid", ()), "IpcMode": ("--ipc", "ipc", ("private", "shareable")),
    "UsernsMode": ("--userns", "userns_mode", ()), "CpusetCpus": ("--cpuset-cpus", "cpuset", ()),
    "CgroupParent": ("--cgroup-parent", "cgroup_parent", ()), "Runtime": ("--runtime", "runtime", ("runc",)),
}  # fmt: skip
_NUMBERS = {
    "CpuShares": ("--cpu-shares", "cpu_shares"), "MemoryReservation": ("--memory-reservation", "mem_reservation"),
    "OomScoreAdj": ("--oom-score-adj", "oom_score_adj"),
}  # fmt: skip


def _extras(row: Container, config: Json, host: Json, image: Json) -> Iterator[Extra]:
    for name, (flag, key) in _LISTS.items():
        if found := _texts(host.get(name)):
            yield Extra(flag, tuple(found), key, found)
    for name, (flag, key, usual) in _WORDS.items():
        if (word := str(host.get(name) or "")) and word not in usual:
            yield Extra(flag, (word,), key, word)
    for name, (flag, key) in _NUMBERS.items():
        if number := host.get(name):
            yield Extra(flag, (str(number),), key, number)
    if sysctls := {str(k): str(v) for k, v in _object(host.get("Sysctls")).items()}:
        yield Extra("--sysctl", tuple(f"{k}={v}" for k, v in sysctls.items()), "sysctls", sysctls)
    if (size := host.get("ShmSize") or 0) not in (0, _USUAL_SHM):
        yield Extra("--shm-size", (str(size),), "shm_size", size)
    if row.memory_limit and (swap := host.get("MemorySwap")) and swap != 2 * row.memory_limit:
        yield Extra("--memory-swap", (str(swap),), "memswap_limit", swap)
    devices = [
        f"{d.get('PathOnHost')}:{d.get('PathInContainer')}:{d.get('CgroupPermissions') or 'rwm'}"
        for d in _objects(host.get("Devices"))
    ]
    if devices:
        yield Extra("--device", tuple(devices), "devices", devices)
    limits = {str(u.get("Name")): (u.get("Soft"), u.get("Hard")) for u in _objects(host.get("Ulimits"))}
    if limits:
        flags = tuple(f"{name}={soft}:{hard}" for name, (soft, hard) in limits.items())
        yield Extra("--ulimit", flags, "ulimits", {n: {"soft": s, "hard": h} for n, (s, h) in limits.items()})
    yield from _ending(row, config, image)
    yield from _log(host)


def _ending(row: Container, config: Json, image: Json) -> Iterator[Extra]:
    signal = str(config.get("StopSignal") or "")
    if signal and signal not in (image.get("StopSignal"), "SIGTERM"):
        yield Extra("--stop-signal", (signal,), "stop_signal", signal)
    if row.stop_timeout is not None:
        yield Extra("--stop-timeout", (str(row.stop_timeout),), "stop_grace_period", f"{row.stop_timeout}s")


def _log(host: Json) -> Iterator[Extra]:
    log = _object(host.get("LogConfig"))
    driver = str(log.get("Type") or "")
    options = {str(key): str(value) for key, value in sorted(_object(log.get("Config")).items())}
    if driver and (driver != LOG_DRIVER or options):
        yield Extra("--log-driver", (driver,), "logging", {"driver": driver, "options": options})
    if options:
        yield Extra("--log-opt", tuple(f"{key}={value}" for key, value in options.items()), "", None)


def is_usual_log(extra: Extra) -> bool:
    """Whether it says how logs are kept of all that is run here."""
    usual = tuple(f"{key}={value}" for key, value in sorted(LOG_OPTIONS.items()))
    return extra.values in ((LOG_DRIVER,), usual)


def _lost(row: Container, config: Json, host: Json) -> Iterator[str]:
    """What is not taken over, in words."""
    nameless = [m.target for m in row.mounts.all() if names.is_anonymous_volume(m.source)]
    if nameless:
        yield _("volumes without a name at %(paths)s") % {"paths": ", ".join(nameless)}
    if any(m.type not in ("volume", "bind", "tmpfs") for m in row.mounts.all()):
        yield _("mounts of images")
    if any(
        _object(m.get("TmpfsOptions")) or _object(m.get("VolumeOptions"))
        for m in _objects(host.get("Mounts"))
    ):
        yield _("options of mounts")
    if any(str(options) for options in _object(host.get("Tmpfs")).values()):
        yield _("options of memory mounts")
    words = {
        "DeviceRequests": _("GPUs and other requested devices"), "VolumesFrom": _("volumes of other containers"),
        "Links": _("links"), "StorageOpt": _("storage options"), "Annotations": _("annotations"),
    }  # fmt: skip
    for key, text in words.items():
        if host.get(key):
            yield text
    for network in row.networks:
        own = (row.native_id[:12], row.name, row.hostname)
        if [alias for alias in network.get("aliases") or () if alias not in own]:
            yield _("other names on the network %(name)s") % {"name": network.get("name")}
    if config.get("Domainname"):
        yield _("its domain name")
    if config.get("OpenStdin") and not row.tty:
        yield _("an open input without a terminal")
    if MASK in "".join((*row.command, *row.entrypoint)):
        yield _("the part of its command that is hidden")
