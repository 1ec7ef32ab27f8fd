"""What `manage.py check` says of this installation, each with its id and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name

from containers_app import published
from engine import addresses
from engine.errors import Invalid
from images_app import scan_verb
from operations.models import Engine

ASSETS = ("css/app.css", "js/app.js", "icons.svg")
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


KNOWN = (
    ((29, 5, 1), "unpacking an upload can run a program of the container's on the host (CVE-2026-41567)."),
)
"""Up to which version an engine has which weakness that Slipway's own use of it meets."""


@register(Tags.staticfiles)
def assets(**_: Any) -> Iterator[CheckMessage]:
    """The pages' styles and scripts are built from packages, and are not in the repository."""
    built = Path(settings.BASE_DIR) / "static" / "build"
    missing = [name for name in ASSETS if not (built / name).exists()]
    if missing:
        yield Error(
            f"Built assets are missing: {', '.join(missing)}.",
            hint="Build them with: make assets",
            id="slipway.E001",
        )


@register(Tags.security)
def strength(**_: Any) -> Iterator[CheckMessage]:
    """Settings that start, and are weak."""
    if settings.DEBUG:
        yield Error("SLIPWAY_DEBUG shows the inside to everybody.", hint="Leave it unset.", id="slipway.E002")
    if settings.ADMIN_PASSWORD and len(settings.ADMIN_PASSWORD) < 15:
        yield Warning(
            "SLIPWAY_ADMIN_PASSWORD is short.",
            hint="15 characters or more, as for everybody else.",
            id="slipway.W001",
        )
    if settings.SECURE and settings.SECOND_FACTOR == "nobody":
        yield Warning(
            "Nobody has to have a second factor: a password that is known opens all of an account.",
            hint="SLIPWAY_SECOND_FACTOR=staff, or everybody.",
            id="slipway.W004",
        )
    if settings.SCANNER and not scan_verb.scanner():
        yield Warning(
            "SLIPWAY_SCANNER names neither trivy nor grype: nothing is scanned.",
            hint="The name of one of them, or where a program of that name is.",
            id="slipway.W007",
        )
    host = settings.BIND.rpartition(":")[0].strip("[]")
    if not settings.SECURE and not _is_loopback(host):
        yield Warning(
            f"Slipway listens on {settings.BIND} without TLS: passwords and tokens cross the network in clear.",
            hint="Listen on 127.0.0.1 behind a proxy with TLS, and set SLIPWAY_PUBLIC_URL=https://…",
            id="slipway.W002",
        )


@register(Tags.security)
def ports(**_: Any) -> Iterator[CheckMessage]:
    """Where published ports open."""
    if words := published.wrong():
        yield Warning(
            words,
            hint="SLIPWAY_PUBLISHED_PORT_HOST=apps.example: another name of the same machine, for nothing else.",
            id="slipway.W005",
        )


@register(Tags.security)
def proxies(**_: Any) -> Iterator[CheckMessage]:
    """A proxy that is not an address would stop every request."""
    for proxy in settings.TRUSTED_PROXIES:
        try:
            ip_network(proxy, strict=False)
        except ValueError:
            yield Error(
                f"SLIPWAY_TRUSTED_PROXIES holds {proxy!r}, which is no address.",
                hint="Write addresses or networks, such as 10.0.0.5,192.168.0.0/24.",
                id="slipway.E003",
            )


@register(Tags.security)
def pool(**_: Any) -> Iterator[CheckMessage]:
    """What is no range would refuse every network of a team."""
    for text in settings.NETWORK_POOL:
        try:
            addresses.subnet(text)
        except Invalid as error:
            yield Error(
                f"SLIPWAY_NETWORK_POOL holds {text!r}. {error.message}",
                hint="Write ranges that nothing else uses, such as 10.64.0.0/12.",
                id="slipway.E005",
            )


@register()
def engine(**_: Any) -> Iterator[CheckMessage]:
    """Where the worker and the gateway will look for an engine."""
    rootless = Path(f"/run/user/{os.getuid()}/docker.sock")
    if not settings.DOCKER_HOST and not any(Path(path).exists() for path in (*SOCKETS, rootless)):
        yield Warning(
            "No container engine is configured, and none is at its usual place.",
            hint="Start one, or name it: DOCKER_HOST=unix:///path/to/docker.sock",
            id="slipway.W003",
        )


@register(Tags.security)
def own_key(**_: Any) -> Iterator[CheckMessage]:
    """A key that came from somewhere else must not be readable by others."""
    path = Path(settings.HOME) / "secret_key"
    if path.exists() and path.stat().st_mode & 0o077:
        yield Error(f"{path.name} can be read by others.", hint=f"chmod 600 {path}", id="slipway.E004")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@register(Tags.database)
def engines(databases: Any = None, **_: Any) -> Iterator[CheckMessage]:
    """Engines that are older than a fix we know of; asked for by ``check --database default``."""
    if not databases:
        return
    for row in Engine.objects.order_by("name"):
        # Podman and others count in ways of their own: only what looks like a version of Docker's is judged.
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", row.version)
        for fixed, weakness in KNOWN:
            if found and tuple(map(int, found.groups())) < fixed:
                yield Warning(
                    f"The engine {row.name} says that it is {row.version}: {weakness}",
                    hint=f"Update it to {'.'.join(map(str, fixed))}, unless its packager says that the fix is in.",
                    id="slipway.W006",
                )
