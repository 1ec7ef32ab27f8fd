"""Our own disk, where it is full, and our own database, where it does not answer or cannot grow."""

from __future__ import annotations

import errno
import sqlite3

from django.db import InterfaceError, InternalError, OperationalError

from engine.words import kept

AWAY = (OperationalError, InterfaceError, InternalError)
"""What a database raises that is away, restarting, locked or full: no fault of what was asked of it."""
FULL = kept("Slipway's own disk is full. Make room there, and try again.")
_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: BaseException | None) -> bool:
    """Whether this means that there is no room for our own files or rows."""
    if isinstance(error, OSError):
        return error.errno in _ERRNO
    if isinstance(error, OperationalError):
        cause = error.__cause__
        code = getattr(cause, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == "53100"
    return False
