"""The first start: nobody can sign in yet, so one link, printed to the server's own output, makes the first person.

The link carries a secret of which only a keyed hash is kept, in ``setup_token`` of the state directory, readable
by this user alone. Whoever reaches the port without it gets 403; once somebody is set up the page is gone for
good, also if all users are deleted later.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.dispatch import Signal
from django.urls import reverse
from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac

from accounts import audit
from accounts.access import Actor
from accounts.models import Membership, Role, SetUp, Team, User

_done = False
began = Signal()
"""Sent once in the life of a site, within the transaction that makes its first administrator."""


class AlreadySetUp(Exception):
    """Somebody else was faster, or it was long ago."""


def setup_needed() -> bool:
    """Whether there is nobody yet. One query a call until the answer is no, none ever after."""
    global _done  # noqa: PLW0603 - once no, always no: a page must not pay for it
    if _done:
        return False
    if not SetUp.objects.exists():
        if not User.objects.exists():
            return True
        try:
            SetUp.objects.get_or_create(
                id=1
            )  # made by the command line: the page closes for good all the same
        except DatabaseError:
            return False  # no room to write that down: with the next look
    _done = True
    return False


def setup_link(base_url: str) -> str | None:
    """A new one-time link below ``base_url``, or ``None`` where it is not needed. An older link stops working."""
    if not setup_needed():
        return None
    token = get_random_string(40)
    path = _token_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(_digest(token))
    fresh.replace(path)
    return f"{base_url.rstrip('/')}{reverse('accounts:setup')}?token={token}"


def link_is_right(token: str) -> bool:
    """Whether this is the secret of the link that was printed last."""
    try:
        kept = _token_file().read_text().strip()
    except FileNotFoundError:
        return False
    return bool(token) and constant_time_compare(kept, _digest(token))


def set_up(
    *, username: str, password: str, email: str = "", ip: str | None = None, source: str = "ui"
) -> User:
    """Makes the first administrator, and a team for what they make. Raises `AlreadySetUp`.

    The row of `SetUp` comes first: of two at once, the database lets one through.
    """
    try:
        with transaction.atomic():
            SetUp.objects.create(id=1)
            if User.objects.exists():
                raise AlreadySetUp
            user = User.objects.create_superuser(username=username, email=email, password=password)
            team, _ = Team.objects.get_or_create(slug="default", defaults={"name": "Default"})
            Membership.objects.create(user=user, team=team, role=Role.ADMIN)
            audit.record("auth.setup", Actor(user=user, source=source, ip=ip))
            began.send(None)
    except IntegrityError:
        raise AlreadySetUp from None
    _token_file().unlink(missing_ok=True)
    return user


def ensure_admin_from_env() -> User | None:
    """The first administrator from ``SLIPWAY_ADMIN_USER`` and ``…_PASSWORD``; ``None`` where there is one already.

    A password that is changed there later changes nothing: people change theirs on their own page.
    """
    if not (settings.ADMIN_USER and settings.ADMIN_PASSWORD) or not setup_needed():
        return None
    try:
        return set_up(username=settings.ADMIN_USER, password=settings.ADMIN_PASSWORD, source="system")
    except AlreadySetUp:
        return None


def _token_file() -> Path:
    return Path(settings.HOME) / "setup_token"


def _digest(token: str) -> str:
    return salted_hmac("slipway.accounts.setup", token, algorithm="sha256").hexdigest()
