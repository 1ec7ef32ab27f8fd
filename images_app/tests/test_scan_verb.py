"""Scanning by the worker, on a real engine; the scanner is a stand-in, which reads the archive that it is given."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import Team, User
from engine.base import Engine as EngineBackend
from images_app import scan_verb, scans, sync
from images_app.models import Image, Scan
from operations.models import Engine, Operation
from tests import machine
from tests.scan_samples import LOOK

ApiFor = Callable[..., APIClient]
Carry = Callable[[], list[Operation]]
TAG = "shop/look:1"


@pytest.fixture
def program(tmp_path: Path, settings: Any) -> Callable[..., Path]:
    """``program(text, name="trivy")``: a scanner that does so, which the settings name."""

    def make(text: str = LOOK, name: str = "trivy") -> Path:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
        settings.SCANNER = str(path)
        return path

    return make


@pytest.fixture
def image(
    docker_client: docker.DockerClient,
    busybox: str,
    engine_row: Engine,
    engine_backend: EngineBackend,
    team: Team,
) -> Iterator[Image]:
    """One of team blue's."""
    made = docker_client.images.get(busybox)
    made.tag("shop/look", "1")
    sync.reconcile(engine_row, engine_backend)
    Image.objects.filter(native_id=made.id).update(team=team)
    yield Image.objects.get(native_id=made.id)
    docker_client.images.remove(TAG)


def places(settings: Any) -> list[str]:
    """What lies in the folder of scans."""
    folder = Path(settings.HOME) / "scans"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.mark.parametrize("name", ["trivy", "grype"])
def test_the_worker_scans_what_the_engine_has(
    name: str, program: Callable[..., Path], api_for: ApiFor, bob: User, vic: User, image: Image, other_team: Team,
    run_operations: Carry, settings: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """S-54."""
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", "none of its business")
    program(name=name)
    path = f"/api/v1/images/{image.pk}/scan/"
    assert api_for(vic).post(path).status_code == 403
    assert api_for(bob).post(path).status_code == 202
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message
    made = Scan.objects.get()
    assert (made.by_worker, made.team, made.actor_name, made.digest) == (True, None, "bob", image.native_id)
    assert made.scanner.lower() == name
    assert made.scanned_at <= timezone.now()
    assert scans.newest_of(image.native_id, other_team.pk) == made  # nobody brought it: it counts for all
    assert places(settings) == []
    if name == "trivy":
        (found,) = scans.findings(made)
        files, _, variables = found.title.partition(" files, ")
        assert int(files) > 5
        assert "SLIPWAY" not in variables
        assert "REDIS" not in variables


def test_without_a_scanner_nothing_is_asked(
    api_for: ApiFor,
    bob: User,
    image: Image,
    settings: Any,
    run_operations: Carry,
    program: Callable[..., Path],
) -> None:
    path = f"/api/v1/images/{image.pk}/scan/"
    for named in ("", "/usr/bin/true"):
        settings.SCANNER = named
        no = api_for(bob).post(path)
        assert (no.status_code, no.json()["code"]) == (409, "conflict")
    program().unlink()
    assert api_for(bob).post(path).status_code == 202
    (done,) = run_operations()
    assert "is not where Slipway's workers run" in done.error_message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "import sys; sys.exit('FATAL no database\\x1b[31m')",
            "The scanner could not scan it: FATAL no database",
        ),
        ("print('hello')", "not JSON"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "The scanner writes more than is read."),
        (
            LOOK.replace("hexdigest()", "hexdigest()[:-4] + '0000'"),
            "is about another image than the one that it was given",
        ),
    ],
)
def test_what_a_scanner_does_wrong_is_told(
    text: str,
    words: str,
    program: Callable[..., Path],
    bob: User,
    image: Image,
    run_operations: Carry,
    settings: Any,
) -> None:
    program(text)
    scan_verb.request_scan(image, actor=person(bob, source="ui"))
    (done,) = run_operations()
    assert done.state == "failed"
    assert words in done.error_message
    assert not Scan.objects.exists()
    assert places(settings) == []


def test_a_scanner_that_is_cancelled_ends_with_all_that_it_started(
    program: Callable[..., Path], bob: User, image: Image, run_operations: Carry, settings: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    children = tmp_path / "children"
    program(
        f"""
        import os, subprocess, time
        child = subprocess.Popen(["sleep", "600"])
        open({str(children)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        time.sleep(600)
        """
    )
    asked = scan_verb.request_scan(image, actor=person(bob, source="ui"))
    watched = scan_verb._watched

    def cancelling(ctx: Any, *args: Any) -> None:
        machine.wait_for(lambda: children.exists() and " " in children.read_text(), 20, "it did not begin")
        Operation.objects.filter(pk=asked.pk).update(cancel_requested_at=timezone.now())
        # What another thread of the worker would see: this test's rows are seen by nobody else.
        monkeypatch.setattr(type(ctx), "should_stop", lambda self: True)
        watched(ctx, *args)

    monkeypatch.setattr(scan_verb, "_watched", cancelling)
    (done,) = run_operations()
    assert (done.state, done.error_message) == ("cancelled", "Cancelled. No scan was made.")
    pids = [int(word) for word in children.read_text().split()]
    assert len(pids) == 2
    machine.wait_for(lambda: not any(_runs(pid) for pid in pids), 10, "something of it still runs")
    assert places(settings) == []


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_time_and_size_have_bounds(
    program: Callable[..., Path], bob: User, image: Image, run_operations: Carry, settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    program("import time; time.sleep(600)")
    monkeypatch.setattr(scan_verb, "DEADLINE", 1)
    began = time.monotonic()
    scan_verb.request_scan(image, actor=person(bob, source="ui"))
    (late,) = run_operations()
    assert late.state != "succeeded"
    assert time.monotonic() - began < 30
    monkeypatch.setattr(scan_verb, "DEADLINE", 60)
    monkeypatch.setattr("images_app.image_files.most_bytes", lambda: 100_000)
    program()
    scan_verb.request_scan(image, actor=person(bob, source="ui"))
    (large,) = run_operations()
    assert "larger than what may be scanned" in large.error_message
    assert places(settings) == []
