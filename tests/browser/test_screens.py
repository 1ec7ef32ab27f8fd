"""Every screen in light and dark, wide and narrow: no complaint of the browser, nothing for axe, a picture kept.

The pictures are in `tests/browser/shots/`: look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Browser, BrowserContext

from tests import machine, readme
from tests.browser.screens import SCREENS, Things
from tests.browser.visitor import IN_THEME, Visitor

SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


def _operation(app: machine.LiveApp, token: str, path: str, body: dict[str, Any] | None = None) -> Any:
    status, answer = app.api(
        token, "POST", f"/api/v1{path}", body if body is not None else {}, Prefer="wait=60"
    )
    assert status in {200, 202}, answer
    return answer


def _take_away(client: docker.DockerClient) -> None:
    """What the demo does not know of; the trash would be in every later list of this engine."""
    for tag in ("hello:1", "broken:1", "worse:1", "demo/web:1.4"):
        if client.images.list(name=tag):
            client.images.remove(tag, force=True)
    for row in client.api.containers(all=True, filters={"name": "slipway-trash-"}):
        client.api.remove_container(row["Id"], force=True, v=True)


def _drift(client: docker.DockerClient) -> None:
    """Somebody outside moves a tag and gives a container more memory."""
    client.images.get("hello:1").tag("demo/web", "1.4")
    client.containers.get("session-store").update(mem_limit="24m", memswap_limit="48m")


@pytest.fixture(scope="module")
def things(
    live_app: machine.LiveApp, engine_url: str, docker_client: docker.DockerClient
) -> Iterator[Things]:
    """The demo, two builds, and a few operations; all of it taken away afterwards."""
    live_app.manage("demo", "--engine", engine_url)
    token = live_app.token("admin", "admin")

    def rows(kind: str) -> list[Any]:
        status, answer = live_app.api(token, "GET", f"/api/v1/{kind}/?limit=200")
        assert status == 200, answer
        return list(answer["results"])

    machine.wait_for(lambda: len(rows("containers")) >= 15, 15, "the demo's containers did not appear")
    found = {row["name"]: row["id"] for row in rows("containers") + rows("volumes")}
    machine.wait_for(
        lambda: {"demo/redis:7"} <= {t for r in rows("images") for t in r["tags"]}, 15, "no images"
    )
    found |= {tag: row["id"] for row in rows("images") for tag in row["tags"]}
    found["engine"] = rows("engines")[0]["id"]
    built = _operation(
        live_app, token, "/images/build/", {"dockerfile": readme.dockerfile(), "tags": ["hello:1"]}
    )
    broken = _operation(
        live_app, token, "/images/build/",
        {"dockerfile": "FROM demo/base:1\nRUN echo fine\nRUN cat /no/such/file\n", "tags": ["broken:1"]},
    )  # fmt: skip
    assert (built["state"], broken["state"]) == ("succeeded", "failed")
    _drift(docker_client)
    operation = _operation(
        live_app, token, "/images/build/",
        {"dockerfile": "FROM demo/web:1.4.2\nCMD echo no settings; exit 4\n", "tags": ["worse:1"]},
    )  # fmt: skip
    assert operation["state"] == "succeeded", operation
    gate = _operation(
        live_app, token, f"/containers/{found['shop-web-1']}/recreate/", {"image": "worse:1", "pull": False}
    )
    assert gate["error"]["code"] == "gate_failed", gate
    found["gate"] = gate["id"]
    builds = {row["operation"]: row["id"] for row in rows("builds")}
    found |= {"built": builds[built["id"]], "broken": builds[broken["id"]], "failed operation": broken["id"]}
    found["done operation"] = built["id"]
    for action in ("unpause", "restart", "pause"):
        _operation(live_app, token, f"/containers/{found['search-indexer']}/{action}/")
    status, gone = live_app.api(
        token, "DELETE", f"/api/v1/containers/{found['old-website']}/", Prefer="wait=60"
    )
    assert (status, gone["state"]) == (200, "succeeded"), gone
    yield Things(found)
    _take_away(docker_client)
    live_app.manage("demo", "--remove", "--engine", engine_url)


@pytest.fixture(scope="module")
def window(
    chromium: Browser, live_app: machine.LiveApp, signed_in: Any
) -> Iterator[Callable[[str, bool], Visitor]]:
    """``window(size, signed_in)``: a new page. One browser's cache serves all of a size: scripts are read once."""
    contexts: dict[tuple[str, bool], BrowserContext] = {}

    def make(size: str, known: bool) -> Visitor:
        width, height = SIZES[size]
        if (size, known) not in contexts:
            contexts[size, known] = chromium.new_context(
                viewport={"width": width, "height": height},
                has_touch=width < 500,
                color_scheme="light",
                reduced_motion="reduce",
            )
        context = contexts[size, known]
        context.clear_cookies()
        if known:
            context.add_cookies(signed_in["cookies"])
        return Visitor(context, live_app)

    yield make
    for context in contexts.values():
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name, screen in SCREENS.items() for size in SIZES if screen.narrow or size == "wide"],
)
def test_a_screen_is_in_order(
    name: str, size: str, window: Callable[[str, bool], Visitor], things: Things
) -> None:
    screen = SCREENS[name]
    visitor = window(size, screen.signed_in)
    if screen.expect:
        visitor.troubles.expect(screen.expect)
    page = visitor.go(things.path(screen))
    try:
        screen.act(page)
        page.wait_for_timeout(300)
        # Colours are the same at each size.
        for theme, rules in IN_THEME.items():
            page.emulate_media(color_scheme=theme)
            visitor.shot(f"{name}-{theme}-{size}")
            if screen.ours and (theme == "light" or size == "wide"):
                assert visitor.axe(rules) == [], theme
        sideways = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        screen.after(page)
        assert sideways <= 0, f"the page is {sideways} px wider than the window"
    finally:
        page.evaluate("localStorage.clear()")
        page.close()
    assert visitor.troubles.left() == []
