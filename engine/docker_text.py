"""Strings from an engine, bounded and without what a database or a page cannot hold; and secrets, masked.

An image or anybody with the engine's command line decides these strings. They are cut, never interpreted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

MASK = "********"
"""Of constant length, so that it does not tell the secret's."""

LARGEST_INSPECT = 64 * 1024
"""Bytes of JSON that are kept of an inspected object."""

_SECRET_NAME = re.compile(r"pass|pwd|token|secret|key|credential|auth(?!or)|dsn", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)([^/?#\s:@]{0,256}):[^/?#\s@]{1,1024}@")
_ASSIGNMENT = re.compile(r"^(-{0,2}[A-Za-z_][\w.-]{0,128})=(.+)$", re.DOTALL)
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_HOST_PATH_KEYS = frozenset(
    {"ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "SandboxKey"}
)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:\d\d)", re.ASCII)


def text(value: object, longest: int = 1024) -> str:
    """``value`` as a string of at most ``longest`` characters; NUL and lone surrogates become U+FFFD."""
    if value is None:
        return ""
    found = value if isinstance(value, str) else str(value)
    if len(found) > longest:
        found = found[: longest - 1] + "…"
    # Neither NUL nor a surrogate is printable, and asking that is five times cheaper than looking for them.
    return found if found.isprintable() else _UNUSABLE.sub("\ufffd", found)


def texts(value: object, most: int = 256, longest: int = 1024) -> tuple[str, ...]:
    """A list of strings. Engines say ``null`` for an empty one, and one string for a list of one."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return ()
    return tuple(text(item, longest) for item in value[:most])


def pairs(value: object, most: int = 256, longest: int = 4096, total: int = 32768) -> dict[str, str]:
    """Labels and options, masked, in the order of their names: at most ``most``, and ``total`` characters."""
    if not isinstance(value, Mapping):
        return {}
    found: dict[str, str] = {}
    room = total
    for key in sorted(map(str, value))[:most]:
        name, item = text(key, 256), masked(value.get(key), longest)
        room -= len(name) + len(item)
        if room < 0:
            break
        found[name] = item
    return found


def number(value: object) -> int:
    """A whole number, 0 where there is none; never beyond what a database column holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(-(2**63), min(2**63 - 1, int(value)))


def time_ns(value: object) -> int:
    """RFC 3339 with nanoseconds → nanoseconds since 1970; 0 for "never" and for what is not a time."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if not match or match[1].startswith("0001"):
        return 0
    try:
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        return 0
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 10**9 + int((match[2] or "0").ljust(9, "0"))


def moment(value: object) -> datetime | None:
    """RFC 3339, or seconds since 1970, as an aware UTC time; ``None`` for "never"."""
    nanoseconds = value * 10**9 if isinstance(value, int) and not isinstance(value, bool) else time_ns(value)
    if nanoseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(
            microsecond=nanoseconds % 10**9 // 1000
        )
    except (ValueError, OverflowError, OSError):
        return None


# Secrets


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name probably holds a secret."""
    return _SECRET_NAME.search(name) is not None


def mask(value: str) -> str:
    """Hides passwords in URLs, and the value of ``NAME=value`` where the name says that it is a secret."""
    if "://" in value:
        value = _USERINFO.sub(rf"\1:{MASK}@", value)
    match = _ASSIGNMENT.match(value) if "=" in value else None
    if match and is_secret_name(match[1]):
        return f"{match[1]}={MASK}"
    return value


def masked(value: object, longest: int) -> str:
    """`text`, masked. Cut before, so that a huge text costs nothing, and behind, so that a cut secret stays hidden."""
    return text(mask(text(value, longest + 2048)), longest)


def environment(value: object, secrets: Collection[str] = ()) -> dict[str, str]:
    """``["NAME=value"]`` as a mapping, bounded; masked are secrets by their name and those named in ``secrets``."""
    found: dict[str, str] = {}
    for item in value[:512] if isinstance(value, list | tuple) else ():
        name, _, content = str(item).partition("=")
        found[text(name, 256)] = (
            MASK if content and (name in secrets or is_secret_name(name)) else masked(content, 4096)
        )
    return found


def document(value: object) -> dict[str, Any]:
    """The engine's own document: secrets masked, host paths of its own left out, at most 64 KiB of JSON."""
    for longest, most, deepest in ((4096, 512, 12), (1024, 128, 10), (256, 48, 8), (128, 16, 6), (64, 8, 4)):
        found = _pruned(value, longest, most, deepest)
        if not isinstance(found, dict):
            return {}
        if len(json.dumps(found).encode()) <= LARGEST_INSPECT:
            return found
    return {}


def _pruned(value: object, longest: int, most: int, deepest: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return value if abs(value) < 1e300 else 0
    if isinstance(value, str):
        return masked(value, longest)
    if deepest == 0:
        return "…"
    if isinstance(value, Mapping):
        return {
            text(key, 256): _pruned(item, longest, most, deepest - 1)
            for key, item in list(value.items())[:most]
            if key not in _HOST_PATH_KEYS
        }
    if isinstance(value, list | tuple):
        return [_pruned(item, longest, most, deepest - 1) for item in value[:most]]
    return text(value, longest)
