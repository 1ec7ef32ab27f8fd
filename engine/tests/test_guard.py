"""A team may ask for nothing that reaches the engine's host, and for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from engine import guard
from engine.errors import PolicyDenied
from engine.specs import BuildSpec, ContainerSpec, VolumeSpec

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
    guard.check(ContainerSpec.parse(NORMAL), level="team")
    guard.check(BuildSpec.parse({"tags": ["app"]}), level="team")
    guard.check(VolumeSpec.parse({"name": "data"}), level="team")


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
    spec = ContainerSpec.parse({"image": "nginx", field: value})
    with pytest.raises(PolicyDenied) as caught:
        guard.check(spec, level="team")
    assert (caught.value.details["rule"], caught.value.details["field"]) == (rule, path)
    assert caught.value.code == "policy_denied"
    guard.check(spec, level="site")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"options": {"type": "none", "o": "bind", "device": "/etc"}}, "no_volume_options"),
        ({"driver": "nfs"}, "local_volumes_only"),
    ],
)
def test_volumes_of_a_team_reach_no_host_folder(body: dict[str, Any], rule: str) -> None:
    spec = VolumeSpec.parse({"name": "data", **body})
    with pytest.raises(PolicyDenied) as caught:
        guard.check(spec, level="team")
    assert caught.value.details["rule"] == rule
    guard.check(spec, level="site")


def test_all_violations_are_listed() -> None:
    spec = ContainerSpec.parse(
        {"image": "nginx", "privileged": True, "networks": ["host"], "cap_add": ["ALL", "BPF"]}
    )
    found = guard.violations(spec, level="team")
    assert [violation.field for violation in found] == ["privileged", "cap_add.0", "cap_add.1", "networks.0"]


def test_a_level_must_be_known() -> None:
    with pytest.raises(ValueError, match="not a level"):
        guard.check(ContainerSpec.parse({"image": "nginx"}), level="admin")
