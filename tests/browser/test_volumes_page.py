"""Copies and backups of volumes in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor

PATIENCE = 30_000
FILL = "cd /data; mkdir etc uploads; echo a > etc/app.conf; for n in 1 2 3; do echo $n > uploads/$n.txt; done; sleep 99"


@pytest.fixture
def data(live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str) -> Iterator[str]:
    """A volume with files, and a container that runs with it; its id in Slipway."""
    box = docker_client.containers.run(
        busybox, ["sh", "-c", f"trap exit TERM; {FILL}"], name="writer", detach=True, volumes=["papers:/data"],
        network_mode="none",
    )  # fmt: skip
    token = live_app.token("admin", "read")

    def seen() -> Any:
        rows = live_app.api(token, "GET", "/api/v1/volumes/?name=papers")[1]["results"]
        return rows and rows[0]["used_by"] and rows[0]["id"]

    yield str(machine.wait_for(seen, 20, "the volume did not appear"))
    box.remove(force=True)
    for name in ("papers", "papers-copy", "papers-back", "moved"):
        with suppress(docker.errors.NotFound):
            docker_client.volumes.get(name).remove(force=True)


def ended(page: Page) -> None:
    page.wait_for_url("**/operations/*-*/")
    expect(page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=PATIENCE)


def test_a_volume_is_cloned_exported_and_imported(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, data: str, tmp_path: Path,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(f"/volumes/{data}/")
    visitor.is_live()
    pictures(visitor, "volume-acts")
    dialog = page.locator("dialog[open]")
    page.get_by_role("link", name="Clone…").click()
    expect(dialog).to_contain_text("may write to it meanwhile")
    pictures(visitor, "volume-clone")
    dialog.get_by_role("button", name="Clone volume").click()
    expect(page.locator(".toast")).to_contain_text("Cloned papers", timeout=PATIENCE)
    assert docker_client.volumes.get("papers-copy")
    page.get_by_role("link", name="Export…").click()
    pictures(visitor, "volume-export")
    dialog.get_by_role("button", name="Export").click()
    ended(page)
    with page.expect_download() as told:
        page.get_by_role("link", name="Download", exact=True).click()
    told.value.save_as(tmp_path / "papers.tar")
    page = visitor.go("/volumes/")
    page.get_by_role("link", name="Import…").click()
    dialog.get_by_label("Name").fill("moved")
    dialog.get_by_label("Archive").set_input_files(tmp_path / "papers.tar")
    pictures(visitor, "volume-import")
    dialog.get_by_role("button", name="Import").click()
    ended(page)
    assert docker_client.volumes.get("moved")
    visitor.go("/volumes/")
    expect(page.get_by_role("row").filter(has_text="papers").first).to_contain_text("now")
    page.get_by_role("button", name="Count sizes").click()
    expect(page.get_by_role("row").filter(has_text="moved")).to_contain_text("8 B", timeout=PATIENCE)
    pictures(visitor, "volumes-list")


def test_a_volume_is_backed_up_and_comes_back_in_parts(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, data: str,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(f"/volumes/{data}/backups/")
    visitor.is_live()
    expect(page.get_by_role("heading", name="No backups yet")).to_be_visible()
    pictures(visitor, "backups-none")
    dialog = page.locator("dialog[open]")
    page.get_by_role("link", name="Schedule…").click()
    pictures(visitor, "backups-schedule")
    dialog.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Every day at 3:00 UTC")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Back up now").click()
    pictures(visitor, "backups-now")
    dialog.get_by_role("button", name="Back up").click()
    expect(page.get_by_role("link", name="Restore that of")).to_be_visible(timeout=PATIENCE)
    pictures(visitor, "backups")
    page = visitor.go("/volumes/backups/")
    expect(page.get_by_role("row").filter(has_text="papers")).to_contain_text("folder")
    pictures(visitor, "backups-all")
    page.get_by_role("link", name="papers", exact=True).click()
    docker_client.containers.get("writer").exec_run(
        ["sh", "-c", "rm /data/uploads/2.txt; echo b > /data/etc/app.conf"]
    )
    page.get_by_role("link", name="Restore that of").click()
    expect(page.get_by_text("written over: all")).to_be_visible()
    pictures(visitor, "backup-restore")
    page.get_by_label("Some files and folders").check()
    page.get_by_label("Filter by name").fill("2.txt")
    expect(page.get_by_label("uploads/1.txt")).to_have_count(0)
    page.get_by_label("uploads/2.txt").check()
    expect(page.get_by_text("written over: uploads/2.txt")).to_be_visible()
    page.get_by_label("Filter by name").fill("APP")
    page.get_by_label("Filter by name").press("Enter")
    expect(page.get_by_label("etc/app.conf")).to_be_visible()
    expect(page.get_by_label("uploads/2.txt")).to_be_checked()
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    pictures(visitor, "backup-restore-some")
    page.get_by_role("button", name="Restore").click()
    ended(page)
    said = docker_client.containers.get("writer").exec_run(
        ["sh", "-c", "cat /data/uploads/2.txt /data/etc/app.conf"]
    )
    assert said.output == b"2\nb\n"
    visitor.go(f"/volumes/{data}/backups/").get_by_role("link", name="Remove that of").click()
    pictures(visitor, "backup-remove")
    dialog.get_by_role("button", name="Remove backup").click()
    expect(page.get_by_role("heading", name="No backups yet")).to_be_visible(timeout=PATIENCE)


def test_a_store_is_named_and_forgotten(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> None:
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/volumes/stores/")
    for label, text in (
        ("Name", "offsite"), ("Address", "https://10.0.0.5"), ("Bucket", "backups"), ("Access key", "AKIA"),
        ("Secret key", "canary-key"),
    ):  # fmt: skip
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("in a network of its own")).to_be_visible()
    pictures(visitor, "backup-stores")
    page.get_by_label("Address", exact=True).fill("https://s3.example.com")
    page.get_by_label("Secret key", exact=True).fill("canary-key")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("list", name="Stores")).to_contain_text("https://s3.example.com/backups")
    assert "canary-key" not in page.content()
    page.get_by_role("button", name="Forget offsite").click()
    expect(page.get_by_role("list", name="Stores")).to_have_count(0)


def test_a_container_whose_volume_has_vanished_is_asked_about_before_it_starts(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, data: str, id_of: Callable[[str], str],
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    docker_client.containers.get("writer").stop(timeout=5)
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go(f"/containers/{id_of('writer')}/")
    visitor.is_live()
    start = page.get_by_role("button", name="Start").first
    expect(start).to_be_visible(timeout=PATIENCE)
    forget = "from containers_app.models import Volume; Volume.objects.filter(native_id='papers').delete()"
    live_app.manage("shell", "-c", forget)
    start.click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("volume data is gone: starting would create an empty one")
    pictures(visitor, "start-vanished")
    dialog.get_by_role("button", name="Start container").click()
    expect(dialog).to_be_visible()  # the tick is asked for
    dialog.get_by_label("Start it with an empty volume").check()
    dialog.get_by_role("button", name="Start container").click()
    expect(page.get_by_text("Up ").first).to_be_visible(timeout=PATIENCE)
