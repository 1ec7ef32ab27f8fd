"""How entries of the audit trail hang together: each one's seal covers its own facts and the seal before it.

What is written here is never changed for entries that exist: their seals must stay right for ever. Another way
to seal is another function, and says so in the entry's ``key_id``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from django.conf import settings

START = "0" * 64
"""What stands before the first entry."""
FACTS = (
    "seq", "at", "actor_id", "actor_name", "verb", "outcome", "target_type", "target_id", "target_name", "team_id",
    "team_slug", "operation_id", "source", "ip", "detail", "key_id",
)  # fmt: skip
"""Every column but the row's own number and the two seals."""


def keys() -> dict[str, bytes]:
    """The keys that seals may be made with, by their ids; new seals take the first."""
    return _keys((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def key_id() -> str:
    """The id of the key that new seals take."""
    return next(iter(keys()))


def seal(facts: Mapping[str, Any], before: str) -> str:
    """HMAC-SHA256 over the seal before and all `FACTS`, in hex. `LookupError` where the key is not at hand."""
    key = keys().get(facts["key_id"]) or _kept(facts["key_id"])
    if key is None:
        raise LookupError(f"the key {facts['key_id']!r} is not at hand")
    return hmac.new(key, before.encode() + b"\n" + canonical(facts), hashlib.sha256).hexdigest()


_found: dict[str, bytes] = {}


def _kept(key_id: str) -> bytes | None:
    """Of a secret key that is gone what seals were made with."""
    from accounts import kept_keys

    if key_id not in _found and (key := kept_keys.chain_key(key_id)):
        _found[key_id] = key
    return _found.get(key_id)


def facts_of(entry: Any) -> dict[str, Any]:
    """The `FACTS` of a row."""
    return {name: getattr(entry, name) for name in FACTS}


def canonical(facts: Mapping[str, Any]) -> bytes:
    """The same bytes for the same facts, whichever database they have been in meanwhile."""
    plain = {name: _plain(facts[name]) for name in FACTS}
    plain["ip"] = _address(facts["ip"])
    return json.dumps(
        plain, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    ).encode()


@lru_cache(maxsize=4)
def _keys(secrets: tuple[str | bytes, ...]) -> dict[str, bytes]:
    found = {}
    for secret in secrets:
        raw = secret if isinstance(secret, bytes) else secret.encode()
        key = hmac.new(raw, b"slipway.accounts.audit.chain", hashlib.sha256).digest()
        found[hashlib.sha256(b"key id\n" + key).hexdigest()[:12]] = key
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        # PostgreSQL writes 1e22 and 1.0 of a JSON column in ways of its own.
        return int(value) if value == int(value) else repr(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)


def _address(value: str | None) -> str | None:
    """The bytes of an address: of how to write them, neither databases nor versions of Python agree."""
    try:
        return ip_address(value).packed.hex() if value else None
    except ValueError:
        return value
