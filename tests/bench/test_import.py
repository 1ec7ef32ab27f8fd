"""An image of 500 MB taken in from a file: how long it takes, and that nobody holds it in memory."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from itertools import chain

import docker
import pytest

from tests.bench.conftest import Tell
from tests.bench.site import Site
from tests.bench.test_files import BOUNDARY, PIECE
from tests.bench.uploads import sent_whole

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
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="archive"; filename="image.tar"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(head) + len(tail) + sum(map(len, _image()))
    what = "an image of 500 MB from a file: accepted, and there; memory"
    sent_whole(site, tell, what, "/api/v1/images/import/", length, chain([head], _image(), [tail]))
    assert docker_client.images.get("bench/large:1").attrs["Size"] >= SIZE
    docker_client.images.remove("bench/large:1")
