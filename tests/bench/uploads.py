"""A large upload and the operation that comes of it: how long both take, and by how much processes grow meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

from tests.bench.conftest import Tell
from tests.bench.figures import named
from tests.bench.site import Site
from tests.bench.test_files import BOUNDARY, Watched
from tests.machine import wait_for

MOST_MB = 50


def sent_whole(site: Site, tell: Tell, what: str, path: str, length: int, pieces: Iterator[bytes]) -> None:
    """Sends the form in pieces, waits for the end, and tells ``what`` with seconds and megabytes of web and worker."""
    headers = {
        "Authorization": f"Bearer {site.app.token('admin', 'read', 'write')}", "Content-Length": str(length),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }  # fmt: skip
    assert site.app.process is not None
    workers = named(site.app.process.pid, "celery")
    with Watched({"web": [site.web], "worker": workers}) as watched:
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", site.app.port, timeout=600)
        connection.request("POST", path, body=pieces, headers=headers)
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
    tell(what, f"{sent:.0f} s, {took:.0f} s; {grown}", "", f"< {MOST_MB} MB each", most < MOST_MB)
