"""A container made anew has every setting of the old one, and what its image brings along is the new image's."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from engine import docker_clone
from engine.base import Engine
from engine.connect import connect
from engine.errors import Conflict
from engine.tests.conftest import BUSYBOX
from tests import machine

OPERATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
# What two containers cannot have alike, or what the engine writes by itself.
OWN = {
    "Config": {"Hostname", "Labels", "Image"},
    "HostConfig": set(),
}  # fmt: skip


@pytest.fixture
def engine(engine_url: str, busybox: str, docker_client: docker.DockerClient) -> Iterator[Engine]:
    inventory = machine.Inventory(docker_client)
    yield connect(engine_url)
    inventory.restore()


def like(engine: Engine, old: Any, image: str = BUSYBOX) -> str:
    return engine.create_like(old.id, image=image, name="again", operation_id=str(uuid.uuid4()))


def _of_the_host() -> dict[str, Any]:
    """What the engine is told of limits and of what it may reach."""
    return {
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 7},
        "mem_limit": "64m",
        "mem_reservation": "32m",
        "memswap_limit": "128m",
        "mem_swappiness": 10,
        "cpu_shares": 512,
        "cpu_period": 50_000,
        "cpu_quota": 25_000,
        "cpuset_cpus": "0",
        "pids_limit": 99,
        "blkio_weight": 300,
        "cap_add": ["NET_ADMIN"],
        "cap_drop": ["MKNOD"],
        "devices": ["/dev/null:/dev/nothing:rwm"],
        "device_cgroup_rules": ["c 1:3 r"],
        "dns": ["127.0.0.9"],
        "dns_opt": ["ndots:2"],
        "dns_search": ["example.test"],
        "extra_hosts": {"other": "127.0.0.8"},
        "group_add": ["1234"],
        "init": True,
        "ipc_mode": "shareable",
        "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "5m", "tag": "x"}),
        "oom_score_adj": 100,
        "read_only": True,
        "security_opt": ["no-new-privileges"],
        "shm_size": "8m",
        "sysctls": {"net.ipv4.ip_forward": "0"},
        "ulimits": [docker.types.Ulimit(name="nofile", soft=100, hard=200)],
        "network": "slipway-test-front",
    }


def _everything() -> dict[str, Any]:
    """Nearly everything that the Docker SDK can ask for."""
    mount = docker.types.Mount
    return dict(
        name="elaborate",
        environment={"COLOUR": "blue", "DB_PASSWORD": "canary-1"},
        labels={"tier": "web", "io.slipway.secrets": "COLOUR", "io.slipway.operation": str(uuid.uuid4())},
        user="1000:1000",
        working_dir="/tmp",
        domainname="example.test",
        tty=True,
        stdin_open=True,
        stop_signal="SIGQUIT",
        ports={"80/tcp": ("127.0.0.1", 28080), "53/udp": None, "90/tcp": [28090, 28091]},
        mounts=[
            mount("/kept", "slipway-test-kept"),
            mount("/nameless", None),
            mount("/host", "/tmp", "bind", read_only=True, propagation="rslave"),
            mount("/scratch", None, "tmpfs", tmpfs_size=1048576, tmpfs_mode=0o1770),
        ],
        volumes=["slipway-test-short:/short:ro", "/etc/hosts:/theirs:ro"],
        tmpfs={"/quick": "size=1m"},
        healthcheck={"test": ["CMD-SHELL", "true"], "interval": 10**9, "timeout": 2 * 10**9, "retries": 5},
        **_of_the_host(),
    )


@pytest.fixture
def elaborate(docker_client: docker.DockerClient, engine: Engine) -> Any:
    """A container with nearly everything that the Docker SDK can ask for, on two networks."""
    api = docker_client.api
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.231.77.0/24")])
    front = docker_client.networks.create("slipway-test-front", ipam=pool)
    back = docker_client.networks.create(
        "slipway-test-back", options={"com.docker.network.bridge.name": "sltest0"}
    )
    found = docker_client.containers.create(BUSYBOX, ["sh", "-c", "sleep 1000"], **_everything())
    front.disconnect(found)
    front.connect(found, ipv4_address="10.231.77.9", aliases=["shop"], driver_opt={"a": "b"})
    back.connect(found, aliases=["depot"])
    found.reload()
    assert {end["NetworkID"] for end in found.attrs["NetworkSettings"]["Networks"].values()}
    yield found
    for one in api.containers(all=True):
        api.remove_container(one["Id"], force=True, v=True)


def test_every_setting_survives(engine: Engine, docker_client: docker.DockerClient, elaborate: Any) -> None:
    old = elaborate.attrs
    new = docker_client.api.inspect_container(like(engine, elaborate))
    for part, own in OWN.items():
        assert new[part].keys() == old[part].keys()
        for key in old[part].keys() - own - {"Mounts"}:
            assert new[part][key] == old[part][key], f"{part}.{key}"
    labels = {
        **old["Config"]["Labels"],
        "io.slipway.operation": new["Config"]["Labels"]["io.slipway.operation"],
    }
    assert new["Config"]["Labels"] == labels
    assert new["Config"]["Hostname"] == new["Id"][:12]
    assert _mounts(new) == _mounts(old)
    ends = new["NetworkSettings"]["Networks"]
    assert ends["slipway-test-front"]["IPAMConfig"] == {"IPv4Address": "10.231.77.9"}
    assert ends["slipway-test-front"]["DriverOpts"] == {"a": "b"}
    assert "shop" in ends["slipway-test-front"]["Aliases"]
    assert "depot" in ends["slipway-test-back"]["Aliases"]
    assert ends.keys() == old["NetworkSettings"]["Networks"].keys()


def _mounts(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (m["Type"], m.get("Name", m["Source"]), m["Destination"], m["RW"], m["Propagation"])
        for m in found["Mounts"]
    )


def test_the_new_one_starts_in_the_place_of_the_old_one(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.231.78.0/24")])
    front = docker_client.networks.create("slipway-test-front", ipam=pool)
    old = docker_client.containers.create(
        BUSYBOX, ["sleep", "1000"], network=front.name, ports={"80/tcp": ("127.0.0.1", 28092)}
    )
    front.disconnect(old)
    front.connect(old, ipv4_address="10.231.78.9")
    old.start()
    new = like(engine, old)
    old.stop(timeout=0)
    engine.start(new)
    found = docker_client.api.inspect_container(new)["NetworkSettings"]
    assert found["Networks"][front.name]["IPAddress"] == "10.231.78.9"
    assert found["Ports"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "28092"}]


@pytest.fixture
def images(docker_client: docker.DockerClient, engine: Engine) -> tuple[str, str]:
    """Two images that bring different things along."""
    for number in (1, 2):
        lines = [
            f"FROM {BUSYBOX}", f"ENV VERSION={number} SHARED=same", f"WORKDIR /v{number}", f"USER {number}",
            f'CMD ["sleep", "{number}00"]', f"EXPOSE {number}000", f"LABEL version={number} kept=same",
            f"HEALTHCHECK --interval={number}0s CMD echo {number}", f"STOPSIGNAL SIGUSR{number}",
            f"VOLUME /brought{number}", "VOLUME /both",
        ]  # fmt: skip
        text = "\n".join(lines).encode()
        docker_client.images.build(fileobj=io.BytesIO(text), tag=f"slipway-test/app:{number}", rm=True)
    return "slipway-test/app:1", "slipway-test/app:2"


def test_what_the_old_image_brought_along_is_the_new_images(
    engine: Engine, docker_client: docker.DockerClient, images: tuple[str, str]
) -> None:
    old = docker_client.containers.create(images[0], environment={"MINE": "1"})
    new = docker_client.api.inspect_container(like(engine, old, images[1]))
    config = new["Config"]
    assert {"VERSION=2", "SHARED=same", "MINE=1"} <= set(config["Env"])
    assert "VERSION=1" not in config["Env"]
    assert (config["WorkingDir"], config["User"], config["StopSignal"]) == ("/v2", "2", "SIGUSR2")
    assert (config["Cmd"], config["ExposedPorts"]) == (["sleep", "200"], {"2000/tcp": {}})
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "echo 2"]
    assert config["Healthcheck"]["Interval"] == 20 * 10**9
    assert (config["Labels"]["version"], config["Labels"]["kept"]) == ("2", "same")
    before = {m["Destination"]: m["Name"] for m in old.attrs["Mounts"]}
    after = {m["Destination"]: m["Name"] for m in new["Mounts"]}
    assert after.keys() == {"/both", "/brought1", "/brought2"}
    assert before.items() <= after.items()


def test_what_somebody_asked_for_stays_theirs(
    engine: Engine, docker_client: docker.DockerClient, images: tuple[str, str]
) -> None:
    asked: dict[str, Any] = {
        "environment": {"VERSION": "mine"}, "working_dir": "/mine", "user": "7", "stop_signal": "SIGINT",
        "command": ["sleep", "7"], "entrypoint": ["env"], "labels": {"version": "mine"},
        "healthcheck": {"test": ["CMD-SHELL", "echo mine"]},
    }  # fmt: skip
    old = docker_client.containers.create(images[0], **asked)
    config = docker_client.api.inspect_container(like(engine, old, images[1]))["Config"]
    assert "VERSION=mine" in config["Env"]
    assert (config["WorkingDir"], config["User"], config["StopSignal"]) == ("/mine", "7", "SIGINT")
    assert (config["Entrypoint"], config["Cmd"]) == (["env"], ["sleep", "7"])
    assert config["Labels"]["version"] == "mine"
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "echo mine"]
    assert config["Healthcheck"]["Interval"] == 20 * 10**9


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((["run"], ["a"]), {}),
        ((["run"], ["b"]), {"Cmd": ["b"]}),
        ((["run"], None), {"Entrypoint": ["run"]}),
        ((["other"], None), {"Entrypoint": ["other"]}),
        ((["other"], ["a"]), {"Entrypoint": ["other"], "Cmd": ["a"]}),
        ((None, ["a"]), {"Entrypoint": [""], "Cmd": ["a"]}),
    ],
)
def test_entrypoint_and_command_keep_their_meaning(given: tuple[Any, Any], expected: dict[str, Any]) -> None:
    old = {
        "Config": {"Entrypoint": given[0], "Cmd": given[1], "Image": "x"},
        "HostConfig": {"NetworkMode": "none"},
    }
    made = docker_clone.body(old, {"Config": {"Entrypoint": ["run"], "Cmd": ["a"]}}, _wish())
    assert {key: made[key] for key in ("Entrypoint", "Cmd") if key in made} == expected


def test_keys_that_nobody_knows_are_not_copied() -> None:
    old = {
        "Config": {"Image": "x", "privileged": True, "MacAddress": "02:42:ac:11:00:02"},
        "HostConfig": {
            "NetworkMode": "none",
            "privileged": True,
            "Priv\u0131leged": True,
            "Privileged": "yes",
        },
    }
    made = docker_clone.body(old, {}, _wish())
    assert "rivileged" not in str(made)
    assert "MacAddress" not in str(made)


def test_who_shares_anothers_network_keeps_no_name_of_its_own(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    other = docker_client.containers.run(BUSYBOX, ["sleep", "1000"], detach=True)
    old = docker_client.containers.run(
        BUSYBOX, ["sleep", "1000"], detach=True, network_mode=f"container:{other.id}"
    )
    new = like(engine, old)
    engine.start(new)
    assert docker_client.api.inspect_container(new)["HostConfig"]["NetworkMode"] == f"container:{other.id}"


def test_a_network_that_somebody_took_away_stays_away(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    old = docker_client.containers.create(BUSYBOX, ["sleep", "1000"])
    docker_client.networks.get("bridge").disconnect(old)
    assert docker_client.api.inspect_container(like(engine, old))["NetworkSettings"]["Networks"] == {}


def test_a_network_that_is_gone_is_said(engine: Engine, docker_client: docker.DockerClient) -> None:
    docker_client.networks.create("slipway-test-gone")
    old = docker_client.containers.create(BUSYBOX, ["sleep", "1000"], network="slipway-test-gone")
    docker_client.networks.get("slipway-test-gone").remove()
    with pytest.raises(Conflict, match='"slipway-test-gone" is not there'):
        like(engine, old)


def test_a_task_of_a_swarm_is_left_to_it() -> None:
    config = {"Image": "x", "Labels": {"com.docker.swarm.task.id": "abc"}}
    with pytest.raises(Conflict, match="swarm"):
        docker_clone.body({"Config": config, "HostConfig": {"NetworkMode": "none"}}, {}, _wish())


def _wish() -> docker_clone.Wish:
    return docker_clone.Wish("a" * 64, BUSYBOX, "again", OPERATION)
