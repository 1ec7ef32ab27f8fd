"""What a database dump must not tell: sealed with a key that is not in it, for one use and one owner."""

from __future__ import annotations

import base64
import json
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """Sealed with another key, for somebody else, too long ago, or changed since."""


def seal(use: str, owner: object, text: str) -> str:
    """The text as ciphertext that opens for this use and this owner alone."""
    return _box(use).encrypt(json.dumps([str(owner), text]).encode()).decode()


def unseal(use: str, owner: object, sealed: str, *, within: int | None = None) -> str:
    """What was sealed, ``within`` so many seconds; raises `Unreadable`."""
    try:
        found = json.loads(_box(use).decrypt(sealed.encode(), ttl=within))
    except InvalidToken:
        raise Unreadable("sealed with another key, too long ago, or changed since") from None
    if found[0] != str(owner):
        raise Unreadable("sealed for somebody else")
    return str(found[1])


def _box(use: str) -> MultiFernet:
    return _boxes(use, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@cache
def _boxes(use: str, keys: tuple[str, ...]) -> MultiFernet:
    """A key of its own for each use, so that a leak of one does not open another."""
    made = []
    for key in keys:
        info = f"slipway.accounts.{use}.1".encode()
        derived = HKDF(SHA256(), length=32, salt=None, info=info).derive(key.encode())
        made.append(Fernet(base64.urlsafe_b64encode(derived)))
    return MultiFernet(made)
