"""A Redis and an engine that may be killed in a test and started again: those of the session serve the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accounts.models import Team, User
from conftest import BUSYBOX
from operations.models import Engine
from scripts import dockerd
from tests import machine
from tests.chaos import Faulty
from tests.faults.site import Site


class MortalRedis:
    """A Redis that may be killed."""

    def __init__(self) -> None:
        self.path = machine.short_folder() / "r.sock"
        self.url = f"unix://{self.path}?db=0"
        self._running = machine.redis_at(self.path)
        self._running.__enter__()

    def empty(self) -> None:
        """Killed, and started again with nothing in it."""
        self.kill()
        self.start()

    def start(self) -> None:
        self._running = machine.redis_at(self.path)
        self._running.__enter__()

    def kill(self) -> None:
        self._running.__exit__(None, None, None)
        self.path.unlink(missing_ok=True)


class MortalEngine:
    """An engine that may be killed, with all that runs on it."""

    def __init__(self) -> None:
        self.folder = machine.short_folder()
        self.url = dockerd.start(self.folder, bound=True)

    def kill(self) -> None:
        os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        dockerd.stop(self.folder)
        # Nobody may have waited for its dead containerd: the next engine would take it for alive.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def start(self) -> None:
        dockerd.start(self.folder, bound=True)


@contextmanager
def mortal_site(team: Team, tara: User, folder: Path) -> Iterator[tuple[MortalEngine, Site]]:
    """A site like the usual one, on such an engine."""
    engine = MortalEngine()
    door = Faulty(engine.folder / "d.sock", engine.url).open()
    folder.mkdir()
    try:
        client = machine.docker_client(engine.url)
        machine.import_busybox(client, BUSYBOX)
        row = Engine.objects.create(name="mortal", endpoint=door.url, status=Engine.Status.ONLINE)
        site = Site(row, door, client, team, tara, folder)
        site.look()
        yield engine, site
        site.close()
        client.close()
    finally:
        door.shut()
        dockerd.stop(engine.folder, purge=True)
