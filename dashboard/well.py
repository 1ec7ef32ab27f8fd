"""``python -m dashboard.well web|worker|gateway``: 0 where that process is well, for the health check of a container.

Without Django's start: asked every half minute, in three containers.
"""

from __future__ import annotations

import http.client
import os
import sys
from contextlib import suppress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


def web() -> bool:
    """Whether the pages answer."""
    from django.conf import settings

    host, _, port = settings.BIND.rpartition(":")
    host = host.strip("[]")
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    asked = http.client.HTTPConnection(here, int(port), timeout=4)
    with suppress(OSError, http.client.HTTPException):
        asked.request("GET", "/healthz", headers={"Host": settings.ALLOWED_HOSTS[0].lstrip(".")})
        return asked.getresponse().status == 200
    return False


def beats(name: str) -> bool:
    """Whether worker or gateway said lately that it lives. Redis away ends no process: it waits."""
    from streams.connection import LOST
    from streams.health import LATE, last_beat

    try:
        age = last_beat(name)
    except LOST:
        return True
    return age is not None and age <= LATE


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) == 2 else ""
    if asked not in ("web", "worker", "gateway"):
        sys.exit("python -m dashboard.well web|worker|gateway")
    sys.exit(0 if (web() if asked == "web" else beats(asked)) else 1)
