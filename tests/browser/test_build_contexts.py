"""What goes into a build, in a browser: a folder is chosen or dropped, its upload is seen and cancelled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests import machine
from tests.browser.test_files_page import _drop_from_disk
from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.repositories import ACCOUNT, PASSWORD, repository, served

TAG = "contexts/app:1"


@pytest.fixture
def folder(tmp_path: Path, docker_client: docker.DockerClient) -> Iterator[Path]:
    """A program's folder, with much in it that the build does not need."""
    app = tmp_path / "app"
    for name in ("src/deep", "node_modules/pack", "empty"):
        (app / name).mkdir(parents=True)
    (app / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    (app / ".dockerignore").write_text("node_modules\n**/*.log\n")
    (app / "src/main.py").write_text("print('hello')\n")
    (app / f"src/deep/{'long' * 30}.txt").write_text("a name of more than 100 letters")
    (app / "src/trace.log").write_text("x" * 5000)
    (app / "node_modules/pack/index.js").write_text("y" * 90_000)
    yield app
    with suppress(docker.errors.APIError):
        docker_client.images.remove(TAG, force=True)


def _slow(page: Page, bytes_a_second: int) -> None:
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)


def test_a_folder_is_built_as_it_is(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, folder: Path,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/builds/new/?source=upload")
    page.get_by_label("Tags, separated by spaces").fill(TAG)
    (folder / "Dockerfile").rename(folder / "Dockerfile.app")
    page.get_by_label("Choose a folder").set_input_files(folder)
    note = page.locator("[data-context-note]")
    expect(note).to_contain_text("2 left out by .dockerignore")
    expect(note).to_contain_text("src/")
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text('The context holds no "Dockerfile".')
    expect(note).to_be_visible()
    pictures(visitor, "build-folder")
    assert visitor.axe() == []

    (folder / "ballast").write_bytes(os.urandom(8_000_000))
    page.get_by_label("Dockerfile in it").fill("Dockerfile.app")
    _drop_from_disk(page, folder)
    expect(note).to_contain_text("ballast")
    _slow(page, 500_000)
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.locator("[data-sent]")).to_contain_text("of 8.0 MB")
    pictures(visitor, "build-sending")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("[data-sending]")).to_be_hidden()
    (folder / "ballast").unlink()
    _drop_from_disk(page, folder)
    expect(note).not_to_contain_text("ballast")
    page.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url("**/builds/*-*/", timeout=20_000)
    source = page.get_by_role("region", name="What went in")
    expect(source).to_contain_text("4 files")
    expect(page.locator("#build-head")).to_contain_text("Built in", timeout=30_000)
    pictures(visitor, "build-source")
    assert visitor.axe() == []
    saved = b"".join(docker_client.images.get(TAG).save())
    for name in (b"app/src/main.py", b"app/empty/", b"longlonglong", b"app/.dockerignore"):
        assert name in saved, name
    assert b"node_modules/pack" not in saved
    assert b"trace.log" not in saved


def test_a_commit_is_built_from_its_repository(
    live_app: machine.LiveApp, visit: Callable[..., Visitor], signed_in: Any, tmp_path: Path,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    files: dict[str, str | bytes | Path] = {
        "api/Dockerfile": "FROM scratch\nCOPY . /\n",
        "api/main.py": "one",
    }
    commit = repository(tmp_path, "app", files)[0]
    visitor = visit(live_app, storage_state=signed_in)
    page = visitor.go("/builds/new/")
    page.get_by_text("Git", exact=True).click()
    page.get_by_label("Tags, separated by spaces").fill(TAG)
    page.get_by_label("Repository").fill("git@git.example:team/app.git")
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.get_by_text("Repositories are fetched by https, not by ssh or from a path.")).to_be_visible()
    with served(tmp_path) as (address, _):
        page.get_by_label("Repository").fill(f"{address}/private/app.git#main:api")
        page.get_by_label("Account").fill(ACCOUNT)
        page.get_by_label("Password or token").fill(PASSWORD)
        pictures(visitor, "build-git")
        page.get_by_role("button", name="Build", exact=True).click()
        page.wait_for_url("**/builds/*-*/", timeout=20_000)
        expect(page.locator("#build-head")).to_contain_text("Built in", timeout=30_000)
    page.reload()
    expect(page.get_by_role("region", name="What went in")).to_contain_text(commit)
    assert PASSWORD not in page.content()
    pictures(visitor, "build-commit")
    labels = docker_client.images.get(TAG).labels
    assert labels["org.opencontainers.image.revision"] == commit
    docker_client.images.remove(TAG, force=True)
