"""Passkeys: kept by a browser, a phone or a key, for this host alone, and opened there by a finger, a face or a PIN.

The ceremonies are allauth's; what it remembers between their two halves lies in the session.
"""

from __future__ import annotations

import json
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.core.exceptions import ValidationError

from accounts.models import User

# What its parsers raise over something that no browser has sent.
_MALFORMED = (ValidationError, ValueError, TypeError, KeyError, AttributeError)


def creation(user: User) -> dict[str, Any]:
    """What a browser needs to make one."""
    return dict(auth.begin_registration(user, passwordless=True))


def request(user: User | None) -> dict[str, Any]:
    """What a browser needs to show one: of theirs, or of whoever it is."""
    return dict(auth.begin_authentication(user))


def add(user: User, name: str, text: str) -> Authenticator | None:
    """A new one, as the browser has sent it; ``None`` where it is not what was asked for."""
    try:
        credential = json.loads(text)
        auth.parse_registration_response(credential)
        if not auth.complete_registration(credential).is_user_verified():
            return None
    except _MALFORMED:
        return None
    made: Authenticator = auth.WebAuthn.add(user, name, credential).instance
    return made


def shown(user: User | None, text: str) -> Authenticator | None:
    """The passkey that was shown, of theirs or of anybody; ``None`` where it opens nothing.

    Alone it opens an account only where it has looked at its owner.
    """
    try:
        credential = json.loads(text)
        response = auth.parse_authentication_response(credential).response
        owner = user or auth.extract_user_from_response(credential)
        found: Authenticator = auth.complete_authentication(owner, credential)
        if user is None and not response.authenticator_data.is_user_verified():
            return None
    except _MALFORMED:
        return None
    found.record_usage()
    return found


def rename(key: Authenticator, name: str) -> None:
    """Another name for its owner's list."""
    key.wrap().name = name
    key.save(update_fields=["data"])
