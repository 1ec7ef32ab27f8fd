"""One container's page: what a person would look up in its inspection, in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext, pgettext

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app import attachments
from containers_app.models import Container, Mount, Network
from containers_app.queries import containers
from engine.docker_text import MASK
from operations.models import Operation
from operations.queries import operations
from operations.remains import moment

LABELS_SHOWN = 6
ELSEWHERE = _lazy("a container of another team")
USUAL_STOP = 10
"""Seconds that engines give where nobody says."""
# Labels that tools write for themselves: they step behind those that people wrote.
_TOOLS = (
    "com.docker.compose.",
    "org.opencontainers.",
    "org.label-schema.",
    "desktop.docker.",
    "slipway.",
    "io.slipway.",
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment. ``origin``: image, compose or run. The value of a ``hidden`` one is not here.

    ``replaces``: the image has another value for it.
    """

    name: str
    value: str
    hidden: bool
    origin: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One result of the health check."""

    passed: bool
    seconds: float
    at: datetime | None
    output: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the configuration. ``kind`` is text, code or image."""

    name: str
    value: Any
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where a container stands among those of its stack: ``at`` of ``count``."""

    at: int
    count: int
    before: Any = None
    after: Any = None


def one(actor: Actor) -> QuerySet[Container]:
    """Containers with everything their own page shows."""
    rows = visible_to(actor, Container.objects.all()).select_related("team", "engine", "image")
    return rows.defer("inspect", "image__labels")


def facts(container: Container) -> list[Fact]:
    """The configuration, in the order people look for it."""
    created = container.created_at
    found = [
        Fact(_("Image"), container.image_ref or container.image_native_id, "image"),
        Fact(_("Created"), created, "time") if created else Fact(_("Created"), "–"),
        Fact(_("Image ID"), container.image_native_id.removeprefix("sha256:")[:12], "code"),
        Fact(pgettext("label", "Restart"), _restart(container)),
        Fact(_("Command"), shlex.join(container.command) or "–", "code"),
        Fact(_("Stop"), _stop(container)),
        Fact(_("Entrypoint"), shlex.join(container.entrypoint) or "–", "code"),
        Fact(_("User"), container.user or "root", "code"),
        Fact(_("Working dir"), container.working_dir or "/", "code"),
        Fact(_("Privileges"), _("privileged: all of the host") if container.privileged else _("none added")),
        Fact(_("Host name"), container.hostname or "–", "code"),
        Fact(_("Log driver"), container.log_driver or "–"),
    ]
    if container.auto_remove:
        found.append(Fact(_("When it ends"), _("removed by the engine")))
    if container.tty:
        found.append(Fact(_("Terminal"), _("has one (tty)")))
    return found


def environment(container: Container) -> list[Variable]:
    """Its variables by name; those that the image brought along last."""
    brought = _of_image(container)
    given = "compose" if container.stack else "run"
    found = []
    for name, value in container.environment.items():
        of_image = brought.get(name) == value
        origin = "image" if of_image else given
        found.append(Variable(name, value, value == MASK, origin, name in brought and not of_image))
    return sorted(found, key=lambda variable: (variable.origin == "image", variable.name))


def checks(container: Container) -> list[Check]:
    """What the engine still knows of the health checks, oldest first."""
    return list(_checks(container))


def checks_are_old(container: Container, found: list[Check]) -> bool:
    """Whether newer results exist that were not asked for: they are looked at when the state changes."""
    if not found or found[-1].at is None or container.state != "running":
        return False
    interval = float(container.healthcheck.get("interval") or 30)
    return (timezone.now() - found[-1].at).total_seconds() > 3 * interval + 30


def labels(container: Container) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """``(shown, more)``: labels of people first, those of tools behind."""
    found = sorted(container.labels.items(), key=lambda pair: (pair[0].startswith(_TOOLS), pair[0]))
    own = [pair for pair in found if not pair[0].startswith(_TOOLS)]
    shown = (own or found)[:LABELS_SHOWN]
    return shown, [pair for pair in found if pair not in shown]


def mounts(container: Container, actor: Actor) -> list[Mount]:
    """Volumes, host paths and memory, by where the container sees them. Another team's volume is a name here."""
    found = list(container.mounts.select_related("volume").order_by("target"))
    for mount in found:
        if mount.volume and not can(actor, "volume.read", mount.volume):
            mount.volume = None
    return found


