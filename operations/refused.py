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
    most = settings.EXPENSIVE_RATE if what == EXPENSIVE else settings.SEARCH_RATE
    if wait := math.ceil(rates.wait_for(what, actor, most)):
        words = _("That is expensive, and may be asked for %(most)s times a minute: wait %(wait)s s.")
        raise Refused("rate_limited", words % {"most": most, "wait": wait}, 429, retry_after=wait)
