"""Slipway's own containers: which ones they are, and that nothing is done to them from within.

Found by the id of the container that this process runs in, by the compose project of that one, and by
``SLIPWAY_OWN_CONTAINERS`` (names or ids; ``none`` finds nothing at all). Break-glass is an exception from the rule
`guard.OWN`, which `operations.policies.allow` gives a site administrator for a reason and at most a day.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.access import Actor, rank
from accounts.permissions import SITE
from containers_app import attachments
from containers_app.models import Container, Network
from engine import guard
from engine.errors import SelfProtected
from operations import policies, registry

HARMLESS = frozenset((
    "container.run", "container.start", "container.unpause", "container.restore",
))  # fmt: skip
"""Kinds that may be asked for all the same: they end nothing, and take nothing out."""
_ID = re.compile(r"[0-9a-f]{64}")
_GIVEN = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
"""What an engine mounts into each container from a folder that is called like it."""


def ids_in(cgroup: str, mountinfo: str, hostname: str) -> frozenset[str]:
    """The ids that these files of a process tell of its container, whole or the first 12 digits. Pure."""
    found = {line_id for line in cgroup.splitlines() if (line_id := _last_id(line.rpartition(":")[2]))}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        # On a host the same file tells of every container's mounts: only those at these places are our own.
        if len(fields) > 4 and fields[4] in _GIVEN and (mount_id := _last_id(fields[3])):
            found.add(mount_id)
    return frozenset(found | ({hostname} if re.fullmatch("[0-9a-f]{12}", hostname) else set()))


def _last_id(path: str) -> str:
    return (_ID.findall(path) or [""])[-1]


@cache
def _of_this_process() -> frozenset[str]:
    return ids_in(_text("/proc/self/cgroup"), _text("/proc/self/mountinfo"), socket.gethostname())


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Own:
    """What makes a container Slipway's own: ``ids`` (whole, or their beginnings), names, compose projects."""

    ids: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    stacks: frozenset[tuple[Any, str]] = frozenset()

    def has(self, row: Container) -> bool:
        """Whether this is one of them."""
        if row.name in self.names or (row.stack and (row.engine_id, row.stack) in self.stacks):
            return True
        return bool(self.ids) and row.native_id.startswith(self.ids)


def ours() -> Own:
    """Which are ours now. No query where Slipway runs in no container."""
    named = frozenset(settings.OWN_CONTAINERS)
    if "none" in named:
        return Own()
    here = tuple(_of_this_process())
    ids = (*here, *(name for name in named if re.fullmatch("[0-9a-f]{12,64}", name)))
    mine = Q()
    for one in here:
        mine |= Q(native_id__startswith=one)
    found = Container.objects.filter(mine).exclude(stack="").values_list("engine_id", "stack") if here else ()
    return Own(ids, named, frozenset(found))


def open_for(row: Container, actor: Actor) -> bool:
    """Whether somebody has broken the glass, and this is a person who may reach in: a site administrator, no token."""
    if actor.user is None or actor.token_key or rank(actor, row.team_id) < SITE:
        return False
    return policies.exceptions(row.team_id, row.name).filter(rule=guard.OWN).exists()


def check(row: Container, actor: Actor) -> None:
    """Raises `SelfProtected` where this is one of ours."""
    if ours().has(row) and not open_for(row, actor):
        words = _(
            "%(name)s is one of Slipway's own containers: Slipway neither ends nor opens what it runs in itself. "
            "A site administrator can make an exception on the page of the guard rails, for a day at most."
        )
        raise SelfProtected(words % {"name": row.name})


def _of_container(kind: str, id_: str, actor: Actor) -> None:
    if kind not in HARMLESS and (row := Container.everything.filter(pk=id_).first()):
        check(row, actor)


def _of_network(kind: str, id_: str, actor: Actor) -> None:
    """With a network they would lose each other."""
    if kind == "network.remove" and (row := Network.objects.filter(pk=id_).first()):
        for container in _on(row):
            check(container, actor)


def _on(network: Network) -> Iterator[Container]:
    found = ours()
    if found == Own():
        return
    rows = Container.objects.filter(engine_id=network.engine_id).only("pk", "name", "team", "stack", "native_id",
        "engine", "networks")  # fmt: skip
    for row in rows:
        if found.has(row) and any(attachments.is_on(one, network) for one in row.networks):
            yield row


registry.protect("container", _of_container)
registry.protect("network", _of_network)
