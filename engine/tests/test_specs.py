"""Wishes are parsed as a closed world, with one message a field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import docker_create
from engine.specs import BuildSpec, ContainerSpec, SpecError, UpdateSpec, VolumeSpec

OPERATION = "11111111-2222-3333-4444-555555555555"

FULL: dict[str, Any] = {
    "image": "nginx:1.27",
    "name": "web",
    "pull": "always",
    "command": ["nginx", "-g", ""],
    "entrypoint": ["/entry"],
    "environment": {"A": "1", "EMPTY": ""},
    "secrets": {"DB_PASSWORD": "hush"},
    "ports": [
        {"container": 80, "protocol": "tcp", "host": 8080, "host_ip": "127.0.0.1"},
        {"container": 53, "protocol": "udp", "host": None, "host_ip": ""},
    ],
    "mounts": [
        {"type": "volume", "source": "data", "target": "/var/lib/data", "read_only": False},
        {"type": "bind", "source": "/srv/www", "target": "/www", "read_only": True},
        {"type": "tmpfs", "source": "", "target": "/scratch", "read_only": False},
    ],
    "networks": ["front", "back"],
    "hostname": "web-1",
    "user": "1000:1000",
    "working_dir": "/srv",
    "tty": True,
    "init": True,
    "restart_policy": {"name": "on-failure", "max_retries": 3},
    "resources": {"memory": 268435456, "cpus": 0.5, "pids": 256},
    "healthcheck": {
        "test": ["CMD-SHELL", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
        "start_period": 0,
    },
    "labels": {"tier": "web"},
    "cap_add": ["NET_ADMIN"],
    "cap_drop": ["ALL"],
    "read_only": True,
    "privileged": False,
    "auto_remove": False,
    "start": False,
}


def errors_of(body: dict[str, Any]) -> dict[str, list[str]]:
    with pytest.raises(SpecError) as caught:
        ContainerSpec.parse(body)
    assert caught.value.details["errors"] == caught.value.errors
    assert caught.value.code == "invalid"
    json.dumps(caught.value.details)
    return caught.value.errors


def test_the_whole_run_body_goes_in_and_comes_out() -> None:
    spec = ContainerSpec.parse(FULL)
    assert spec.to_dict() == FULL
    assert ContainerSpec.parse(json.loads(json.dumps(spec.to_dict()))) == spec


def test_only_the_image_is_needed() -> None:
    spec = ContainerSpec.parse({"image": "nginx"})
    assert spec == ContainerSpec(image="nginx:latest")
    assert ContainerSpec.parse(spec.to_dict()) == spec


def test_secrets_do_not_show_in_a_log_line() -> None:
    assert "hush" not in repr(ContainerSpec.parse(FULL))


def test_an_image_may_be_an_id() -> None:
    image = "sha256:" + "a" * 64
    assert ContainerSpec.parse({"image": image}).image == image


@pytest.mark.parametrize(
    ("field", "value", "path", "message"),
    [
        ("image", None, "image", "reference"),
        ("image", "a b", "image", "reference"),
        ("nmae", "web", "nmae", 'Did you mean "name"?'),
        ("HostConfig", {"Privileged": True}, "HostConfig", "Unknown field"),
        ("privileged", "true", "privileged", "true or false is expected, not a text."),
        ("privileged", 1, "privileged", "true or false"),
        ("tty", None, "tty", "true or false"),
        ("name", "abcdef123456", "name", "looks like an id"),
        ("pull", "sometimes", "pull", "missing, always, never"),
        ("command", "sh -c x", "command", "list of strings"),
        ("command", ["a"] * 129, "command", "At most 128"),
        ("command", ["a" * 40000], "command.0", "bytes"),
        ("command", ["a\0"], "command.0", "NUL"),
        ("command", ["\ud800"], "command.0", "Unicode"),
        ("environment", {"A=B": "x"}, "environment.A=B", "name starts"),
        ("environment", {"A": 1}, "environment.A", "text is expected"),
        ("environment", {f"A{i}": "" for i in range(257)}, "environment", "At most 256"),
        ("environment", {"A": "x" * 70000}, "environment.A", "bytes"),
        ("environment", {"A": "x" * 40000, "B": "x" * 40000}, "environment", "bytes together"),
        ("environment", ["A=1"], "environment", "object of names"),
        ("labels", {f"l{i}": "" for i in range(65)}, "labels", "At most 64"),
        ("labels", {"l": "x" * 9000}, "labels.l", "bytes"),
        ("labels", {"io.slipway.team": "blue"}, "labels.io.slipway.team", "kept for Slipway"),
        ("labels", {"IO.Slipway.x": "blue"}, "labels.IO.Slipway.x", "kept for Slipway"),
        ("labels", {"a\nb": ""}, "labels.a\\nb", "control characters"),
        ("ports", {"80": 80}, "ports", "list of objects"),
        ("ports", [80], "ports.0", "An object is expected"),
        ("ports", [{}], "ports.0.container", "required"),
        ("ports", [{"container": 0}], "ports.0.container", "From 1 to 65535"),
        ("ports", [{"container": True}], "ports.0.container", "whole number"),
        ("ports", [{"container": 80, "host": 70000}], "ports.0.host", "From 1 to 65535"),
        ("ports", [{"container": 80, "host_ip": "localhost"}], "ports.0.host_ip", "IP address"),
        ("ports", [{"container": 80, "protocol": "TCP"}], "ports.0.protocol", "tcp, udp, sctp"),
        ("ports", [{"container": 80, "host": 81}] * 2, "ports.1.host", "twice"),
        ("ports", [{"container": 80}] * 129, "ports", "At most 128"),
        ("mounts", [{"type": "volume", "target": "/x"}], "mounts.0.source", "required"),
        ("mounts", [{"type": "volume", "source": "/etc", "target": "/x"}], "mounts.0.source", "volume name"),
        ("mounts", [{"type": "bind", "source": "//etc", "target": "/x"}], "mounts.0.source", "double"),
        ("mounts", [{"type": "bind", "source": "/tmp/../etc", "target": "/x"}], "mounts.0.source", '".."'),
        (
            "mounts",
            [{"type": "npipe", "source": "a", "target": "/x"}],
            "mounts.0.type",
            "volume, bind, tmpfs",
        ),
        ("mounts", [{"type": "tmpfs", "source": "a", "target": "/x"}], "mounts.0.source", "no source"),
        ("mounts", [{"type": "tmpfs", "target": "/"}], "mounts.0.target", "root"),
        ("mounts", [{"type": "tmpfs", "target": "x"}], "mounts.0.target", "absolute"),
        ("mounts", [{"type": "tmpfs", "target": "/x"}] * 2, "mounts.1.target", "Two mounts"),
        ("networks", ["container:abc"], "networks.0", "network name"),
        ("networks", ["a", "a"], "networks.1", "twice"),
        ("networks", ["host", "front"], "networks", "cannot be combined"),
        ("hostname", "a b", "hostname", "host name"),
        ("user", "root;id", "user", "user is expected"),
        ("working_dir", "../x", "working_dir", "absolute"),
        ("restart_policy", "always", "restart_policy", "An object is expected"),
        ("restart_policy", {"name": "sometimes"}, "restart_policy.name", "One of"),
        ("restart_policy", {"name": "always", "max_retries": 3}, "restart_policy.max_retries", "on-failure"),
        ("resources", {"memory": 1}, "resources.memory", "0 (no limit)"),
        ("resources", {"cpus": float("nan")}, "resources.cpus", "number"),
        ("resources", {"cpus": -1}, "resources.cpus", "0 (no limit)"),
        ("resources", {"pids": 1.5}, "resources.pids", "whole number"),
        ("resources", {"ulimits": []}, "resources.ulimits", "Unknown field"),
        ("healthcheck", {"test": ["CMD-SHELL", "a", "b"]}, "healthcheck.test", "CMD-SHELL"),
        ("healthcheck", {"test": "true"}, "healthcheck.test", "list"),
        ("healthcheck", {"test": ["CMD-SHELL", "a"], "interval": 1}, "healthcheck.interval", "From 5"),
        ("cap_add", ["SYS_NOTHING"], "cap_add.0", "Not a Linux capability"),
        ("auto_remove", "yes", "auto_remove", "true or false"),
    ],
)
def test_each_field_says_what_is_wrong(field: str, value: Any, path: str, message: str) -> None:
    """S-46."""
    errors = errors_of({"image": "nginx", field: value})
    assert path in errors
    assert message in errors[path][0]


def test_contradictions_are_told() -> None:
    errors = errors_of(
        {
            "image": "nginx",
            "auto_remove": True,
            "restart_policy": {"name": "always"},
            "networks": ["host"],
            "ports": [{"container": 80}],
            "environment": {"A": "1"},
            "secrets": {"A": "2"},
        }
    )
    assert set(errors) == {"auto_remove", "ports", "secrets.A"}


def test_everything_wrong_is_told_at_once() -> None:
    errors = errors_of({"name": "a b", "tty": 1, "ports": [{"container": "x"}], "more": 1})
    assert set(errors) == {"image", "name", "tty", "ports.0.container", "more"}


def test_a_body_that_is_no_object_is_refused() -> None:
    assert errors_of([])["body"] == ["An object is expected, not a list."]  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(FULL)),
)
def test_nothing_but_a_spec_or_an_explained_refusal_comes_out(value: Any, field: str) -> None:
    try:
        spec = ContainerSpec.parse({"image": "nginx", field: value})
    except SpecError as error:
        told = error.errors
    else:
        assert ContainerSpec.parse(spec.to_dict()) == spec
        return
    assert told
    assert json.dumps(told)


# --- What is sent --------------------------------------------------------------------------------------


def test_the_create_body_is_exactly_this() -> None:
    assert docker_create.body(ContainerSpec.parse(FULL), OPERATION) == {
        "Image": "nginx:1.27",
        "Tty": True,
        "OpenStdin": True,
        "Env": ["A=1", "EMPTY=", "DB_PASSWORD=hush"],
        "Labels": {
            "tier": "web",
            "io.slipway.operation": OPERATION,
            "io.slipway.secrets": "DB_PASSWORD",
        },
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Cmd": ["nginx", "-g", ""],
        "Entrypoint": ["/entry"],
        "Hostname": "web-1",
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 30_000_000_000,
            "Timeout": 5_000_000_000,
            "Retries": 3,
            "StartPeriod": 0,
        },
        "NetworkingConfig": {"EndpointsConfig": {"front": {}}},
        "HostConfig": {
            "PortBindings": {
                "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "", "HostPort": ""}],
            },
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/var/lib/data", "ReadOnly": False},
                {"Type": "bind", "Source": "/srv/www", "Target": "/www", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/scratch", "ReadOnly": False},
            ],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "CapAdd": ["NET_ADMIN"],
            "CapDrop": ["ALL"],
            "ReadonlyRootfs": True,
            "Privileged": False,
            "AutoRemove": False,
            "NetworkMode": "front",
            "Init": True,
            "Memory": 268435456,
            "MemorySwap": 268435456,
            "NanoCpus": 500_000_000,
            "PidsLimit": 256,
        },
    }


def test_the_smallest_create_body_asks_for_nothing_special() -> None:
    body = docker_create.body(ContainerSpec.parse({"image": "nginx"}), OPERATION)
    assert set(body) == {"Image", "Tty", "OpenStdin", "Env", "Labels", "ExposedPorts", "HostConfig"}
    assert body["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
    assert "NetworkMode" not in body["HostConfig"]


# --- Builds and volumes --------------------------------------------------------------------------------


def test_a_build_goes_in_and_comes_out() -> None:
    body = {
        "tags": ["team/app:1", "team/app:latest"],
        "dockerfile": "docker/Dockerfile",
        "build_args": {"VERSION": "1"},
        "target": "final",
        "labels": {"a": "b"},
        "no_cache": True,
        "pull": True,
        "builder": "buildkit",
        "secrets": {"npm-token": "x"},
    }
    spec = BuildSpec.parse(body)
    assert spec.to_dict() == body
    assert BuildSpec.parse({"tags": ["app"]}).tags == ("app:latest",)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("tags", [], "tags"),
        ("tags", ["A"], "tags.0"),
        ("tags", ["a@sha256:" + "a" * 64], "tags.0"),
        ("dockerfile", "/etc/passwd", "dockerfile"),
        ("dockerfile", "../Dockerfile", "dockerfile"),
        ("dockerfile", "a//b", "dockerfile"),
        ("build_args", {"A B": "x"}, "build_args.A B"),
        ("target", "a b", "target"),
        ("builder", "kaniko", "builder"),
        ("secrets", {"a/b": "x"}, "secrets.a/b"),
        ("remote", "http://example", "remote"),
        ("labels", {"io.slipway.x": ""}, "labels.io.slipway.x"),
    ],
)
def test_what_a_build_may_not_be(field: str, value: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        BuildSpec.parse({"tags": ["app"], field: value})
    assert path in caught.value.errors


def test_a_volume_goes_in_and_comes_out() -> None:
    body = {"name": "data", "driver": "local", "options": {"type": "none"}, "labels": {"a": "b"}}
    assert VolumeSpec.parse(body).to_dict() == body
    with pytest.raises(SpecError) as caught:
        VolumeSpec.parse({"name": "../data", "driver": "../x", "opts": {}})
    assert set(caught.value.errors) == {"name", "driver", "opts"}


# Changes in place


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        ({"resources": {"memory": 67108864}}, UpdateSpec(memory=67108864)),
        ({"resources": {"memory": None, "cpus": 0, "pids": None}}, UpdateSpec(memory=0, cpus=0, pids=0)),
        ({"restart_policy": {"name": "no"}, "resources": None}, UpdateSpec("no")),
        (
            {"restart_policy": {"name": "on-failure", "max_retries": 3}, "resources": {"cpus": 0.5}},
            UpdateSpec("on-failure", 3, cpus=0.5),
        ),
    ],
)
def test_an_update_names_what_is_to_change_alone(body: dict[str, Any], spec: UpdateSpec) -> None:
    assert UpdateSpec.parse(body) == spec
    assert UpdateSpec.parse(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"resources": {}}, "body"),
        ({"resources": {"memory": 4 * 1024**2}}, "resources.memory"),
        ({"resources": {"memory": True}}, "resources.memory"),
        ({"resources": {"cpus": 0.001}}, "resources.cpus"),
        ({"resources": {"pids": -1}}, "resources.pids"),
        ({"resources": {"swap": 1}}, "resources.swap"),
        ({"resources": [1]}, "resources"),
        ({"restart_policy": "always"}, "restart_policy"),
        ({"restart_policy": {"max_retries": 3}}, "restart_policy.name"),
        ({"restart_policy": {"name": "always", "max_retries": 3}}, "restart_policy.max_retries"),
        ({"restart_policy": {"name": "sometimes"}}, "restart_policy.name"),
        ({"image": "nginx:1", "resources": {"pids": 1}}, "image"),
    ],
)
def test_an_update_has_the_bounds_of_a_run(body: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        UpdateSpec.parse(body)
    assert field in caught.value.errors
