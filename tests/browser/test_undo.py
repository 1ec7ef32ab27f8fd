"""What is removed is named before, and is back at a click; an update that does not do well goes back by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.visitor import Visitor

WRITES = (
    "trap 'exit 0' TERM; mkdir -p /data /srv; echo precious > /srv/kept.txt; echo more > /data/inside;"
    " while :; do sleep 1 & wait $!; done"
)
SICK = "FROM {base}\nHEALTHCHECK --interval=1s --retries=1 CMD echo database is away; exit 1\n"


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


def open_page(visitor: Visitor, live_app: machine.LiveApp, name: str) -> None:
    token = live_app.token("admin", "read")

    def row() -> str | None:
        found = live_app.api(token, "GET", f"/api/v1/containers/?name={name}")[1]["results"]
        return found[0]["id"] if found else None

    visitor.go(f"/containers/{machine.wait_for(row, 10, f'{name} did not show up')}/")
    visitor.is_live()


def choose(visitor: Visitor, name: str) -> None:
    visitor.page.get_by_role("button", name="More actions").click()
    visitor.page.get_by_role("link", name=name).click()
    visitor.page.locator("dialog[open] .fate").first.wait_for()


def test_a_removal_names_what_would_be_lost_and_one_click_takes_it_back(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = admin.page
    network = docker_client.networks.create("undo-net")
    made = docker_client.containers.run(
        busybox,
        ["sh", "-c", WRITES],
        name="writes",
        detach=True,
        network="undo-net",
        volumes=["undo-data:/data"],
    )
    machine.wait_for(lambda: made.exec_run("cat /srv/kept.txt").exit_code == 0, 10, "it has written nothing")
    open_page(admin, live_app, "writes")
    choose(admin, "Remove…")
    dialog = page.locator("dialog[open]")
    told = dialog.inner_text()
    for words in ("1 changed file", "/srv", "9 B", "undo-data", "undo-net", "taken back for 24 h"):
        assert words in told, told
    admin.shot("undo-1-remove")
    dialog.get_by_role("button", name="Remove container").click()
    # The answer to the click and the page's own news that it is gone both lead there: one navigation ends the other.
    expect(page).to_have_url(f"{live_app.url}/containers/", timeout=30_000)
    assert docker_client.api.containers(all=True, filters={"name": "^/writes$"}) == []
    undo = page.locator(".toast").get_by_role("button", name="Undo")
    undo.wait_for()
    admin.shot("undo-2-gone")
    undo.click()
    page.locator('tr[data-name="writes"]').wait_for(timeout=30_000)
    page.wait_for_function(
        "() => document.querySelector('tr[data-name=writes]')?.innerText.includes('Up')", timeout=30_000
    )
    admin.shot("undo-3-back")
    back = docker_client.containers.get("writes")
    assert back.id == made.id
    assert back.exec_run("cat /srv/kept.txt /data/inside").output == b"precious\nmore\n"
    assert list(back.attrs["NetworkSettings"]["Networks"]) == ["undo-net"]
    back.remove(force=True)
    network.remove()


def test_an_update_that_gets_unhealthy_goes_back_and_says_why(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    page, token = admin.page, live_app.token("admin", "admin")
    body = {"dockerfile": SICK.format(base=busybox), "tags": ["undo-sick:2"]}
    status, built = live_app.api(token, "POST", "/api/v1/images/build/", body, Prefer="wait=60")
    assert (status, built["state"]) == (200, "succeeded"), built
    made = docker_client.containers.run(
        busybox, ["sh", "-c", WRITES], name="serves", detach=True, network_mode="none"
    )
    open_page(admin, live_app, "serves")
    choose(admin, "Recreate…")
    page.locator("dialog[open]").get_by_label("Image").fill("undo-sick:2")
    page.locator("dialog[open]").get_by_role("button", name="Recreate container").click()
    page.wait_for_url("**/operations/**")
    page.locator("#state").get_by_text("Failed", exact=True).wait_for(timeout=60_000)
    told = page.locator("#state").inner_text()
    for words in ("database is away", "the old one is back and runs"):
        assert words in told, told
    remains = page.locator("#remains")
    remains.get_by_role("heading", name="The new container, as it was taken out").wait_for()
    for words in ("Health", "unhealthy, ", "Failed, exit code 1", "database is away"):
        assert words in remains.inner_text(), remains.inner_text()
    admin.shot("undo-4-went-back")
    remains.locator("summary", has_text="Everything the engine said of it").click()
    remains.get_by_text('"Health"', exact=True).first.wait_for()
    admin.shot("undo-5-everything")
    assert docker_client.containers.get("serves").id == made.id
    assert docker_client.containers.get("serves").status == "running"
    made.remove(force=True)
    docker_client.images.remove("undo-sick:2", force=True)
