"""Too many tries to sign in: 10 in 10 minutes for one account, from wherever; 100 from one address.

What is short has fewer: 5 codes of a second factor. Passwords typed again, and mails that are asked for, are counted
by themselves: ``account`` says what is tried, and of whom (``name:vic``, ``code:<id>``).

Kept in rows, so that neither a restart nor an emptied Redis opens the door again. Tries made while it is closed
do not count, so that it opens by itself within 10 minutes, whatever somebody keeps sending.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.models import SignInAttempt

WINDOW = timedelta(minutes=10)
PER_ACCOUNT, PER_ADDRESS = 10, 100
CODES = 5


class TooMany(Exception):
    """Closed for now; ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(_("Too many attempts. Try again later."))
        self.retry_after = retry_after


def begin(account: str, ip: str | None, *, most: int | None = None) -> SignInAttempt:
    """Books a try, before the password is looked at: parallel ones cannot slip through. Raises `TooMany`.

    ``most`` is how many the account has, where that is not `PER_ACCOUNT`.
    """
    now = timezone.now()
    SignInAttempt.objects.filter(at__lt=now - WINDOW).delete()
    attempt = SignInAttempt.objects.create(at=now, account=_hidden(account), ip=ip or "")
    for limit, others in _others(attempt, most):
        # The newest ones that fill the limit: the door opens when the oldest of them has left the window.
        full = list(others.order_by("-id").values_list("at", flat=True)[:limit])
        if len(full) == limit:
            attempt.delete()
            raise TooMany(max(1, int((full[-1] + WINDOW - now).total_seconds()) + 1))
    return attempt


def succeeded(attempt: SignInAttempt) -> None:
    """The password was right: the account's count starts again. That of the address goes on."""
    SignInAttempt.objects.filter(account=attempt.account).delete()


def last_one(attempt: SignInAttempt, *, most: int | None = None) -> bool:
    """Whether this failed try was the last allowed one, so that the door is closed now."""
    return any(others.count() == limit - 1 for limit, others in _others(attempt, most))


def _others(attempt: SignInAttempt, most: int | None) -> list[tuple[int, QuerySet[SignInAttempt]]]:
    earlier = SignInAttempt.objects.filter(id__lt=attempt.pk, at__gte=attempt.at - WINDOW)
    found = []
    if attempt.account:
        found.append((most or PER_ACCOUNT, earlier.filter(account=attempt.account)))
    if attempt.ip:
        found.append((PER_ADDRESS, earlier.filter(ip=attempt.ip)))
    return found


def _hidden(account: str) -> str:
    if not account:
        return ""
    return salted_hmac("slipway.accounts.limits", account.casefold(), algorithm="sha256").hexdigest()
