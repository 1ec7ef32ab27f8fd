"""Under which host published ports are opened: not that of the pages, whose origin they would be near to."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _


def wrong() -> str:
    """What is wrong with where links of ports lead, for a site that is served to others; empty where nothing is."""
    if not settings.SECURE:
        return ""
    own = urlsplit(settings.PUBLIC_URL).hostname
    if settings.PUBLISHED_PORT_HOST.lower() not in ("", own):
        return ""
    return _(
        "Links to published ports open the host of these pages, %(host)s: what a container serves there shares its "
        "cookies. Name another host for them in SLIPWAY_PUBLISHED_PORT_HOST."
    ) % {"host": own}
