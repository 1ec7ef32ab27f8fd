#!/usr/bin/env python3
"""Finds, installs, starts and stops a container engine. Standard library only.

dockerd.py find              prints the URL of the engine that answers, or says what is missing
dockerd.py install           installs Docker where that needs no question (root on Debian or Ubuntu)
dockerd.py start DIR         a private engine on unix://DIR/docker.sock; prints its URL when it answers
dockerd.py start DIR --default    the machine's own engine, left running; its log goes to DIR/dockerd.log
dockerd.py stop DIR          ends the private engine of DIR with all it started; its data stays in DIR
                      unless --purge is said
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_SOCKET = Path("/var/run/docker.sock")
PACKAGES = ["docker.io", "iptables", "iproute2", "busybox-static", "ca-certificates"]
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLITE_SECONDS = 0.5
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_started: list[subprocess.Popen[bytes]] = []
"""Kept: a process object that is dropped while its process runs warns, and tests take that for a fault."""


class EngineError(Exception):
    """What went wrong and what to do about it, in one sentence for a person."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(url: str, path: str, timeout: float = 2.0) -> bytes | None:
    """The body of ``GET path`` at an engine's ``unix://`` or plain ``tcp://`` URL; None without a 200."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "unix":
        connection = _UnixConnection(parts.path, timeout)
    else:
        connection = http.client.HTTPConnection(
            parts.hostname or "localhost", parts.port or 2375, timeout=timeout
        )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers(url: str) -> bool:
    return get(url, "/_ping") is not None


def candidates() -> Iterator[str]:
    """Engine URLs in the order they are tried; Podman's Docker-compatible sockets come last."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    yield f"unix://{DEFAULT_SOCKET}"
    if runtime:
        yield f"unix://{runtime}/docker.sock"
        yield f"unix://{runtime}/podman/podman.sock"
    yield "unix:///run/podman/podman.sock"


def find() -> str | None:
    """The URL of the engine to use. DOCKER_HOST decides alone where it is set."""
    if chosen := os.environ.get("DOCKER_HOST", ""):
        # TLS and ssh endpoints are the client's business: believed here, checked when it connects.
        plain = chosen.startswith(("unix://", "tcp://")) and not os.environ.get("DOCKER_TLS_VERIFY")
        return chosen if not plain or answers(chosen) else None
    return next((url for url in candidates() if answers(url)), None)


def may_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def apt_install(packages: list[str]) -> None:
    """Installs Debian packages without a question; EngineError when apt cannot."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for update_first in (False, True):
        if update_first:
            subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True)
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return
    raise EngineError(f"apt-get could not install {' '.join(packages)}: {done.stderr.strip()[-400:]}")


def install() -> None:
    if shutil.which("dockerd") and shutil.which("ip"):
        return
    if not may_install():
        raise EngineError("Docker is not installed. On Debian or Ubuntu: sudo apt-get install docker.io")
    apt_install(PACKAGES)


def _bridge(directory: Path) -> str:
    """A name of our own for the engine's bridge; the kernel allows 15 characters."""
    return "slip-" + hashlib.sha256(str(directory).encode()).hexdigest()[:8]


