"""Slipway's own disk is full: its database cannot grow, files do not fit. Nothing is half done, and all recovers."""

from __future__ import annotations

import io
import os
import resource
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from accounts import sessions
from accounts.models import AuditEntry
from conftest import BUSYBOX
from containers_app import operations as containers
from containers_app.models import Volume
from operations.models import Operation, TrashItem
from tests import machine
from tests.faults.conftest import Start
from tests.faults.site import Site
from tests.faults.test_outages import SLOW, put, worker_pid

ROOM = 12 * 1024 * 1024
TIGHT = 64 * 1024
"""Where nothing can be mounted: bytes that a file may have once the disk is called full."""
REFUSED = {(507, "disk_full"), (503, "unavailable")}


class Disk:
    """A disk of `ROOM` bytes with the state and the database on it. Without the right to mount, files may not grow."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder, self.mounted = folder, mounted
        self.database = folder / "slipway.sqlite3"
        self._before: dict[int, tuple[int, int]] = {}

    def fill(self, *workers: int) -> None:
        """To the last byte, also those that the database has set aside: its next row does not fit."""
        with sqlite3.connect(self.database, timeout=10) as database:
            database.execute("CREATE TABLE IF NOT EXISTS ballast (data BLOB)")
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if self.mounted:
            self.stuff()
        else:
            for pid in (os.getpid(), *workers):
                self._before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (TIGHT, self._before[pid][1]))
        with suppress(sqlite3.OperationalError):
            while True:
                database.execute("INSERT INTO ballast VALUES (zeroblob(3000))")
                database.commit()
        database.close()

    def stuff(self, leave: int = 0) -> None:
        """Files alone, all but so many bytes."""
        free = os.statvfs(self.folder)
        with (self.folder / "ballast").open("wb", buffering=0) as out, suppress(OSError):
            left = max(0, free.f_bavail * free.f_frsize - leave)
            while left > 0:
                left -= out.write(bytes(min(left, 65536)))
            while not leave:
                out.write(bytes(512))

    def room_again(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)
        for pid, limits in self._before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        self._before.clear()

    def left(self) -> list[str]:
        """What lies in the folders for files on their way."""
        found = [path for name in ("contexts", "trash", "copies") for path in (self.folder / name).glob("*")]
        return [path.name for path in found]


@pytest.fixture
def disk(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Ask for it before what makes rows: they are to lie on it."""
    folder = machine.short_folder()
    options = ["-t", "tmpfs", "-o", f"size={ROOM},mode=700", "none", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    found = Disk(folder, mounted=mounted)
    before = connection.settings_dict["NAME"]
    try:
        connection.ensure_connection()
        with sqlite3.connect(found.database) as copy:
            connection.connection.backup(copy)
        copy.close()
        connection.close()
        connection.settings_dict["NAME"] = str(found.database)
        monkeypatch.setattr(settings, "HOME", folder)
        yield found
    finally:
        found.room_again()
        connection.close()
        connection.settings_dict["NAME"] = before
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def worker(disk: Disk, site: Site, start: Start) -> subprocess.Popen[bytes]:
    """A worker whose state lies there too."""
    return start("worker", SLIPWAY_HOME=str(disk.folder), SLIPWAY_SECRET_KEY=settings.SECRET_KEY)


def state() -> tuple[int, int, int]:
    return Operation.objects.count(), AuditEntry.objects.count(), AuditEntry.objects.order_by("-seq")[0].seq


def test_a_change_is_refused_and_leaves_no_half_while_reads_go_on(
    disk: Disk, site: Site, api_for: Callable[..., Any], client_for: Callable[..., Any]
) -> None:
    put(site, "there", ["sleep", "600"])
    user = site.actor.user
    api, browser, other = api_for(user), client_for(user), client_for()
    path = f"/api/v1/containers/{site.row('there').pk}/"
    session = browser.session
    session[sessions.SINCE] = session[sessions.SEEN] = (
        int(time.time()) - 120
    )  # so long ago that the next page writes down that somebody is there
    session.save()
    site.ask("volume.create", "before")
    before, asked = state(), len(site.door.journal)

    disk.fill()
    accepted, answer = [], None
    for n in range(50):  # the last bytes may be enough for one or the other
        answer = api.post("/api/v1/volumes/", {"name": f"more-{n}"}, format="json")
        if answer.status_code != 202:
            break
        accepted.append(f"more-{n}")
    assert answer is not None
    assert (answer.status_code, answer.json()["code"]) in REFUSED
    assert answer["Content-Type"] == "application/problem+json"
    browser.raise_request_exception = other.raise_request_exception = False
    signed = other.post("/login/", {"username": "tara", "password": machine.PASSWORD}).status_code
    assert signed in (302, 503, 507), "it is in the trail, or it is refused"
    told = AuditEntry.objects.filter(verb="auth.login", seq__gt=before[2]).count()
    assert told == (1 if signed == 302 else 0)
    for page in (api.get(path), browser.get("/containers/"), browser.get("/containers/")):
        assert page.status_code == 200
    full = state()
    assert full[0] == before[0] + len(accepted)
    assert full[1] - before[1] == full[2] - before[2] == len(accepted) + told
    assert {*Operation.objects.values_list("target_name", flat=True)} == {"before", *accepted}
    assert len(site.door.journal) == asked

    disk.room_again()
    assert api.post(f"{path}stop/", {}, format="json").status_code == 202
    assert other.post("/login/", {"username": "tara", "password": machine.PASSWORD}).status_code == 302
    again = state()
    assert again[0] == full[0] + 1
    assert again[1] - full[1] == again[2] - full[2] >= 1, "no number is missing"


def lapsed(operation: Operation) -> bool:
    operation.refresh_from_db()
    return operation.lease_until is not None and operation.lease_until < timezone.now()


def test_what_a_worker_cannot_write_down_is_looked_up_once_there_is_room(
    disk: Disk, site: Site, worker: subprocess.Popen[bytes]
) -> None:
    put(site, "slow", SLOW)
    pid = worker_pid(site, worker)
    operation = site.ask("container.stop", "slow", timeout=20)
    machine.wait_for(lambda: site.door.effects("kill"), 30, "not begun")
    disk.fill(pid)

    def exited() -> bool:
        return site.docker.api.inspect_container(site.row("slow").native_id)["State"]["Status"] == "exited"

    machine.wait_for(exited, 30, "not stopped", every=0.1)
    # Nothing can be written, neither the end nor a longer lease: it lapses, and nobody can take it either.
    machine.wait_for(lambda: lapsed(operation), 20, "the lease is still renewed", every=0.1)
    assert not operation.ended
    disk.room_again()
    (ended,) = site.wait([operation])
    assert (ended.state, ended.error_code) == ("succeeded", "")
    assert ended.fence > 1, "by a later attempt"
    assert worker_pid(site, worker) == pid, "no worker had to be started again"
    (after,) = site.wait([site.ask("volume.create", "afterwards")])
    assert after.state == "succeeded"
    site.look()
    site.holds()


def test_a_volume_whose_copy_does_not_fit_stays(
    disk: Disk, site: Site, worker: subprocess.Popen[bytes]
) -> None:
    fill = ["sh", "-c", "dd if=/dev/zero of=/data/big bs=1048576 count=6"]
    machine.said_by(site.docker, BUSYBOX, fill, volumes={"precious": {"bind": "/data", "mode": "rw"}})
    site.look()
    row = Volume.objects.get(engine=site.engine, native_id="precious")
    with tight(disk, worker_pid(site, worker)):
        (refused,) = site.wait([containers.request_volume_remove(row, actor=site.actor)])
    assert (refused.state, refused.error_code) == ("failed", "disk_full")
    assert "disk is full" in refused.error_message
    assert site.docker.api.inspect_volume("precious")
    assert not TrashItem.objects.exists()
    assert disk.left() == []
    (gone,) = site.wait([containers.request_volume_remove(row, actor=site.actor)])
    assert gone.state == "succeeded"
    assert len(disk.left()) == 1
    site.look()
    site.holds()


def test_files_to_save_that_do_not_fit_leave_no_half_of_them(
    disk: Disk, site: Site, worker: subprocess.Popen[bytes]
) -> None:
    command = [
        "sh",
        "-c",
        "dd if=/dev/zero of=/big bs=1048576 count=6; trap exit TERM; while :; do sleep 0.1; done",
    ]
    put(site, "writer", command)
    native_id = site.row("writer").native_id
    machine.wait_for(lambda: site.docker.api.diff(native_id), 10, "nothing written")
    with tight(disk, worker_pid(site, worker)):
        (refused,) = site.wait([containers.request_copy(site.row("writer"), actor=site.actor)])
    assert (refused.state, refused.error_code) == ("failed", "disk_full")
    assert disk.left() == []
    (saved,) = site.wait([containers.request_copy(site.row("writer"), actor=site.actor)])
    assert saved.state == "succeeded"
    site.holds()


def test_a_build_context_that_does_not_fit_is_refused_with_a_sentence(
    disk: Disk, site: Site, api_for: Callable[..., Any]
) -> None:
    api, before = api_for(site.actor.user), Operation.objects.count()
    body = {"tags": "faults/large:1"}
    with tight(disk):
        answer = api.post("/api/v1/images/build/", {**body, "context": context(6)}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full"), answer.content
    assert "disk is full" in answer.json()["detail"]
    assert disk.left() == []
    assert Operation.objects.count() == before
    answer = api.post("/api/v1/images/build/", {**body, "context": context(1)}, format="multipart")
    assert answer.status_code == 202, answer.content
    assert len(disk.left()) == 1


class tight:  # noqa: N801 - reads as a statement
    """Room for rows, and for no large file."""

    def __init__(self, disk: Disk, *workers: int) -> None:
        self.disk, self.workers = disk, workers

    def __enter__(self) -> None:
        if self.disk.mounted:
            self.disk.stuff(leave=3 * 1024 * 1024)
            return
        for pid in (os.getpid(), *self.workers):
            before = self.disk._before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (5 * 1024 * 1024, before[1]))

    def __exit__(self, *_: object) -> None:
        self.disk.room_again()


def context(megabytes: int) -> SimpleUploadedFile:
    """A tar with a Dockerfile and a file of that size."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("Dockerfile", f"FROM {BUSYBOX}\n".encode()), ("big", bytes(megabytes << 20))):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return SimpleUploadedFile("context.tar", out.getvalue())
