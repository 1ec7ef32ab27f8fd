"""Secrets of operations: encrypted in the row from the answer to the end, and gone after it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """Sealed with another key, or changed since."""


def seal(operation_id: object, values: Mapping[str, Any]) -> str:
    """The values as ciphertext that opens for this operation alone; empty for none."""
    if not values:
        return ""
    plain = json.dumps({"for": str(operation_id), "values": dict(values)}, separators=(",", ":"))
    return _box().encrypt(plain.encode()).decode()


def unseal(operation_id: object, sealed: str) -> dict[str, Any]:
    """What was sealed; raises `Unreadable`. A ciphertext moved to another row does not open there."""
    if not sealed:
        return {}
    try:
        found = json.loads(_box().decrypt(sealed.encode()))
    except InvalidToken:
        raise Unreadable("sealed with another key, or changed since") from None
    if found["for"] != str(operation_id):
        raise Unreadable("sealed for another operation")
    values: dict[str, Any] = found["values"]
    return values


def _box() -> MultiFernet:
    return _boxes((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@cache
def _boxes(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    """A key of its own for this use, so that a leak of one use of the secret does not open another."""
    made = HKDF(SHA256(), length=32, salt=None, info=b"slipway.operations.secrets.1").derive(key.encode())
    return base64.urlsafe_b64encode(made)
