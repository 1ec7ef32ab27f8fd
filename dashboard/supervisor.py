"""Runs child processes: starts them, keeps their words, starts them again, and leaves none behind.

Every child has a session of its own, so that Ctrl-C reaches the supervisor alone and a signal to the
group reaches grandchildren; and the kernel ends it when the supervisor is killed (PR_SET_PDEATHSIG, which
fires when the *thread* that forked ends: children are started from the main thread only).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LOG_BYTES = 10_000_000
STEADY_SECONDS = 60.0
LONGEST_WAIT = 30.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # found before any fork: nothing is imported or allocated in the child
# A line that starts a record, and the levels worth showing on the console with the lines that follow them.
_RECORD = re.compile(
    rb"^(\d{4}-\d\d-\d\d|\{|\[\d{4}-\d\d-\d\d|\d+:[A-Z] |(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b)"
)
_LOUD = re.compile(
    rb"\b(WARNING|ERROR|CRITICAL)\b|\"level\": \"(warning|error|critical)\"|^Traceback |^\w+Error\b"
)


def _dies_with(parent: int) -> Callable[[], None]:
    """For the child, before it becomes the program: SIGKILL when the supervisor is gone."""

    def in_child() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


class Log:
    """A child's log file, kept to two files of ten megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        if self._file.tell() > LOG_BYTES:
            self._file.close()
            self.path.replace(self.path.with_suffix(".log.1"))
            self._file = self.path.open("ab")

    def close(self) -> None:
        self._file.close()

    def tail(self, lines: int) -> str:
        return "\n".join(self.path.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Child:
    """One program to keep running. ``grace``: seconds between the request to end and the end.

    ``echo``: whether its warnings go to the console too.
    """

    name: str
    command: Sequence[str]
    log: Log
    grace: float = 3.0
    echo: bool = True
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    loud: bool = False
    rest: bytes = field(default=b"", repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal_group(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Supervisor:
    """Keeps children running until it is told to stop. Use from the main thread."""

    def __init__(self, environment: Mapping[str, str], console: IO[str]) -> None:
        self.environment = dict(environment)
        self.console = console
        self.children: list[Child] = []
        self.stopping = False
        self.hurry = False
        self.preparing = False
        self._selector = selectors.DefaultSelector()

    def catch_signals(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal ask for the end; a second time for an end at once.

        While ``preparing`` they also break off what the caller does, by `KeyboardInterrupt`.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.hurry = self.stopping
        self.stopping = True
        if self.preparing:
            self.preparing = False
            raise KeyboardInterrupt

    def start(self, child: Child) -> None:
        process = subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),
        )
        child.process, child.started = process, time.monotonic()
        assert process.stdout is not None  # noqa: S101 - for the type checker: PIPE was asked for
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, (child, process.stdout))
        if child not in self.children:
            self.children.append(child)

    def step(self, seconds: float) -> None:
        """Waits up to ``seconds`` for words of the children, keeps them, starts again what has ended."""
        for key, _ in self._selector.select(seconds):
            self._read(*key.data)
        for child in self.children:
            if not child.running:
                self._again(child)

    def run(self, *, until: Callable[[], bool], seconds: float = float("inf"), step: float = 0.2) -> bool:
        """Steps until a condition holds (True), the time is over or the end is asked for (False)."""
        deadline = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < deadline:
            if until():
                return True
            self.step(step)
        return False

    def stop(self, *groups: Sequence[Child]) -> None:
        """Ends the children group by group; who does not end in its grace is killed."""
        self.stopping = True
        for group in groups:
            for child in group:
                if child.running and child.process is not None:
                    child.process.terminate()
            started = time.monotonic()
            while waiting := [child for child in group if child.running]:
                for child in waiting:
                    if self.hurry or time.monotonic() > started + child.grace:
                        child.signal_group(signal.SIGKILL)
                for key, _ in self._selector.select(0.02):
                    self._read(*key.data)
            for child in group:
                child.signal_group(signal.SIGKILL)  # what it may have left in its session
                if child.process is not None:
                    child.process.wait()
        for key in list(self._selector.get_map().values()):
            self._read(*key.data)  # its last words
            if not key.data[1].closed:
                self._drop(key.data[1])

    def _again(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            code = child.process.returncode
            child.signal_group(signal.SIGKILL)
            child.process = None
            child.failures = 1 if now - child.started > STEADY_SECONDS else child.failures + 1
            wait = min(LONGEST_WAIT, 0.25 * 2**child.failures)
            child.not_before = now + wait
            how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
            self.say(child.name, f"{how}; starting it again in {wait:g} s (see {child.log.path})")
        elif now >= child.not_before:
            self.start(child)

    def _read(self, child: Child, pipe: IO[bytes]) -> None:
        try:
            data = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._drop(pipe)
            return
        child.log.write(data)
        *lines, child.rest = (child.rest + data).split(b"\n")
        child.rest = child.rest[-65536:]
        for line in lines:
            if _RECORD.match(line) or not child.loud:
                child.loud = bool(_LOUD.search(line))
            if child.loud and child.echo and line.strip():
                self.say(child.name, line.decode(errors="replace"))

    def _drop(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def say(self, name: str, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not end the children
            self.console.write(f"[{name}] {text}\n")
            self.console.flush()
