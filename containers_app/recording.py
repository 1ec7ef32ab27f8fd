"""Recordings of consoles: asciicast v2 files, of what was shown and never of what was typed."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

FOLDER = "consoles"
MOST_BYTES = 16 * 1024 * 1024
CUT = "\r\n\u001b[0m[The recording ends here: it has reached its largest size.]\r\n"


def recording_of(session_id: object) -> Path:
    """Where the recording of this session lies, whether there is one or not."""
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{session_id}.cast"


def forget_old(days: float) -> int:
    """Removes those that are older, and returns how many."""
    removed = 0
    for path in recording_of("").parent.glob("*.cast"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > days * 86400:
                path.unlink()
                removed += 1
    return removed


class Recorder:
    """Collects in memory; `flush` writes, away from the event loop."""

    def __init__(self, session_id: object, columns: int, rows: int) -> None:
        self.path = recording_of(session_id)
        self._began = time.monotonic()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines: list[str] = []
        self._size = 0
        head = {"version": 2, "width": columns, "height": rows, "timestamp": int(time.time())}
        self._add({**head, "env": {"TERM": "xterm-256color"}})

    def output(self, data: bytes) -> None:
        """What the program wrote now. A character that is cut in two waits for its rest."""
        if text := self._decoder.decode(data):
            self._event("o", text)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size from now on."""
        self._event("r", f"{columns}x{rows}")

    def flush(self) -> None:
        """Appends what was collected. Raises `OSError` where it cannot be written."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if new:
                self.path.chmod(0o600)
            file.writelines(lines)

    def _event(self, kind: str, data: str) -> None:
        if self._size > MOST_BYTES:
            return
        if self._size + len(data) > MOST_BYTES:
            kind, data, self._size = "o", CUT, MOST_BYTES
        self._add([round(time.monotonic() - self._began, 4), kind, data])

    def _add(self, value: Mapping[str, Any] | list[Any]) -> None:
        line = json.dumps(value, ensure_ascii=False) + "\n"
        self._size += len(line)
        self._lines.append(line)
