"""An image of 500 MB taken in from a file: how long it takes, and that nobody holds it in memory."""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import docker
import pytest

from tests.bench.conftest import Tell
from tests.bench.figures import named
from tests.bench.site import Site
from tests.bench.test_files import BOUNDARY, PIECE, Watched
from tests.machine import wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SIZE = 500 * 1024**2


def _head(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf()


def _file(name: str, data: bytes) -> bytes:
    return _head(name, len(data)) + data + bytes(-len(data) % 512)


def _image() -> Iterator[bytes]:
    """What docker save gives of an image with one large file."""
    begin, end = _head("ballast", SIZE), bytes(1024)
    whole = hashlib.sha256(begin)
    for _ in range(SIZE // len(PIECE)):
        whole.update(PIECE)
    whole.update(end)
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{whole.hexdigest()}"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    about = f"{hashlib.sha256(config).hexdigest()}.json"
    listed = [{"Config": about, "RepoTags": ["bench/large:1"], "Layers": ["layer/layer.tar"]}]
    yield _file("manifest.json", json.dumps(listed).encode()) + _file(about, config)
    yield _head("layer/layer.tar", len(begin) + SIZE + len(end)) + begin
    for _ in range(SIZE // len(PIECE)):
        yield PIECE
    yield end + bytes(1024)


def test_an_image_of_500_mb_is_taken_in(site: Site, tell: Tell, docker_client: docker.DockerClient) -> None:
    token = site.app.token("admin", "read", "write")
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="archive"; filename="image.tar"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(head) + len(tail) + sum(map(len, _image()))
    headers = {
        "Authorization": f"Bearer {token}", "Content-Length": str(length),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }  # fmt: skip
    assert site.app.process is not None
    workers = named(site.app.process.pid, "celery")

    def pieces() -> Iterator[bytes]:
        yield head
        yield from _image()
        yield tail

    with Watched({"web": [site.web], "worker": workers}) as watched:
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", site.app.port, timeout=600)
        connection.request("POST", "/api/v1/images/import/", body=pieces(), headers=headers)
        answer = connection.getresponse()
        operation = json.loads(answer.read())
        connection.close()
        sent = time.monotonic() - began
        assert answer.status == 202, operation

        def ended() -> Any:
            _, found = site.app.api(site.token, "GET", f"/api/v1/operations/{operation['id']}/")
            return found if found["state"] in ("succeeded", "failed") else None

        found = wait_for(ended, 300, "it did not end", every=0.5)
        took = time.monotonic() - began
    assert found["state"] == "succeeded", found
    assert docker_client.images.get("bench/large:1").attrs["Size"] >= SIZE
    docker_client.images.remove("bench/large:1")
    most = max(watched.grown.values())
    grown = ", ".join(f"{name} +{mb:.0f} MB" for name, mb in watched.grown.items())
    tell(
        "an image of 500 MB from a file: accepted, and there; memory", f"{sent:.0f} s, {took:.0f} s; {grown}", "",
        "< 50 MB each", most < 50,
    )  # fmt: skip
