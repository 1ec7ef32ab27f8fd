"""The whole of Slipway restarts what is unhealthy, by its gateway and its worker, where that was turned on."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tests import machine


@pytest.mark.slow
def test_an_unhealthy_container_is_restarted_by_the_system(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    token = live_app.token("admin", "admin")
    check = {"test": ["CMD", "test", "-e", "/well"], "interval": 500_000_000, "retries": 1, "timeout": 10**9}
    docker_client.containers.run(
        busybox, ["sleep", "600"], name="ill", detach=True, network_mode="none", healthcheck=check, stop_signal="KILL"
    )  # fmt: skip

    def row() -> Any:
        _, found = live_app.api(token, "GET", "/api/v1/containers/?name=ill&health=unhealthy")
        return found["results"][0] if found["results"] else None

    ill = machine.wait_for(row, 30, "its checks were not seen to fail")
    status, _ = live_app.api(token, "POST", "/api/v1/care/", {"container": ill["id"], "heal": True})
    assert status == 200

    def healed() -> Any:
        path = f"/api/v1/operations/?target={ill['id']}&kind=container.restart&state=succeeded"
        return live_app.api(token, "GET", path)[1]["results"]

    (operation,) = machine.wait_for(healed, 40, "it was not restarted")
    assert (operation["source"], operation["actor"]) == ("system", "system")
    status, lines = live_app.api(token, "GET", "/api/v1/audit/?verb=container.restart&actor=system")
    assert {line["outcome"] for line in lines["results"]} >= {"accepted", "succeeded"}
