"""Second factors: codes of an authenticator app, passkeys, and codes on paper for the day on which both are away.

Rows are allauth's `Authenticator`. What it keeps in them is stricter than its own: the secret of an app is sealed
for its owner, the newest code that was used is kept beside it, and of recovery codes only keyed hashes are there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import qrcode
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.db import transaction
from django.utils.crypto import constant_time_compare, get_random_string

from accounts import kept_keys, seals
from accounts.access import has
from accounts.models import User

STEP = 30
"""Seconds that a code of an app is good for, and as long before and after: clocks differ."""
CODES, LENGTH = 10, 10
"""Recovery codes of so many characters, about 49 bits each."""
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
Type = Authenticator.Type


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody has. ``codes``: recovery codes that are left, ``None`` where there never were any."""

    app: Authenticator | None
    passkeys: Sequence[Authenticator]
    codes: int | None

    @property
    def second(self) -> bool:
        """Whether a password alone does not open the account."""
        return self.app is not None or bool(self.passkeys)


def of(user: User) -> Factors:
    """All of somebody's factors, in one query."""
    rows = list(Authenticator.objects.filter(user=user).order_by("created_at"))
    by_type = {row.type: row for row in rows}
    codes = by_type.get(Type.RECOVERY_CODES)
    return Factors(
        app=by_type.get(Type.TOTP),
        passkeys=[row for row in rows if row.type == Type.WEBAUTHN],
        codes=len(codes.data["hashes"]) if codes else None,
    )


def who_has() -> set[UUID]:
    """Ids of those whose accounts a password alone does not open."""
    rows = Authenticator.objects.filter(type__in=[Type.TOTP, Type.WEBAUTHN])
    return set(rows.values_list("user_id", flat=True))


def demanded(user: User) -> bool:
    """Whether the site asks this person for a second factor (``SLIPWAY_SECOND_FACTOR``)."""
    if settings.SECOND_FACTOR == "everybody":
        return True
    if settings.SECOND_FACTOR != "staff":
        return False
    return user.is_staff or user.is_superuser or any(has(m, "team.members") for m in user.memberships.all())


def missing(user: User) -> bool:
    """Whether a factor is demanded of them that they do not have: they may do nothing but add it."""
    return demanded(user) and not of(user).second


# --- Authenticator apps ------------------------------------------------------------------------------


def new_secret() -> str:
    """A secret for an app, in the letters that apps read."""
    return str(totp.generate_totp_secret())


def picture(text: str) -> tuple[int, str]:
    """A QR code as its side in squares, quiet edge included, and the path of an SVG."""
    code = qrcode.QRCode(border=4, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text)
    rows = code.get_matrix()
    squares = [f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark]
    return len(rows), "".join(squares)


def add_app(user: User, secret: str, code: str) -> bool:
    """Makes the app with this secret a factor, where the code is one of it; false where it is not."""
    step = _step_of(secret, code, after=-1)
    if step is None:
        return False
    data = {"secret": seals.seal("totp", user.pk, secret), "used": step}
    with transaction.atomic():
        Authenticator.objects.filter(user=user, type=Type.TOTP).delete()
        Authenticator.objects.create(user=user, type=Type.TOTP, data=data)
    return True


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """Which step of time the code is of: one before, of or after now, and later than one that was used."""
    now = int(time.time()) // STEP
    for step in (now - 1, now, now + 1):
        right = totp.format_hotp_value(totp.hotp_value(secret, step))
        if constant_time_compare(right, code) and step > after:
            return step
    return None


# --- Recovery codes ----------------------------------------------------------------------------------


def new_codes(user: User) -> list[str]:
    """Ten new recovery codes, shown this once; older ones stop working."""
    codes = [get_random_string(LENGTH, _LETTERS) for _ in range(CODES)]
    data = {"hashes": [_hash(user, code) for code in codes]}
    Authenticator.objects.update_or_create(user=user, type=Type.RECOVERY_CODES, defaults={"data": data})
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _hash(user: User, code: str) -> str:
    return kept_keys.hashed(kept_keys.CODES, f"{user.pk}:{code}")


# --- Using and removing them -------------------------------------------------------------------------


def use_code(user: User, typed: str) -> str | None:
    """``"totp"`` or ``"recovery_codes"`` where what was typed is a code of theirs, and then never again."""
    code = "".join(typed.split()).replace("-", "").lower()
    with transaction.atomic():
        # Locked: of two that send one code at once, the second one finds it used.
        for row in Authenticator.objects.select_for_update().filter(user=user).exclude(type=Type.WEBAUTHN):
            if _used_up(row, user, code):
                row.record_usage()
                return str(row.type)
    return None


def _used_up(row: Authenticator, user: User, code: str) -> bool:
    if row.type == Type.TOTP:
        try:
            secret = seals.unseal("totp", user.pk, row.data["secret"])
        except seals.Unreadable:
            return False  # the key was changed: recovery codes, or an administrator, help
        step = _step_of(secret, code, after=row.data["used"])
        row.data["used"] = step
        used = step is not None
    else:
        right = list(kept_keys.hashes(kept_keys.CODES, f"{user.pk}:{code}"))
        left = [one for one in row.data["hashes"] if not any(constant_time_compare(one, it) for it in right)]
        used = len(left) < len(row.data["hashes"])
        row.data["hashes"] = left
    if used:
        row.save(update_fields=["data"])
    return used


def remove(user: User, factor: Authenticator) -> None:
    """Takes it away, and the recovery codes with the last one: alone they are none."""
    with transaction.atomic():
        factor.delete()
        if not of(user).second:
            remove_all(user)


def remove_all(user: User) -> int:
    """Takes all of them away, recovery codes too; how many there were."""
    return int(Authenticator.objects.filter(user=user).delete()[0])
