"""Wishes bent at every joint: each is refused, or what the engine is sent passes a judge that knows nothing of ours.

The judge is written from the engine's own documentation, not from `engine.guard`: two mistakes would have to agree.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import docker_create, guard
from engine.errors import PolicyDenied
from engine.rails import Rails
from engine.specs import ContainerSpec, SpecError

pytestmark = pytest.mark.security
OPERATION = "00000000-0000-4000-8000-000000000000"
WHOLE: dict[str, Any] = {
    "image": "nginx:1.27", "name": "web", "command": ["serve"], "entrypoint": ["/bin/sh"], "environment": {"K": "v"},
    "secrets": {"S": "v"}, "ports": [{"container": 80, "protocol": "tcp", "host": 8080, "host_ip": "127.0.0.1"}],
    "mounts": [{"type": "volume", "source": "data", "target": "/data", "read_only": False}], "networks": ["front"],
    "hostname": "web", "user": "1000", "working_dir": "/", "tty": False, "init": True,
    "restart_policy": {"name": "on-failure", "max_retries": 3},
    "resources": {"memory": 268435456, "cpus": 0.5, "pids": 256},
    "healthcheck": {"test": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3, "start_period": 0},
    "labels": {"a": "b"}, "cap_add": ["CHOWN"], "cap_drop": ["ALL"], "read_only": True, "privileged": False,
    "auto_remove": False,
}  # fmt: skip
EVIL = st.sampled_from([
    "host", "HOST", " host", "container:web", "service:db", "/", "/etc", "//etc", "/srv/../etc", "/var/run/docker.sock",
    "\\\\.\\pipe\\docker_engine", "bind", "BIND", "npipe", "cluster", "image", "SYS_ADMIN", "cap_sys_admin", "ALL",
    "all", "CAP_ALL", "ſys_admin", "NET_RAW", "0.0.0.0", "::", "0", "tcp\n", "always", "yes", "true", "",  # noqa: S104
])  # fmt: skip
NAMES = st.sampled_from([
    *WHOLE, "HostConfig", "hostconfig", "Privileged", "privileged ", "PRIVILEGED", "Binds", "binds", "volumes_from",
    "VolumesFrom", "PidMode", "pid", "pid_mode", "IpcMode", "ipc", "UTSMode", "UsernsMode", "userns", "CgroupnsMode",
    "CgroupParent", "Devices", "devices", "DeviceRequests", "gpus", "DeviceCgroupRules", "SecurityOpt", "security_opt",
    "Sysctls", "sysctls", "Runtime", "runtime", "OomScoreAdj", "MaskedPaths", "ReadonlyPaths", "ExtraHosts",
    "extra_hosts", "LogConfig", "log_driver", "StorageOpt", "VolumeOptions", "BindOptions", "Type", "Source", "ſource",
    "propagation", "__proto__", "type", "source", "target", "host", "host_ip", "name",
])  # fmt: skip
VALUES = st.recursive(
    EVIL | st.none() | st.booleans() | st.sampled_from([-1, 0, 22, 80, 1023, 65536, 2**63, 1.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
DEFAULT_CAPABILITIES = {
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}  # fmt: skip
VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
NETWORK = re.compile(r"(?!(?:host|none|default|container)$)[a-zA-Z0-9][a-zA-Z0-9_.-]*|bridge|none", re.ASCII)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each joint of a body."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inside for path in _places(item, (*at, key)))]


@st.composite
def bent(draw: st.DrawFn) -> dict[str, Any]:
    """A whole wish with one to three joints replaced, taken out, or given one key more."""
    wish = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(wish)[1:]))
        holder: Any = wish
        for key in path[:-1]:
            holder = holder[key]
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "replace":
            holder[path[-1]] = draw(VALUES)
        elif what == "remove":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[draw(NAMES)] = draw(VALUES)
        else:
            holder.append(draw(VALUES))
        if not _places(wish)[1:]:
            break
    return wish


def faults(call: dict[str, Any]) -> list[str]:
    """What of a create call reaches beyond the container itself: by name and by value, from an allow-list."""
    host = call["HostConfig"]
    plain = {
        "Image": str, "Tty": bool, "OpenStdin": bool, "Env": list, "Labels": dict, "ExposedPorts": dict, "Cmd": list,
        "HostConfig": dict, "Entrypoint": list, "Hostname": str, "User": str, "WorkingDir": str, "Healthcheck": dict,
        "NetworkingConfig": dict,
    }  # fmt: skip
    allowed = {
        "PortBindings": _ports, "Mounts": _mounts, "CapAdd": lambda v: set(v) <= DEFAULT_CAPABILITIES,
        "CapDrop": lambda v: all(isinstance(one, str) for one in v), "Privileged": lambda v: v is False,
        "ReadonlyRootfs": _flag, "AutoRemove": _flag, "Init": _flag,
        "NetworkMode": lambda v: bool(NETWORK.fullmatch(v)),
        "SecurityOpt": lambda v: v == ["no-new-privileges:true"],
        "RestartPolicy": lambda v: v["Name"] in ("no", "", "always", "on-failure", "unless-stopped"),
        "LogConfig": lambda v: v == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Memory": _count, "MemorySwap": _count, "NanoCpus": _count, "PidsLimit": _count,
    }  # fmt: skip
    wrong = [key for key, value in call.items() if not isinstance(value, plain.get(key, ()))]
    wrong += [
        f"HostConfig.{key}" for key, value in host.items() if key not in allowed or not allowed[key](value)
    ]
    ends = call.get("NetworkingConfig", {"EndpointsConfig": {}})
    if set(ends) != {"EndpointsConfig"} or any(
        config or not NETWORK.fullmatch(name) for name, config in ends["EndpointsConfig"].items()
    ):
        wrong.append("NetworkingConfig")
    return wrong


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**63


def _mounts(mounts: list[dict[str, Any]]) -> bool:
    return all(
        set(one) <= {"Type", "Target", "ReadOnly", "Source"}
        and one["Target"].startswith("/")
        and (
            (one["Type"] == "volume" and VOLUME.fullmatch(one.get("Source", "anonymous")))
            or (one["Type"] == "tmpfs" and "Source" not in one)
        )
        for one in mounts
    )


def _ports(bindings: dict[str, list[dict[str, str]]]) -> bool:
    for inside, outside in bindings.items():
        if not re.fullmatch(r"[0-9]{1,5}/(tcp|udp|sctp)", inside, re.ASCII):
            return False
        for one in outside:
            if set(one) != {"HostIp", "HostPort"}:
                return False
            if one["HostPort"] and not 1024 <= int(one["HostPort"]) <= 65535:
                return False
            if one["HostIp"]:
                ipaddress.ip_address(one["HostIp"])
    return True


def _sent(wish: dict[str, Any]) -> dict[str, Any] | None:
    """What the engine would be sent for somebody of a team; ``None`` where the wish is refused."""
    try:
        spec = ContainerSpec.parse(wish)
        guard.check(spec, Rails())
    except (SpecError, PolicyDenied):
        return None
    return docker_create.body(spec, OPERATION)


def test_the_judge_lets_a_plain_wish_through_and_stops_what_it_knows_nothing_of() -> None:
    call = _sent(WHOLE)
    assert call is not None
    assert faults(call) == []
    for key, value in {"PidMode": "host", "Privileged": True, "NetworkMode": "host", "CapAdd": ["SYS_ADMIN"],
                       "Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}.items():  # fmt: skip
        assert faults({**call, "HostConfig": {**call["HostConfig"], key: value}}) == [f"HostConfig.{key}"]


@pytest.mark.timeout(900)  # 20,000 wishes take 73 s alone, minutes beside others
def test_a_bent_wish_is_refused_or_reaches_nothing_of_the_host(pytestconfig: pytest.Config) -> None:
    """S-33, S-36."""
    passed = []

    @settings(
        max_examples=20_000 if pytestconfig.getoption("--security") else 300, deadline=None, database=None
    )
    @given(wish=bent())
    def judge(wish: dict[str, Any]) -> None:
        call = _sent(wish)
        if call is not None:
            passed.append(wish)
            assert faults(call) == []

    judge()
    assert passed, "every wish was refused: nothing was judged"
