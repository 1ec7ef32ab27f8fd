"""A gigabyte as a build context: how long it takes, and that nobody holds it in memory."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.bench.conftest import Tell
from tests.bench.figures import named
from tests.bench.site import Site
from tests.bench.test_files import BOUNDARY, PIECE, SIZE, Watched
from tests.machine import wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


def _form() -> tuple[int, Iterator[bytes]]:
    """A form as curl sends it: its length, and its pieces."""
    begin = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="tags"\r\n\r\nbench/large:1\r\n'
    begin += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="context"; filename="c.tar"\r\n\r\n'
    head = io.BytesIO()
    text = b"FROM scratch\nCOPY Dockerfile /\n"
    with tarfile.open(fileobj=head, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    large = tarfile.TarInfo("ballast")
    large.size = SIZE
    first = begin.encode() + head.getvalue()[:1024] + large.tobuf()
    last = bytes(1024) + f"\r\n--{BOUNDARY}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield first
        for _ in range(SIZE // len(PIECE)):
            yield PIECE
        yield last

    return len(first) + SIZE + len(last), pieces()


def test_a_context_of_a_gigabyte_is_built(site: Site, tell: Tell) -> None:
    token = site.app.token("admin", "read", "write")
    length, pieces = _form()
    headers = {
        "Authorization": f"Bearer {token}", "Content-Length": str(length),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }  # fmt: skip
    assert site.app.process is not None
    workers = named(site.app.process.pid, "celery")
    with Watched({"web": [site.web], "worker": workers}) as watched:
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", site.app.port, timeout=600)
        connection.request("POST", "/api/v1/images/build/", body=pieces, headers=headers)
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
    most = max(watched.grown.values())
    grown = ", ".join(f"{name} +{mb:.0f} MB" for name, mb in watched.grown.items())
    tell(
        "a context of 1,000 MB: accepted, and built; memory", f"{sent:.0f} s, {took:.0f} s; {grown}", "",
        "< 50 MB each", most < 50,
    )  # fmt: skip
