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
    return box(use_of(use)).encrypt(json.dumps([str(owner), text]).encode()).decode()


def unseal(use: str, owner: object, sealed: str, *, within: int | None = None) -> str:
    """What was sealed, ``within`` so many seconds; raises `Unreadable`."""
    try:
        found = json.loads(box(use_of(use)).decrypt(sealed.encode(), ttl=within))
    except InvalidToken:
        raise Unreadable("sealed with another key, too long ago, or changed since") from None
    if found[0] != str(owner):
        raise Unreadable("sealed for somebody else")
    return str(found[1])


def again(use: str, sealed: str) -> str:
    """The same sealed with the key of now, whoever it is for; raises `Unreadable`."""
    try:
        return box(use).rotate(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable("sealed with a key that is not at hand, or changed since") from None


def box(use: str) -> MultiFernet:
    """A key of its own for each use, so that a leak of one does not open another; older secrets still open."""
    return _boxes(use, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def use_of(use: str) -> str:
    """What the key of a use is derived for."""
    return f"slipway.accounts.{use}.1"


@cache
def _boxes(use: str, keys: tuple[str, ...]) -> MultiFernet:
    made = []
    for key in keys:
        derived = HKDF(SHA256(), length=32, salt=None, info=use.encode()).derive(key.encode())
        made.append(Fernet(base64.urlsafe_b64encode(derived)))
    return MultiFernet(made)
