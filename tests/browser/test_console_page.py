"""The console in a real browser: typed, reloaded, pasted, watched, ended, recorded and replayed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, LiveApp, wait_for

NAME = "console-page"
LOOP = "trap exit TERM; while :; do sleep 0.2; done"
SCREEN = "() => document.querySelector('.xterm-rows')?.innerText ?? ''"


@pytest.fixture(scope="module")
def box(live_app: LiveApp, docker_client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    """A container with a shell."""
    made = docker_client.containers.run(
        busybox, ["sh", "-c", LOOP], name=NAME, detach=True, network_mode="none"
    )
    yield made
    made.remove(force=True)


@pytest.fixture(scope="module")
def page_of(live_app: LiveApp, box: Container) -> str:
    """The address of its console."""
    token = live_app.token("admin", "read")

    def find() -> str | None:
        rows = live_app.api(token, "GET", f"/api/v1/containers/?q={NAME}")[1]["results"]
        return f"/containers/{rows[0]['id']}/console/" if rows else None

    return str(wait_for(find, 20, "the container is not known"))


def shows(page: Page, text: str, seconds: float = 15) -> None:
    """Waits until that is on the screen."""
    page.wait_for_function(f"text => ({SCREEN})().includes(text)", arg=text, timeout=seconds * 1000)


def connect(page: Page) -> None:
    page.get_by_role("button", name="Connect").click()
    page.locator("[data-console-state=open]").wait_for(timeout=15_000)


def inside(box: Container) -> list[str]:
    rows = box.top(ps_args="-eo pid,stat,args")["Processes"]
    return [
        row[-1]
        for row in rows
        if not row[1].startswith("Z") and LOOP not in row[-1] and row[-1] != "sleep 0.2"
    ]


def test_a_session_survives_a_reload_is_watched_and_is_really_over(
    visit: Callable[..., Visitor], live_app: LiveApp, signed_in: Any, page_of: str, box: Container
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(page_of.removesuffix("console/"))
    page.keyboard.press("s")
    page.wait_for_url(f"**{page_of}")
    assert visitor.axe() == []
    connect(page)
    page.get_by_role("button", name="For screen readers").click()
    page.keyboard.type("echo marker-$((20+3)); sleep 4321 &\n")
    shows(page, "marker-23")
    expect(page.locator(".xterm-accessibility-tree")).to_contain_text("marker-23")
    assert visitor.axe() == []
    visitor.shot("console-read")
    assert "sleep 4321" in inside(box)

    page.reload()
    page.locator("[data-console-state=open]").wait_for()
    shows(page, "marker-23")
    reads = page.get_by_role("button", name="For screen readers")
    expect(reads).to_have_attribute("aria-pressed", "true")
    reads.click()
    expect(page.locator(".xterm-accessibility-tree")).to_have_count(0)
    assert page.evaluate(SCREEN).count("marker-23") == 1
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.type("echo again-$((20+4))\n")
    shows(page, "again-24")

    second = person(live_app, "console-watcher", visit, admin=True)
    other = second.go(page.url.removeprefix(live_app.url))
    other.locator("[data-console-state=watching]").wait_for()
    shows(other, "again-24")
    other.locator(".xterm-helper-textarea").focus()
    other.keyboard.type("echo intruder\n")
    page.keyboard.type("echo third-$((20+5))\n")
    shows(other, "third-25")
    assert "intruder" not in page.evaluate(SCREEN)

    page.get_by_role("button", name="End", exact=True).click()
    page.locator("[data-console-state=ended]").wait_for()
    other.locator("[data-console-state=ended]").wait_for()
    assert inside(box) == []
    assert "admin ended it." in page.locator("[data-console-text]").inner_text()


def person(app: LiveApp, name: str, visit: Callable[..., Visitor], *, admin: bool) -> Visitor:
    """Another one, signed in."""
    app.manage(
        "shell", "-v", "0", "-c",
        "from accounts.models import User; from django.contrib.auth.hashers import make_password;"
        f"User.objects.create(username={name!r}, password=make_password({PASSWORD!r}), is_superuser={admin})",
    )  # fmt: skip
    found = visit(app)
    found.sign_in(name, PASSWORD)
    return found


def test_a_hundred_kilobytes_are_pasted_whole(
    visit: Callable[..., Visitor], live_app: LiveApp, signed_in: Any, page_of: str
) -> None:
    page = visit(live_app, storage_state=signed_in).go(page_of)
    connect(page)
    page.keyboard.type("stty raw -echo; echo ready; head -c 102400 | sha256sum; stty sane\n")
    shows(page, "ready\n")
    text = "".join(f"{n:07d} " for n in range(12800))
    page.evaluate(
        """text => {
            const data = new DataTransfer(); data.setData('text/plain', text)
            document.querySelector('.xterm-helper-textarea').dispatchEvent(
              new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
        }""",
        text,
    )
    shows(page, hashlib.sha256(text.encode()).hexdigest(), 30)
    page.get_by_role("button", name="End", exact=True).click()
    page.locator("[data-console-state=ended]").wait_for()


def test_what_a_program_writes_reaches_nothing_but_the_terminal(
    visit: Callable[..., Visitor], live_app: LiveApp, signed_in: Any, page_of: str
) -> None:
    """S-63. Titles, the clipboard, window operations, settings asked back, links: and no word of it is typed back."""
    page = visit(live_app, storage_state=signed_in).go(page_of)
    connect(page)
    title = page.title()
    evil = r"\033]0;owned\007\033]2;owned\007\033]52;c;b3duZWQ=\007\033]52;c;?\007"
    evil += r"\033P$qm\033\\\033]10;?\007\033[21t\033[8;5;5t"
    page.keyboard.type(f"stty -echo; printf '{evil}'; sleep 0.5; echo; echo done-$((1+1)); stty echo\n")
    shows(page, "done-2")
    page.wait_for_timeout(300)
    assert page.title() == title
    screen = page.evaluate(SCREEN)
    after = screen[screen.index("done-2") :]
    assert not re.search(r"rgb:|owned|\$r|not found", after), after
    page.get_by_role("button", name="End", exact=True).click()
    page.locator("[data-console-state=ended]").wait_for()


def test_a_recording_is_replayed_in_the_page(
    visit: Callable[..., Visitor], live_app: LiveApp, signed_in: Any, page_of: str
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(page_of)
    page.get_by_label("Record").check()
    connect(page)
    expect(page.locator("[data-recorded]")).to_be_visible()
    page.keyboard.type("echo shown-$((70+7))\n")
    shows(page, "shown-77")
    page.keyboard.type("exit 3\n")
    page.locator("[data-console-state=ended]").wait_for()
    assert "Exit 3" in page.locator("[data-console-text]").inner_text()
    visitor.go(page_of)
    page.get_by_role("link", name="Replay").first.click()
    page.locator("[data-player]").wait_for()
    page.get_by_label("Speed").select_option("16")
    shows(page, "shown-77")
    expect(page.get_by_role("button", name="Play again")).to_be_visible()
    page.get_by_label("Place in the recording").fill("0")
    assert "shown-77" not in page.evaluate(SCREEN)
    assert visitor.axe() == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".cast")


def test_an_image_without_that_program_says_so_and_what_to_do(
    visit: Callable[..., Visitor], live_app: LiveApp, signed_in: Any, page_of: str
) -> None:
    page = visit(live_app, storage_state=signed_in).go(page_of)
    page.get_by_text("bash", exact=True).click()
    page.get_by_role("button", name="Connect").click()
    page.locator("[data-console-state=failed]").wait_for()
    assert "executable file not found" in page.evaluate(SCREEN).replace("\n", "")
    expect(page.locator("[data-note]")).to_contain_text("Try sh")
