"""Where an image tells of its changes, by the labels that its maker has put on it. Anybody can be that maker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LABELS = tuple(f"org.opencontainers.image.{name}" for name in ("source", "url", "documentation"))
# An address without an account, a port or anything that could be read as another host.
_ADDRESS = re.compile(
    r"https://(?=[^/]*[a-z])([a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?)(/[\w./~%+@-]{0,400})?",
    re.ASCII | re.IGNORECASE,
)
_RELEASES = {"github.com": "/releases", "codeberg.org": "/releases", "gitlab.com": "/-/releases"}


@dataclass(frozen=True, slots=True)
class Link:
    """``releases``: it is the list of releases of a repository."""

    url: str
    host: str
    releases: bool


def of(labels: Mapping[str, object] | None) -> Link | None:
    """To the releases of its source where that is at a place that has such, else to its own page."""
    for name in _LABELS:
        found = _ADDRESS.fullmatch(str((labels or {}).get(name) or "").strip())
        if found is None:
            continue
        host, path = found[1].lower(), (found[2] or "").rstrip("/").removesuffix(".git")
        tail = _RELEASES.get(host, "")
        repository = bool(tail) and path.count("/") == 2
        return Link(f"https://{host}{path}{tail if repository else ''}", host, repository)
    return None
