"""Trying an address that has no row yet, in a worker: who answers there, and if nobody does, why."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.certificates import Certificates
from engine.connect import connect
from engine.errors import EngineError
from engine.words import kept
from operations import reads, secrets

KIND = "engine.check"
PATIENCE = 8
"""Seconds for an engine to say who it is."""


@reads.reader(KIND, target=reads.NOWHERE, permission="engine.manage")
def check(_engine: Any, _row: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Connects to what is not a row yet: ``{"native_id", "version", "trouble"}``, the last in words for people."""
    wish = secrets.unseal(params["for"], params["sealed"])
    endpoint = str(wish.pop("endpoint"))
    nobody = {"native_id": "", "version": ""}
    if trouble := _socket_problem(endpoint):
        return {**nobody, "trouble": trouble}
    try:
        backend = connect(endpoint, certificates=Certificates(**wish) if wish else None)
        try:
            info = backend.info(deadline=PATIENCE)
        finally:
            backend.close()
    except EngineError as error:
        # An engine that refuses a certificate hangs up, at times before it has said so.
        hung_up = (
            kept(" Perhaps it does not accept the certificate.") if wish and "broke" in error.message else ""
        )
        return {**nobody, "trouble": error.message + hung_up}
    if not info.native_id:
        return {
            **nobody,
            "trouble": kept("What answers there does not say who it is: it is no engine that Slipway knows."),
        }
    return {"native_id": info.native_id[:128], "version": info.version[:40], "trouble": ""}


def _socket_problem(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme != "unix":
        return ""
    try:
        mode = Path(parts.netloc + parts.path).stat().st_mode
    except PermissionError:
        return kept("Slipway’s worker may not look at this path: give it the right, and try again.")
    except OSError:
        return kept("There is nothing at this path on the machine where Slipway’s worker runs.")
    return "" if stat.S_ISSOCK(mode) else kept("This path is no socket.")
