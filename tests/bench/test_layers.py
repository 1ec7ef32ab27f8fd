"""An image of 20,000 files: how long its layers are read beside the engine's own sending, and how soon they open."""

from __future__ import annotations

import http.client
import io
import socket
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import docker
import pytest

from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site
from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

FILES, FOLDERS, ROUNDS = 20_000, 400, 30
SIZE = 4096


def _tar(version: int = 0) -> bytes:
    """Every tenth file is another one in each version."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for n in range(FILES):
            entry = tarfile.TarInfo(f"usr/lib/package-{n % FOLDERS:03}/module/file-{n:05}.py")
            entry.size = SIZE
            text = f"{n + (version * FILES if n % 10 == 0 else 0):08}"
            archive.addfile(entry, io.BytesIO(text.encode() * (SIZE // 8)))
    return made.getvalue()


@pytest.fixture
def make(docker_client: docker.DockerClient, site: Site, busybox: str) -> Iterator[Callable[[int], Any]]:
    """``make(version)``: those files in one layer, and another one on it; as REST shows the image."""
    made = []

    def build(version: int) -> Any:
        name = f"bench/files:{version}"
        context = io.BytesIO()
        dockerfile = f"FROM {busybox}\nADD files.tar /\nRUN rm -r /usr/lib/package-007\n".encode()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for file, content in (("Dockerfile", dockerfile), ("files.tar", _tar(version))):
                entry = tarfile.TarInfo(file)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        context.seek(0)
        docker_client.images.build(fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True)
        made.append(name)

        def known() -> Any:
            rows = site.app.api(site.token, "GET", f"/api/v1/images/?q={name}")[1]["results"]
            return rows and rows[0]

        return wait_for(known, 30, "the image is not known")

    yield build
    for name in made:
        docker_client.images.remove(name, force=True)


def _read(site: Site, image: Mapping[str, Any]) -> None:
    path = f"/api/v1/images/{image['id']}/files/"
    _, operation = site.app.api(site.token, "POST", path, {}, Prefer="wait=120")
    assert operation["state"] == "succeeded", operation


def _raw(site: Site, native_id: str) -> float:
    """Seconds in which the engine sends the image to whoever throws it away."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("engine", timeout=300)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(site.engine)
    connection.request("GET", f"/images/{native_id}/get")
    answer = connection.getresponse()
    while answer.read(1 << 20):
        pass
    connection.close()
    return time.perf_counter() - began


def test_layers_of_twenty_thousand_files(make: Callable[[int], Any], site: Site, tell: Tell) -> None:
    image = make(0)
    raw = min(_raw(site, image["engine_id"]) for _ in range(3))
    files = f"/api/v1/images/{image['id']}/files/"
    began = time.perf_counter()
    _read(site, image)
    took = time.perf_counter() - began
    tell(
        f"an image of {FILES:,} files: its layers are read", f"{took:.1f} s ({took / raw:.1f} × raw)",
        f"{raw:.1f} s (the engine's `save`)", "< 10 s", took < 10,
    )  # fmt: skip
    asked = {
        "a folder of it": f"{files}?layer=2&path={quote('/usr/lib/package-011/module')}",
        "its 400 folders": f"{files}?layer=2&path={quote('/usr/lib')}&limit=200",
        "a search over all layers": f"{files}?q=package-3+file-19999",
    }
    for what, path in asked.items():
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            status, found = site.app.api(site.token, "GET", path)
            times.append((time.perf_counter() - began) * 1000)
            assert status == 200
            assert found["results"], path
        half, most = percentile(times, 0.5), percentile(times, 0.95)
        tell(
            f"of {FILES:,} files: {what}, p50 and p95",
            f"{half:.0f}, {most:.0f} ms",
            "",
            "< 100 ms",
            half < 100,
        )


def test_pages_of_layers_of_twenty_thousand_files(
    make: Callable[[int], Any], site: Site, tell: Tell, visit: Callable[..., Visitor]
) -> None:
    one, other = make(0), make(1)
    _read(site, one)
    _read(site, other)
    visitor = visit(site.app)
    visitor.sign_in("admin", PASSWORD)
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in visitor.context.cookies())
    layers, compared = f"/images/{one['id']}/layers/", f"/images/{one['id']}/compare/{other['id']}/"
    part = {"HX-Request": "true"}
    asked: dict[str, tuple[str, dict[str, str], int]] = {
        "the page of its layers": (layers, {}, 100),
        "a folder opens in that page": (f"{layers}?rows=1&layer=2&path={quote('/usr/lib')}", part, 100),
        "a search in that page": (f"{layers}?rows=1&layer=2&q=package-3+file-19999", part, 100),
        "compared with another one, 2,000 files differ": (compared, {}, 300),
        "a filter there": (f"{compared}?rows=1&q=package-3", part, 300),
    }
    for what, (path, headers, most) in asked.items():
        times = []
        connection = http.client.HTTPConnection("127.0.0.1", site.app.port, timeout=60)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": cookies, **headers})
            answer = connection.getresponse()
            body = answer.read()
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200
            assert b"package-" in body
        connection.close()
        half, slow = percentile(times, 0.5), percentile(times, 0.95)
        told = f"{times[0]:.0f}, {half:.0f}, {slow:.0f} ms"
        tell(f"of {FILES:,} files: {what}: first, p50, p95", told, "", f"< {most} ms", half < most)
