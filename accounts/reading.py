"""How somebody reads pages: in which language, and by the clock of which time zone."""

from __future__ import annotations

import zoneinfo
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from accounts.models import User

ZONE_COOKIE = "zone"
"""Written by `static/js/zone.js`."""
YEAR = 365 * 24 * 3600
_PARTS_OF_THE_WORLD = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


@cache
def zones() -> tuple[str, ...]:
    """Time zones by name: those named after a place, and UTC. Older names of the same are left out."""
    found = zoneinfo.available_timezones()
    return ("UTC", *sorted(name for name in found if name.partition("/")[0] in _PARTS_OF_THE_WORLD))


def check_language(value: str) -> None:
    """Raises `ValidationError` where that is none of the languages that there are."""
    if value and value not in dict(settings.LANGUAGES):
        raise ValidationError(_("There is no such language here."))


def check_zone(value: str) -> None:
    """Raises `ValidationError` where that is no zone."""
    if value and value not in zones():
        raise ValidationError(
            _("There is no such time zone. It is named after a place, such as Europe/Berlin.")
        )


def language_of(request: HttpRequest, user: User | None) -> str:
    """What to answer in: as the person has said, a cookie of this browser, the browser itself, else English.

    Whoever calls with a token is asked by ``Accept-Language`` alone: a program's answers do not change with what a
    person sets for their pages.
    """
    if user is not None and user.language in dict(settings.LANGUAGES):
        return user.language
    return translation.get_language_from_request(request)


def zone_of(request: HttpRequest, user: User | None) -> zoneinfo.ZoneInfo | None:
    """The clock that the person has chosen, else that of the browser, which says it in a cookie; ``None``: UTC."""
    for name in (user.zone if user is not None else "", request.COOKIES.get(ZONE_COOKIE, "")):
        if name in zones():
            return zoneinfo.ZoneInfo(name)
    return None


def remember(response: HttpResponse, language: str) -> None:
    """So that the page of signing in speaks it too, in this browser."""
    if language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, language, max_age=YEAR, secure=settings.SECURE, httponly=True,
            samesite="Lax",
        )  # fmt: skip
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
