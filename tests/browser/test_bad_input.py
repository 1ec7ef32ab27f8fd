"""What cannot be done is answered with a clear sentence, and nothing is changed."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.visitor import Visitor
from tests.chaos import Door

PATIENCE = 20_000
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"]


@pytest.fixture
def visitor(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    """The administrator's window."""
    return visit(live_app, storage_state=signed_in)


def _fill_in(page: Page, image: str, name: str, **ports: int) -> None:
    page.get_by_label("Image", exact=True).fill(image)
    page.get_by_role("textbox", name="Name optional").fill(name)
    if ports:
        page.get_by_label("Port on the engine").first.fill(str(ports["host"]))
        page.get_by_label("Port in the container").first.fill(str(ports["container"]))
    page.get_by_role("button", name="Run container").click()


def _is_not_there(client: docker.DockerClient, name: str) -> bool:
    return not client.containers.list(all=True, filters={"name": f"^{name}$"})


@pytest.mark.slow
def test_a_broken_dockerfile_shows_the_step_that_failed(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = visitor.go("/builds/new/")
    lines = [f"FROM {busybox}", "RUN echo this is fine", "RUN cat /no/such/file", "RUN echo never said"]
    page.get_by_role("textbox", name="Dockerfile").fill("\n".join(lines))
    page.get_by_label("Tags").fill("broken:1")
    page.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url("**/builds/*-*/")
    expect(page.get_by_text("Failed after")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".steps li.failed")).to_have_count(1)
    expect(page.locator(".steps li.failed")).to_contain_text("RUN cat /no/such/file")
    expect(page.locator(".log-wrap")).to_contain_text("can't open '/no/such/file'")
    expect(page.locator(".log-wrap")).not_to_contain_text("never said")
    visitor.shot("bad-dockerfile")
    assert not docker_client.images.list(name="broken")


@pytest.mark.slow
def test_an_unknown_image_is_said_to_be_unknown(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = visitor.go("/containers/run/")
    _fill_in(page, "no-such-image:9", "from-nothing")
    expect(page.get_by_text(re.compile("no-such-image|registry", re.IGNORECASE)).first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=PATIENCE)
    visitor.shot("bad-image")
    assert _is_not_there(docker_client, "from-nothing")


@pytest.mark.slow
def test_a_name_in_use_is_refused_at_its_field(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    holder = docker_client.containers.run(busybox, COMMAND, name="taken", detach=True)
    page = visitor.go("/containers/run/")
    page.wait_for_timeout(1000)  # the rows follow the engine
    _fill_in(page, busybox, "taken")
    expect(page.get_by_text(re.compile("in use|already|exists|taken by", re.IGNORECASE)).first).to_be_visible(
        timeout=PATIENCE
    )
    visitor.shot("bad-name")
    assert [c.id for c in docker_client.containers.list(all=True, filters={"name": "^taken$"})] == [holder.id]


@pytest.mark.slow
def test_a_port_in_use_is_named_and_nothing_is_left(
    visitor: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    with socket.socket() as somebody:
        somebody.bind(("0.0.0.0", 0))  # noqa: S104 - engines publish on every address
        somebody.listen()
        port = somebody.getsockname()[1]
        page = visitor.go("/containers/run/")
        _fill_in(page, busybox, "no-port", host=port, container=80)
        expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=PATIENCE)
        expect(
            page.get_by_text(re.compile(rf"port.*{port}|{port}.*in use", re.IGNORECASE)).first
        ).to_be_visible()
        visitor.shot("bad-port")
    assert _is_not_there(docker_client, "no-port")


@pytest.fixture
def shaky(engine_url: str, busybox: str) -> Iterator[tuple[machine.LiveApp, Door]]:
    """A Slipway of its own, with a door before the engine."""
    folder = machine.short_folder()
    door = Door(folder / "d.sock", engine_url).open()
    app = machine.LiveApp(door.url, SLIPWAY_ADMIN_USER="admin", SLIPWAY_ADMIN_PASSWORD=machine.PASSWORD)
    try:
        yield app.start(), door
    finally:
        if door.is_shut:
            door.open()
        app.discard()
        door.shut()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_engine_that_is_down_is_said_to_be_since_when_and_comes_back_by_itself(
    shaky: tuple[machine.LiveApp, Door],
    visit: Callable[..., Visitor],
    docker_client: docker.DockerClient,
    busybox: str,
) -> None:
    app, door = shaky
    docker_client.containers.run(busybox, COMMAND, name="steady", detach=True)
    visitor = visit(app)
    visitor.sign_in("admin", machine.PASSWORD)
    page = visitor.page
    visitor.is_live()
    expect(page.locator('tr[data-name="steady"]')).to_be_visible()
    page.evaluate("window.neverReloaded = true")

    door.shut()
    down = page.locator("#engine-down")
    expect(down).to_contain_text(re.compile("does not answer|unreachable", re.IGNORECASE), timeout=PATIENCE)
    expect(down.locator("time")).to_be_visible()
    expect(page.locator('tr[data-name="steady"]')).to_be_visible()
    assert app.get("/healthz")[0] == 200
    assert app.get("/readyz")[0] == 503
    visitor.shot("engine-down")
    assert visitor.axe() == []

    docker_client.containers.get("steady").stop(timeout=5)
    door.open()
    expect(down).not_to_contain_text(re.compile("answer|unreachable", re.IGNORECASE), timeout=30_000)
    expect(page.locator('tr[data-name="steady"] .c-status')).to_contain_text("Exited 0", timeout=PATIENCE)
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"
    visitor.shot("engine-back")


@pytest.mark.slow
def test_a_change_while_the_engine_is_down_fails_and_says_so(
    shaky: tuple[machine.LiveApp, Door], docker_client: docker.DockerClient, busybox: str
) -> None:
    app, door = shaky
    docker_client.containers.run(busybox, COMMAND, name="steady", detach=True)
    token = app.token("admin", "admin")

    def rows() -> Any:
        return app.api(token, "GET", "/api/v1/containers/?name=steady")[1]["results"]

    (row,) = machine.wait_for(rows, 10, "it did not appear")
    door.shut()
    _, answer = app.api(token, "POST", f"/api/v1/containers/{row['id']}/stop/", {}, Prefer="wait=30")
    assert (answer["state"], answer["error"]["code"]) == ("failed", "engine_unreachable")
    door.open()
    assert docker_client.containers.get("steady").status == "running"
    machine.wait_for(lambda: app.get("/readyz")[0] == 200, 30, "it did not come back")
    _, again = app.api(token, "POST", f"/api/v1/containers/{row['id']}/stop/", {}, Prefer="wait=30")
    assert again["state"] == "succeeded"