def _free_networks() -> tuple[str, str]:
    """The bridge's address and a pool for further networks, clear of every route on this machine."""
    routes = subprocess.run(
        ["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True
    ).stdout
    for second in range(201, 251):
        if not re.search(rf"\b10\.{second}\.", routes):
            return f"10.{second}.0.1/24", f"base=10.{second}.128.0/17,size=24"
    raise EngineError("No free network between 10.201.0.0 and 10.250.0.0 for the engine's bridge.")


def bound_to(parent: int) -> Callable[[], None]:
    """For a child before it becomes its program: SIGTERM when the process that started it is gone."""

    def in_child() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _running(directory: Path) -> int | None:
    """The process id of the engine of this directory, if it runs."""
    try:
        pid = int((directory / "pid").read_text())
        return pid if str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def start(directory: Path, *, bound: bool = False) -> str:
    """Starts a private engine in ``directory`` and returns its URL once it answers.

    It shares the machine's network but none of its rules: ports are published by the engine's own
    proxy, so that the machine's own Docker and firewall stay as they are. ``bound``: the engine ends
    when the calling process does.
    """
    directory = directory.resolve()
    url = f"unix://{directory}/docker.sock"
    if len(url) > 105:
        raise EngineError(f"The path of the socket is too long ({directory}); use a shorter directory.")
    if _running(directory) and answers(url):
        return url
    if os.geteuid() != 0:
        raise EngineError("Only root can start an engine here.")
    if missing := [name for name in ("dockerd", "ip", "unshare") if not shutil.which(name)]:
        raise EngineError(f"Missing here: {', '.join(missing)}. Run: scripts/dockerd.py install")
    directory.mkdir(parents=True, exist_ok=True)
    bridge = _bridge(directory)
    _remove_stale_links()
    _remove_links([bridge])
    address, pool = _free_networks()
    subprocess.run(["ip", "link", "add", bridge, "up", "type", "bridge"], check=True)
    subprocess.run(["ip", "address", "add", address, "dev", bridge], check=True)
    (directory / "daemon.json").write_text(json.dumps(_settings(directory)))
    # A resolver that refuses at once: without a network, a missing image else takes 20 to 30 s to fail.
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    options = {
        "--config-file": "daemon.json",
        "--data-root": "data",
        "--exec-root": "exec",
        "--pidfile": "pid",
        "--host": "docker.sock",
    }
    command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c"]
    command += ['mount --bind "$0" /etc/resolv.conf; exec dockerd "$@"', f"{directory}/resolv.conf"]
    for option, name in options.items():
        command += [option, f"unix://{directory}/{name}" if option == "--host" else f"{directory}/{name}"]
    command += ["--bridge", bridge, "--default-address-pool", pool, "--log-level", "warn"]
    command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--shutdown-timeout", "2"]
    command += ["--insecure-registry", "127.0.0.0/8"]
    _spawn_and_wait(command, url, directory / "log", bound_to(os.getpid()) if bound else None)
    # Only now: whoever starts an engine at the same time would take the bridge for one that was left behind.
    subprocess.run(["ip", "link", "set", bridge, "alias", str(directory)], check=True)
    return url


def _settings(directory: Path) -> dict[str, Any]:
    """What of a private engine is no option of the command line."""
    # Its own key: engines before 23 would else all report the ID in /etc/docker/key.json.
    found: dict[str, Any] = {"deprecated-key-path": f"{directory}/key.json"} if _major_version() < 23 else {}
    if (directory / "data").exists() and "docker0" in _bridges():
        # Started again with pools of its own, an engine removes docker0, which is the machine's own engine's; unless
        # it expects its containers to have gone on without it.
        found["live-restore"] = True
    return found


def start_default(directory: Path) -> str:
    """Starts the machine's own engine on its usual socket; it and its containers go on when we end."""
    url = f"unix://{DEFAULT_SOCKET}"
    if answers(url):
        return url
    if os.geteuid() != 0:
        raise EngineError("Docker is installed but does not run. Try: sudo systemctl start docker")
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "start", "docker"], capture_output=True)
        if answers(url):
            return url
    directory.mkdir(parents=True, exist_ok=True)
    _spawn_and_wait(["dockerd", "--log-level", "warn"], url, directory / "dockerd.log", None)
    return url


