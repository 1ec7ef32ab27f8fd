"""Secrets of operations: encrypted in the row from the answer to the end, and gone after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import InvalidToken

from accounts import seals
from accounts.seals import Unreadable

__all__ = ["Unreadable", "seal", "unseal"]
USE = "slipway.operations.secrets.1"


def seal(operation_id: object, values: Mapping[str, Any]) -> str:
    """The values as ciphertext that opens for this operation alone; empty for none."""
    if not values:
        return ""
    plain = json.dumps({"for": str(operation_id), "values": dict(values)}, separators=(",", ":"))
    return seals.box(USE).encrypt(plain.encode()).decode()


def unseal(operation_id: object, sealed: str) -> dict[str, Any]:
    """What was sealed; raises `Unreadable`. A ciphertext moved to another row does not open there."""
    if not sealed:
        return {}
    try:
        found = json.loads(seals.box(USE).decrypt(sealed.encode()))
    except InvalidToken:
        raise Unreadable("sealed with another key, or changed since") from None
    if found["for"] != str(operation_id):
        raise Unreadable("sealed for another operation")
    values: dict[str, Any] = found["values"]
    return values
