"""One line of a container's output as REST shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """``stream`` is 1 (stdout) or 2 (stderr), ``ts_ns`` nanoseconds since 1970."""

    seq: int
    stream: int
    ts_ns: int
    text: str

    def row(self, *, stamped: bool = False) -> dict[str, Any]:
        """``{seq, ts, stream, line}``; stamped: the line begins with its time."""
        time = stamp(self.ts_ns)
        return {
            "seq": self.seq,
            "ts": time,
            "stream": "stderr" if self.stream == 2 else "stdout",
            "line": f"{time} {self.text}" if stamped else self.text,
        }


def stamp(ts_ns: int) -> str:
    """RFC 3339 with nanoseconds, which a `datetime` cannot hold."""
    seconds, fraction = divmod(ts_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
