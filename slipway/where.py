"""Which Slipway, and by which token: `SLIPWAY_URL` and `SLIPWAY_TOKEN`, else what `login` has kept."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HELP = "It goes to SLIPWAY_URL by SLIPWAY_TOKEN, else to where login has said."
LOCAL = ("localhost", "127.0.0.1", "::1")


class Unknown(Exception):
    """Nobody has said where, or what is kept cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The address without a last slash, and a token."""

    url: str
    token: str


def file() -> Path:
    """Where `login` keeps it."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "slipway" / "login.json"


def found() -> Place:
    """Raises `Unknown`."""
    url, token = os.environ.get("SLIPWAY_URL", ""), os.environ.get("SLIPWAY_TOKEN", "")
    if not url or not token:
        kept = _kept()
        same = url in ("", kept.get("url"))  # a token goes to nobody but the one that it was given for
        url, token = url or kept.get("url", ""), token or (kept.get("token", "") if same else "")
    if not url or not token:
        raise Unknown("Where is Slipway? `slipway login URL`, or set SLIPWAY_URL and SLIPWAY_TOKEN.")
    return Place(checked(url), token)


def checked(url: str) -> str:
    """An address that a token may be sent to; raises `Unknown`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Unknown("An address such as https://slipway.example.com is expected.")
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise Unknown("Over http:// anybody on the way could read the token: use https://.")
    return url.rstrip("/")


def keep(place: Place) -> Path:
    """Writes the file anew, for its owner's eyes alone."""
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent)  # made with 0600
    with os.fdopen(handle, "w") as out:
        json.dump({"url": place.url, "token": place.token}, out)
    Path(name).replace(path)
    return path


def _kept() -> dict[str, str]:
    path = file()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Unknown(
                f"Others may read {path}: chmod 600 it, and rotate the token if they are strangers."
            )
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unknown(f"{path} cannot be read: {error}") from None
    return kept if isinstance(kept, dict) else {}
