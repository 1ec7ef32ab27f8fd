"""Finds the processes that a test may kill: children of one it has started itself."""

from __future__ import annotations

import subprocess
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
