"""Pure: which lines of a log were never handed out, told by reading the log again.

Engines follow the newest file of a log that rotates. A program that fills two files before the engine has looked once
makes it leave out what is between: from a flood into files of 100 kB came 106,447 lines of 504,753, in 140 pieces, and
nothing in the stream told so. Slower writers lose nothing (64,000 lines in bursts of 2,000: all were there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.docker_map import mapping
from engine.types import LogHole, LogLine

ROTATION = "rotation"
"""The engine's own stream left them out, or the file that held them is gone."""

BEHIND = "behind"
"""They came faster than the engine can hand them out, and were left out so that the newest are shown."""


def holes(window: Sequence[LogLine], again: Sequence[LogLine]) -> list[LogHole]:
    """What is missing between the first and the last line of ``window``, which is what the stream has handed out.

    ``again`` is the log read again, in its own order. Where it does not reach back to the beginning of the window any
    more, that part is a hole of unknown size.
    """
    if not window:
        return []
    places = {(line.stream, line.ts_ns): place for place, line in enumerate(window)}
    known = [i for i, line in enumerate(again) if (line.stream, line.ts_ns) in places]
    if not known:
        return [LogHole(window[0].ts_ns, window[-1].ts_ns, None, ROTATION)]
    before = again[known[0]]
    found = []
    if places[before.stream, before.ts_ns] > 0 and before.ts_ns > window[0].ts_ns:
        found.append(LogHole(window[0].ts_ns, before.ts_ns, None, ROTATION))
    missed = 0
    for line in again[known[0] : known[-1] + 1]:
        if (line.stream, line.ts_ns) not in places:
            missed += 1
            continue
        if missed:
            found.append(LogHole(before.ts_ns, line.ts_ns, missed, ROTATION))
        before, missed = line, 0
    return found


_SIZE = re.compile(r"([0-9]{1,12})(?:\.[0-9]+)?([kmg]?)b?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_LOCAL = 20 * 10**6


def rotates_at(inspect: Mapping[str, Any]) -> int:
    """Bytes at which the engine begins another file of a container's log, by its inspection; 0 for never."""
    config = mapping(mapping(inspect.get("HostConfig")).get("LogConfig"))
    driver, told = str(config.get("Type")), mapping(config.get("Config")).get("max-size")
    size = _SIZE.fullmatch(told.strip()) if isinstance(told, str) else None
    if size and int(size[1]):
        return int(size[1]) * _UNITS[size[2].lower()]
    return _LOCAL if driver == "local" else 0
