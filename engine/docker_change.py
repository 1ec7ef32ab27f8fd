"""Changes of the body by which a container is made like another one, and of its networks. Pure.

What is written is built by `engine.docker_create` from the typed spec, so nothing else than that can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import docker_create, names
from engine.changes import ChangeSpec
from engine.docker_map import mapping
from engine.errors import Conflict
from engine.specs import MountSpec

Json = Mapping[str, Any]
Body = dict[str, Any]

_PLAIN = {
    "command": ("Cmd",), "entrypoint": ("Entrypoint",), "hostname": ("Hostname",), "user": ("User",),
    "working_dir": ("WorkingDir",), "tty": ("Tty", "OpenStdin"), "healthcheck": ("Healthcheck",),
}  # fmt: skip
_HOST = {
    "init": ("Init",), "restart_policy": ("RestartPolicy",), "cap_add": ("CapAdd",), "cap_drop": ("CapDrop",),
    "read_only": ("ReadonlyRootfs",), "privileged": ("Privileged",),
}  # fmt: skip
_LIMITS = {
    "memory": ("Memory", "MemorySwap"), "cpus": ("NanoCpus", "CpuQuota", "CpuPeriod"), "pids": ("PidsLimit",),
}  # fmt: skip
_COMPOSE = "com.docker.compose."


def apply(made: Body, old: Json, changes: ChangeSpec, operation_id: str) -> None:
    """Changes the body of ``made``, which was copied from the inspection ``old``."""
    wanted, given, host = docker_create.body(changes.spec, operation_id), changes.given, made["HostConfig"]
    for field, keys in _PLAIN.items():
        if field in given:
            _put(made, wanted, keys)
    for field, keys in _HOST.items():
        if field in given:
            _put(host, wanted["HostConfig"], keys)
    for limit, keys in _LIMITS.items():
        if limit in changes.limits:
            _put(host, wanted["HostConfig"], keys)
    if "privileged" in given:  # engines choose both anew
        host.pop("MaskedPaths", None)
        host.pop("ReadonlyPaths", None)
    if "ports" in given:
        before = mapping(mapping(old.get("HostConfig")).get("PortBindings"))
        others: Body = {port: {} for port in made["ExposedPorts"] if port not in before}
        made["ExposedPorts"] = {**others, **wanted["ExposedPorts"]}
        host["PortBindings"] = wanted["HostConfig"]["PortBindings"]
    if "mounts" in given:
        _mounts(made, changes.spec.mounts)
    if {"environment", "secrets"} & given:
        _variables(made, old, changes)
    if "labels" in given:
        _labels(made, changes)


def stand_apart(made: Body, *, keeps_ports: bool) -> None:
    """For another one beside the old one: the engine chooses its host ports, and nameless volumes are its own."""
    host = made["HostConfig"]
    if not keeps_ports:
        host["PortBindings"] = {
            port: [{**binding, "HostPort": ""} for binding in bindings]
            for port, bindings in mapping(host.get("PortBindings")).items()
        }
    nameless = [m for m in host["Mounts"] if m.get("Type") == "volume" and _is_nameless(m)]
    host["Mounts"] = [mount for mount in host["Mounts"] if mount not in nameless]
    made["Volumes"] |= {str(mount.get("Target")): {} for mount in nameless}
    made["Labels"] = {key: value for key, value in made["Labels"].items() if not key.startswith(_COMPOSE)}


def networks(old: Mapping[str, Body], changes: ChangeSpec) -> tuple[str, dict[str, Body]]:
    """``(the first, network → settings of its end)``; who stays on a network keeps those."""
    wanted = changes.spec.networks or ("bridge",)
    if wanted[0] in ("host", "none") or wanted[0].startswith("container:"):
        return wanted[0], {}
    return wanted[0], {name: old.get(name, {}) for name in wanted}


def _put(made: Body, wanted: Json, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in wanted:
            made[key] = wanted[key]
        else:
            made.pop(key, None)


def _mounts(made: Body, wanted: tuple[MountSpec, ...]) -> None:
    """One that is as before keeps the options that nobody can type; nameless volumes stay where they are."""
    host = made["HostConfig"]
    mounts, binds, memory = list(host["Mounts"]), list(host.pop("Binds", [])), host.pop("Tmpfs", {})
    targets = {mount.target for mount in wanted}
    host["Mounts"] = [m for m in mounts if _is_beyond(m) and m.get("Target") not in targets]
    host["Binds"], host["Tmpfs"] = [], {}
    for mount in wanted:
        same = [one for one in mounts if _said(one) == mount]
        bind = [one for one in binds if _bound(one) == (mount.source, mount.target, mount.read_only)]
        if same:
            host["Mounts"].append(same[0])
        elif bind:
            host["Binds"].append(bind[0])
        elif mount.type == "tmpfs" and mount.target in memory:
            host["Tmpfs"][mount.target] = memory[mount.target]
        else:
            host["Mounts"].append(docker_create.mount(mount))
    made["Volumes"] = {target: {} for target in made["Volumes"] if target not in targets}


def _is_beyond(mount: Json) -> bool:
    return mount.get("Type") == "image" or (mount.get("Type") == "volume" and _is_nameless(mount))


def _is_nameless(mount: Json) -> bool:
    source = str(mount.get("Source") or "")
    return not source or names.is_anonymous_volume(source)


def _said(mount: Json) -> MountSpec:
    return MountSpec(
        str(mount.get("Type")),
        str(mount.get("Source") or ""),
        str(mount.get("Target")),
        mount.get("ReadOnly") is True,
    )


def _bound(bind: str) -> tuple[str, str, bool]:
    source, _, rest = bind.partition(":")
    target, _, options = rest.partition(":")
    return source, target, "ro" in options.split(",")


def _variables(made: Body, old: Json, changes: ChangeSpec) -> None:
    everything = dict(str(pair).partition("=")[::2] for pair in mapping(old.get("Config")).get("Env") or ())
    secret = set(filter(None, str(made["Labels"].pop(names.SECRETS_LABEL, "")).split(",")))
    asked = dict(pair.partition("=")[::2] for pair in made["Env"])
    kinds = {
        "environment": {name: value for name, value in asked.items() if name not in secret},
        "secrets": {name: value for name, value in asked.items() if name in secret},
    }
    for kind, new in (("environment", changes.spec.environment), ("secrets", changes.spec.secrets)):
        if kind in changes.given:
            kinds[kind] = {**_kept(changes.kept.get(kind, ()), everything, "variable"), **new}
    hidden = [name for name in kinds["secrets"] if name not in kinds["environment"]]
    made["Env"] = [f"{name}={value}" for name, value in {**kinds["secrets"], **kinds["environment"]}.items()]
    if hidden:
        made["Labels"][names.SECRETS_LABEL] = ",".join(sorted(hidden))


def _labels(made: Body, changes: ChangeSpec) -> None:
    before = made["Labels"]
    own = {key: value for key, value in before.items() if key.startswith(names.LABEL_PREFIX)}
    made["Labels"] = {**_kept(changes.kept.get("labels", ()), before, "label"), **changes.spec.labels, **own}


def _kept(wanted: tuple[str, ...], there: Mapping[str, str], what: str) -> dict[str, str]:
    missing = [name for name in wanted if name not in there]
    if missing:
        raise Conflict(f'It has no {what} "{missing[0]}" whose value could stay.')
    return {name: there[name] for name in wanted}
