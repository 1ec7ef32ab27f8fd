"""`manage.py up`: what it starts, what it says, and that nothing is left of it, however it ends."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from dashboard.management.commands.up import own_directory, split_bind
from dashboard.supervisor import Child, Log, Supervisor
from tests.machine import ROOT, LiveApp, wait_for

pytestmark = pytest.mark.slow


class Up(LiveApp):
    """Slipway without an engine: up means that its pages answer."""

    def __init__(self, **environment: str) -> None:
        super().__init__("unix:///nowhere/docker.sock", **environment)

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError("ended")
        return f"Slipway is at {self.url}" in self.said()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> dict[int, str]:
        """Process id and command line of what the supervisor runs."""
        return {pid: command for pid, (parent, command) in processes().items() if parent == self.pid}

    def child(self, part: str) -> int:
        """The process id of the child whose command line contains that."""
        return int(
            wait_for(
                lambda: next((pid for pid, line in self.children().items() if part in line), 0), 20, part
            )
        )

    def try_to_start(self) -> str:
        """What it says where it cannot start."""
        with pytest.raises(AssertionError) as refused:
            self.start()
        return str(refused.value)


@pytest.fixture
def up() -> Iterator[Up]:
    app = Up()
    yield app
    app.discard()


def patience(seconds: float) -> float:
    """Seconds on a machine with nothing else to do, in seconds on this one now."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def processes() -> dict[int, tuple[int, str]]:
    """Process id to parent and command line, of all that are not zombies."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != "Z":
            found[int(entry.name)] = int(parent), command
    return found


def left(pids: dict[int, str]) -> dict[int, str]:
    """Of these, the ones that still run the same program."""
    now = processes()
    return {pid: command for pid, command in pids.items() if pid in now and now[pid][1] == command}


def test_it_runs_four_processes_and_ctrl_c_ends_them_within_five_seconds(up: Up) -> None:
    up.start()
    children = {up.child(part): part for part in ("redis", "uvicorn", "celery", "gateway")}
    lines = up.children()
    assert set(lines) == set(children)

    assert up.stop() < patience(5)
    assert up.process is not None
    assert up.process.returncode == 0
    assert not left(lines)


def test_ctrl_c_while_it_prepares_ends_it_too(up: Up) -> None:
    # Nothing is collected yet in a new state directory: it prepares for several seconds.
    command = [sys.executable, "manage.py", "up"]
    up.process = subprocess.Popen(
        command, cwd=ROOT, env=up.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    up.child("redis")
    lines = up.children()
    assert up.stop() < patience(5)
    assert not left(lines)


def test_nothing_is_left_when_the_supervisor_is_killed(up: Up) -> None:
    up.start()
    for part in ("redis", "uvicorn", "celery", "gateway"):
        up.child(part)
    lines = up.children()

    os.kill(up.pid, signal.SIGKILL)
    wait_for(lambda: not left(lines), patience(5), "something is left")


def test_the_second_start_takes_less_than_five_seconds(up: Up) -> None:
    up.start()
    up.stop()
    seconds = []
    for _ in range(2):  # the better of two: the machine may be busy with other tests
        up.log.write_bytes(b"")
        began = time.monotonic()
        up.start()
        seconds.append(time.monotonic() - began)
        up.stop()
    assert min(seconds) < patience(5)


def test_it_says_its_address_and_until_set_up_the_link(up: Up) -> None:
    up.start()
    said = up.said().splitlines()
    assert next(line for line in said if not line.startswith("[")) == f"Slipway is at {up.url}"
    assert up.setup_link().startswith(f"{up.url}/setup/?token=")
    up.stop()

    up.log.write_bytes(b"")
    up.environment |= {
        "SLIPWAY_ADMIN_USER": "admin",
        "SLIPWAY_ADMIN_PASSWORD": "correct horse battery staple",
    }
    up.start()
    time.sleep(0.2)
    assert "/setup/" not in up.said()
    assert up.get("/login/")[0] == 200


def test_static_files_come_compressed_hashed_and_with_safe_headers(up: Up) -> None:
    up.start()
    page = up.get(up.setup_link().removeprefix(up.url))[1].decode()
    sheet = re.search(r'"(/static/build/css/app\.[0-9a-f]{12}\.css)"', page)
    assert sheet, page
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
    connection.request("GET", sheet[1], headers={"Accept-Encoding": "br, gzip"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "br"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_child_that_dies_is_started_again(up: Up) -> None:
    up.start()
    for part in ("celery", "redis"):
        before = up.child(part)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda part=part, before=before: up.child(part) != before, 20, f"{part} stays dead")
    assert "was ended by signal 9; starting it again" in up.said()
    assert up.get("/healthz")[0] == 200


def test_a_second_one_on_the_same_state_says_where_the_first_is(up: Up) -> None:
    up.start()
    other = Up(SLIPWAY_HOME=up.environment["SLIPWAY_HOME"])
    try:
        assert f"Slipway is already running at {up.url}" in other.try_to_start()
        assert up.get("/healthz")[0] == 200
    finally:
        other.discard()


def test_a_taken_port_is_named_with_a_way_out(up: Up) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", up.port))
        taken.listen()
        said = up.try_to_start()
    assert f"127.0.0.1:{up.port} cannot be used: Address already in use" in said
    assert f"SLIPWAY_BIND=127.0.0.1:{up.port + 1}" in said


def test_a_deep_state_directory_gets_a_short_socket(up: Up) -> None:
    up.environment["SLIPWAY_HOME"] = str(up.home.joinpath(*["a-rather-long-name-of-a-folder"] * 4))
    up.start()
    assert re.search(r"unixsocket:\S+/slipway-\d+-\w+/redis\.sock", up.children()[up.child("redis")])


def test_the_socket_folder_must_be_ours_alone(tmp_path: Path) -> None:
    own_directory(tmp_path / "run")
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(CommandError, match="chmod 700"):
        own_directory(tmp_path / "run")


@pytest.mark.parametrize(
    ("bind", "expected"),
    [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:80", ("::1", 80)), (":9000", ("", 9000))],
)
def test_an_address_is_a_host_and_a_port(bind: str, expected: tuple[str, int]) -> None:
    assert split_bind(bind) == expected


@pytest.mark.parametrize("bind", ["localhost", "localhost:", "localhost:0", "localhost:70000"])
def test_an_address_without_a_port_is_refused(bind: str) -> None:
    with pytest.raises(CommandError, match="host:port"):
        split_bind(bind)


def test_a_log_is_kept_to_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.supervisor.LOG_BYTES", 100)
    log = Log(tmp_path / "web.log")
    for number in range(30):
        log.write(b"line %02d\n" % number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web.log", "web.log.1"]
    assert log.tail(1) == "line 29"
    log.close()


def test_warnings_reach_the_console_with_what_follows_them_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "print('2026-11-24 03:00:00,1 INFO web: quiet', flush=True);"
        "print('2026-11-24 03:00:00,1 ERROR web: loud\\nTraceback (most recent call last):\\n  here', flush=True);"
        "print('2026-11-24 03:00:00,1 INFO web: quiet again', flush=True); import time; time.sleep(60)"
    )
    console = StringIO()
    supervisor = Supervisor(os.environ, console)
    log = Log(tmp_path / "web.log")
    child = Child("web", [sys.executable, "-c", script], log)
    supervisor.start(child)
    assert supervisor.run(until=lambda: "quiet again" in log.tail(1), seconds=20)
    supervisor.stop([child])
    log.close()
    assert "quiet" not in console.getvalue()
    assert console.getvalue().startswith("[web] 2026-11-24 03:00:00,1 ERROR web: loud\n[web] Traceback")
