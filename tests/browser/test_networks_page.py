"""Networks in a browser: made, joined, left and removed; and the picture of them all, with few and with many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.visitor import IN_THEME, Visitor

SLEEPY = ["sh", "-c", "trap exit TERM; while :; do sleep 0.5; done"]
PATIENCE = 20_000
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


@pytest.fixture
def town(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> Iterator[Callable[..., None]]:
    """``town({"web": ["front", "back"]})``: running containers, each on these networks, which Slipway has seen."""
    made: list[Any] = []

    def build(wanted: dict[str, list[str]], **ports: int) -> None:
        there = {network.name: network for network in docker_client.networks.list()}
        for name, networks in wanted.items():
            for network in networks:
                if network not in there:
                    there[network] = docker_client.networks.create(network)
                    made.append(there[network])
            port = {"80/tcp": ports[name]} if name in ports else None
            box = docker_client.containers.create(busybox, SLEEPY, name=name, network=networks[0], ports=port)
            made.insert(0, box)
            for network in networks[1:]:
                there[network].connect(box)
            box.start()
        token = live_app.token("admin", "read")

        def seen() -> bool:
            rows = live_app.api(token, "GET", "/api/v1/containers/?limit=200")[1]["results"]
            here = {row["name"]: {one["name"] for one in row["networks"]} for row in rows}
            return all(here.get(name) == set(networks) for name, networks in wanted.items())

        machine.wait_for(seen, 30, "the containers did not appear")

    yield build
    for thing in made:
        with suppress(docker.errors.NotFound):
            thing.remove(**({"force": True} if hasattr(thing, "start") else {}))


def pictures(visitor: Visitor, name: str) -> None:
    """In both themes and sizes: a picture, nothing for axe, nothing wider than the window."""
    for size, (width, height) in SIZES.items():
        visitor.page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            visitor.page.emulate_media(color_scheme=theme)
            visitor.page.wait_for_timeout(150)
            visitor.shot(f"{name}-{theme}-{size}")
            assert visitor.axe(IN_THEME[theme]) == [], (name, size, theme)
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert visitor.page.evaluate(wider) <= 0, (name, size)
    visitor.page.set_viewport_size({"width": 1440, "height": 900})
    visitor.page.emulate_media(color_scheme="light")


def network_page(page: Page, name: str) -> None:
    page.locator("#networks").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_a_network_is_made_joined_left_removed_and_taken_back(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, town: Callable[..., None],
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    town({"db": ["bridge"], "web": ["bridge"]})
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/networks/")
    visitor.is_live()
    page.get_by_role("link", name="Create network").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Name").fill("front")
    dialog.get_by_label("Subnet optional").first.fill("10.215.0.9/24")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("10.215.0.0/24 is")).to_be_visible()
    pictures(visitor, "network-create")
    dialog.get_by_label("Subnet optional").first.fill("10.215.0.0/24")
    dialog.get_by_role("button", name="Create").click()
    expect(page.locator("#networks").get_by_text("10.215.0.0/24")).to_be_visible(timeout=PATIENCE)
    network_page(page, "front")
    for name, aliases in (("db", "store, cache"), ("web", "")):
        page.get_by_role("link", name="Connect…").click()
        dialog.get_by_label("Container").fill(name)
        dialog.get_by_label("Other names").fill(aliases)
        expect(dialog.locator("#connect-plan")).to_contain_text(f"is found on front as {name}")
        if name == "web":
            expect(dialog.locator("#connect-plan")).to_contain_text("can reach it, and is reached as db,")
            pictures(visitor, "network-connect")
        dialog.get_by_role("button", name="Connect").click()
        expect(page.locator(".on-net").get_by_role("link", name=name, exact=True)).to_be_visible(
            timeout=PATIENCE
        )
    expect(page.locator(".on-net")).to_contain_text("store")
    pictures(visitor, "network")
    page.get_by_role("link", name="Disconnect web").click()
    expect(dialog).to_contain_text("loses the way to it")
    pictures(visitor, "network-disconnect")
    dialog.get_by_role("button", name="Disconnect").click()
    expect(page.locator(".on-net").get_by_role("link", name="web")).to_have_count(0, timeout=PATIENCE)
    page.get_by_role("link", name="Remove…").click()
    pictures(visitor, "network-remove")
    dialog.get_by_label("Disconnect 1 container and remove it").check()
    dialog.get_by_role("button", name="Disconnect and remove").click()
    page.wait_for_url("**/networks/", timeout=PATIENCE)
    machine.wait_for(lambda: not docker_client.networks.list(names=["front"]), 20, "it is still there")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator("#networks").get_by_text("10.215.0.0/24")).to_be_visible(timeout=PATIENCE)
    network_page(page, "front")
    expect(page.locator(".on-net")).to_contain_text("store", timeout=PATIENCE)
    docker_client.networks.get("front").disconnect("db")
    docker_client.networks.get("front").remove()


def test_the_map_is_readable_with_three_and_with_sixty_containers(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, town: Callable[..., None]
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/networks/map/")
    pictures(visitor, "map-none")
    town({"shop-web": ["front"], "shop-api": ["front", "back"], "shop-db": ["back"]}, **{"shop-web": 28480})
    page = visitor.go("/networks/map/")
    expect(page.get_by_text("2 networks, 3 containers, 1 published port")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="shop-api")).to_contain_text("also on front")
    assert page.locator("circle.many").count() == 2
    pictures(visitor, "map-three")
    many = {f"team{n % 9}-{role}-{n}": [f"team{n % 9}"] for n in range(48) for role in ["svc"]}
    many |= {f"edge-{n}": ["edge", f"team{n}", f"team{n + 1}"] for n in range(8)} | {"plain": ["bridge"]}
    town(many, **{f"edge-{n}": 28481 + n for n in range(8)})
    page = visitor.go("/networks/map/")
    expect(page.locator("tr.m-one")).to_have_count(60)
    pictures(visitor, "map-sixty")
    page.get_by_role("link", name="Table", exact=True).click()
    expect(page.get_by_role("table", name="Who is on which network")).to_contain_text("shop-db")
    pictures(visitor, "map-table")
    page.keyboard.press("Tab")
    visitor.go("/networks/")
    pictures(visitor, "networks")
    page.get_by_role("link", name="Map").click()
    page.get_by_role("link", name="shop-web").first.click()
    expect(page.get_by_role("heading", name="shop-web")).to_be_visible()
