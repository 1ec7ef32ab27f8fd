"""What a container was given of the engine's host and of other containers, from its inspection. Pure.

Guard rails look at it before such a container is made anew: it may have been made by somebody else's command line.
So nothing is cut here, and what is not understood counts as given.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.specs import ContainerSpec
from engine.types import Reach

Json = Mapping[str, Any]

_NAMESPACES = {
    "NetworkMode": "network",
    "PidMode": "pid",
    "IpcMode": "ipc",
    "UTSMode": "uts",
    "UsernsMode": "user",
}


def of(data: Json) -> Reach:
    """From the engine's own document; every key may be absent, null or of another type."""
    host = _object(data.get("HostConfig"))
    return Reach(
        privileged=host.get("Privileged") not in (None, False),
        paths=tuple(dict.fromkeys(_paths(data, host))),
        namespaces=tuple(_namespaces(host)),
        capabilities=tuple(_texts(host.get("CapAdd"))),
        devices=tuple(_devices(host)),
        options=tuple(_options(host)),
        ports=tuple(sorted({port for _, port in _bindings(host) if port})),
        addresses=tuple(sorted({_address(address) for address, _ in _bindings(host)})),
        log_driver=str(_object(host.get("LogConfig")).get("Type") or ""),
        sysctls=tuple(sorted(map(str, _object(host.get("Sysctls"))))),
        restart_policy=str(_object(host.get("RestartPolicy")).get("Name") or ""),
    )


def asked_by(spec: ContainerSpec) -> Reach:
    """What a container of this spec is given."""
    return Reach(
        privileged=spec.privileged,
        paths=tuple(mount.source for mount in spec.mounts if mount.type == "bind"),
        namespaces=tuple(f"network {name}" for name in spec.networks if name == "host" or ":" in name),
        capabilities=spec.cap_add,
        ports=tuple(port.host for port in spec.ports if port.host),
        addresses=tuple(sorted({port.host_ip for port in spec.ports})),
        log_driver="json-file",
        restart_policy=spec.restart_policy,
    )


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _texts(value: object) -> Iterator[str]:
    for item in _list(value):
        yield str(item)


def _paths(data: Json, host: Json) -> Iterator[str]:
    """Folders of the host. Sockets and folders alike begin with a slash; a volume's name does not."""
    for bind in _texts(host.get("Binds")):
        if bind.startswith("/") and ":" in bind:
            yield bind.partition(":")[0]
    for mount in (*_list(host.get("Mounts")), *_list(data.get("Mounts"))):
        found = _object(mount)
        if found.get("Type") not in ("volume", "tmpfs", "image"):
            yield str(found.get("Source") or found.get("Type"))


def _namespaces(host: Json) -> Iterator[str]:
    for key, word in _NAMESPACES.items():
        mode = str(host.get(key) or "")
        if mode == "host" or ":" in mode:
            yield f"{word} {mode}"


def _devices(host: Json) -> Iterator[str]:
    for device in _list(host.get("Devices")):
        yield str(_object(device).get("PathOnHost") or "a device")
    for request in _list(host.get("DeviceRequests")):
        yield str(_object(request).get("Driver") or "a device")
    yield from _texts(host.get("DeviceCgroupRules"))


def _options(host: Json) -> Iterator[str]:
    for option in _texts(host.get("SecurityOpt")):
        if option not in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            yield option
    # Left out it is the engine's own list; empty means that nothing is hidden.
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if host.get(key) == [] and host.get("Privileged") is not True:
            yield f"{key} none"
    if host.get("CgroupParent"):
        yield f"cgroup parent {host['CgroupParent']}"
    for other in _texts(host.get("VolumesFrom")):
        yield f"volumes of {other.partition(':')[0]}"


def _bindings(host: Json) -> Iterator[tuple[str, int]]:
    """Address and port of the host, 0 where the engine chooses one."""
    for bindings in _object(host.get("PortBindings")).values():
        for binding in _list(bindings):
            # A range ("80-90") begins with the port that counts.
            port = str(_object(binding).get("HostPort") or "").partition("-")[0]
            number = int(port) if port.isascii() and port.isdecimal() and len(port) < 8 else 0
            yield str(_object(binding).get("HostIp") or ""), number


def _address(text: str) -> str:
    """What is no address counts as all of the host's."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
