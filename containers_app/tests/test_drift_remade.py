"""A container that was made anew from outside is held against all that was asked for under its name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.test import Client

from accounts.access import Actor
from accounts.models import Team, User
from containers_app import drift, drift_remade, operations, sync
from containers_app.models import Container, Mount
from engine.base import Engine as EngineBackend
from engine.diff import differences
from engine.docker_text import MASK
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine

BODY: dict[str, Any] = {
    "image": "app:1", "command": ["serve", "a b"], "entrypoint": ["/bin/run"],
    "environment": {"MODE": "fast", "API_TOKEN": MASK}, "secrets": {"PIN": MASK}, "labels": {"a.b": "c"},
    "ports": [{"container": 80, "host": 8080, "protocol": "tcp"}], "hostname": "web", "user": "1000",
    "mounts": [{"type": "volume", "source": "data", "target": "/data", "read_only": True}],
    "working_dir": "/srv", "tty": True, "init": True, "read_only": True, "privileged": False, "auto_remove": False,
    "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"],
    "healthcheck": {"test": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 2, "start_period": 1},
}  # fmt: skip
ROW: dict[str, Any] = {
    "image_ref": "docker.io/library/app:1", "command": ["serve", "a b"], "entrypoint": ["/bin/run"],
    "environment": {"MODE": "fast", "API_TOKEN": MASK, "PIN": "1234", "PATH": "/bin"},
    "labels": {"a.b": "c", "from": "image"}, "hostname": "web", "user": "1000", "working_dir": "/srv", "tty": True,
    "privileged": False, "auto_remove": False,
    "healthcheck": {"test": ["CMD", "true"], "interval": 5.0, "timeout": 2.0, "retries": 2, "start_period": 1.0},
    "inspect": {"HostConfig": {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Init": True, "ReadonlyRootfs": True,
        "CapAdd": ["CAP_NET_ADMIN"], "CapDrop": ["ALL"],
    }},
}  # fmt: skip


def host(**more: Any) -> dict[str, Any]:
    return {"inspect": {"HostConfig": {**ROW["inspect"]["HostConfig"], **more}}}


@pytest.mark.parametrize(
    ("change", "path", "old", "new"),
    [
        ({}, "", "", ""),
        ({"image_ref": "app:2"}, "image", "app:1", "app:2"),
        ({"command": ["serve"]}, "command", "serve 'a b'", "serve"),
        ({"entrypoint": []}, "entrypoint", "/bin/run", ""),
        ({"environment": {**ROW["environment"], "MODE": "slow"}}, "environment.MODE", "fast", "slow"),
        ({"environment": {"MODE": "fast", "PIN": "9"}}, "environment.API_TOKEN", "hidden", None),
        ({"labels": {"a.b": "d"}}, "labels.a.b", "c", "d"),
        ({"hostname": "other"}, "hostname", "web", "other"),
        ({"user": ""}, "user", "1000", ""),
        ({"working_dir": "/"}, "working_dir", "/srv", "/"),
        ({"tty": False}, "tty", True, False),
        ({"privileged": True}, "privileged", False, True),
        ({"auto_remove": True}, "auto_remove", False, True),
        (host(Init=False), "init", True, False),
        (host(ReadonlyRootfs=False), "read_only", True, False),
        (host(CapAdd=["NET_ADMIN", "SYS_ADMIN"]), "cap_add", "NET_ADMIN", "NET_ADMIN, SYS_ADMIN"),
        (host(CapDrop=None), "cap_drop", "ALL", ""),
        (host(PortBindings={"80/tcp": [{"HostPort": "81"}]}), "ports.80/tcp", "8080", "81"),
        (
            {"healthcheck": {}}, "healthcheck", "CMD true, every 5 s, for 2 s, 2 times, after 1 s", "none",
        ),
    ],
)  # fmt: skip
def test_each_field_of_the_run_is_compared(
    db: None, team: Team, change: dict[str, Any], path: str, old: Any, new: Any
) -> None:
    row = make_container(make_engine(), team, **{**copy.deepcopy(ROW), **change})
    Mount.objects.create(container=row, type="volume", source="data", target="/data", read_only=True)
    Mount.objects.create(container=row, type="volume", source="f" * 64, target="/of-the-image")
    asked = drift_remade.of_run(BODY)
    found = [(one.path, one.old, one.new) for one in differences(asked, drift_remade.of(row, asked))]
    assert found == ([(path, old, new)] if path else [])
    assert "1234" not in str(drift_remade.of(row, asked)), "what was asked for as a secret is shown nowhere"


def test_a_mount_that_nobody_asked_for_is_seen_and_one_that_is_missing(db: None, team: Team) -> None:
    row = make_container(make_engine(), team, **copy.deepcopy(ROW))
    Mount.objects.create(container=row, type="bind", source="/etc", target="/host")
    asked = drift_remade.of_run(BODY)
    found = {one.path: (one.old, one.new) for one in differences(asked, drift_remade.of(row, asked))}
    assert found == {"mounts./data": ("volume data (read only)", None), "mounts./host": (None, "bind /etc")}


def test_made_anew_from_outside_it_differs_in_what_differs_and_in_nothing_else(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    team: Team,
    alice: User,
    client_for: Callable[..., Client],
    run_operations: Callable[[], list[Operation]],
) -> None:
    body = {
        **BODY, "image": busybox, "name": "web", "command": ["sleep", "300"], "entrypoint": [""], "user": "0",
        "environment": {"MODE": "fast"}, "secrets": {"PIN": "1234"}, "networks": ["none"], "pull": "never",
        "ports": [], "working_dir": "/tmp", "read_only": False, "mounts": [],
    }  # fmt: skip
    operations.request_run(body, actor=Actor(user=alice), engine=engine_row, team=team)
    assert [one.error_message for one in run_operations()] == [""]
    ours = Container.objects.get(name="web")
    asked = drift_remade.of_run(Operation.objects.get().params)
    assert differences(asked, drift_remade.of(ours, asked)) == [], "what Slipway made is what was asked for"
    docker_client.containers.get("web").remove(force=True)
    made = docker_client.containers.create(
        busybox, ["sleep", "300"], name="web", network_mode="none", privileged=True,
        environment={"MODE": "slow", "PIN": "9999"}, hostname="web", user="0", working_dir="/tmp", tty=True, init=True,
        cap_add=["NET_ADMIN"], cap_drop=["ALL"], labels={"a.b": "c"},
    )  # fmt: skip
    sync.reconcile(engine_row, engine_backend)
    row = Container.objects.get(native_id=made.id)
    assert {one["path"] for one in row.drift} == {"environment.MODE", "healthcheck", "privileged"}
    page = client_for(alice).get(f"/containers/{row.pk}/").content.decode()
    assert "Variable MODE" in page
    assert "9999" not in str(row.drift)
    sync.look_at_all(engine_row, engine_backend)
    row.refresh_from_db()
    assert len(row.drift) == 3, "and it stays so"
    drift.accept(row, actor=Actor(user=alice))
    row.refresh_from_db()
    assert row.drift == []


def test_a_name_that_was_given_up_stands_for_nothing(
    db: None, team: Team, other_team: Team, alice: User
) -> None:
    engine = make_engine()
    old = make_container(engine, team, "web")
    key = str(old.pk)
    run = Operation.objects.create(
        kind="container.run", state="succeeded", engine=engine, team=team, target_type="container",
        target_id=key, target_name="web", params=BODY,
    )  # fmt: skip
    old.delete()
    new = make_container(engine, None, "web", image_ref="app:2")
    rows = Container.objects.filter(pk=new.pk)
    assert drift_remade.requests(engine, rows) == {new.pk: run}
    rows.update(team=other_team)
    assert drift_remade.requests(engine, rows) == {}, "what another team asked for is nobody else's"
    rows.update(team=team)
    Operation.objects.create(
        kind="container.remove", state="succeeded", engine=engine, team=team, target_type="container",
        target_id=key, target_name="web",
    )  # fmt: skip
    assert drift_remade.requests(engine, rows) == {}
