"""A receiver of webhooks on a port of its own, which behaves as badly as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_BODY = b"internal: the receiver's own words"


@dataclass
class Got:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it holds."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """``mood`` is a status, or ``hang``, ``close``, ``drip``, ``redirect``."""

    url: str
    mood: int | str = 204
    got: list[Got] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    elsewhere: str = ""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Ends with the block, also where somebody still waits for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            here.got.append(Got(self.path, dict(self.headers), body))
            if here.mood == "hang":
                here.free.wait(30)
            if here.mood in ("hang", "close"):
                self.close_connection = True
                return
            if here.mood == "drip":
                self.close_connection = True
                self._drip()
                return
            self.send_response(302 if here.mood == "redirect" else int(here.mood))
            if here.mood == "redirect":
                self.send_header("Location", here.elsewhere)
            self.send_header("Content-Length", str(len(SECRET_BODY)))
            self.end_headers()
            self.wfile.write(SECRET_BODY)

        def do_GET(self) -> None:
            self.do_POST()

        def _drip(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not here.free.wait(0.05):
                    self.wfile.write(b"x")
            except OSError:
                pass  # we were left

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook/canary-in-the-address")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.free.set()
        server.shutdown()
        server.server_close()
