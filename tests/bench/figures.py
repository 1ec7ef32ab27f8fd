"""What a measurement says, and what processes have used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BENCH = "bench"
"""Property of a test, by which its figures come to the table at the end of the whole run."""

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One row of the table. ``met`` is ``None`` where nothing is asked for but the figure."""

    what: str
    slipway: str
    raw: str
    target: str = ""
    met: bool | None = None

    def row(self) -> str:
        word = {True: "yes", False: "**no**", None: ""}[self.met]
        return f"| {self.what} | {self.slipway} | {self.raw} | {self.target} | {word} |"


HEAD = ["| what | Slipway | raw engine | target | met |", "| --- | --- | --- | --- | --- |"]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which so large a part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def cpu(pid: int) -> float:
    """Seconds of one core that a process has used itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> int:
    """Bytes of memory that only this process holds."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) * 1024


def children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found += [int(folder.name), *children(int(folder.name))]
    return found


def named(pid: int, *words: str) -> list[int]:
    """Those below one whose command line holds all the words."""
    found = []
    for child in children(pid):
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(word in line for word in words):
            found.append(child)
    return found
