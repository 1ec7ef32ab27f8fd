"""A git server on loopback, as tests need one: smart http over `git http-backend`, with a private corner."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ACCOUNT, PASSWORD = "robot", "correct horse"
_ENV = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip


def git(place: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=place, env=_ENV, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(root: Path, name: str, *commits: dict[str, str | bytes | Path]) -> list[str]:
    """A repository of these commits (a path as content is a link); their hashes."""
    work, found = root / f"{name}.work", []
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    for files in commits:
        for path, content in files.items():
            at = work / path
            at.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                at.symlink_to(content)
            else:
                at.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(work, "add", "-A", "-f")
        git(work, "commit", "-q", "-m", "a commit")
        found.append(git(work, "rev-parse", "HEAD"))
    git(root, "clone", "-q", "--bare", str(work), f"{name}.git")
    return found


class _Handler(BaseHTTPRequestHandler):
    root: Path
    seen: list[str]

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path
        self.seen.append(self.headers.get("Authorization", ""))
        if path.startswith("/moved/"):
            return self._say(301, ("Location", path.removeprefix("/moved") + "?" + parts.query))
        if path.startswith("/private/"):
            wanted = base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {wanted}":
                return self._say(401, ("WWW-Authenticate", 'Basic realm="git"'))
            path = path.removeprefix("/private")
        if path.startswith("/slow/"):
            return self.wfile.flush()
        self._backend(path, parts.query)
        return None

    do_GET = do_POST = _answer  # noqa: N815 - as http.server calls them

    def _say(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, path: str, query: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        env = {
            **_ENV, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(length),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        sent = self.rfile.read(length)
        said = subprocess.run(["git", "http-backend"], input=sent, env=env, capture_output=True).stdout
        head, _, body = said.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(root: Path) -> Iterator[tuple[str, list[str]]]:
    """``(address, Authorization headers that came)`` of the bare repositories in that folder."""
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"root": root, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
