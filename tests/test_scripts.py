"""What make calls: engines of one's own, the pages' assets, the lists of packages."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from scripts import build_assets, checks, dockerd
from tests.machine import ROOT, short_folder


class _Ping(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/_ping" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A socket that answers a ping as an engine does."""
    folder = short_folder()
    with socketserver.ThreadingUnixStreamServer(str(folder / "s"), _Ping) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"unix://{folder}/s"
        server.shutdown()
        thread.join()
    shutil.rmtree(folder)


def test_docker_host_decides_alone_which_engine_is_used(
    answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockerd, "candidates", lambda: iter([answering]))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert dockerd.find() == answering
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert dockerd.find() is None
    monkeypatch.setenv("DOCKER_HOST", answering)
    assert dockerd.find() == answering


def test_a_socket_that_is_there_but_silent_is_passed_over(
    answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(dockerd, "candidates", lambda: iter([f"unix://{tmp_path}/none", answering]))
    assert dockerd.find() == answering


def links() -> set[str]:
    said = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^((?:slip|br)-\w+)", said, re.MULTILINE))


@pytest.mark.engine
@pytest.mark.slow
def test_a_private_engine_leaves_nothing_behind() -> None:
    folder = short_folder()
    if os.geteuid() != 0:
        with pytest.raises(dockerd.EngineError, match="Only root"):
            dockerd.start(folder)
        return
    ours = {dockerd._bridge(folder)}
    try:
        url = dockerd.start(folder)
        client = docker.DockerClient(base_url=url)
        network = client.networks.create("slipway-test")
        ours.add(f"br-{network.id[:12]}")
        client.close()
        assert ours <= links()
        assert dockerd.start(folder) == url
    finally:
        dockerd.stop(folder, purge=True)
    assert not ours & links()
    assert not dockerd._left_processes(folder)
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{% icon "rotate-cw" %}', "rotate-cw"),
        ("{% icon 'play' 'big' %}", "play"),
        ('{% include "parts/empty.html" with icon="box" %}', "box"),
        ('link = {"icon": "trash-2", "label": "Remove"}', "trash-2"),
        ('button.append(icon("pause"))', "pause"),
        ('<use href="/static/build/icons.svg#x"/>', "x"),
    ],
)
def test_an_icon_is_found_where_it_is_used(text: str, name: str) -> None:
    assert {found.group(1) for use in build_assets.ICON_USES for found in use.finditer(text)} == {name}


def test_an_icon_that_does_not_exist_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_assets, "icons_used", lambda: iter([("no-such-icon", "templates/x.html")]))
    with pytest.raises(build_assets.BuildError, match="no-such-icon"):
        build_assets.build_icons()


def test_pinned_packages_have_hashes_and_no_addresses() -> None:
    """S-88."""
    for path in ROOT.glob("requirements*.txt"):
        text = path.read_text()
        assert "://" not in text, path.name
        assert "index-url" not in text, path.name
        pins = re.findall(r"^[\w.-]+==", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[\w.-]+==.*\\\n    --hash=", text, re.MULTILINE)), path.name
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


@pytest.mark.engine
@pytest.mark.slow
def test_an_engine_that_is_started_again_leaves_the_machines_own_bridge_alone() -> None:
    folder, ours = short_folder(), "docker0" not in dockerd._bridges()
    if os.geteuid() != 0:
        with pytest.raises(dockerd.EngineError, match="Only root"):
            dockerd.start(folder)
        return
    if ours:
        subprocess.run(["ip", "link", "add", "docker0", "type", "bridge"], check=True)
    try:
        for _ in range(2):
            dockerd.start(folder, bound=True)
            dockerd.stop(folder)
        assert "docker0" in dockerd._bridges()
    finally:
        dockerd.stop(folder, purge=True)
        if ours:
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True)


@pytest.mark.parametrize(
    ("failed", "codes", "runs", "ends_with"),
    [
        ([], [0], 1, 0),
        (["a.py::late"], [1, 0], 2, 0),
        (["a.py::wrong"], [1, 1], 2, 1),
        ([f"a.py::{n}" for n in range(checks.FEW + 1)], [1], 1, 1),
        (["a.py::late"], [2], 1, 2),
    ],
    ids=["all is well", "late beside others", "wrong", "many", "stopped"],
)
def test_a_few_tests_that_failed_beside_others_are_run_alone_and_told(
    failed: list[str],
    codes: list[int],
    runs: int,
    ends_with: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[list[str]] = []

    def pytest_(options: list[str]) -> int:
        asked.append(options)
        return codes[len(asked) - 1]

    monkeypatch.setattr(checks, "_pytest", pytest_)
    monkeypatch.setattr(checks, "_failed", lambda: failed)
    monkeypatch.delenv("SLIPWAY_TEST_ENGINE", raising=False)
    with pytest.raises(SystemExit) as end:
        checks.run_all_tests(["-x"])
    assert (end.value.code, len(asked)) == (ends_with, runs)
    if runs == 2:
        assert asked[1] == ["-n", "0", *failed], "those alone, one after the other"
    assert ("passed alone" in capsys.readouterr().out) == (codes == [1, 0])
