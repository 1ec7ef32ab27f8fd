"""Everything that docs/guide/keyboard.md lists, with the keyboard alone: there is no mouse in this file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine, readme
from tests.browser.visitor import Visitor
from tests.machine import ROOT

PATIENCE = 20_000
COUNTER = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo \"line $n\"; sleep 0.2 & wait $!; done",
]
NAMES = ("keys-api", "keys-db", "keys-web")


@pytest.fixture
def shop(docker_client: docker.DockerClient, busybox: str) -> Iterator[dict[str, Any]]:
    """Three containers of one stack that write."""
    labels = {"com.docker.compose.project": "keys"}
    made = {
        name: docker_client.containers.run(busybox, COUNTER, name=name, detach=True, labels=labels)
        for name in NAMES
    }
    yield made
    for container in docker_client.containers.list(
        all=True, filters={"label": "com.docker.compose.project=keys"}
    ):
        container.remove(force=True)


@pytest.fixture
def page(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, shop: dict[str, Any]
) -> Page:
    """The list of containers, live, with all three in it."""
    visitor = visit(live_app, storage_state=signed_in)
    found = visitor.go("/containers/")
    visitor.is_live()
    for name in NAMES:
        found.locator(f"tr[data-name={name}]").wait_for(timeout=PATIENCE)
    return found


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def command(page: Page, text: str, option: str) -> None:
    """Ctrl K, some words, and Enter once the wanted line is chosen."""
    press(page, "Control+k")
    page.keyboard.type(text)
    chosen = page.locator("#palette .opt[aria-selected=true]")
    expect(chosen).to_contain_text(option, timeout=PATIENCE)
    said = chosen.inner_text()
    press(page, "Enter")
    assert option in said


def tab_to(page: Page, selector: str, most: int = 60, key: str = "Tab") -> None:
    """Tab until that has the focus."""
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        press(page, key)
    raise AssertionError(f"{most} times {key} do not lead to {selector}")


def dialog(page: Page) -> None:
    page.locator("#dialog[open] form").wait_for(timeout=PATIENCE)


def started(container: Any) -> str:
    """When it was started last, in the engine's words."""
    container.reload()
    return str(container.attrs["State"]["StartedAt"])


def is_in_state(page: Page, name: str, text: str) -> None:
    expect(page.locator(f"tr[data-name={name}] .c-status")).to_contain_text(text, timeout=PATIENCE)


def test_the_guide_lists_what_is_tested_here() -> None:
    guide = (ROOT / "docs/guide/keyboard.md").read_text()
    listed = re.findall(r"^## \d+\. (.+)$", guide, re.MULTILINE)
    done = [name for name in globals() if re.fullmatch(r"test_\d\d_\w+", name)]
    assert len(listed) == len(done) >= 11


def test_01_the_main_job(live_app: machine.LiveApp, page: Page, docker_client: docker.DockerClient) -> None:
    machine.import_busybox(docker_client, "demo/base:1")
    command(page, "build an", "Build an image")
    page.wait_for_url("**/builds/new/**")
    tab_to(page, "#dockerfile")
    press(page, "Control+a")
    page.keyboard.insert_text(readme.dockerfile())
    tab_to(page, "[name=tags]", key="Shift+Tab")
    page.keyboard.type("keys-hello:1")
    press(page, "Control+Enter")
    page.wait_for_url("**/builds/*-*/")
    expect(page.get_by_text("Built in")).to_be_visible(timeout=60_000)

    command(page, "run", "Run")
    page.wait_for_url("**/containers/run/**", timeout=PATIENCE)
    tab_to(page, "[name=name]")
    page.keyboard.type("keys-hello")
    press(page, "Control+Enter")
    page.wait_for_url("**/operations/*-*/", timeout=PATIENCE)
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=PATIENCE)
    command(page, "open", "Open container")
    expect(page.locator(".head-sub")).to_contain_text("Running", timeout=PATIENCE)

    press(page, "l")
    expect(page.get_by_text("UTC 20").first).to_be_visible(timeout=PATIENCE)
    command(page, "stop", "Stop keys-hello")
    expect(page.locator(".head-sub")).to_contain_text("Exited 0", timeout=PATIENCE)
    command(page, "remove", "Remove keys-hello")
    dialog(page)
    press(page, "Control+Enter")
    page.wait_for_url("**/containers/", timeout=PATIENCE)
    assert not docker_client.containers.list(all=True, filters={"name": "^keys-hello$"})


def test_02_restart_what_one_can_name(page: Page, shop: dict[str, Any]) -> None:
    before = started(shop["keys-web"])
    command(page, "restart keys-web", "Restart keys-web")
    machine.wait_for(lambda: started(shop["keys-web"]) > before, 20, "it was not restarted")


