"""A real registry with a password (Debian's ``docker-registry``), on a port of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scripts import dockerd
from tests import machine

USER, PASSWORD = "porter", "quiet river 7"
_HASH = "$2b$04$abcdefghijklmnopqrstuuNshETVq2rvCb4udKbB55.3r4HvcjJeS"
MISSING = "The tests need a registry program: install docker-registry (apt-get install docker-registry)."


@dataclass(frozen=True)
class Place:
    """Where it is, and how engines are told of its account."""

    host: str

    @property
    def auth(self) -> dict[str, str]:
        """What the Docker SDK sends to it."""
        return {"username": USER, "password": PASSWORD}


@contextmanager
def registry() -> Iterator[Place]:
    """Ends with us. It lets tags be removed."""
    program = shutil.which("docker-registry")
    assert program, MISSING
    folder, port = machine.short_folder(), machine.free_port()
    (folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
    config = {
        "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "tests"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }  # fmt: skip
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        [program, "serve", str(folder / "config.yml")],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=dockerd.bound_to(os.getpid()),
    )  # fmt: skip
    try:
        machine.wait_for(lambda: _answers(port), 20, "docker-registry did not come up")
        yield Place(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 401
    except OSError:
        return False
    finally:
        connection.close()
