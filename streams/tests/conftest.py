"""A Redis of our own for the tests, which they may kill and start again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest
import redis

from tests.machine import redis_program


class Server:
    """One redis-server without persistence on a unix socket."""

    def __init__(self, folder: str) -> None:
        self.socket = f"{folder}/r.sock"
        self.url = f"unix://{self.socket}?db=0"
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [redis_program(), "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
             "--dir", self.folder],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        client = redis.Redis(unix_socket_path=self.socket)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.RedisError:
                time.sleep(0.02)
        else:
            raise AssertionError("redis-server did not come up")
        client.close()

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Kill and start: what it held is gone."""
        self.stop()
        self.start()


@pytest.fixture
def own_redis(settings: object) -> Iterator[Server]:
    """Started, empty, and what the settings point at; the test may stop and start it."""
    folder = tempfile.mkdtemp(prefix="slipway-")
    server = Server(folder)
    server.start()
    settings.REDIS_URL = server.url  # type: ignore[attr-defined]
    yield server
    server.stop()
    shutil.rmtree(folder)
