"""A container for other tools: one made from the text is equal to it, and no text holds a secret. On a real engine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from django.test import Client
from django.urls import reverse

from accounts.models import Team, User
from containers_app import bodies, interop, sync
from containers_app.models import Container
from containers_app.setups import settings_of
from containers_app.tests.test_operations import SLEEP, Bench, Carry
from engine import docker_run
from engine.base import Engine as EngineBackend
from engine.diff import differences
from images_app import sync as image_sync
from operations.models import Engine

ODD = 'it\'s "odd" $HOME `ls` \\ {{.}} \u00e9\n#end'
SECRET = "canary-5e1"
FULL: dict[str, Any] = {
    "name": "web", "command": [*SLEEP, ODD], "environment": {"MODE": ODD, "EMPTY": "", "DB_PASSWORD": SECRET},
    "secrets": {"API_KEY": SECRET},
    "ports": [
        {"container": 80, "host_ip": "127.0.0.1", "host": 0}, {"container": 53, "protocol": "udp"},
    ],
    "mounts": [
        {"type": "volume", "source": "data", "target": "/data", "read_only": True},
        {"type": "bind", "source": "/etc", "target": "/host etc", "read_only": True},
        {"type": "tmpfs", "target": "/scratch"},
    ],
    "networks": ["front", "back"], "hostname": "box", "user": "1000:1000", "working_dir": "/tmp", "init": True,
    "tty": True, "restart_policy": {"name": "on-failure", "max_retries": 3},
    "resources": {"memory": 64 * 1024**2, "cpus": 0.25, "pids": 50},
    "healthcheck": {
        "test": ["CMD-SHELL", "test \"$HOME\" != 'x y'"], "interval": 7.5, "timeout": 2, "retries": 4,
        "start_period": 1,
    },
    "labels": {"tier": ODD.replace("\n", " "), "com.docker.compose.project": "no"}, "cap_drop": ["ALL"],
    "cap_add": ["NET_BIND_SERVICE"], "read_only": True,
}  # fmt: skip


@pytest.fixture
def bench(
    engine_row: Engine,
    team: Team,
    alice: User,
    busybox: str,
    run_operations: Carry,
    engine_backend: EngineBackend,
) -> Bench:
    """A site administrator's: everything that a body can say."""
    image_sync.reconcile(engine_row, engine_backend)
    return Bench(engine_row, team, alice, busybox, run_operations)


@pytest.fixture
def web(bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend) -> Container:
    for name in ("front", "back"):
        docker_client.networks.create(name)
    sync.reconcile(bench.engine, engine_backend)
    body = {**FULL, "ports": [{**FULL["ports"][0], "host": _free_port()}, FULL["ports"][1]]}
    return bench.container(**body)


def _free_port() -> int:
    from tests.machine import free_port

    return free_port()


def _text(row: Container, kind: str) -> str:
    text = interop.text(bodies.of(row), kind)
    assert SECRET not in text
    assert "********" not in text
    return text


def _equal(bench: Bench, engine: EngineBackend, old: Container, native_id: str) -> list[str]:
    """The paths in which another container differs from the old one."""
    new = sync.refresh(bench.engine, engine, native_id, team=bench.team)
    assert new is not None
    before, after = bodies.of(old), bodies.of(new)
    # A host port that the engine chooses is another one each time; those that were asked for are in the body.
    found = differences({**settings_of(old), "ports": []}, {**settings_of(new), "ports": []})
    found += differences(
        {**before.body, "extras": repr(before.extras)}, {**after.body, "extras": repr(after.extras)}
    )
    assert before.hidden == after.hidden
    return [one.path for one in found if one.path not in ("name", "labels.com.docker.compose.project")]


