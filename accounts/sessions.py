"""How long a session lives: ended after so long without a request, and after so long in any case.

Beside it stands a row of `WebSession` for the list that its owner sees; a new key means a new row.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.access import address_of
from accounts.models import User, WebSession

SINCE, SEEN, CONFIRMED = "signed_in_at", "seen_at", "confirmed_at"
_WRITE_EVERY = 60
FRESH = 10 * 60
"""Seconds for which somebody who has just shown who they are is believed to be still there."""


@receiver(user_logged_in)
def begin(request: HttpRequest, user: User, **_: Any) -> None:
    """Starts both clocks: at sign-in, by whichever door."""
    request.session[SINCE] = request.session[SEEN] = int(time.time())
    request.session.pop(CONFIRMED, None)
    note(request, user)


def touch(request: HttpRequest) -> None:
    """Somebody is there. Written once a minute at most, and where it cannot be, what they asked for is not refused."""
    session, now = request.session, int(time.time())
    if session.get(SINCE) is None:
        begin(request, _user(request))
    elif now - session.get(SEEN, 0) >= _WRITE_EVERY:
        session[SEEN] = now
        with suppress(UpdateError, DatabaseError):
            session.save()
            note(request, _user(request))
        session.modified = False


def note(request: HttpRequest, user: User) -> None:
    """Writes down where this session is used from."""
    session = request.session
    if session.session_key is None:
        session.save()
    WebSession.objects.update_or_create(
        session_id=session.session_key,
        defaults={
            "user": user,
            "began_at": datetime.fromtimestamp(session[SINCE], UTC),
            "seen_at": datetime.fromtimestamp(session[SEEN], UTC),
            "ip": address_of(request),
            "agent": request.META.get("HTTP_USER_AGENT", "")[:200],
        },
    )


def alive(session: SessionBase) -> bool:
    """Whether neither clock has run out. Sockets ask it too, while nothing is sent."""
    now = time.time()
    since, seen = session.get(SINCE), session.get(SEEN)
    if since is None or seen is None:
        return True  # a session that was made before there were clocks: the next request starts them
    return bool(now - since < settings.SESSION_COOKIE_AGE and now - seen < settings.IDLE_MINUTES * 60)


def fresh(session: SessionBase) -> bool:
    """Whether its owner has shown who they are within the last ten minutes, at sign-in or since."""
    return bool(time.time() - max(session.get(SINCE, 0), session.get(CONFIRMED, 0)) < FRESH)


def confirmed(request: HttpRequest) -> None:
    """They have just shown it again. The session gets a new key."""
    request.session[CONFIRMED] = int(time.time())
    request.session.cycle_key()
    note(request, _user(request))


def password_changed(request: HttpRequest, user: User) -> None:
    """This session goes on, under a new key; every other one of theirs has ended."""
    update_session_auth_hash(request, user)
    note(request, user)
    end(of(user), but=request.session.session_key)


def of(user: User) -> list[WebSession]:
    """Where they are signed in now, newest first."""
    found = []
    for row in WebSession.objects.filter(user=user).select_related("session"):
        data = row.session.get_decoded()
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        store.update(data)
        right = constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
        if alive(store) and right:
            found.append(row)
    return found


def handle(row: WebSession) -> str:
    """What names it on a page: its key would open it."""
    return salted_hmac("slipway.accounts.sessions", row.session_id, algorithm="sha256").hexdigest()[:16]


def end(rows: Iterable[WebSession], *, but: str | None = None) -> int:
    """Ends them, all but the one with this key; how many there were. Open sockets close within seconds."""
    keys = [row.session_id for row in rows if row.session_id != but]
    Session.objects.filter(session_key__in=keys).delete()
    return len(keys)


def forget_ended() -> None:
    """Drops the rows of sessions whose time is over, of people who never came in, too."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


def end_all(user: User) -> int:
    """Ends every session of theirs."""
    return end(WebSession.objects.filter(user=user))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - callers have looked
    return request.user
