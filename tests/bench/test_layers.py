"""An image of 20,000 files: how long its layers are read beside the engine's own sending, and how soon they open."""

from __future__ import annotations

import http.client
import io
import socket
import tarfile
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import docker
import pytest

from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site
from tests.machine import wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

FILES, FOLDERS, ROUNDS = 20_000, 400, 30
SIZE = 4096


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for n in range(FILES):
            entry = tarfile.TarInfo(f"usr/lib/package-{n % FOLDERS:03}/module/file-{n:05}.py")
            entry.size = SIZE
            archive.addfile(entry, io.BytesIO(f"{n:08}".encode() * (SIZE // 8)))
    return made.getvalue()


@pytest.fixture
def image(docker_client: docker.DockerClient, site: Site, busybox: str) -> Iterator[dict[str, Any]]:
    """Those files in one layer, and another one on it; as REST shows the image."""
    context = io.BytesIO()
    dockerfile = f"FROM {busybox}\nADD files.tar /\nRUN rm -r /usr/lib/package-007\n".encode()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in (("Dockerfile", dockerfile), ("files.tar", _tar())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    docker_client.images.build(
        fileobj=context, custom_context=True, tag="bench/files:1", rm=True, forcerm=True
    )

    def known() -> Any:
        rows = site.app.api(site.token, "GET", "/api/v1/images/?q=bench/files:1")[1]["results"]
        return rows and rows[0]

    yield wait_for(known, 30, "the image is not known")
    docker_client.images.remove("bench/files:1", force=True)


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


def test_layers_of_twenty_thousand_files(image: dict[str, Any], site: Site, tell: Tell) -> None:
    raw = min(_raw(site, image["engine_id"]) for _ in range(3))
    files = f"/api/v1/images/{image['id']}/files/"
    began = time.perf_counter()
    _, operation = site.app.api(site.token, "POST", files, {}, Prefer="wait=120")
    took = time.perf_counter() - began
    assert operation["state"] == "succeeded", operation
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