@pytest.fixture
def shell(engine_url: str, tmp_path: Path) -> Callable[[str], str]:
    """Runs a text as a person would, with the secrets set; its output."""
    if not shutil.which("docker"):
        pytest.fail("No docker command line for the tests: apt-get install docker.io", pytrace=False)
    environment = {
        **os.environ, "DOCKER_HOST": engine_url, "DB_PASSWORD": SECRET, "API_KEY": SECRET,
        "DOCKER_CONFIG": str(tmp_path),
    }  # fmt: skip

    def run(text: str) -> str:
        done = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_container_from_the_docker_run_line_is_equal(
    bench: Bench, web: Container, shell: Callable[[str], str], docker_client: docker.DockerClient,
    engine_backend: EngineBackend,
) -> None:  # fmt: skip
    line = _text(web, "run")
    assert line.startswith(
        "# Set these in your shell (export NAME=…) first: API_KEY, DB_PASSWORD\ndocker create \\\n"
    )
    docker_client.containers.get("web").remove(force=True)
    native_id = shell(line).split()[0]
    assert docker_client.containers.get(native_id).status == "running"
    config = docker_client.containers.get(native_id).attrs["Config"]
    assert {f"MODE={ODD}", "EMPTY=", f"DB_PASSWORD={SECRET}", f"API_KEY={SECRET}"} <= set(config["Env"])
    assert _equal(bench, engine_backend, web, native_id) == []


def test_the_docker_run_line_is_read_back_as_the_same_body(web: Container) -> None:
    settings = bodies.of(web)
    found, unmapped = docker_run.parse(interop.text(settings, "run"))
    assert unmapped == [f"--env {name} (its value is your shell’s: type it)" for name in settings.hidden]
    labels = {"tier": FULL["labels"]["tier"]}
    variables = {**settings.body["environment"], **dict.fromkeys(settings.hidden, "")}
    expected = {**settings.body, "labels": labels, "environment": variables}
    plain = [{k: v for k, v in one.items() if v != "tcp"} for one in found["ports"]]
    assert plain == [{k: v for k, v in one.items() if v != "tcp"} for one in expected["ports"]]
    assert {**found, "ports": 0} == {**expected, "ports": 0}


@pytest.fixture
def compose(engine_url: str, tmp_path: Path) -> Callable[..., str]:
    """``compose(text, "up", "-d")`` runs a real compose on it."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.fail("No compose for the tests: apt-get install docker-compose", pytrace=False)
    file = tmp_path / "compose.yaml"
    environment = {**os.environ, "DOCKER_HOST": engine_url, "DB_PASSWORD": SECRET, "API_KEY": SECRET}

    def run(text: str, *words: str) -> str:
        file.write_text(text)
        command = [program, "--file", str(file), "--project-name", "exported", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_compose_file_is_accepted_and_its_container_is_equal(
    bench: Bench, web: Container, compose: Callable[..., str], docker_client: docker.DockerClient,
    engine_backend: EngineBackend,
) -> None:  # fmt: skip
    text = _text(web, "compose")
    assert yaml.safe_load(compose(text, "config"))["services"]["web"]["image"] == bench.image
    docker_client.containers.get("web").remove(force=True)
    compose(text, "up", "--detach")
    made = docker_client.containers.get("web")
    assert {f"MODE={ODD}", f"API_KEY={SECRET}"} <= set(made.attrs["Config"]["Env"])
    differ = _equal(bench, engine_backend, web, made.id)
    assert [path for path in differ if not path.startswith("labels.com.docker.compose")] == []


def test_kubernetes_gets_objects_that_belong_together(web: Container) -> None:
    text = _text(web, "kubernetes")
    assert "kubectl create secret generic web --from-literal=API_KEY=… --from-literal=DB_PASSWORD=…" in text
    pod, service, claim = yaml.safe_load_all(text)
    assert [one["kind"] for one in (pod, service, claim)] == ["Pod", "Service", "PersistentVolumeClaim"]
    (container,) = pod["spec"]["containers"]
    assert container["args"][-1] == ODD
    assert {"name": "MODE", "value": ODD} in container["env"]
    assert {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "web", "key": "API_KEY"}}} in container[
        "env"
    ]
    assert container["resources"]["limits"] == {"memory": str(64 * 1024**2), "cpu": "0.25"}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes[mounts["/data"]]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert volumes[mounts["/host etc"]]["hostPath"] == {"path": "/etc"}
    assert volumes[mounts["/scratch"]]["emptyDir"] == {"medium": "Memory"}
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    for lost in ("its networks", "its limit of processes", "its small init", "its labels"):
        assert lost in text.partition("apiVersion")[0].replace("\n# ", " ")


@pytest.fixture
def strange(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend, busybox: str
) -> Container:
    """Made by somebody's command line, with what no run body can say."""
    made = docker_client.containers.create(
        busybox, SLEEP, name="strange", dns=["10.0.0.1"], extra_hosts={"db": "10.0.0.2"}, shm_size="32m",
        devices=["/dev/null:/dev/nothing:r"], sysctls={"net.core.somaxconn": "512"}, stop_signal="SIGINT",
        ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=200)], security_opt=["no-new-privileges"],
        mem_limit="32m", mem_reservation="16m", log_config=docker.types.LogConfig(type="none"), volumes=["/cache"],
        group_add=["20"], cpu_shares=512, pid_mode="host",
    )  # fmt: skip
    row = sync.refresh(bench.engine, engine_backend, made.id, team=bench.team)
    assert row is not None
    return row


