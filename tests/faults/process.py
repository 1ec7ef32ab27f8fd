"""Processes of Slipway for the tests of faults: the real code, on the tests' database, in a hurry, with points.

python -m tests.faults.process nursery   carries each operation out in a process of its own
python -m tests.faults.process worker    a Celery worker; one that has died is followed by the next at once
python -m tests.faults.process gateway   the gateway
python -m tests.faults.process web       the web process, at FAULTS_PORT

The database's file is FAULTS_DATABASE, FAULTS_FOLDER holds the plan and the process ids. FAULTS_DEADLINE takes the
place of the seconds that builds may take, FAULTS_PACE=product leaves all times as they are; with FAULTS_DEAF a web
process dies between accepting its first change and sending it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

MOST = 8
"""Operations at once in the nursery, beside those that sleep."""
LEASE = 3.0
"""Seconds. Long enough for a busy machine, short enough to be waited for."""
_libc = ctypes.CDLL(None)


def begin() -> None:
    """Django, on the tests' database."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = os.environ["FAULTS_DATABASE"]
    import django

    django.setup()


def hurry() -> None:
    """The same as in the product, in a fifth of the time."""
    from operations import claims, leases, registry, runner, tasks, verifying

    leases.LEASE, leases.RENEW, leases.LOOK, leases.QUIET = LEASE, LEASE / 5, 0.1, LEASE / 3
    claims.PICKUP, claims.UNSENT = timedelta(seconds=0.8), timedelta(seconds=0.4)
    runner.LOOK_AGAIN, verifying.GIVE_UP = timedelta(seconds=0.5), timedelta(seconds=2)
    verifying.LOOKS = (0.0, 0.2, 0.5)
    tasks.TICK = 0.2
    if seconds := os.environ.get("FAULTS_DEADLINE"):
        build = registry.get("image.build")
        registry._kinds["image.build"] = replace(build, deadline=float(seconds))


def fork(work: Callable[[], None], signals: int = signal.SIGKILL) -> int:
    """A child that does it and ends, and that ends with us."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _libc.prctl(1, signals)
        if os.getppid() == parent:
            work()
        code = 0
    except BaseException:
        logging.getLogger(__name__).exception("a child broke")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def nursery() -> None:
    """Sweeps as workers do, and has each operation found carried out by a child."""
    from django.db import connections
    from django.utils import timezone

    from operations import claims, services, tasks
    from operations.models import Operation

    waiting: deque[UUID] = deque()

    def dispatch(operation_id: UUID) -> bool:
        Operation.objects.filter(pk=operation_id).update(dispatched_at=timezone.now())
        if operation_id not in waiting:
            waiting.append(operation_id)
        return True

    services.dispatch = dispatch
    claims.PICKUP = claims.UNSENT = timedelta(0)
    children: set[int] = set()
    while True:
        claims.sweep()
        connections.close_all()
        while waiting and len(children) < MOST:
            operation_id = str(waiting.popleft())
            children.add(fork(lambda: tasks.run_operation(operation_id)))  # noqa: B023 - forked at once
        time.sleep(0.05)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG | os.WUNTRACED)) != (0, 0):
                children.discard(ended[0])


def worker() -> None:
    """A Celery worker after the other. Its process id stands in the folder, as ``worker-<ours>``."""
    from dashboard.celery import app

    said = Path(os.environ["FAULTS_FOLDER"]) / f"worker-{os.getpid()}"
    app.loader.import_default_modules()
    app.finalize()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(said.read_text()), signal.SIGTERM)

    def work() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        name = f"faults-{os.getpid()}@local"
        app.worker_main(
            [
                "worker",
                "-P",
                "threads",
                "-c",
                "4",
                "--without-gossip",
                "--without-mingle",
                "-n",
                name,
                "-l",
                "WARNING",
            ]
        )

    signal.signal(signal.SIGTERM, stop)
    while not stopping:
        child = fork(work)
        said.write_text(str(child))
        while True:
            try:
                os.waitpid(child, 0)
                break
            except InterruptedError:
                continue


def gateway() -> None:
    """The gateway, as ``manage.py gateway`` runs it."""
    from django.core.management import call_command

    call_command("gateway")


def web() -> None:
    """A web process, as ``manage.py up`` starts it."""
    import uvicorn

    from dashboard.management.commands.up import web_options
    from operations import services

    def die(operation_id: UUID) -> bool:
        os._exit(9)

    if "FAULTS_DEAF" in os.environ:
        services.dispatch = die
    uvicorn.main(args=web_options("127.0.0.1", int(os.environ["FAULTS_PORT"])))


def main() -> None:
    role = {"nursery": nursery, "worker": worker, "gateway": gateway, "web": web}[sys.argv[1]]
    begin()
    if os.environ.get("FAULTS_PACE") != "product":
        hurry()
    if role in (nursery, worker):
        from tests.faults.points import Plan, install

        install(Plan(Path(os.environ["FAULTS_FOLDER"])).at)
    role()


if __name__ == "__main__":
    main()
