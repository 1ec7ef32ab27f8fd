"""What the tests of faults stand on: a site with an engine behind a faulty door, and processes that may die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from accounts.models import Team, User
from operations import services
from operations.models import Engine
from scripts import dockerd
from tests import machine
from tests.chaos import Faulty
from tests.faults import tally
from tests.faults.mortal import MortalRedis
from tests.faults.site import Site


@pytest.fixture
def door(engine_url: str, busybox: str) -> Iterator[Faulty]:
    """The real engine, behind a door that keeps a journal and loses what it is told to."""
    folder = machine.short_folder()
    found = Faulty(folder / "f.sock", engine_url).open()
    yield found
    found.heal()
    found.shut()
    folder.rmdir()


@pytest.fixture
def site(
    transactional_db: None, door: Faulty, docker_client, team: Team, tara: User, tmp_path: Path
) -> Iterator[Site]:
    """Team blue, whose admin Tara asks for everything, on that engine."""
    engine = Engine.objects.create(name="faulty", endpoint=door.url, status=Engine.Status.ONLINE)
    (tmp_path / "plan").mkdir()
    found = Site(engine, door, docker_client, team, tara, tmp_path / "plan")
    found.look()
    yield found
    found.close()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(site: Site, redis_server: str) -> Iterator[Start]:
    """``start("nursery")``: a process of `tests.faults.process`, on the tests' database, dead after the test."""
    with processes(site, redis_server) as starter:
        yield starter


@contextmanager
def processes(site: Site, redis_url: str) -> Iterator[Start]:
    """The same for a Redis of one's own."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(role: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.process", role],
            cwd=machine.ROOT,
            env={
                **os.environ,
                "FAULTS_DATABASE": str(connection.settings_dict["NAME"]),
                "FAULTS_FOLDER": str(site.plan.folder),
                "REDIS_URL": redis_url,
                "DOCKER_HOST": site.door.url,
                **environment,
            },
            preexec_fn=dockerd.bound_to(os.getpid()),
        )
        running.append(process)
        return process

    try:
        yield begin
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        site.wake_all()
        with suppress(FileNotFoundError):
            for left in site.plan.folder.glob("*"):
                left.unlink()


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[MortalRedis]:
    found = MortalRedis()
    app = Celery("tests", broker=f"redis+socket://{found.path}?virtual_host=0", set_as_current=False)
    app.conf.update(
        task_default_queue="slipway",
        broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
    )
    monkeypatch.setattr(services, "current_app", app)
    yield found
    app.close()
    found.kill()


@pytest.fixture
def nursery(start: Start) -> subprocess.Popen[bytes]:
    """Carries each operation out in a process of its own, which may die alone."""
    return start("nursery")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The tables of faults and kinds: docs/reliability.md keeps them."""
    reports = [report for status in ("passed", "failed") for report in terminalreporter.stats.get(status, [])]
    said = [pair for report in reports if report.when == "call" for pair in report.user_properties]
    for title, lines in tally.tables(said):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
