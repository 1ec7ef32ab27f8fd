"""A gigabyte put into a container: how long it takes, and that nobody holds it in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any, Self

import pytest
from docker.models.containers import Container

from tests.bench.conftest import Tell
from tests.bench.figures import memory, named
from tests.bench.site import Site
from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

SIZE = 1000 * 1024**2
PIECE = bytes(range(256)) * 1024
BOUNDARY = "gigabyte"


class Watched:
    """The most memory that each of some processes has had meanwhile, more than at first, in bytes."""

    def __init__(self, pids: dict[str, list[int]]) -> None:
        self.pids, self.over = pids, threading.Event()
        self.first = self._now()
        self.most = dict(self.first)
        self.thread = threading.Thread(target=self._watch)

    def _now(self) -> dict[str, int]:
        return {name: sum(map(memory, pids)) for name, pids in self.pids.items()}

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            for name, now in self._now().items():
                self.most[name] = max(self.most[name], now)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @property
    def grown(self) -> dict[str, float]:
        """In MB."""
        return {name: (self.most[name] - self.first[name]) / 1024**2 for name in self.first}


def _form(token: str) -> tuple[int, Iterator[bytes]]:
    """A form as a browser sends it: its length, and its pieces."""
    fields = {"csrfmiddlewaretoken": token, "path": "/"}
    head = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="big"\r\n\r\n'
    tail = f"\r\n--{BOUNDARY}--\r\n"

    def pieces() -> Iterator[bytes]:
        yield head.encode()
        for _ in range(SIZE // len(PIECE)):
            yield PIECE
        yield tail.encode()

    return len(head) + SIZE + len(tail), pieces()


def test_a_gigabyte_is_uploaded(
    site: Site, tell: Tell, visit: Callable[..., Visitor], run: Callable[..., Container]
) -> None:
    box = run("big", "sleep 1000")
    row = site.row("big")
    visitor = visit(site.app)
    visitor.sign_in("admin", PASSWORD)
    cookies = {one["name"]: one["value"] for one in visitor.context.cookies()}
    token = next(value for name, value in cookies.items() if "csrf" in name)
    length, pieces = _form(token)
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "HX-Request": "true",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(length),
        "Origin": site.app.url,
    }  # fmt: skip
    assert site.app.process is not None
    workers = named(site.app.process.pid, "celery")
    with Watched({"web": [site.web], "gateway": [site.gateway], "worker": workers}) as watched:
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", site.app.port, timeout=600)
        connection.request("POST", f"/containers/{row['id']}/files/upload/", body=pieces, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        sent = time.monotonic() - began
        assert answer.status == 204, answer.status
        operation = json.loads(answer.headers["HX-Trigger"])["slipway:toast"]["operation"]

        def ended() -> Any:
            _, found = site.app.api(site.token, "GET", f"/api/v1/operations/{operation}/")
            return found if found["state"] in ("succeeded", "failed") else None

        found = wait_for(ended, 300, "it did not end", every=0.5)
        took = time.monotonic() - began
    assert found["state"] == "succeeded", found
    assert box.exec_run("stat -c %s /big").output.strip() == str(SIZE).encode()
    most = max(watched.grown.values())
    grown = ", ".join(f"{name} +{mb:.0f} MB" for name, mb in watched.grown.items())
    tell(
        "1,000 MB uploaded: sent, and in the container; memory", f"{sent:.0f} s, {took:.0f} s; {grown}", "",
        "< 50 MB each", most < 50,
    )  # fmt: skip
