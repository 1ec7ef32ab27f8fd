"""What the tests of faults stand on: a site with an engine behind a faulty door, and processes that may die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connection

from accounts.models import Team, User
from operations.models import Engine
from scripts import dockerd
from tests import machine
from tests.chaos import Faulty
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
def nursery(start: Start) -> subprocess.Popen[bytes]:
    """Carries each operation out in a process of its own, which may die alone."""
    return start("nursery")
