"""PostgreSQL restarted, its connections killed, its table locked, under a running Slipway and operations on their way.

Requests are answered with 503 or succeed later; each wish has one effect; no process ends; all heals within seconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import docker
import psycopg
import pytest

from conftest import BUSYBOX
from scripts import dockerd, setup
from tests import machine
from tests.chaos import Faulty

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
HEALS = 10
"""Seconds within which a change is accepted again."""
AWAY = 12
"""Seconds without a server: who waits twice as long before each new try would be late then."""


class Postgres:
    """A PostgreSQL of the tests' own on a unix socket; it does not run as root, so somebody else has to be it."""

    def __init__(self) -> None:
        found = setup.postgresql_programs()
        assert found, "no PostgreSQL server here: make faults installs it as root, else install postgresql"
        self.programs, self.folder = found, machine.short_folder()
        self.data = self.folder / "data"
        self.who: dict[str, Any] = {}
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            self.who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            self.folder.chmod(0o777)
            shutil.chown(self.data, "nobody", "nogroup")
        options = ["-U", "slipway", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._do("initdb", "-D", str(self.data), *options)
        self.url = f"postgres://slipway@{quote(str(self.folder), safe='')}/postgres"
        self.process: subprocess.Popen[bytes] | None = None

    def _do(self, program: str, *words: str) -> None:
        command = [str(self.programs / program), *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **self.who)
        assert done.returncode == 0, done.stderr

    def start(self) -> Postgres:
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", str(self.folder)]
        self.process = subprocess.Popen(
            [str(self.programs / "postgres"), "-D", str(self.data), *options],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=dockerd.bound_to(os.getpid()), **self.who,
        )  # fmt: skip
        machine.wait_for(self._answers, 30, "PostgreSQL does not come up", every=0.1)
        return self

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), self.connected():
            return True
        return False

    def stop(self) -> None:
        """At once, whoever is connected."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(
            host=str(self.folder), user="slipway", dbname="postgres", autocommit=True
        ) as found:
            yield found

    def asked(self, question: str) -> list[tuple[Any, ...]]:
        with self.connected() as connection:
            return connection.execute(question).fetchall()  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    found = Postgres().start()
    yield found
    found.stop()


class Running:
    """The whole of Slipway on it, with the engine behind a door that keeps a journal."""

    def __init__(self, app: machine.LiveApp, door: Faulty, postgres: Postgres) -> None:
        self.app, self.door, self.postgres = app, door, postgres
        self.token = app.token("admin", "admin")

    def processes(self) -> set[int]:
        assert self.app.process is not None
        pid = self.app.process.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, found = self.app.api(self.token, method, f"/api/v1/{path}", body, **headers)
        return int(status), found


@pytest.fixture(scope="module")
def running(engine_url: str, busybox: str, postgres: Postgres) -> Iterator[Running]:
    folder = machine.short_folder()
    door = Faulty(folder / "p.sock", engine_url).open()
    app = machine.LiveApp(
        door.url, DATABASE_URL=postgres.url, SLIPWAY_ADMIN_USER="admin",
        SLIPWAY_ADMIN_PASSWORD=machine.PASSWORD, SLIPWAY_API_RATE="0",
    )  # fmt: skip
    try:
        yield Running(app.start(), door, postgres)
    finally:
        app.discard()
        door.shut()


class Load:
    """People who make volumes, restart a container and read; told 503, they ask again with the same key."""

    def __init__(self, running: Running, tag: str, container: str) -> None:
        self.running, self.tag, self.container = running, tag, container
        self.told: Counter[int] = Counter()
        self.accepted: dict[str, str] = {}
        self.broken: list[BaseException] = []
        self._over = threading.Event()
        works = [lambda n=n: self._make(n) for n in range(3)]
        self._threads = [threading.Thread(target=self._all_along, args=(work,))
                         for work in [*works, self._restart, self._read]]  # fmt: skip

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        machine.wait_for(lambda: len(self.accepted) > 3 or self.broken, 30, "nothing is accepted")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(90)
        assert not [thread for thread in self._threads if thread.is_alive()]

    def _all_along(self, work: Any) -> None:
        try:
            while not self._over.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.broken.append(error)

    def _until_accepted(self, path: str, body: Any) -> None:
        key = str(uuid.uuid4())
        while True:
            status, found = self.running.ask("POST", path, body, Idempotency_Key=key)
            self.told[status] += 1
            if status == 202:
                self.accepted[key] = found["id"]
                return
            assert status == 503, (status, found)
            assert found["code"] == "unavailable"
            time.sleep(0.2)

    def _make(self, n: int) -> None:
        self._until_accepted("volumes/", {"name": f"{self.tag}-{n}-{uuid.uuid4().hex[:12]}"})
        time.sleep(0.2)

    def _restart(self) -> None:
        self._until_accepted(f"containers/{self.container}/restart/", {"timeout": 1})
        last = list(self.accepted.values())[-1]
        while self.running.ask("GET", f"operations/{last}/")[1].get("state") not in ENDED:
            time.sleep(0.3)

    def _read(self) -> None:
        status, found = self.running.ask("GET", "containers/")
        self.told[status] += 1
        assert status in (200, 503), (status, found)
        time.sleep(0.1)


ENDED = ("succeeded", "failed", "cancelled")


@contextmanager
def under_load(running: Running, client: docker.DockerClient, tag: str) -> Iterator[Load]:
    """What happens within must not lose, double or end anything."""
    made = client.containers.run(
        BUSYBOX, ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"], name=tag, detach=True,
        network_mode="none",
    )  # fmt: skip

    def seen() -> list[Any]:
        found: list[Any] = running.ask("GET", f"containers/?q={tag}")[1]["results"]
        return [row for row in found if row["engine_id"] == made.id]

    row = machine.wait_for(seen, 30, "the gateway does not see it", every=0.2)
    before = running.processes()
    assert len(before) >= 3, "web, worker and gateway at least"
    with Load(running, tag, row[0]["id"]) as load:
        yield load
        machine.wait_for(lambda: accepts(running), HEALS, "it does not heal", every=0.1)
    assert load.broken == []
    assert running.processes() == before, "a process has ended"
    all_ended(running, load)


def accepts(running: Running) -> bool:
    body = {"name": f"healed-{uuid.uuid4().hex[:12]}"}
    return running.ask("POST", "volumes/", body)[0] == 202


def all_ended(running: Running, load: Load) -> None:
    active = "SELECT kind, state, attempt, error_message FROM operations_operation WHERE state NOT IN {}"
    question = active.format(ENDED)
    machine.wait_for(lambda: not running.postgres.asked(question), 120, "not all ended", every=0.5)
    keys = ",".join(f"'{key}'" for key in load.accepted)
    rows = running.postgres.asked(
        f"SELECT id, kind, state, error_code FROM operations_operation WHERE idempotency_key IN ({keys})"  # noqa: S608
    )
    assert {str(row[0]) for row in rows} == set(load.accepted.values())
    assert len(rows) == len(set(load.accepted.values())), "a wish is one row, however often it was sent"
    odd = {(kind, state, code) for _, kind, state, code in rows if state != "succeeded"}
    # What is not begun again after its worker could write nothing may not have been asked for at all.
    assert odd <= {("container.restart", "failed", "lost")}
    journal = running.door.write(running.app.home / "journal")
    machine.wait_for(lambda: running.app.get("/readyz")[0] == 200, 60, "not all parts are well", every=0.5)
    running.app.manage("check_invariants", "--settled", "--journal", str(journal))


def test_no_statement_and_no_wait_for_a_lock_is_without_an_end(running: Running) -> None:
    ask = "from django.db import connection as c\nk = c.cursor()\n"
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    ask += "".join(f"k.execute('SHOW {name}'); print('{name}', k.fetchone()[0])\n" for name in names)
    said = running.app.manage("shell", "-c", ask)
    assert "lock_timeout 5s" in said
    assert "statement_timeout 30s" in said
    assert "idle_in_transaction_session_timeout 1min" in said


WAITS = """
import threading, time
from django.db import connection
from accounts import members, permission_sets
from accounts.access import person
from accounts.models import PermissionSet, Role, Team, User