def test_03_narrow_a_list_and_open_what_is_left(page: Page) -> None:
    press(page, "/")
    page.keyboard.type("keys-d")
    expect(page.locator("tr[data-row]")).to_have_count(1, timeout=PATIENCE)
    press(page, "Enter", "j", "Enter")
    expect(page.get_by_role("heading", name="keys-db")).to_be_visible()
    press(page, "g", "c")
    page.locator("tr[data-row]").first.wait_for()
    assert page.locator("tr[data-row]").count() == 1, "it is narrowed as before"


def test_04_read_and_search_a_log(page: Page) -> None:
    press(page, "j", "l")
    page.wait_for_url("**/logs/")
    expect(page.get_by_text("line 3", exact=True)).to_be_visible(timeout=PATIENCE)
    press(page, "Space", "/")
    page.keyboard.type("line 2")
    expect(page.locator("[data-hits]")).to_contain_text("of")
    press(page, "Enter")
    page.locator("#log .ln.at").wait_for(timeout=PATIENCE)
    assert "line 2" in page.inner_text("#log .ln.at")


def test_05_stop_two_at_once(page: Page) -> None:
    press(page, "j", "x", "j", "x")
    expect(page.locator("[data-bulk-n]")).to_have_text("2")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    tab_to(page, "tr[data-name=keys-db] .check", key="Shift+Tab")
    press(page, "Enter")  # on a tick: nothing, where it was what the bar begins with
    page.wait_for_timeout(300)
    assert not asked
    command(page, "stop", "Stop 2 selected")
    is_in_state(page, "keys-api", "Exited")
    is_in_state(page, "keys-db", "Exited")
    is_in_state(page, "keys-web", "Up")


def test_06_rename(page: Page, shop: dict[str, Any]) -> None:
    command(page, "rename keys-web", "Rename… keys-web")
    dialog(page)
    tab_to(page, "#dialog [name=name]")
    press(page, "Control+a")
    page.keyboard.type("keys-front")
    press(page, "Control+Enter")
    page.locator("tr[data-name=keys-front]").wait_for(timeout=PATIENCE)


def test_07_change_a_limit(page: Page, shop: dict[str, Any]) -> None:
    command(page, "limits keys-api", "Change limits… keys-api")
    dialog(page)
    tab_to(page, "#dialog [name=memory]")
    press(page, "Control+a")
    page.keyboard.type("64")
    press(page, "Control+Enter")
    machine.wait_for(lambda: _memory(shop["keys-api"]) == 64 * 1024**2, 20, "the limit is not there")


def _memory(container: Any) -> int:
    container.reload()
    return int(container.attrs["HostConfig"]["Memory"])


def test_08_type_in_a_console(page: Page, shop: dict[str, Any]) -> None:
    press(page, "j", "s")
    page.wait_for_url("**/console/")
    tab_to(page, "#ask [type=submit]")
    press(page, "Enter")
    page.locator("[data-console-state=open]").wait_for(timeout=PATIENCE)
    page.keyboard.type("echo by hand > /note\n")
    machine.wait_for(
        lambda: shop["keys-api"].exec_run(["cat", "/note"]).output == b"by hand\n", 20, "nothing was typed"
    )
    press(page, "Control+F6")
    tab_to(page, "[data-end]")
    press(page, "Enter")
    page.locator("[data-console-state=ended]").wait_for(timeout=PATIENCE)
    assert "ended it" in page.inner_text("[data-console-text]")


def test_09_make_a_volume(page: Page, docker_client: docker.DockerClient) -> None:
    command(page, "create a vol", "Create a volume")
    dialog(page)
    tab_to(page, "#dialog [name=name]")
    page.keyboard.type("keys-data")
    press(page, "Control+Enter")
    machine.wait_for(
        lambda: docker_client.volumes.list(filters={"name": "keys-data"}), 20, "no volume was made"
    )
    docker_client.volumes.get("keys-data").remove()


def test_10_take_back_what_was_removed(page: Page, docker_client: docker.DockerClient) -> None:
    command(page, "remove keys-db", "Remove… keys-db")
    dialog(page)
    press(page, "Control+Enter")
    expect(page.locator("tr[data-name=keys-db]")).to_have_count(0, timeout=PATIENCE)
    press(page, "g", "o")
    page.wait_for_url("**/operations/")
    press(page, "j", "Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_visible(timeout=PATIENCE)
    command(page, "undo", "Undo")
    machine.wait_for(
        lambda: docker_client.containers.list(filters={"name": "^keys-db$"}), 20, "it did not come back"
    )


def test_11_see_who_did_what(page: Page) -> None:
    command(page, "audit", "Audit log")
    page.wait_for_url("**/audit/**")
    press(page, "/")
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()


def test_12_read_the_logs_of_a_stack_together(page: Page) -> None:
    press(page, "g", "s")
    page.wait_for_url("**/stacks/")
    press(page, "j", "Enter")
    page.wait_for_url("**/stacks/*/**")
    command(page, "logs", "Logs of keys")
    page.wait_for_url("**/logs/?stack=keys")
    expect(page.locator("[data-source]")).to_have_count(3)
