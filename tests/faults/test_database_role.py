"""S-85: the role of the running processes on a real PostgreSQL: all of the product works, and the trail is closed."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest

from accounts import triggers
from conftest import BUSYBOX
from tests import machine
from tests.faults.test_postgresql import Postgres

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
ROLE, PASSWORD = "slipway_runtime", "a-password-'with\"-quotes"
TRAIL = triggers.TABLE


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    found = Postgres().start()
    yield found
    found.stop()


def address(postgres: Postgres, role: str = ROLE, password: str = PASSWORD) -> str:
    return f"postgres://{role}:{quote(password, safe='')}@{quote(str(postgres.folder), safe='')}/postgres"


def prepare(postgres: Postgres, url: str, app: machine.LiveApp) -> subprocess.CompletedProcess[str]:
    """As compose.yaml does it: by the owner of the tables, before the others start."""
    file = app.home / "database_url"
    file.write_text(url + "\n")
    environment = {**app.environment, "DATABASE_URL": postgres.url, "SLIPWAY_BIND": "127.0.0.1:8000"}
    return subprocess.run(
        [sys.executable, "manage.py", "prepare", "--role-from", str(file)],
        cwd=machine.ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def app(engine_url: str, postgres: Postgres) -> Iterator[machine.LiveApp]:
    """Slipway, run by that role alone."""
    found = machine.LiveApp(engine_url, DATABASE_URL=address(postgres))
    for _ in range(2):  # as often as one likes
        done = prepare(postgres, address(postgres), found)
        assert done.returncode == 0, done.stderr
    found.environment |= {"SLIPWAY_ADMIN_USER": "admin", "SLIPWAY_ADMIN_PASSWORD": machine.PASSWORD}
    try:
        yield found.start()
    finally:
        found.discard()


def connected(postgres: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(postgres.folder), user=ROLE, password=PASSWORD, dbname="postgres", autocommit=True
    )


def read(app: machine.LiveApp, token: str, path: str) -> bytes:
    sent = {"Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(app.url + path, headers=sent)  # noqa: S310 - an address of ours
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        return bytes(answer.read())


FORBIDDEN = [
    "UPDATE TRAIL SET verb = 'nothing'",
    "DELETE FROM TRAIL",
    "TRUNCATE TRAIL",
    "TRUNCATE TRAIL CASCADE",
    "ALTER TABLE TRAIL DISABLE TRIGGER ALL",
    "ALTER TABLE TRAIL DISABLE TRIGGER TRAIL_no_change",
    "ALTER TABLE TRAIL OWNER TO ROLE",
    "DROP TRIGGER TRAIL_no_change ON TRAIL",
    "DROP FUNCTION TRAIL_refuse() CASCADE",
    "DROP TABLE TRAIL",
    "CREATE RULE r AS ON INSERT TO TRAIL DO INSTEAD NOTHING",
    "CREATE TRIGGER t BEFORE INSERT ON TRAIL EXECUTE FUNCTION TRAIL_refuse()",
    "CREATE OR REPLACE FUNCTION TRAIL_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "MERGE INTO TRAIL USING (SELECT 1 AS seq) s ON TRAIL.seq = s.seq WHEN MATCHED THEN DELETE",
    "INSERT INTO TRAIL SELECT * FROM TRAIL LIMIT 1 ON CONFLICT (id) DO UPDATE SET verb = 'nothing'",
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION slipway",
    "DELETE FROM accounts_audithead",
    "INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', 'x', now())",
    "CREATE TABLE public.mine (id int)",
    "CREATE USER another SUPERUSER",
    "ALTER USER ROLE SUPERUSER",
    "COPY accounts_user TO PROGRAM 'true'",
]


def test_the_trail_is_closed_to_who_runs_and_slipway_works(
    app: machine.LiveApp, busybox: str, postgres: Postgres
) -> None:
    """S-85: by a container run, its page of logs and its removal; each leaves its line in the trail."""
    token = app.token("admin", "admin")
    with connected(postgres) as connection:
        before = connection.execute(f"SELECT count(*), max(seq) FROM {TRAIL}").fetchone()  # noqa: S608
        assert before is not None
        assert before[0]
        connection.execute(f"GRANT ALL ON {TRAIL} TO {ROLE}")  # a warning of PostgreSQL's, and no right
        for text in FORBIDDEN:
            statement = text.replace("TRAIL", TRAIL).replace("ROLE", ROLE)
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)
            ) as refused:
                connection.execute(statement)  # type: ignore[call-overload]
            # The rights refuse it, before the trigger would.
            assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege), statement
        after = connection.execute(f"SELECT count(*), max(seq) FROM {TRAIL}").fetchone()  # noqa: S608
        assert after == before
    wait = {"Prefer": "wait=60"}
    command = ["sh", "-c", "trap 'exit 0' TERM; echo hello; while :; do sleep 1 & wait $!; done"]
    body = {"image": BUSYBOX, "name": "roles", "command": command}
    _, run = app.api(token, "POST", "/api/v1/containers/", body, **wait)
    assert run["state"] == "succeeded", run
    path = f"/api/v1/containers/{run['result']['container']}/"
    machine.wait_for(lambda: b"hello" in read(app, token, f"{path}logs/?tail=5"), 10, "no line of it")
    for verb, way in (("POST", f"{path}stop/"), ("DELETE", path)):
        _, found = app.api(token, verb, way, **wait)
        assert found["state"] == "succeeded", found
    written = postgres.asked(f"SELECT verb FROM {TRAIL} WHERE seq > {before[1]}")  # noqa: S608
    assert len(written) >= 3
    done = subprocess.run(
        [sys.executable, "manage.py", "audit", "verify"],
        cwd=machine.ROOT, env=app.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "chain whole" in done.stdout


def test_the_owner_is_no_runtime_role(app: machine.LiveApp, postgres: Postgres) -> None:
    """S-85."""
    done = prepare(postgres, address(postgres, "slipway", "x"), app)
    assert done.returncode != 0
    assert "must have another role than slipway" in done.stderr


def test_a_role_that_inherits_more_is_refused(app: machine.LiveApp, postgres: Postgres) -> None:
    """S-85."""
    with postgres.connected() as connection:
        connection.execute("CREATE ROLE heir LOGIN")
        connection.execute("GRANT pg_write_all_data TO heir")
    done = prepare(postgres, address(postgres, "heir", "x"), app)
    assert done.returncode != 0
    assert "heir is a member of pg_write_all_data" in done.stderr
