"""An S3-compatible store in a thread: one bucket in memory, that looks at signatures and can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from containers_app import signing

ACCESS, SECRET, REGION, BUCKET = "AKIATEST", "the/secret+key", "eu-test-1", "backups"


@dataclass
class Objects:
    """What is in the bucket, and what was asked. ``answer``: this status to everything."""

    url: str = ""
    held: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answer: int = 0


class Handler(BaseHTTPRequestHandler):
    """Answers for the `Objects` of its class."""

    protocol_version = "HTTP/1.1"
    objects: Objects

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _signed(self, body: bytes) -> bool:
        stamp = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        right = signing.headers(
            self.command, self.headers["Host"], self.path, access_key=ACCESS, secret=SECRET, region=REGION,
            payload=hashlib.sha256(body).hexdigest(), now=stamp,
        )  # fmt: skip
        return self.headers["authorization"] == right["authorization"]

    def _found(self, body: bytes) -> tuple[int, bytes]:
        held, known = self.objects.held, self.path.startswith(f"/{BUCKET}/")
        if self.objects.answer:
            return self.objects.answer, b""
        if not self._signed(body):
            return 403, b""
        if known and self.command == "PUT":
            held[self.path] = body
            return 200, b""
        if known and self.command == "DELETE":
            held.pop(self.path, None)
            return 204, b""
        return (200, held[self.path]) if self.path in held else (404, b"")

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.objects.asked.append(f"{self.command} {self.path}")
        status, data = self._found(body)
        self.send_response(status)
        if status in (301, 307):
            self.send_header("Location", "http://169.254.169.254/latest/")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_DELETE = _do  # noqa: N815 - the names that http.server looks for


@contextmanager
def bucket() -> Iterator[Objects]:
    """One that is there while the context is."""
    objects = Objects()
    handler = type("Mine", (Handler,), {"objects": objects})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    objects.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