def may_image(container: Container, actor: Actor) -> bool:
    """Whether its image has a page for this reader: it is here, and not another team's alone."""
    image = container.image
    return bool(image and image.trashed_at is None and can(actor, "image.read", image))


def networks(container: Container, actor: Actor) -> list[dict[str, Any]]:
    """Its networks: ``name``, ``address``, and the ``row`` of those that are known to the reader."""
    there = Network.objects.filter(engine_id=container.engine_id)
    known = list(visible_to(actor, there)) if container.networks else []
    return [
        {
            "name": network.get("name", ""),
            "address": network.get("ip") or network.get("ip6") or "",
            "row": next((row for row in known if attachments.is_on(network, row)), None),
        }
        for network in container.networks
    ]


def neighbours(container: Container, actor: Actor) -> Neighbours:
    """Those before and after it in the list of its stack. One query."""
    around = visible_to(actor, Container.objects.filter(stack=container.stack)).order_by("name", "pk")
    ids = list(around.values_list("pk", flat=True)[:2000])
    if container.pk not in ids:
        return Neighbours(1, 1)
    at = ids.index(container.pk)
    return Neighbours(
        at + 1, len(ids), ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None
    )


def lineage(container: Container, actor: Actor) -> list[str]:
    """Its id, then those of the containers that it was made anew from, the newest first."""
    made = operations(actor).filter(
        kind="container.recreate", state="succeeded", engine_id=container.engine_id
    )
    pairs = made.order_by("-created_at").values_list("result", flat=True)[:1000]
    before = {str(pair.get("container")): str(pair.get("replaced")) for pair in pairs if pair}
    found = [str(container.pk)]
    while (older := before.get(found[-1])) and older not in found:
        found.append(older)
    return found


def made_by(container: Container, actor: Actor) -> Operation | None:
    """The operation that made it, where it was made here and the reader may know of it."""
    own, *older = lineage(container, actor)
    if older:
        made = operations(actor).filter(kind="container.recreate", target_id=older[0], result__container=own)
    else:
        made = operations(actor).filter(kind__in=("container.run", "container.duplicate"), target_id=own)
    return made.order_by("-created_at").first()


def holders(actor: Actor, engine_id: Any) -> dict[tuple[int, str], str]:
    """``(host port, protocol)`` in use on an engine → the container that holds it, in the order of the ports.

    A container that the reader may not know of has no name here, and holds its ports all the same.
    """
    found: dict[tuple[int, str], str] = {}
    rows = Container.objects.filter(engine_id=engine_id, state__in=("running", "paused", "restarting"))
    known = set(containers(actor).filter(engine_id=engine_id).values_list("pk", flat=True))
    for pk, name, ports in rows.order_by("-name").values_list("pk", "name", "ports"):
        for port in ports:
            if port.get("host"):
                key = (int(port["host"]), str(port.get("protocol") or "tcp"))
                found[key] = name if pk in known else str(ELSEWHERE)
    return dict(sorted(found.items()))


def _checks(container: Container) -> Iterator[Check]:
    for entry in container.health_log:
        start, end = moment(entry.get("start")), moment(entry.get("end"))
        seconds = (end - start).total_seconds() if start and end else 0.0
        yield Check(entry.get("exit_code") == 0, max(0.0, seconds), end, str(entry.get("output", "")).strip())


def _restart(container: Container) -> str:
    words = {
        "": _("never"),
        "no": _("never"),
        "always": _("always"),
        "unless-stopped": _("unless stopped"),
        "on-failure": _("on failure"),
    }
    policy = words.get(container.restart_policy, container.restart_policy.replace("-", " "))
    said = {"policy": policy, "most": container.restart_max_retries, "n": container.restart_count}
    if container.restart_max_retries:
        text = ngettext(
            "%(policy)s, %(most)s times at most, %(n)s restart",
            "%(policy)s, %(most)s times at most, %(n)s restarts",
            container.restart_count,
        )
    else:
        text = ngettext("%(policy)s, %(n)s restart", "%(policy)s, %(n)s restarts", container.restart_count)
    return text % said


def _stop(container: Container) -> str:
    seconds = USUAL_STOP if container.stop_timeout is None else container.stop_timeout
    return _("%(signal)s, then %(seconds)s s") % {
        "signal": container.stop_signal or "SIGTERM",
        "seconds": seconds,
    }


def _of_image(container: Container) -> dict[str, str]:
    pairs = (container.image.config or {}).get("Env", []) if container.image else []
    return dict(str(pair).split("=", 1) for pair in pairs if "=" in str(pair))
