"""The form that runs a container, in the hands of a person: judged while they type, and filled in by a pasted line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.visitor import Visitor

QUIET = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


@pytest.fixture
def port(docker_client: docker.DockerClient, busybox: str, id_of: Callable[[str], str]) -> Iterator[int]:
    """A port of the host that the container "holder" has."""
    found = machine.free_port()
    holder = docker_client.containers.run(busybox, QUIET, name="holder", detach=True, ports={"80/tcp": found})
    id_of("holder")
    yield found
    holder.remove(force=True)


def test_a_port_and_a_name_that_are_taken_are_said_while_one_types(admin: Visitor, port: int) -> None:
    page = admin.go("/containers/run/")
    page.get_by_label("Image", exact=True).fill("busybox:1")
    page.get_by_role("textbox", name="Name optional").press_sequentially("holder")
    host = page.get_by_label("Port on the engine").first
    host.press_sequentially(str(port))
    row = page.locator("[data-rows=ports] [data-row]").first
    expect(row.get_by_text(f"{port} is taken by holder.")).to_be_visible()
    expect(page.locator("#id_name_error")).to_contain_text("already")
    expect(host).to_be_focused()
    assert admin.axe() == []
    free = row.get_by_role("button", name="Use ").inner_text().removeprefix("Use ")
    row.get_by_role("button", name="Use ").click()
    expect(row.locator("[data-row-error]")).to_be_hidden()
    assert host.input_value() == free
    expect(page.locator("#cmd")).not_to_contain_text("publish")
    page.get_by_label("Port in the container").first.fill("80")
    expect(page.locator("#cmd")).to_contain_text(f"--publish {free}:80")
    expect(page.get_by_text("1 thing to fix")).to_be_visible()


def test_a_field_that_nobody_has_touched_is_not_blamed(admin: Visitor, port: int) -> None:
    page = admin.go("/containers/run/")
    with page.expect_response("**/run/check/"):
        page.get_by_role("textbox", name="Name optional").press_sequentially("fine")
    expect(page.locator("#run-judged li")).to_have_count(1)
    assert page.locator(".err-t:visible").count() == 0


def test_a_pasted_line_fills_in_the_dialog(admin: Visitor, port: int) -> None:
    page = admin.go("/containers/")
    page.locator("main").get_by_role("link", name="Run container").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("button", name="Paste docker run").click()
    dialog.get_by_label("A docker run line").fill(
        f"docker run -d --name shop \\\n -p {port}:80 -p 53:53/udp -e API_TOKEN=k3 --network front --network back \\\n"
        " --health-cmd true --health-start-period 1m --gpus all busybox:1 sleep '1 0'"
    )
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    dialog.get_by_label("A docker run line").press("Control+Enter")
    expect(dialog.locator(".taken code")).to_have_text("--gpus all")
    expect(dialog.get_by_text(f"{port} is taken by holder.").first).to_be_visible()
    assert not [url for url in sent if url.endswith("/containers/run/")], (
        "the line was sent, and nothing was run"
    )
    expect(dialog.get_by_text(f"{port} is taken by holder.").first).to_be_visible()
    expect(dialog.get_by_label("Grace at start")).to_have_value("60")
    said = dialog.locator("#cmd").inner_text().replace(" \\\n ", "")
    for part in ("--name shop", "--publish 53:53/udp", "--env API_TOKEN ", "--network front --network back",
                 "--health-start-period 60s", "busybox:1 sleep '1 0'"):  # fmt: skip
        assert part in said, said
    assert "k3" not in said
    assert admin.axe() == []
