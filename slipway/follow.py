"""An operation from its beginning to its end, on the terminal."""

from __future__ import annotations

import time
from typing import Any

from slipway import say
from slipway.client import Api

ENDED = ("succeeded", "failed", "cancelled")
DETACHED = 130
_SOONEST, _LATEST = 0.2, 1.0


def follow(api: Api, operation: dict[str, Any], *, lines: bool = False) -> dict[str, Any]:
    """The operation as it ended. ``lines``: with what it writes, on standard error. Ctrl-C goes through."""
    pause, after = _SOONEST, 0
    while True:
        if lines:
            for line in api.lines(f"/operations/{operation['id']}/log/", after=after):
                after = line["seq"]
                say.passing("")
                say.line(line["line"], error=True)
        if operation["state"] in ENDED:
            say.passing("")
            return operation
        say.passing(_progress(operation))
        time.sleep(pause)
        pause = min(_LATEST, pause * 1.3)
        operation = api.get(f"/operations/{operation['id']}/")


def outcome(operation: dict[str, Any]) -> int:
    """Says what became of it where that is not what was asked for; the exit code."""
    if operation["state"] == "succeeded":
        return 0
    error = operation["error"] or {}
    word = error.get("message") or f"It was {operation['state']}."
    say.line(f"{operation['kind']} {operation['target']['name']}: {word}", error=True)
    return 1


def detached(operation: dict[str, Any]) -> int:
    """After Ctrl-C: what was asked for goes on, and this is how one looks at it again."""
    say.passing("")
    say.line(
        f"Detached: {operation['kind']} goes on. To follow it again: slipway operations -w {operation['id']}; "
        f"to end it: slipway operations --cancel {operation['id']}",
        error=True,
    )
    return DETACHED


def _progress(operation: dict[str, Any]) -> str:
    found = operation["progress"]
    counted = ""
    if found["total"]:
        now, whole = found["current"] or 0, found["total"]
        counted = (
            f" {say.size(now)} of {say.size(whole)}" if found["unit"] == "bytes" else f" {now} of {whole}"
        )
    return f"{operation['state']}{counted} {found['message']}"