actor = person(User.objects.get(username="admin"), source="ui")
team = Team.objects.create(slug="waits", name="Waits")
people = [User.objects.create(username=f"waits{n}") for n in range(2)]
usable, holders, wrong = members.usable, permission_sets.holders, []
members.usable = lambda *given: (time.sleep(0.1), usable(*given))[1]
permission_sets.holders = lambda row: (time.sleep(0.2), holders(row))[1]

def run(do):
    start.wait()
    try:
        do()
    except members.Kept:
        pass
    except Exception as error:
        wrong.append(repr(error))
    finally:
        connection.close()

for number in range(4):
    row = PermissionSet.objects.create(name="Of all", permissions=["container.restart"])
    members.put(team, people[0], actor=actor, permission_set=row)
    start = threading.Barrier(2)
    wishes = (
        lambda: permission_sets.remove(row, actor=actor, role=Role.VIEWER),
        lambda: members.put(team, people[1], actor=actor, permission_set=row),
    )
    threads = [threading.Thread(target=run, args=(wish,)) for wish in wishes]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("left", PermissionSet.objects.count(), "wrong", wrong)
"""


def test_a_set_of_all_teams_that_goes_and_a_member_that_changes_do_not_wait_for_each_other(
    running: Running,
) -> None:
    assert "left 0 wrong []" in running.app.manage("shell", "-c", WAITS)


def test_connections_that_are_killed_again_and_again_lose_nothing(
    running: Running, docker_client: docker.DockerClient
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.5"
    )
    killed = 0
    with under_load(running, docker_client, "killed"):
        for _ in range(30):
            killed += len(running.postgres.asked(kill))
            time.sleep(0.3)
    assert killed > 10


def test_a_server_that_is_restarted_loses_nothing(
    running: Running, docker_client: docker.DockerClient
) -> None:
    with under_load(running, docker_client, "restarted") as load:
        running.postgres.stop()
        machine.wait_for(lambda: load.told[503] > 2, 30, "nobody was told that it is away", every=0.1)
        time.sleep(AWAY)
        running.postgres.start()


def test_a_table_that_is_locked_holds_up_nobody_for_ever(
    running: Running, docker_client: docker.DockerClient
) -> None:
    lock = "LOCK TABLE operations_operation IN ACCESS EXCLUSIVE MODE"
    with (
        under_load(running, docker_client, "locked") as load,
        running.postgres.connected() as connection,
        connection.transaction(),
    ):
        connection.execute(lock)
        machine.wait_for(lambda: load.told[503] > 2, 60, "nobody was told", every=0.1)
        assert running.app.get("/healthz")[0] == 200
