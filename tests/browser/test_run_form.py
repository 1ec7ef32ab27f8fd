"""The form that runs a container, in the hands of a person: judged while they type, and filled in by a pasted line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.test_networks_page import pictures
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


def test_enter_in_a_field_asks_for_the_container_and_opens_no_panel(admin: Visitor, port: int) -> None:
    page = admin.go("/containers/")
    page.locator("main").get_by_role("link", name="Run container").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Name optional").fill("holder")
    with page.expect_response(
        lambda answer: answer.url.endswith("/containers/run/") and answer.request.method == "POST"
    ):
        dialog.get_by_label("Image", exact=True).fill("busybox:1")
        dialog.get_by_label("Image", exact=True).press("Enter")
    expect(dialog.locator("#id_name_error")).to_contain_text("already")
    expect(dialog.get_by_label("A docker run line")).to_be_hidden()
    dialog.get_by_role("button", name="Paste docker run").click()
    expect(dialog.get_by_label("A docker run line")).to_be_focused()
    above = dialog.locator(".run-paste").bounding_box()
    below = dialog.locator(".run-body").bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"]


@pytest.fixture
def small(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> Iterator[dict[str, Any]]:
    """A team that may have 1 GB, two cores and three containers, and has one of 300 MB; gone in the end."""
    token = live_app.token("admin", "admin", "write", "operate", "read")
    team = live_app.api(token, "POST", "/api/v1/teams/", {"name": "Small", "slug": "small"})[1]
    quota = {"memory": 2**30, "cpus": 2, "containers": 3}
    live_app.api(token, "POST", "/api/v1/policies/", {"team": "small", "quota": quota})
    wish = {
        "image": busybox, "name": "small-1", "team": "small", "start": False,
        "resources": {"memory": 300 * 2**20, "cpus": 0.5},
    }  # fmt: skip
    status, made = live_app.api(token, "POST", "/api/v1/containers/", wish, Prefer="wait=30")
    assert (status, made["state"]) == (200, "succeeded"), made
    yield team
    docker_client.containers.get("small-1").remove(force=True)
    live_app.api(token, "DELETE", f"/api/v1/teams/{team['id']}/")


def small_pictures(visitor: Visitor, name: str) -> None:
    """With the quotas in sight, which a narrow window scrolls away."""
    pictures(visitor, name)
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    for theme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=theme)
        visitor.page.locator(".run-over").evaluate("node => node.scrollIntoView({ block: 'center' })")
        visitor.page.wait_for_timeout(150)
        visitor.shot(f"{name}-{theme}-narrow")
    visitor.page.set_viewport_size({"width": 1440, "height": 900})


def test_what_a_run_takes_of_the_team_s_quotas_follows_what_is_typed(
    admin: Visitor, small: dict[str, Any]
) -> None:
    page = admin.go("/containers/run/")
    quota = page.locator("#run-quota")
    expect(quota.locator("li")).to_have_count(0)
    page.get_by_label("Image", exact=True).fill("busybox:1")
    page.get_by_label("Owner").select_option("Small")
    memory = quota.get_by_role("listitem").filter(has_text="Memory")
    expect(memory).to_contain_text("300 MB used, no limit for this run, of 1 GB")
    page.get_by_label("CPU cores").fill("0.5")
    page.get_by_label("Memory", exact=True).fill("256")
    expect(memory).to_contain_text("300 MB used, 256 MB for this run, of 1 GB")
    said = quota.get_by_role("status")
    expect(said).to_be_empty()
    assert memory.locator("rect.m").get_attribute("width") == "25%"
    quota.scroll_into_view_if_needed()
    small_pictures(admin, "run-quota")
    said.evaluate("node => { node.mine = true }")
    page.get_by_label("Memory", exact=True).press_sequentially("0")
    expect(said).to_contain_text("This run would be refused.")
    expect(said).to_contain_text("Memory limits: this run would be 1.79 GB over the limit of 1 GB.")
    assert said.evaluate("node => node.mine"), "a new node is not read out"
    expect(page.get_by_label("Memory", exact=True)).to_be_focused()
    quota.scroll_into_view_if_needed()
    small_pictures(admin, "run-quota-over")
    page.get_by_label("Owner").select_option("nobody")
    expect(quota.locator("li")).to_have_count(0)
    expect(said).to_be_empty()
