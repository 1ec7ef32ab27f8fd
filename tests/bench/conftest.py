"""One running Slipway for all measurements, a raw reader beside it, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.bench.figures import BENCH, HEAD, Figure
from tests.bench.site import Site
from tests.browser.conftest import chromium, visit  # noqa: F401 - fixtures
from tests.machine import LiveApp

Tell = Callable[..., None]


@pytest.fixture(scope="session")
def site(live_app: LiveApp) -> Site:
    """The running app, with a token to read everything."""
    return Site(live_app)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """``tell(what, slipway, raw, target, met)``: one row of the table."""

    def write(*fields: Any) -> None:
        record_property(BENCH, Figure(*fields))

    return write


@pytest.fixture
def run(docker_client: docker.DockerClient, busybox: str) -> Iterator[Callable[..., Container]]:
    """``run(name, script)``: a container from somebody else's terminal, removed afterwards."""
    made: list[Container] = []

    def start(name: str, script: str, **options: Any) -> Container:
        options = {"detach": True, "network_mode": "none", "name": name, **options}
        made.append(docker_client.containers.run(busybox, ["sh", "-c", script], **options))
        return made[-1]

    yield start
    for container in made:
        container.remove(force=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """docs/performance.md keeps this table."""
    reports = [report for status in ("passed", "failed") for report in terminalreporter.stats.get(status, [])]
    figures = [
        value
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == BENCH
    ]
    if figures:
        terminalreporter.section("figures")
        for line in [*HEAD, *(figure.row() for figure in figures)]:
            terminalreporter.write_line(line)
