"""Guard rails and variables in the hands of a person: a rule, who breaks it; a secret, who has an older one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor

QUIET = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]


@pytest.fixture
def admin(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


@pytest.fixture
def free(live_app: machine.LiveApp, docker_client: docker.DockerClient) -> Iterator[None]:
    """Rules and containers are as before in the end."""
    yield
    token = live_app.token("admin", "admin")
    live_app.api(token, "POST", "/api/v1/policies/", {"rules": {}, "binds_site": False})
    for found in docker_client.containers.list(all=True, filters={"name": "given"}):
        found.remove(force=True)


@pytest.mark.usefixtures("free")
def test_a_rule_is_made_and_what_breaks_it_is_named(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str,
    id_of: Callable[[str], str],
) -> None:  # fmt: skip
    docker_client.containers.run(busybox, QUIET, name="given-all", detach=True, network_mode="host")
    id_of("given-all")
    page = admin.go("/guard-rails/")
    row = page.get_by_role("row").filter(has_text="given-all").first
    expect(row).to_contain_text("host")
    pictures(admin, "rails-findings")
    page.get_by_role("link", name="Rules").click()
    pictures(admin, "rails-rules")
    page.get_by_role("link", name="Change…").click()
    page.get_by_label("Lowest host port").fill("70000")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".err-t").first).to_be_visible()
    page.get_by_label("Lowest host port").fill("8000")
    page.get_by_text("All of this holds for site administrators too").click()
    pictures(admin, "rails-edit")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".rails-dl")).to_contain_text(["8000"])
    page = admin.go("/containers/run/")
    page.get_by_label("Image", exact=True).fill(busybox)
    page.get_by_label("Port on the engine").first.fill("4000")
    page.get_by_label("Port in the container").first.fill("80")
    expect(page.locator(".err-t:visible").first).to_contain_text("The site's guard rails say so")


def _fill_in(page: Page) -> None:
    if (
        team := page.get_by_label("Team", exact=True)
    ).count():  # another test may have left one that comes first
        team.select_option("default")
    page.get_by_label("Name").fill("DB_PASSWORD")
    page.get_by_label("Value", exact=True).fill("canary-page-1")
    page.get_by_label("What it is for").fill("The database of the shop")


@pytest.mark.usefixtures("free")
def test_a_secret_is_kept_given_changed_and_given_anew(
    admin: Visitor, live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = admin.go("/variables/")
    page.get_by_role("link", name="New…").first.click()
    page.get_by_label("Name").fill("2BAD")
    page.get_by_label("Value", exact=True).fill("canary-page-1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".err-t").first).to_contain_text("not a digit first")
    _fill_in(page)
    pictures(admin, "variable-new")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="DB_PASSWORD").wait_for()

    page = admin.go("/containers/run/")
    page.get_by_label("Image", exact=True).fill(busybox)
    page.get_by_role("textbox", name="Name optional").fill("given-db")
    page.locator("#id_command").fill("sleep 1000")
    page.get_by_label("Owner").select_option(label="Default")
    page.get_by_label("Name of a variable").first.fill("DB")
    page.get_by_label("Its value").first.fill("${{ DB_PASSWORD }}")
    page.get_by_role("button", name="Run").last.click()
    machine.wait_for(
        lambda: docker_client.containers.list(filters={"name": "given-db"}), 30, "it does not run"
    )
    admin.go("/variables/")
    page.get_by_text("1 container").wait_for()
    pictures(admin, "variables")
    page.get_by_role("link", name="DB_PASSWORD").click()
    expect(page.locator(".rails-ex")).to_contain_text("the value of now")
    page.get_by_label("Value", exact=True).fill("canary-page-2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".rails-ex")).to_contain_text("an older value")
    pictures(admin, "variable")
    assert "canary" not in page.content()
    page.get_by_role("button", name="Make anew with the value of now").click()

    def renewed() -> bool:
        found = docker_client.containers.list(filters={"name": "^given-db$"})
        return bool(found) and "DB=canary-page-2" in found[0].attrs["Config"]["Env"]

    machine.wait_for(renewed, 40, "it has the older value still")
    admin.go("/variables/")
    page.get_by_role("link", name="DB_PASSWORD").click()
    page.get_by_role("link", name="Remove…").click()
    page.locator("dialog[open]").get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="Nothing matches").wait_for()
