"""Finds the processes that a test may kill, and holds others: those that it has started itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def child(parent: subprocess.Popen[bytes] | None, word: str) -> int:
    """The child of that process with this word in its command."""
    assert parent is not None, "it was never started"
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if above == parent.pid and word.encode() in command:
            return int(folder.name)
    raise AssertionError(f"no process {word} under {parent.pid}")


@contextmanager
def killed(parent: subprocess.Popen[bytes] | None, word: str) -> Iterator[None]:
    """That child is dead within the block, however quick its parent is: the parent is held meanwhile."""
    assert parent is not None, "it was never started"
    os.kill(parent.pid, signal.SIGSTOP)
    try:
        os.kill(child(parent, word), signal.SIGKILL)
        yield
    finally:
        os.kill(parent.pid, signal.SIGCONT)
