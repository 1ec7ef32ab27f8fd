"""Guard rails as values: what is said is checked, a team can only take away, and no spelling leads around them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import docker_create, guard, rails, reach
from engine.rails import Rails
from engine.specs import ContainerSpec, SpecError

OWN_ROOT = "/proc/self/root"
"""By this the kernel shows a process its own root."""
TOP = {
    "Image", "Tty", "OpenStdin", "Env", "Labels", "ExposedPorts", "HostConfig", "Cmd", "Entrypoint", "Hostname", "User",
    "WorkingDir", "Healthcheck", "NetworkingConfig",
}  # fmt: skip
HOST = {
    "PortBindings", "Mounts", "RestartPolicy", "LogConfig", "CapAdd", "CapDrop", "ReadonlyRootfs", "Privileged",
    "AutoRemove", "NetworkMode", "SecurityOpt", "Init", "Memory", "MemorySwap", "NanoCpus", "PidsLimit",
}  # fmt: skip
"""Every key that a create call may hold, and no other."""


def _rules(spec: ContainerSpec, found: Rails) -> set[str]:
    return {one.rule for one in guard.violations(spec, found)}


def test_what_is_said_is_a_closed_world() -> None:
    said = rails.parse({"privileged": True, "capabilities": ["cap_net_raw"], "memory": 2**30, "pool": None})
    assert said == {"privileged": True, "capabilities": ["NET_RAW"], "memory": 2**30}
    for wrong in (
        {"privileges": True}, {"privileged": "true"}, {"host_paths": ["/srv/../etc"]}, {"addresses": ["x"]},
        {"registries": ["https://example.test"]}, {"restart_policies": ["sometimes"]}, {"lowest_port": 0},
    ):  # fmt: skip
        with pytest.raises(SpecError):
            rails.parse(wrong)


def test_a_team_can_only_take_away() -> None:
    site = rails.of({"host_paths": ["/srv"], "registries": ["a.example", "b.example"], "pids": 100})
    team = rails.within(
        site,
        {"privileged": True, "host_paths": ["/srv/app", "/opt"], "registries": ["b.example", "c.example"],
         "lowest_port": 80, "highest_port": 9000, "pids": 50, "addresses": ["127.0.0.1"]},
    )  # fmt: skip
    assert (team.privileged, team.host_paths, team.registries) == (False, ("/srv/app",), ("b.example",))
    assert (team.lowest_port, team.highest_port, team.pids, team.addresses) == (
        1024,
        9000,
        50,
        ("127.0.0.1",),
    )
    assert rails.within(site, {}) == site


@pytest.mark.parametrize(
    ("said", "body", "rule"),
    [
        ({"registries": ["a.example"]}, {"image": "nginx"}, "known_registries_only"),
        ({"registries": ["docker.io"]}, {"image": "b.example/nginx"}, "known_registries_only"),
        ({"digests_only": True}, {"image": "nginx:1"}, "digests_only"),
        ({"addresses": ["127.0.0.1"]}, {"ports": [{"container": 80}]}, "allowed_addresses_only"),
        (
            {"addresses": ["10.0.0.0/8"]},
            {"ports": [{"container": 80, "host_ip": "::"}]},
            "allowed_addresses_only",
        ),
        ({"highest_port": 9000}, {"ports": [{"container": 80, "host": 9001}]}, "no_low_ports"),
        (
            {"restart_policies": ["on-failure"]},
            {"restart_policy": {"name": "always"}},
            "allowed_restarts_only",
        ),
        ({"capabilities": []}, {"cap_add": ["CHOWN"]}, "no_added_capability"),
    ],
)
def test_each_switch_forbids_what_it_says(said: dict[str, Any], body: dict[str, Any], rule: str) -> None:
    """S-40, S-48."""
    spec = ContainerSpec.parse({"image": "nginx", **body})
    assert _rules(spec, rails.of(rails.parse(said))) == {rule}
    assert _rules(spec, Rails()) == set()


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/etc/x", "/var", f"{OWN_ROOT}/srv", "/var/run/docker.sock", "/opt"]
)
def test_no_allowed_folder_opens_the_host_itself(path: str) -> None:
    spec = ContainerSpec.parse({"image": "x", "mounts": [{"type": "bind", "source": path, "target": "/x"}]})
    roots = ["/srv"] if path == "/opt" else ["/", "/etc", "/var"]
    assert _rules(spec, rails.of({"host_paths": roots})) == {"no_host_paths"}


@pytest.mark.parametrize("path", ["//etc", "/srv/../etc", f"/srv/./..{OWN_ROOT}/etc", "///", "srv"])
def test_no_spelling_of_a_path_leads_around(path: str) -> None:
    """S-37."""
    found = reach.of({"HostConfig": {"Mounts": [{"Type": "bind", "Source": path}]}})
    assert {one.rule for one in guard.of_reach(found, rails.of({"host_paths": ["/", "/srv"]}))} == {
        "no_host_paths"
    }
    inside = reach.of({"HostConfig": {"Binds": ["/srv//app/:/x"]}})
    assert guard.of_reach(inside, rails.of({"host_paths": ["/srv"]})) == []


def test_what_was_made_elsewhere_is_judged_by_what_no_spec_can_say() -> None:
    """S-41, S-43."""
    host = {"LogConfig": {"Type": "syslog"}, "Sysctls": {"net.core.somaxconn": "1"}}
    found = reach.of({"HostConfig": host})
    assert [one.rule for one in guard.of_reach(found, Rails())] == ["known_log_drivers_only", "no_sysctls"]
    assert (
        guard.of_reach(found, rails.of({"log_drivers": ["syslog"], "sysctls": ["net.core.somaxconn"]})) == []
    )


def test_defaults_fill_what_a_wish_leaves_open() -> None:
    """S-42."""
    strict = rails.of(rails.parse(rails.RECOMMENDED))
    plain = rails.with_defaults(ContainerSpec.parse({"image": "nginx"}), strict)
    host = docker_create.body(plain, "0" * 8 + "-0000-4000-8000-" + "0" * 12)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 2**30
    assert (host["NanoCpus"], host["PidsLimit"], host["Init"]) == (2 * 10**9, 1024, True)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    own = ContainerSpec.parse({"image": "nginx", "resources": {"memory": 2**25}})
    assert rails.with_defaults(own, strict).memory == 2**25
    assert ContainerSpec.parse(plain.to_dict()) == plain


_TEXT = st.sampled_from(
    ["web", "host", "container:web", "CAP_SYS_ADMIN", "chown", "/etc", "//etc", "always", "é", ""]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | _TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "source", "target", "container", "host", "host_ip", "name", "Privileged"]), inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
_BODIES = st.fixed_dictionaries(
    {"image": st.sampled_from(["nginx", "a.example/x:1", "x@sha256:" + "0" * 64])},
    optional={
        "privileged": st.booleans() | _JSON, "cap_add": st.lists(_TEXT, max_size=3) | _JSON,
        "networks": st.lists(_TEXT, max_size=2) | _JSON, "init": st.booleans(), "no_new_privileges": st.booleans(),
        "mounts": st.lists(st.fixed_dictionaries({"type": st.sampled_from(["bind", "volume", "tmpfs", "npipe"]),
                                                  "source": _TEXT, "target": st.just("/x")}), max_size=1) | _JSON,
        "ports": st.lists(st.fixed_dictionaries({"container": st.integers(1, 65535), "host": st.integers(1, 65535)}),
                          max_size=1) | _JSON,
        "HostConfig": _JSON, "pid_mode": _JSON, "devices": _JSON, "security_opt": _JSON,
    },
)  # fmt: skip


@given(body=_BODIES)
def test_whatever_is_asked_the_call_holds_known_keys_and_nothing_of_the_host(body: dict[str, Any]) -> None:
    """S-33, S-36. A wish is refused, or the engine gets a body of keys known here, inside the rails."""
    try:
        spec = ContainerSpec.parse(body)
    except SpecError:
        return
    call = docker_create.body(spec, "00000000-0000-4000-8000-000000000000")
    assert set(call) <= TOP
    assert set(call["HostConfig"]) <= HOST
    if not guard.violations(spec, Rails()):
        host = call["HostConfig"]
        assert not host["Privileged"]
        assert host.get("NetworkMode") != "host"
        assert {one["Type"] for one in host["Mounts"]} <= {"volume", "tmpfs"}
        assert set(host["CapAdd"]) <= set(rails.CAPABILITIES)
        # What the engine would tell of it is judged alike.
        assert guard.of_reach(reach.of({"HostConfig": host}), Rails()) == []