def _major_version() -> int:
    said = subprocess.run(["dockerd", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\d+", said)
    return int(found.group()) if found else 0


def _spawn_and_wait(command: list[str], url: str, log: Path, in_child: Callable[[], None] | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=in_child,
            env=environment,
        )
    _started.append(process)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if answers(url):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    tail = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise EngineError(f"The engine did not start; the end of {log}:\n" + "\n".join(tail))


def stop(directory: Path, *, purge: bool = False) -> None:
    """Ends the engine of ``directory``, then whatever of it is still there, each by its process id."""
    directory = directory.resolve()
    if pid := _running(directory):
        os.kill(pid, signal.SIGTERM)
        started = time.monotonic()
        while _state(pid) != "Z" and time.monotonic() < started + STOP_SECONDS:
            time.sleep(0.05)
            if time.monotonic() > started + POLITE_SECONDS:
                # A container's first process ignores SIGTERM unless it asks for it: 10 s each.
                _kill(_container_processes(directory))
    _kill(_left_processes(directory))
    _started[:] = [process for process in _started if process.poll() is None]
    _remove_links(_links_of(directory))
    for name in ("pid", "docker.sock"):
        (directory / name).unlink(missing_ok=True)
    if purge:
        shutil.rmtree(directory, ignore_errors=True)


def _bridges() -> dict[str, str]:
    """Every bridge of this machine, with the directory that its engine noted on it."""
    command = ["ip", "-j", "link", "show", "type", "bridge"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    return {
        link["ifname"]: link.get("ifalias", "") for link in json.loads(said or "[]") if link.get("ifname")
    }


def _links_of(directory: Path) -> list[str]:
    """The engine's bridge and those of the networks made on it: it leaves them all behind when it ends."""
    try:
        known = (directory / "data/network/files/local-kv.db").read_bytes()
    except OSError:
        known = b""
    made = [name for name in _bridges() if name.startswith("br-") and name[3:].encode() in known]
    return [_bridge(directory), *made]


def _remove_stale_links() -> None:
    """Bridges of engines that were killed before they could tidy up."""
    for name, owner in _bridges().items():
        if name.startswith("slip-") and owner and not _running(Path(owner)):
            _remove_links([name, *_links_of(Path(owner))])


def _remove_links(names: list[str]) -> None:
    for name in names:
        subprocess.run(["ip", "link", "delete", name], capture_output=True)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _processes() -> dict[int, tuple[int, list[bytes]]]:
    """Process id to its parent's and its command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(entry.name)] = parent, (entry / "cmdline").read_bytes().split(b"\0")
    return found


def _parts(directory: Path, processes: dict[int, tuple[int, list[bytes]]]) -> dict[int, bytes]:
    """The engine's own processes with their programs' names: those that name the directory."""
    inside = f"{directory}/".encode()
    named = {pid: (words[0].rpartition(b"/")[2], words) for pid, (_, words) in processes.items()}
    return {
        pid: name
        for pid, (name, words) in named.items()
        if name.startswith((b"dockerd", b"containerd")) and any(inside in word for word in words)
    }


def _container_processes(directory: Path) -> list[int]:
    processes = _processes()
    shims = {pid for pid, name in _parts(directory, processes).items() if name.startswith(b"containerd-shim")}
    return [pid for pid, (parent, _) in processes.items() if parent in shims]


def _left_processes(directory: Path) -> list[int]:
    """What is left of the engine, with all descendants."""
    processes = _processes()
    ours = set(_parts(directory, processes))
    while more := {pid for pid, (parent, _) in processes.items() if parent in ours} - ours:
        ours |= more
    return sorted(ours - {os.getpid()}, reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("find")
    verbs.add_parser("install")
    starting = verbs.add_parser("start")
    starting.add_argument("directory", type=Path)
    starting.add_argument("--default", action="store_true", help="the machine's own engine, left running")
    stopping = verbs.add_parser("stop")
    stopping.add_argument("directory", type=Path)
    stopping.add_argument("--purge", action="store_true", help="remove the directory too")
    said = parser.parse_args()
    try:
        if said.verb == "find":
            url = find()
            if url is None:
                raise EngineError("No container engine answers here. Start Docker, or set DOCKER_HOST.")
            print(url)
        elif said.verb == "install":
            install()
        elif said.verb == "start":
            print(start_default(said.directory) if said.default else start(said.directory))
        else:
            stop(said.directory, purge=said.purge)
    except EngineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
