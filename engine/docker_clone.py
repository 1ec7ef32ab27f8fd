"""Another container with the settings of one that exists, made from the engine's own inspection of it.

Everything is copied key by key, for the reason that `engine.docker_create` gives; what is not written down here is not
copied. What an inspection shows as settings is a mixture: what somebody asked for, and what the image brought along.
The second is left out where it is still that of the old image, so that another image brings its own.

Its own host name and addresses of its network card are not copied: two cannot have them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docker

from engine import docker_change, names
from engine.changes import ChangeSpec
from engine.docker_map import items, mapping, own_name
from engine.docker_transport import Client
from engine.errors import AnswerLost, Conflict, EngineError

Json = Mapping[str, Any]
Shape = Callable[[object], Any]
"""A value of the type that is expected, else ``None``, which leaves the key out."""

SWARM_LABEL = "com.docker.swarm.task.id"
_MOUNTS = ("bind", "volume", "tmpfs", "image")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made: like ``native_id``, from ``image``, called ``name``; ``apart``: beside it and not for it."""

    native_id: str
    image: str
    name: str
    operation_id: str
    changes: ChangeSpec | None = None
    apart: bool = False


def create(client: Client, wish: Wish) -> str:
    """Makes it, not started, with all its networks; where one cannot be connected, it is removed again."""
    old = mapping(client.inspect_container(wish.native_id))
    made = body(old, _image_of(client, old), wish)
    endpoints = networks(old)
    first = _first(old, endpoints)
    if wish.apart:
        endpoints = {name: {} for name in endpoints}
    if wish.changes and "networks" in wish.changes.given:
        first, endpoints = docker_change.networks(endpoints, wish.changes)
        made["HostConfig"]["NetworkMode"] = first
    for name in endpoints:
        _require_network(client, name)
    if first in endpoints:
        made["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints.pop(first)}}
    answer = mapping(client.create_container_from_config(made, wish.name))
    if not names.is_container_id(answer.get("Id")):
        raise AnswerLost("The engine created a container, and its answer makes no sense.")
    native_id = str(answer["Id"])
    try:
        for name, endpoint in endpoints.items():
            client.connect_network(names.network_reference(name), native_id, endpoint)
        if "NetworkingConfig" not in made and _is_own_network(first):
            # Somebody has disconnected it from the network that it was made with.
            client.disconnect_container_from_network(native_id, first)
    except Exception:
        client.remove_container(native_id, force=True, v=True)
        raise
    return native_id


def _image_of(client: Client, old: Json) -> Json:
    """The image that it was made from. Where that is gone, everything counts as asked for."""
    try:
        return mapping(client.inspect_image(names.image_id(old.get("Image"))))
    except docker.errors.NotFound:
        return {}


def _require_network(client: Client, name: str) -> None:
    try:
        found = mapping(client.inspect_network(names.network_reference(name)))
    except docker.errors.NotFound:
        found = {}
    if name not in (found.get("Name"), found.get("Id")):
        raise Conflict(f'Its network "{name}" is not there any more, so no other container can have it.')


# The body


def body(old: Json, image: Json, wish: Wish) -> dict[str, Any]:
    """The JSON body of ``POST /containers/create``, without networks. Pure."""
    config, host = mapping(old.get("Config")), mapping(old.get("HostConfig"))
    if not config or not host:
        raise EngineError("The engine's answer makes no sense.")
    _refuse_what_cannot_be_had_twice(old, config, host)
    inherited = mapping(image.get("Config"))
    made = {
        **_copied(config, _CONFIG),
        **_asked(config, inherited),
        **_command(config, inherited),
        "Image": wish.image,
        "Labels": _labels(config, inherited, wish.operation_id),
        "HostConfig": {**_copied(host, _HOST), "Mounts": _mounts(old, host)},
    }
    ports = dict.fromkeys(
        [
            *(
                key
                for key in mapping(config.get("ExposedPorts"))
                if key not in mapping(inherited.get("ExposedPorts"))
            ),
            *mapping(host.get("PortBindings")),
        ]
    )
    made["ExposedPorts"] = {str(port): {} for port in ports}
    made["Volumes"] = {
        str(target): {}
        for target in mapping(config.get("Volumes"))
        if target not in mapping(inherited.get("Volumes"))
    }
    if health := _healthcheck(mapping(config.get("Healthcheck")), mapping(inherited.get("Healthcheck"))):
        made["Healthcheck"] = health
    _drop_what_is_not_its_own(made, old, host)
    if wish.changes:
        docker_change.apply(made, old, wish.changes, wish.operation_id)
    if wish.apart:
        docker_change.stand_apart(made, keeps_ports=bool(wish.changes and "ports" in wish.changes.given))
    return made


def _refuse_what_cannot_be_had_twice(old: Json, config: Json, host: Json) -> None:
    if SWARM_LABEL in mapping(config.get("Labels")):
        raise Conflict("It belongs to a service of a swarm, which replaces its containers itself.")
    for mount in (*items(host.get("Mounts"), 100_000), *items(old.get("Mounts"), 100_000)):
        if mount.get("Type") not in _MOUNTS:
            raise Conflict(f'It has a mount of the kind "{mount.get("Type")}", which is not known here.')


def _asked(config: Json, inherited: Json) -> dict[str, Any]:
    """Of what an image can bring along, what this container has otherwise."""
    brought = set(_texts(inherited.get("Env")) or ())
    made: dict[str, Any] = {"Env": [pair for pair in _texts(config.get("Env")) or () if pair not in brought]}
    for key, shape in (("User", _text), ("StopSignal", _text), ("Shell", _texts)):
        found = shape(config.get(key))
        if found and found != inherited.get(key):
            made[key] = found
    folder = _text(config.get("WorkingDir")) or "/"
    if folder != (inherited.get("WorkingDir") or "/"):
        made["WorkingDir"] = folder
    return made


def _command(config: Json, inherited: Json) -> dict[str, Any]:
    """Entrypoint and command go together: whoever gives an entrypoint gets no command of the image."""
    entrypoint, command = _texts(config.get("Entrypoint")) or [], _texts(config.get("Cmd")) or []
    same = entrypoint == (_texts(inherited.get("Entrypoint")) or [])
    if same and command == (_texts(inherited.get("Cmd")) or []):
        return {}
    if same and command:
        return {"Cmd": command}
    # An entrypoint of the image that was taken away is written [""].
    return {"Entrypoint": entrypoint or [""], **({"Cmd": command} if command else {})}


def _labels(config: Json, inherited: Json, operation_id: str) -> dict[str, str]:
    brought = mapping(inherited.get("Labels"))
    labels = {
        key: value for key, value in (_pairs(config.get("Labels")) or {}).items() if brought.get(key) != value
    }
    return {**labels, names.OPERATION_LABEL: operation_id}


def _healthcheck(check: Json, brought: Json) -> dict[str, Any]:
    """Engines fill in what is not said from the image, so each part is judged by itself."""
    found = _copied(check, _HEALTH)
    return {key: value for key, value in found.items() if value and value != brought.get(key)}


def _mounts(old: Json, host: Json) -> list[dict[str, Any]]:
    """All that were asked for in the long form, and the volumes that the engine made without a name."""
    there = items(old.get("Mounts"), 100_000)
    volumes = {_path(m.get("Destination")): m for m in there if m.get("Type") == "volume" and m.get("Name")}
    made = []
    for mount in items(host.get("Mounts"), 100_000):
        copied = _copied(mount, _MOUNT)
        found = volumes.pop(_path(mount.get("Target")), None)
        if copied.get("Type") == "volume" and not copied.get("Source") and found:
            copied["Source"] = found["Name"]
        made.append(copied)
    for bind in _texts(host.get("Binds")) or ():
        volumes.pop(_path(bind.partition(":")[2].partition(":")[0]), None)
    for target, mount in volumes.items():
        made.append(
            {
                "Type": "volume",
                "Source": mount["Name"],
                "Target": target,
                "ReadOnly": mount.get("RW") is False,
            }
        )
    return made


def _drop_what_is_not_its_own(made: dict[str, Any], old: Json, host: Json) -> None:
    """A host name that the engine gave it, or that belongs to those whose network it shares."""
    shared = str(host.get("NetworkMode") or "").startswith("container:") or host.get("UTSMode") == "host"
    if shared or made.get("Hostname") == str(old.get("Id"))[:12]:
        made.pop("Hostname", None)
    if shared:
        made.pop("Domainname", None)


# Networks


def networks(old: Json) -> dict[str, dict[str, Any]]:
    """Network → settings of its end there. Pure."""
    short, own = str(old.get("Id"))[:12], own_name([old.get("Name")])
    found: dict[str, dict[str, Any]] = {}
    for name, value in mapping(mapping(old.get("NetworkSettings")).get("Networks")).items():
        if not _is_own_network(str(name)):
            continue
        endpoint = _copied(mapping(value), _ENDPOINT)
        # The engine adds these two by itself, those of the new one.
        aliases = [alias for alias in endpoint.pop("Aliases", []) if alias not in (short, own)]
        found[str(name)] = endpoint | ({"Aliases": aliases} if aliases else {})
    return found


def _first(old: Json, endpoints: Mapping[str, Any]) -> str:
    """The network that it is made with, by the name under which its ends are listed."""
    mode = str(mapping(old.get("HostConfig")).get("NetworkMode") or "default")
    if mode in endpoints:
        return mode
    there = mapping(mapping(old.get("NetworkSettings")).get("Networks"))
    by_id = (name for name, end in there.items() if mapping(end).get("NetworkID") == mode)
    return next(by_id, "bridge" if mode == "default" else mode)


def _is_own_network(name: str) -> bool:
    return name not in ("host", "none") and not name.startswith("container:")


# Shapes


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _some(value: object) -> int | None:
    """A number of which engines show "not set" as 0 or below, and refuse it in a wish."""
    found = _number(value)
    return found if found and found > 0 else None


def _percent(value: object) -> int | None:
    """0 is a wish, -1 is none."""
    found = _number(value)
    return found if found is not None and found >= 0 else None


def _texts(value: object) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def _lists(value: object) -> list[list[str]] | None:
    return [_texts(item) or [] for item in value] if isinstance(value, list) else None


def _pairs(value: object) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    return {str(key): item for key, item in value.items() if isinstance(item, str)}


def _object(shapes: Mapping[str, Shape]) -> Shape:
    def copy(value: object) -> dict[str, Any] | None:
        return (_copied(value, shapes) or None) if isinstance(value, Mapping) else None

    return copy


def _objects(**shapes: Shape) -> Shape:
    def copy(value: object) -> list[dict[str, Any]] | None:
        return [_copied(one, shapes) for one in items(value, 100_000)] if isinstance(value, list) else None

    return copy


def _bindings(value: object) -> dict[str, Any] | None:
    """``{"80/tcp": [{"HostIp", "HostPort"}]}``."""
    if not isinstance(value, Mapping):
        return None
    return {str(port): _objects(HostIp=_text, HostPort=_text)(found) or [] for port, found in value.items()}


def _copied(value: Json, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    found = {key: shape(value.get(key)) for key, shape in shapes.items()}
    return {key: item for key, item in found.items() if item is not None}


def _path(value: object) -> str:
    return posixpath.normpath(str(value or "/"))


_CONFIG: Mapping[str, Shape] = {
    "Hostname": _text, "Domainname": _text, "Tty": _flag, "OpenStdin": _flag, "StdinOnce": _flag,
    "AttachStdin": _flag, "AttachStdout": _flag, "AttachStderr": _flag, "NetworkDisabled": _flag,
    "StopTimeout": _number,
}  # fmt: skip
_HEALTH: Mapping[str, Shape] = {
    "Test": _texts, "Interval": _number, "Timeout": _number, "Retries": _number, "StartPeriod": _number,
    "StartInterval": _number,
}  # fmt: skip
_DRIVER: Mapping[str, Shape] = {"Name": _text, "Options": _pairs}
_MOUNT: Mapping[str, Shape] = {
    "Type": _text, "Source": _text, "Target": _text, "ReadOnly": _flag, "Consistency": _text,
    "BindOptions": _object({
        "Propagation": _text, "NonRecursive": _flag, "CreateMountpoint": _flag, "ReadOnlyNonRecursive": _flag,
        "ReadOnlyForceRecursive": _flag,
    }),
    "VolumeOptions": _object(
        {"NoCopy": _flag, "Labels": _pairs, "DriverConfig": _object(_DRIVER), "Subpath": _text}
    ),
    "TmpfsOptions": _object({"SizeBytes": _number, "Mode": _number, "Options": _lists}),
    "ImageOptions": _object({"Subpath": _text}),
}  # fmt: skip
_ENDPOINT: Mapping[str, Shape] = {
    "IPAMConfig": _object({"IPv4Address": _text, "IPv6Address": _text, "LinkLocalIPs": _texts}),
    "Links": _texts, "Aliases": _texts, "DriverOpts": _pairs, "GwPriority": _some,
}  # fmt: skip
_RATES = _objects(Path=_text, Rate=_number)
_HOST: Mapping[str, Shape] = {
    "Binds": _texts, "LogConfig": _object({"Type": _text, "Config": _pairs}), "NetworkMode": _text,
    "PortBindings": _bindings, "RestartPolicy": _object({"Name": _text, "MaximumRetryCount": _number}),
    "AutoRemove": _flag, "VolumeDriver": _text, "VolumesFrom": _texts, "CapAdd": _texts, "CapDrop": _texts,
    "CgroupnsMode": _text, "Dns": _texts, "DnsOptions": _texts, "DnsSearch": _texts, "ExtraHosts": _texts,
    "GroupAdd": _texts, "IpcMode": _text, "Cgroup": _text, "Links": _texts, "OomScoreAdj": _number, "PidMode": _text,
    "Privileged": _flag, "PublishAllPorts": _flag, "ReadonlyRootfs": _flag, "SecurityOpt": _texts,
    "StorageOpt": _pairs, "Tmpfs": _pairs, "UTSMode": _text, "UsernsMode": _text, "ShmSize": _some,
    "Sysctls": _pairs, "Runtime": _text, "Init": _flag, "MaskedPaths": _texts, "ReadonlyPaths": _texts,
    "Annotations": _pairs, "CpuShares": _number, "Memory": _number, "NanoCpus": _number, "CgroupParent": _text,
    "BlkioWeight": _number, "BlkioWeightDevice": _objects(Path=_text, Weight=_number), "BlkioDeviceReadBps": _RATES,
    "BlkioDeviceWriteBps": _RATES, "BlkioDeviceReadIOps": _RATES, "BlkioDeviceWriteIOps": _RATES,
    "CpuPeriod": _number, "CpuQuota": _number, "CpuRealtimePeriod": _number, "CpuRealtimeRuntime": _number,
    "CpusetCpus": _text, "CpusetMems": _text,
    "Devices": _objects(PathOnHost=_text, PathInContainer=_text, CgroupPermissions=_text),
    "DeviceCgroupRules": _texts,
    "DeviceRequests": _objects(
        Driver=_text, Count=_number, DeviceIDs=_texts, Capabilities=_lists, Options=_pairs
    ),
    "KernelMemory": _some, "KernelMemoryTCP": _some, "MemoryReservation": _number, "MemorySwap": _number,
    "MemorySwappiness": _percent, "OomKillDisable": _flag, "PidsLimit": _some,
    "Ulimits": _objects(Name=_text, Soft=_number, Hard=_number),
}  # fmt: skip
