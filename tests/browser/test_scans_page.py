"""What scanners found in an image, in a browser: none yet, a report that is brought, what is new, and the marks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest
from playwright.sync_api import expect

from tests import machine
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.scan_samples import LOOK, grype, trivy

TAG = "shop/scanned:1"


@pytest.fixture
def image(
    live_app: machine.LiveApp, docker_client: docker.DockerClient, busybox: str
) -> Iterator[dict[str, Any]]:
    """An image that a container runs; as REST shows it."""
    docker_client.images.get(busybox).tag("shop/scanned", "1")
    box = docker_client.containers.run(busybox, ["sleep", "600"], name="scanned", detach=True)
    token, found = live_app.token("admin", "read"), {}

    def seen() -> bool:
        for row in live_app.api(token, "GET", "/api/v1/images/?limit=200")[1]["results"]:
            if any(tag == TAG for tag in row["tags"]):
                found.update(row)
        rows = live_app.api(token, "GET", "/api/v1/containers/?limit=200")[1]["results"]
        return bool(found) and "scanned" in {row["name"] for row in rows}

    machine.wait_for(seen, 30, "the image did not appear")
    yield found
    box.remove(force=True)
    docker_client.images.remove(TAG)


def test_a_report_is_brought_and_read(
    live_app: machine.LiveApp,
    visit: Callable[..., Visitor],
    signed_in: Any,
    image: dict[str, Any],
    tmp_path: Path,
) -> None:
    """S-54."""
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.page
    page.goto(live_app.url + f"/images/{image['id']}/vulnerabilities/")
    expect(page.get_by_role("heading", name="This image has no scan")).to_be_visible()
    pictures(visitor, "scan-none")
    page.get_by_role("link", name="Bring a report…").click()
    wrong, first, second = (tmp_path / f"{name}.json" for name in ("wrong", "first", "second"))
    ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    wrong.write_text(json.dumps(trivy("sha256:" + "9" * 64)))
    told = {"name": "grype", "version": "0.87.0", "timestamp": ago}
    first.write_text(json.dumps({**grype(image["engine_id"]), "descriptor": told}))
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Report").set_input_files(wrong)
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("alert")).to_contain_text("about another image, 999999999999")
    dialog.get_by_label("Report").set_input_files(first)
    dialog.get_by_role("button", name="Send").click()
    expect(page.get_by_text("3 d ago by Grype 0.87.0")).to_be_visible()

    second.write_text(json.dumps(trivy(image["engine_id"], CreatedAt=datetime.now(UTC).isoformat())))
    page.get_by_role("link", name="Bring a report…").click()
    dialog.get_by_label("Report").set_input_files(second)
    dialog.get_by_role("button", name="Send").click()
    rail = page.get_by_role("complementary", name="Scans")
    expect(rail.get_by_text("3 new")).to_be_visible()
    expect(rail.get_by_text("1 gone")).to_be_visible()
    rows = page.locator("table.vuln tbody tr")
    expect(rows).to_have_count(4)
    pictures(visitor, "scan")
    page.get_by_label("what a version mends").check()
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(3)
    page.get_by_role("link", name="medium").click()
    expect(rows).to_have_count(2)
    expect(rows.first.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer")

    _marks(live_app, visitor)


def _marks(live_app: machine.LiveApp, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(live_app.url + "/images/")
    expect(page.locator("tr", has_text="scanned").get_by_text("1 critical vulnerability")).to_have_count(1)
    pictures(visitor, "scan-images")
    page.goto(live_app.url + "/containers/")
    page.get_by_role("link", name="scanned", exact=True).click()
    expect(page.locator(".head").get_by_text("1 critical vulnerability")).to_have_count(1)
    pictures(visitor, "scan-container")


def test_the_worker_scans_where_it_has_a_scanner(
    engine_url: str,
    busybox: str,
    docker_client: docker.DockerClient,
    visit: Callable[..., Visitor],
    tmp_path: Path,
) -> None:
    """S-54. The scanner is a stand-in, which reads the archive."""
    program = tmp_path / "trivy"
    program.write_text(f"#!{sys.executable}\nimport time; time.sleep(3)\n{LOOK}")
    program.chmod(0o755)
    app = machine.LiveApp(
        engine_url, SLIPWAY_ADMIN_USER="admin", SLIPWAY_ADMIN_PASSWORD=machine.PASSWORD,
        SLIPWAY_SCANNER=str(program),
    )  # fmt: skip
    try:
        app.start()
        visitor = visit(app)
        visitor.sign_in("admin", machine.PASSWORD)
        page = visitor.page
        page.goto(app.url + "/images/")
        page.locator("table.images th.name a", has_text="busybox").first.click()
        expect(page.get_by_role("heading", name="busybox:1")).to_be_visible()
        page.get_by_role("link", name="Vulnerabilities").click()
        page.get_by_role("button", name="Scan now").click()
        expect(page.get_by_role("heading", name="Scanning the image")).to_be_visible(timeout=20_000)
        visitor.shot("scan-now-light-wide")
        expect(page.get_by_text("just now by Trivy 0.58.1")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("made here, for all teams")).to_be_visible()
        page.goto(app.url + "/guard-rails/rules/edit/")
        page.get_by_label("Ignored vulnerabilities").scroll_into_view_if_needed()
        pictures(visitor, "scan-rule")
        page.get_by_label("A scan is required").select_option(label="on")
        page.get_by_label("Blocked from severity").select_option(label="high")
        page.get_by_label("Ignored vulnerabilities").fill("CVE-2024-1 2030-01-31 not reached here")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("required; blocked from high up; ignoring CVE-2024-1")).to_be_visible()
        page.get_by_text("required; blocked").scroll_into_view_if_needed()
        pictures(visitor, "scan-rules")
    finally:
        app.discard()
