"""A wish that is not accepted, and the pace at which expensive ones are."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from accounts import rates
from accounts.access import Actor

EXPENSIVE, SEARCH = "expensive", "search"


class Refused(Exception):
    """Not accepted; nothing was done. ``code`` and ``status`` are those of the REST contract."""

    def __init__(self, code: str, message: str, status: int = 409, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.details = code, message, status, details


def spend(what: str, actor: Actor) -> None:
    """Counts one of these (``EXPENSIVE``, ``SEARCH``) for whoever asks. Raises `Refused` (429) where it is too soon."""
    _within(what, actor, 1)


def look(what: str, actor: Actor) -> None:
    """Raises the same, and counts nothing: before much is read for what will be refused."""
    _within(what, actor, 0)


def give_back(what: str, actor: Actor) -> None:
    """What was counted was no second one."""
    rates.wait_for(what, actor, _most(what), number=-1)


def _most(what: str) -> int:
    return int(settings.EXPENSIVE_RATE if what == EXPENSIVE else settings.SEARCH_RATE)


def _within(what: str, actor: Actor, number: int) -> None:
    most = _most(what)
    if wait := math.ceil(rates.wait_for(what, actor, most, number=number)):
        words = _("That is expensive, and may be asked for %(most)s times a minute: wait %(wait)s s.")
        raise Refused("rate_limited", words % {"most": most, "wait": wait}, 429, retry_after=wait)
