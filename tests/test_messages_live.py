"""The whole of Slipway tells of what happens on a real engine, whatever its receivers and its workers do."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import machine
from tests.receiver import Receiver, receiver


@pytest.fixture
def channel(live_app: machine.LiveApp) -> Iterator[Callable[..., dict[str, Any]]]:
    """``channel(receiver, **fields)``: one of the site's, gone after the test."""
    token, made = live_app.token("admin", "admin"), []

    def make(hook: Receiver, name: str, **fields: Any) -> dict[str, Any]:
        wish = {"name": name, "address": hook.url, "team": None, **fields}
        status, answer = live_app.api(token, "POST", "/api/v1/webhooks/", wish)
        assert status == 201, answer
        made.append(answer["id"])
        return dict(answer)

    yield make
    for pk in made:
        live_app.api(token, "DELETE", f"/api/v1/webhooks/{pk}/")


def _told(hook: Receiver, event: str, name: str) -> Any:
    return next(
        (got for got in hook.got if (got.json["event"], got.json["object"]["name"]) == (event, name)), None
    )


def _troubles(client: docker.DockerClient, image: str) -> None:
    """One container for each kind of trouble."""
    # Not at once: what fails before the gateway has listed its container is no incident.
    check = {"test": ["CMD", "false"], "interval": 2 * 10**9, "retries": 1, "timeout": 10**9}
    quiet: dict[str, Any] = {"detach": True, "network_mode": "none"}
    client.containers.run(image, ["sleep", "600"], name="ill", healthcheck=check, stop_signal="KILL", **quiet)
    client.containers.run(image, ["sh", "-c", "exit 3"], name="falls", **quiet)
    client.containers.run(
        image, ["tail", "/dev/zero"], name="eats", mem_limit="8m", memswap_limit="8m", **quiet
    )


def test_what_happens_is_told_though_another_receiver_hangs_and_a_worker_dies(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str,
    channel: Callable[..., dict[str, Any]],
) -> None:  # fmt: skip
    """R-30."""
    token = live_app.token("admin", "admin")
    with receiver() as well, receiver() as stuck:
        stuck.mood = "hang"
        channel(stuck, "stuck")
        channel(well, "well", events=["container.exited", "container.oom", "container.unhealthy"])
        _troubles(docker_client, busybox)
        wanted = (("container.unhealthy", "ill"), ("container.exited", "falls"), ("container.oom", "eats"))
        for event, name in wanted:
            machine.wait_for(lambda e=event, n=name: _told(well, e, n), 30, f"nobody was told of {name}")
        assert _told(well, "container.exited", "falls").json["facts"]["exit_code"] == 3
        assert len({got.json["id"] for got in well.got}) == len(well.got)

        machine.wait_for(lambda: stuck.got, 10, "the other one was not tried")
        _, found = live_app.api(token, "GET", "/api/v1/containers/?name=falls")
        status, done = live_app.api(
            token, "POST", f"/api/v1/containers/{found['results'][0]['id']}/rename/", {"name": "fell"},
            Prefer="wait=5",
        )  # fmt: skip
        assert (status, done["state"]) == (200, "succeeded")  # though it hangs
        _die_in_the_middle(live_app, stuck)


def _die_in_the_middle(app: machine.LiveApp, stuck: Receiver) -> None:
    """The worker is killed while a message is on the wire; the next one sends it again, with its id."""
    first = stuck.got[-1].json["id"]
    for pid in _workers(app):
        os.kill(pid, signal.SIGKILL)
    stuck.mood = 204
    stuck.free.set()
    database = Path(app.environment["SLIPWAY_HOME"]) / "slipway.sqlite3"

    def again() -> bool:
        with closing(sqlite3.connect(database, timeout=10)) as rows, rows:  # its lease would lapse in time
            rows.execute(
                "UPDATE operations_delivery SET lease_until = NULL, due_at = created_at WHERE state = 'waiting'"
            )
            rows.execute("UPDATE operations_channel SET wait_until = NULL")
        return [got.json["id"] for got in stuck.got].count(first) > 1

    machine.wait_for(again, 40, "it was not sent again", every=0.5)
    machine.wait_for(lambda: app.get("/readyz")[0] == 200, 30, "no worker came back")


def _workers(app: machine.LiveApp) -> list[int]:
    """The children of this Slipway that are Celery's."""
    assert app.process is not None
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == app.process.pid and b"celery" in words:
            found.append(int(folder.name))
    assert found
    return found
