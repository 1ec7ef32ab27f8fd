"""Readings of containers from this host's kernel, out of cgroup files of version 1 or 2 and ``/proc``.

Only for an engine on this very host, and proven for each container anew when it starts: the engine (asked once) names
the container's first process, that process is in a cgroup whose name holds the container's id of 256 random bits, and
the files read here list that very process. An engine elsewhere, in a machine of its own or behind a forwarded socket
names processes that are not here, or are somebody else's; its containers are refused and asked for over its API.

Files are opened once and read again and again in place; all calls block, for about 60 µs a container.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from engine.stats import used
from engine.types import FirstProcess, StatsSample

TREE = Path("/sys/fs/cgroup")
PROC = Path("/proc")
PIECE = 64 * 1024
_DIGITS = re.compile(rb"[0-9]{1,20}")
_BLOCKS = (
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
    "blkio.bfq.io_service_bytes_recursive",
)
"""Version 1 counts blocks in one of these. The throttle's counts everything, a scheduler's what passes through it."""


class Refused(Exception):
    """Why a container is not read here, in words for a log."""


class Cgroups:
    """The containers of one engine that were proven to run on this host. Not for two threads at once."""

    def __init__(self, endpoint: str, *, tree: Path = TREE, proc: Path = PROC) -> None:
        self._tree, self._proc = tree, proc
        self.possible = endpoint.startswith("unix://") and tree.is_dir()
        """False where no container of this engine can ever be read here: it is not worth asking."""
        self._unified = (tree / "cgroup.controllers").exists()
        self._readings: dict[str, _Reading] = {}
        # The rest of what this process may open is for others: sockets of engines, other engines' files.
        self._files = _Files(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def __contains__(self, native_id: object) -> bool:
        return native_id in self._readings

    def adopt(self, first: FirstProcess) -> None:
        """Takes a container that was just started, or is new to us. Raises `Refused`."""
        if not self.possible:
            raise Refused("the engine is not reached over a socket of this host")
        if first.pid <= 0:
            raise Refused("it has no process")
        self.forget([first.native_id])
        own = self._own(first)
        reading = _Unified if self._unified else _Split
        found = reading(first, own, self._files, self._tree, self._proc)
        try:
            found.read(self._machine_memory())
        except (OSError, ValueError) as error:
            found.close()
            raise Refused(f"its files cannot be read: {error}") from None
        self._readings[first.native_id] = found

    def read(self, native_ids: Iterable[str]) -> list[StatsSample]:
        """One reading of each that was adopted and still runs; those that ended are forgotten."""
        found, most = [], self._machine_memory()
        for native_id in native_ids:
            reading = self._readings.get(native_id)
            if reading is None:
                continue
            try:
                found.append(reading.read(most))
            except (OSError, ValueError):
                self.forget([native_id])
        return found

    def forget(self, native_ids: Collection[str]) -> None:
        """Closes the files of these, and so lets go of their networks; they can be adopted again."""
        for native_id in native_ids:
            if reading := self._readings.pop(native_id, None):
                reading.close()

    def close(self) -> None:
        """Forgets all."""
        self.forget(list(self._readings))

    def _own(self, first: FirstProcess) -> dict[str, str]:
        """Controller → the container's own cgroup below the tree; version 2 is the controller ``""``.

        From what the kernel says of the process: so every parent is found, whoever chose it.
        """
        try:
            lines = (self._proc / str(first.pid) / "cgroup").read_text().splitlines()
        except OSError:
            raise Refused("its process is not on this host") from None
        named = re.compile(rf"(?:[a-z]+-)?{first.native_id}(?:\.scope)?")
        found, proven = {}, False
        for line in lines:
            _, controllers, path = line.split(":", 2)
            parts = path.strip("/").split("/")
            at = next((i for i, part in enumerate(parts) if named.fullmatch(part)), None)
            if at is None or ".." in parts:
                continue
            for controller in controllers.split(","):
                found[controller] = "/".join(parts[: at + 1])
                proven = proven or self._lists(controller, path, first.pid)
        if not found:
            raise Refused("its process is no container's, or another's")
        if not proven:
            raise Refused("the cgroups seen from here are not those of its process")
        return found

    def _lists(self, controller: str, path: str, pid: int) -> bool:
        """Whether the cgroup that is mounted here at that path holds the process."""
        mounted = [self._tree] if not controller else [self._tree / controller]
        if not controller and not self._unified:
            mounted = [self._tree / "unified"]
        with contextlib.suppress(OSError):
            return str(pid) in (mounted[0] / path.strip("/") / "cgroup.procs").read_text().split()
        return False

    def _machine_memory(self) -> int:
        """What a container without a limit may use: all of it, as engines say too. Bytes."""
        with contextlib.suppress(OSError, ValueError):
            for line in (self._proc / "meminfo").read_bytes().splitlines():
                if line.startswith(b"MemTotal:"):
                    return int(line.split()[1]) * 1024
        return 0


class _Files:
    """Opens files and keeps them open while there is room; the others are opened for each reading."""

    def __init__(self, room: int) -> None:
        self.room = room


class _File:
    """A file that the kernel writes anew whenever it is read from its beginning."""

    __slots__ = ("_fd", "_files", "_path")

    def __init__(self, path: Path, files: _Files) -> None:
        self._path, self._files, self._fd = path, files, -1
        if files.room > 0:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            files.room -= 1

    def read(self) -> bytes:
        """All of it. Raises `OSError` where what it tells of is gone."""
        if self._fd >= 0:
            return os.pread(self._fd, PIECE, 0)
        with self._path.open("rb", buffering=0) as opened:
            return opened.read(PIECE) or b""

    def number(self) -> int:
        """The one number in it; a word (``max``) is one too large to matter."""
        found = _DIGITS.match(self.read())
        return int(found[0]) if found else 2**63 - 1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._files.room += 1
            self._fd = -1


class _Reading:
    """The open files of one container."""

    def __init__(
        self, first: FirstProcess, own: dict[str, str], files: _Files, tree: Path, proc: Path
    ) -> None:
        self.native_id = first.native_id
        self._opened: list[_File] = []
        self._network: list[_File] = []
        try:
            for path in self._paths(own, tree):
                self._opened.append(_File(path, files))
            # The engine counts nothing for a container that uses the host's own network.
            if not first.host_network:
                self._network.append(_File(proc / str(first.pid) / "net/dev", files))
        except OSError as error:
            self.close()
            raise Refused(f"its files cannot be opened: {error}") from None

    def _paths(self, own: dict[str, str], tree: Path) -> list[Path]:
        raise NotImplementedError

    def _kernel(self, most: int) -> tuple[float, int, int, int, int, int]:
        """``(cpu seconds, memory, limit, read, written, processes)``."""
        raise NotImplementedError

    def read(self, most: int) -> StatsSample:
        """What it uses now. Raises `OSError` or `ValueError` where it has ended."""
        now = time.time_ns()
        cpu, memory, limit, read, written, pids = self._kernel(most)
        received, sent = _network(self._network[0].read()) if self._network else (0, 0)
        return StatsSample(self.native_id, now, cpu, memory, limit, received, sent, read, written, pids)

    def close(self) -> None:
        for opened in (*self._opened, *self._network):
            opened.close()


class _Split(_Reading):
    """Version 1: a tree for each controller, ``cpu,cpuacct`` linked under both names."""

    def _paths(self, own: dict[str, str], tree: Path) -> list[Path]:
        def at(controller: str, name: str) -> Path:
            if controller not in own:
                raise Refused(f"the controller {controller} does not know it")
            return tree / controller / own[controller] / name

        blocks = next((p for name in _BLOCKS if (p := at("blkio", name)).exists()), None)
        return [
            at("cpuacct", "cpuacct.usage"),
            at("memory", "memory.usage_in_bytes"),
            at("memory", "memory.limit_in_bytes"),
            at("memory", "memory.stat"),
            at("pids", "pids.current"),
            *([blocks] if blocks else []),
        ]

    def _kernel(self, most: int) -> tuple[float, int, int, int, int, int]:
        cpu, memory, limit, stat, pids, *blocks = self._opened
        read = written = 0
        if blocks:
            for line in blocks[0].read().splitlines():
                words = line.split()
                if len(words) == 3 and words[1] == b"Read":
                    read += int(words[2])
                elif len(words) == 3 and words[1] == b"Write":
                    written += int(words[2])
        cache = _named(stat.read(), b"total_inactive_file ")
        return (
            cpu.number() / 1e9,
            used(memory.number(), cache),
            min(limit.number(), most),
            read,
            written,
            pids.number(),
        )


class _Unified(_Reading):
    """Version 2: one tree."""

    def _paths(self, own: dict[str, str], tree: Path) -> list[Path]:
        if "" not in own:
            raise Refused("it is in no cgroup of version 2")
        files = ("cpu.stat", "memory.current", "memory.max", "memory.stat", "pids.current", "io.stat")
        found = [tree / own[""] / name for name in files]
        # Without a device that counts, and on some small systems, there is no io.stat.
        return found if found[-1].exists() else found[:-1]

    def _kernel(self, most: int) -> tuple[float, int, int, int, int, int]:
        cpu, memory, limit, stat, pids, *blocks = self._opened
        read = written = 0
        if blocks:
            for word in blocks[0].read().split():
                if word.startswith(b"rbytes="):
                    read += int(word[7:])
                elif word.startswith(b"wbytes="):
                    written += int(word[7:])
        cache = _named(stat.read(), b"inactive_file ")
        return (
            _named(cpu.read(), b"usage_usec ") / 1e6,
            used(memory.number(), cache),
            min(limit.number(), most),
            read,
            written,
            pids.number(),
        )


def _named(text: bytes, name: bytes) -> int:
    """The number behind a name at the beginning of a line. Raises `ValueError` where it is not there."""
    at = 0 if text.startswith(name) else text.index(b"\n" + name) + 1
    end = text.find(b"\n", at)
    return int(text[at + len(name) : end if end >= 0 else len(text)])


def _network(text: bytes) -> tuple[int, int]:
    """Bytes in and out through the cards that the engine gave it (``eth0``, …), or through all where it named none so.

    What the container itself has made (the bridges of an engine inside it) would count the same bytes again.
    """
    cards = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        words = numbers.split()
        if len(words) > 8:
            cards[name.strip()] = int(words[0]), int(words[8])
    cards.pop(b"lo", None)
    given = {name: both for name, both in cards.items() if re.fullmatch(rb"eth[0-9]+", name)} or cards
    return sum(both[0] for both in given.values()), sum(both[1] for both in given.values())
