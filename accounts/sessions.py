"""How long a session lives: ended after so long without a request, and after so long in any case."""

from __future__ import annotations

import time
from contextlib import suppress

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import DatabaseError

SINCE, SEEN = "signed_in_at", "seen_at"
_WRITE_EVERY = 60


def begin(session: SessionBase) -> None:
    """Starts both clocks: at sign-in."""
    session[SINCE] = session[SEEN] = int(time.time())


def touch(session: SessionBase) -> None:
    """Somebody is there. Written once a minute at most, and where it cannot be, what they asked for is not refused."""
    now = int(time.time())
    if session.get(SINCE) is None:
        begin(session)
    elif now - session.get(SEEN, 0) >= _WRITE_EVERY:
        session[SEEN] = now
        with suppress(UpdateError, DatabaseError):
            session.save()
        session.modified = False


def alive(session: SessionBase) -> bool:
    """Whether neither clock has run out. Sockets ask it too, while nothing is sent."""
    now = time.time()
    since, seen = session.get(SINCE), session.get(SEEN)
    if since is None or seen is None:
        return True  # a session that was made before there were clocks: the next request starts them
    return bool(now - since < settings.SESSION_COOKIE_AGE and now - seen < settings.IDLE_MINUTES * 60)
