"""A team may ask for nothing that reaches the engine's host, and for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from engine import guard, reach
from engine.errors import PolicyDenied
from engine.rails import Rails
from engine.specs import BuildSpec, ContainerSpec, VolumeSpec
from engine.types import Reach

NORMAL: dict[str, Any] = {
    "image": "nginx",
    "ports": [{"container": 80, "host": 8080}, {"container": 443}],
    "mounts": [{"type": "volume", "source": "data", "target": "/data"}, {"type": "tmpfs", "target": "/tmp"}],
    "networks": ["front"],
    "restart_policy": {"name": "unless-stopped"},
    "cap_drop": ["ALL"],
    "cap_add": ["NET_BIND_SERVICE", "chown"],
}


def test_a_normal_day_is_allowed() -> None:
    guard.check(ContainerSpec.parse(NORMAL), Rails())
    guard.check(BuildSpec.parse({"tags": ["app"]}), Rails())
    guard.check(VolumeSpec.parse({"name": "data"}), Rails())


@pytest.mark.parametrize(
    ("field", "value", "rule", "path"),
    [
        ("privileged", True, "no_privileged", "privileged"),
        ("mounts", [{"type": "bind", "source": "/srv", "target": "/x"}], "no_host_paths", "mounts.0.type"),
        ("cap_add", ["CHOWN", "SYS_ADMIN"], "no_added_capability", "cap_add.1"),
        ("cap_add", ["cap_net_raw"], "no_added_capability", "cap_add.0"),
        ("cap_add", ["all"], "no_added_capability", "cap_add.0"),
        ("ports", [{"container": 80, "host": 80}], "no_low_ports", "ports.0.host"),
        ("networks", ["host"], "no_host_network", "networks.0"),
    ],
)
def test_a_team_is_denied_with_rule_and_field(field: str, value: Any, rule: str, path: str) -> None:
    """S-34, S-35."""
    spec = ContainerSpec.parse({"image": "nginx", field: value})
    with pytest.raises(PolicyDenied) as caught:
        guard.check(spec, Rails())
    assert (caught.value.details["rule"], caught.value.details["field"]) == (rule, path)
    assert caught.value.code == "policy_denied"
    guard.check(spec, None)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"options": {"type": "none", "o": "bind", "device": "/etc"}}, "no_volume_options"),
        ({"driver": "nfs"}, "local_volumes_only"),
    ],
)
def test_volumes_of_a_team_reach_no_host_folder(body: dict[str, Any], rule: str) -> None:
    """S-38."""
    spec = VolumeSpec.parse({"name": "data", **body})
    with pytest.raises(PolicyDenied) as caught:
        guard.check(spec, Rails())
    assert caught.value.details["rule"] == rule
    guard.check(spec, None)


def test_all_violations_are_listed() -> None:
    spec = ContainerSpec.parse(
        {"image": "nginx", "privileged": True, "networks": ["host"], "cap_add": ["ALL", "BPF"]}
    )
    found = guard.violations(spec, Rails())
    assert [violation.field for violation in found] == ["privileged", "cap_add.0", "cap_add.1", "networks.0"]


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ({"Privileged": True}, "no_privileged"),
        ({"Binds": ["/srv:/x:ro"]}, "no_host_paths"),
        ({"Mounts": [{"Type": "bind", "Source": "/srv", "Target": "/x"}]}, "no_host_paths"),
        ({"Mounts": [{"Type": "npipe"}]}, "no_host_paths"),
        ({"NetworkMode": "host"}, "no_host_network"),
        ({"NetworkMode": "container:abc"}, "no_host_network"),
        ({"PidMode": "host"}, "no_shared_namespaces"),
        ({"IpcMode": "container:abc"}, "no_shared_namespaces"),
        ({"UTSMode": "host"}, "no_shared_namespaces"),
        ({"CapAdd": ["CHOWN", "CAP_SYS_ADMIN"]}, "no_added_capability"),
        ({"CapAdd": ["ALL"]}, "no_added_capability"),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, "no_devices"),
        ({"DeviceRequests": [{"Driver": "nvidia"}]}, "no_devices"),
        ({"DeviceCgroupRules": ["c 1:3 rwm"]}, "no_devices"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "no_loosened_isolation"),
        ({"MaskedPaths": []}, "no_loosened_isolation"),
        ({"CgroupParent": "/x"}, "no_loosened_isolation"),
        ({"VolumesFrom": ["abc:ro"]}, "no_loosened_isolation"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}, "no_low_ports"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "1000-2000"}]}}, "no_low_ports"),
    ],
)
def test_what_a_container_got_elsewhere_is_not_made_again_for_a_team(host: dict[str, Any], rule: str) -> None:
    found = reach.of({"HostConfig": host})
    with pytest.raises(PolicyDenied) as denied:
        guard.check_again(found, Rails())
    assert denied.value.details["rule"] == rule
    guard.check_again(found, None)


def test_a_usual_container_may_be_made_again() -> None:
    host = {
        "Privileged": False, "Binds": ["data:/x"], "Mounts": [{"Type": "volume"}], "NetworkMode": "front",
        "PidMode": "", "IpcMode": "private", "UTSMode": "", "CgroupnsMode": "host", "CapAdd": ["CAP_CHOWN"],
        "SecurityOpt": ["no-new-privileges"], "MaskedPaths": ["/proc/kcore"], "Devices": None,
        "PortBindings": {"80/tcp": [{"HostPort": "8080"}, {"HostPort": ""}], "90/tcp": None},
    }  # fmt: skip
    guard.check_again(reach.of({"HostConfig": host, "Mounts": [{"Type": "volume"}]}), Rails())
    guard.check_again(reach.of({}), Rails())
    assert reach.of({}) == Reach()
