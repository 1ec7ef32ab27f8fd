"""What Slipway does by itself, by a whole Slipway with its own times, to containers that are really ill."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tests import machine

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
LOOP_ENDS = 120
"""Seconds: an engine starts again after 0.1 s, then twice as long each time; the tenth end comes after 51 s."""


def test_what_is_unhealthy_is_restarted_and_a_crash_loop_is_ended(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    token = live_app.token("admin", "admin")

    def ask(method: str, path: str, body: Any = None) -> Any:
        status, found = live_app.api(token, method, f"/api/v1/{path}", body)
        assert status < 300, (path, status, found)
        return found

    usual: dict[str, Any] = {"network_mode": "none", "detach": True, "init": True}
    check = {"test": ["CMD", "false"], "interval": 10**9, "retries": 1, "timeout": 10**9}
    docker_client.containers.run(busybox, ["sleep", "1000"], name="live-care-ill", healthcheck=check, **usual)
    docker_client.containers.run(
        busybox, ["sh", "-c", "exit 3"], name="live-care-loops", restart_policy={"Name": "always"}, **usual
    )
    rows: dict[str, Any] = {}

    def known() -> bool:
        found = ask("GET", "containers/?q=live-care&state=")["results"]
        rows.update({row["name"]: row for row in found})
        return len(rows) == 2

    machine.wait_for(known, 20, "the gateway does not see them", every=0.2)
    for name, word in (("live-care-ill", "heal"), ("live-care-loops", "end_loops")):
        ask("POST", "care/", {"container": rows[name]["id"], word: True})

    def done(name: str, kind: str) -> dict[str, Any]:
        found = ask("GET", f"operations/?kind={kind}&target={rows[name]['id']}")["results"]
        return next((one for one in found if one["state"] == "succeeded"), {})

    restarted = machine.wait_for(lambda: done("live-care-ill", "container.restart"), 40, "nobody restarts it")
    stopped = machine.wait_for(lambda: done("live-care-loops", "container.stop"), LOOP_ENDS, "it loops on")
    assert {restarted["source"], stopped["source"]} == {"system"}
    there = docker_client.containers.get("live-care-loops")
    machine.wait_for(lambda: there.reload() or there.status == "exited", 10, "the engine goes on")
    row = ask("GET", f"containers/{rows['live-care-loops']['id']}/")
    assert "stopped by Slipway" in str(row), "and it says so"
    for name in rows:
        docker_client.containers.get(name).remove(force=True)