def test_what_only_a_command_line_can_say_is_said_to_both(
    bench: Bench, strange: Container, shell: Callable[[str], str], compose: Callable[..., str],
    docker_client: docker.DockerClient, engine_backend: EngineBackend,
) -> None:  # fmt: skip
    line, file = _text(strange, "run"), _text(strange, "compose")
    for text in (line, file, _text(strange, "kubernetes")):
        assert "# Not taken over: volumes without a name at /cache" in text
    docker_client.containers.get("strange").remove(force=True)
    again = shell(line)
    assert [
        path for path in _equal(bench, engine_backend, strange, again) if not path.startswith("mounts")
    ] == []
    docker_client.containers.get(again).remove(force=True, v=True)
    compose(file, "up", "--no-start")
    made = docker_client.containers.get("strange").id
    differ = _equal(bench, engine_backend, strange, made)
    assert [path for path in differ if not path.startswith(("mounts", "labels"))] == []


def test_a_plain_container_needs_a_short_line(bench: Bench) -> None:
    """What the image brings, and what engines do anyway, is not said."""
    row = bench.container(name="plain", networks=[])
    assert _text(row, "run").splitlines()[1:] == [
        "  --name plain \\", "  --log-driver json-file \\", "  --log-opt max-file=3 \\", "  --log-opt max-size=10m \\",
        f"  {bench.image} {shlex.join(SLEEP)}",
    ]  # fmt: skip


def test_the_export_is_read_copied_and_downloaded(
    bench: Bench, web: Container, vic: User, charlie: User, client_for: Callable[..., Client],
    api_for: Callable[..., Any],
) -> None:  # fmt: skip
    address = reverse("containers:export", args=[web.pk])
    page = client_for(vic).get(address).content.decode()
    assert "docker create" in page
    assert "$HOME `ls`" in page
    file = client_for(vic).get(address, {"as": "compose", "download": "1"})
    assert file.headers["Content-Disposition"] == 'attachment; filename="web.compose.yaml"'
    assert file.content.decode() == _text(web, "compose")
    assert client_for(vic).get(address, {"as": "helm"}).status_code == 404
    assert client_for(charlie).get(address).status_code == 404

    rest = f"/api/v1/containers/{web.pk}/export/"
    for kind in interop.KINDS:
        answer = api_for(vic, "read").get(rest, {"as": kind})
        assert answer.content.decode() == _text(web, kind)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert list(api_for(vic, "read").get(rest, {"as": "helm"}).json()["errors"]) == ["as"]
    assert api_for(charlie, "read").get(rest).status_code == 404
