"""A page stays true through everything: figures come by themselves, and what dies behind it comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.visitor import Visitor
from tests.processes import child

QUIET = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"]
BUSY = ["sh", "-c", "trap 'exit 0' TERM; while :; do :; done"]


@pytest.fixture
def containers(live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    """The list of containers, live."""
    visitor = visit(live_app, storage_state=signed_in)
    visitor.go("/containers/")
    visitor.is_live()
    visitor.page.evaluate("window.neverReloaded = true")
    return visitor


def shows(page: Page, name: str, text: str, seconds: float = 10) -> None:
    script = "([name, text]) => document.querySelector(`tr[data-name='${name}']`)?.innerText.includes(text)"
    page.wait_for_function(script, arg=[name, text], timeout=seconds * 1000)


def test_figures_come_without_a_reload(
    containers: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    page = containers.page
    docker_client.containers.run(busybox, BUSY, name="burns", detach=True, nano_cpus=300_000_000)
    shows(page, "burns", "Up")
    cpu = "parseFloat(document.querySelector(\"tr[data-name='burns'] [data-cpu] .v\")?.textContent)"
    page.wait_for_function(f"() => {cpu} > 5", timeout=15_000)
    memory = "document.querySelector(\"tr[data-name='burns'] [data-mem] .v\").textContent"
    assert page.evaluate(memory).endswith(("KB", "MB"))
    page.wait_for_function(
        "() => document.querySelector(\"tr[data-name='burns'] [data-cpu] .line\").getAttribute('d')",
        timeout=15_000,
    )
    assert page.evaluate("window.neverReloaded")


@pytest.mark.parametrize("victim", ["redis-server", "uvicorn", "gateway"])
def test_what_happened_while_a_part_was_down_shows_when_it_is_back(
    containers: Visitor,
    live_app: machine.LiveApp,
    docker_client: docker.DockerClient,
    busybox: str,
    victim: str,
) -> None:
    containers.troubles.expect("WebSocket|htmx:|ERR_CONNECTION|Failed to load|503 for|500 for|error on")
    page, name = containers.page, f"without-{victim}"
    os.kill(child(live_app.process, victim), signal.SIGKILL)
    container = docker_client.containers.run(busybox, QUIET, name=name, detach=True)
    shows(page, name, "Up", 30)
    container.stop(timeout=5)
    shows(page, name, "Exited", 30)
    containers.is_live()
    assert page.evaluate("window.neverReloaded"), "the page was loaded again"


def test_nobody_who_has_signed_out_elsewhere_goes_on_looking(
    live_app: machine.LiveApp, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(live_app)
    visitor.sign_in("admin", machine.PASSWORD)
    visitor.is_live()
    cookies = visitor.context.cookies()
    session = next(cookie["value"] for cookie in cookies if cookie["name"] == "slipway_session")
    live_app.manage(
        "shell",
        "-c",
        f"from django.contrib.sessions.models import Session; Session.objects.get(pk='{session}').delete()",
    )
    visitor.page.wait_for_url("**/login/**", timeout=15_000)


def test_one_container_that_changes_is_fetched_by_itself_and_many_as_a_list(
    containers: Visitor, docker_client: docker.DockerClient, busybox: str
) -> None:
    page, names = containers.page, [f"one-of-{n}" for n in range(9)]
    made = [docker_client.containers.run(busybox, QUIET, name=name, detach=True) for name in names]
    page.add_init_script("""
      window.sockets = []
      window.WebSocket = class extends WebSocket { constructor(...all) { super(...all); sockets.push(this) } }
    """)
    containers.go("/containers/")
    containers.is_live()
    shows(page, names[-1], "Up")
    page.wait_for_timeout(2000)
    ids = page.evaluate(
        "names => names.map(name => document.querySelector(`tr[data-name='${name}']`).dataset.row)", names
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(containers.app.url)))
    page.hover(f"tr[data-name='{names[0]}'] .name")
    page.check(f"#s-{ids[0]}")
    made[0].kill()
    shows(page, names[0], "Exited")
    page.wait_for_timeout(1500)
    found = [path for path in asked if path.startswith("/containers/")]
    assert found[0] == f"/containers/{ids[0]}/row/", found
    assert set(found) == {found[0], "/containers/"}, "the row by itself, and later the list"
    assert page.is_checked(f"#s-{ids[0]}"), "what the reader chose stays chosen"
    assert page.is_visible(f"#c-{ids[0]} #strip"), "the row at hand keeps its strip"

    asked.clear()
    page.evaluate(
        """ids => {
          const frame = topic => ({ data: JSON.stringify({ topic, seq: Date.now() }) })
          const say = topic => sockets.at(-1).dispatchEvent(new MessageEvent('message', frame(topic)))
          for (const id of ids) say(`container:${id}`)
          say('containers')
        }""",
        ids[1:],
    )
    page.wait_for_timeout(1500)
    assert "/containers/" in asked, "a list is asked for"
    assert not {f"/containers/{one}/row/" for one in ids[1:]} & {*asked}, "instead of each of its rows"


def test_a_list_that_could_not_be_filtered_is_not_busy(containers: Visitor) -> None:
    containers.troubles.expect("htmx:|Failed to load resource|ERR_FAILED")
    page = containers.go("/images/")
    page.route("**/images/?q=*", lambda route: route.abort())
    page.locator("form[data-filter] input[type=search]").fill("nothing")
    expect(page.locator(".toast")).to_contain_text("Slipway does not answer.")
    expect(page.locator("[aria-busy], [data-showing]")).to_have_count(0)
