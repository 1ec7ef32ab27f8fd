"""What has to outlive a change of the secret key: the keys that hashes were made with, sealed with the key of now.

A seal can be made anew, since it opens. A hash cannot: of tokens and recovery codes only hashes are stored, and the
audit trail is never written anew. So what was derived from an older secret key for those is kept, and nothing else of
that key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from django.conf import settings

from accounts import chain, seals
from accounts.models import KeptKey

TOKENS, CODES, CHAIN, CHECK = "tokens", "codes", "chain", "check"
SEALED = "kept"
"""What `accounts.seals` calls the use."""


class WrongKey(Exception):
    """The database was sealed with another secret key."""


def hashed(use: str, text: str) -> str:
    """A keyed hash with the key of now, in hex."""
    return _hash(_derived(use, settings.SECRET_KEY), text)


def hashes(use: str, text: str) -> Iterator[str]:
    """The same with each key that may have made it, the one of now first. What is kept is read last, and then only."""
    yield hashed(use, text)
    for old in settings.SECRET_KEY_FALLBACKS:
        yield _hash(_derived(use, old), text)
    for row in KeptKey.objects.filter(use=use):
        yield _hash(bytes.fromhex(seals.unseal(SEALED, _owner(row), row.sealed)), text)


def chain_key(key_id: str) -> bytes | None:
    """The key of the audit trail by this id, where it was kept."""
    row = KeptKey.objects.filter(use=CHAIN, key_id=key_id).first()
    return bytes.fromhex(seals.unseal(SEALED, _owner(row), row.sealed)) if row else None


def keep_older() -> int:
    """Keeps what is needed of the older secret keys that are still named; how many are new."""
    now = chain.key_id()
    found = [(CHAIN, key_id, key) for key_id, key in chain.keys().items() if key_id != now]
    for old in settings.SECRET_KEY_FALLBACKS:
        for use in (TOKENS, CODES):
            key = _derived(use, old)
            found.append((use, hashlib.sha256(b"key id\n" + key).hexdigest()[:12], key))
    return sum(_keep(use, key_id, key.hex()) for use, key_id, key in found)


def mark_or_refuse() -> None:
    """Notes at the first start which key seals this database; raises `WrongKey` where it is not ours."""
    row = KeptKey.objects.filter(use=CHECK).first()
    if row is None:
        _keep(CHECK, CHECK, "opens")
        return
    try:
        seals.unseal(SEALED, _owner(row), row.sealed)
    except seals.Unreadable:
        raise WrongKey(
            "This database was sealed with another secret key. Give it back as SLIPWAY_SECRET_KEY, or as"
            " SLIPWAY_OLD_SECRET_KEYS beside the new one, and then run: manage.py rotate_key"
        ) from None


def _keep(use: str, key_id: str, text: str) -> bool:
    row = KeptKey(use=use, key_id=key_id)
    _, fresh = KeptKey.objects.get_or_create(
        use=use, key_id=key_id, defaults={"sealed": seals.seal(SEALED, _owner(row), text)}
    )
    return fresh


def _owner(row: KeptKey) -> str:
    return f"{row.use}:{row.key_id}"


def _derived(use: str, secret: str | bytes) -> bytes:
    """As `django.utils.crypto.salted_hmac` derives it, which hashes were made with before keys were kept."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    return hashlib.sha256(f"slipway.accounts.{use}".encode() + raw).digest()


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
