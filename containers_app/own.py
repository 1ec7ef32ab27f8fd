"""Slipway's own containers: which ones they are, and that nothing is done to them, or to what they keep, from within.

Found by the id of the container that this process runs in, by the compose project of that one, and by
``SLIPWAY_OWN_CONTAINERS`` (names or ids; ``none`` finds nothing at all). The project is a label that anybody's image
can carry: it counts for containers of nobody's, and of the team that ours belongs to. With a container go the volumes
that it mounts, the networks that it is on and the images and tags that it was made from. Break-glass is an exception
from the rule `guard.OWN`, which `operations.policies.allow` gives a site administrator for a reason and at most a day.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.access import Actor, rank
from accounts.permissions import SITE
from containers_app import attachments
from containers_app.models import Container, Network, Volume
from engine import guard
from engine.errors import SelfProtected
from images_app import references
from images_app.models import Image, Tag
from operations import policies, registry

HARMLESS = frozenset((
    "container.run", "container.start", "container.unpause", "container.restore",
    "image.pull",
))  # fmt: skip
"""Kinds that may be asked for all the same: they end nothing, and take nothing out."""
RUNS = frozenset((
    "container.start", "container.restart", "container.unpause", "container.restore", "container.recreate",
))  # fmt: skip
"""Kinds after which a program reaches what its container mounts."""
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
    """What makes a container Slipway's own: ``ids`` (whole, or their beginnings), names, compose projects.

    ``stacks``: ``(engine, project, team)``.
    """

    ids: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    stacks: frozenset[tuple[Any, str, UUID | None]] = frozenset()

    def has(self, row: Container) -> bool:
        """Whether this is one of them."""
        if row.name in self.names or (row.stack and (row.engine_id, row.stack, row.team_id) in self.stacks):
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
    rows = Container.objects.filter(mine).exclude(stack="") if here else Container.objects.none()
    found = rows.values_list("engine_id", "stack", "team_id") if here else ()
    stacks = {(engine, stack, whose) for engine, stack, team in found for whose in (team, None)}
    return Own(ids, named, frozenset(stacks))


def open_for(row: Container | Volume, actor: Actor) -> bool:
    """Whether somebody has broken the glass, and this is a person who may reach in: a site administrator, no token."""
    return _is_open(row.team_id, row.name, actor)


def _is_open(team_id: UUID | None, name: str, actor: Actor) -> bool:
    if actor.user is None or actor.token_key or rank(actor, team_id) < SITE:
        return False
    return policies.exceptions(team_id, name).filter(rule=guard.OWN).exists()


def check(row: Container, actor: Actor) -> None:
    """Raises `SelfProtected` where this is one of ours."""
    if ours().has(row) and not open_for(row, actor):
        words = _(
            "%(name)s is one of Slipway's own containers: Slipway neither ends nor opens what it runs in itself. "
            "A site administrator can make an exception on the page of the guard rails, for a day at most."
        )
        raise SelfProtected(words % {"name": row.name})


def check_volume(row: Volume, actor: Actor) -> None:
    """Raises `SelfProtected` where one of ours mounts it: what Slipway keeps is in it."""
    if keeps(row) and not open_for(row, actor):
        raise _in_use(row.name)


def check_reach(row: Container, actor: Actor) -> None:
    """Raises `SelfProtected` where another's container mounts what one of ours keeps: whoever runs it could read it."""
    found = ours()
    if found == Own() or found.has(row):
        return
    sources = row.mounts.filter(type="volume").values("source")
    for volume in Volume.objects.filter(engine_id=row.engine_id, native_id__in=sources):
        check_volume(volume, actor)


def keeps(row: Volume) -> bool:
    """Whether one of ours mounts it."""
    mounts = {"mounts__type": "volume", "mounts__source": row.native_id}
    return _any_of_ours(Q(engine_id=row.engine_id, **mounts))


def _any_of_ours(wanted: Q) -> bool:
    found = ours()
    if found == Own():
        return False
    rows = Container.everything.filter(wanted).only("name", "team", "stack", "native_id", "engine").distinct()
    return any(found.has(row) for row in rows)


def _in_use(name: str) -> SelfProtected:
    words = _(
        "One of Slipway's own containers uses %(name)s: Slipway neither changes nor opens what it runs on itself. "
        "A site administrator can make an exception on the page of the guard rails, for a day at most."
    )
    return SelfProtected(words % {"name": name})


def _of_container(kind: str, id_: str, actor: Actor) -> None:
    if kind in HARMLESS and kind not in RUNS:
        return
    row = Container.everything.filter(pk=id_).first()
    if row and kind not in HARMLESS:
        check(row, actor)
    if row and kind in RUNS:
        check_reach(row, actor)


def _of_network(kind: str, id_: str, actor: Actor) -> None:
    """With a network they would lose each other."""
    if kind == "network.remove" and (row := Network.objects.filter(pk=id_).first()):
        for container in _on(row):
            check(container, actor)


def _of_volume(kind: str, id_: str, actor: Actor) -> None:
    """Whatever is done to a volume changes what is in it, ends it, or takes it out."""
    if row := Volume.objects.filter(pk=id_).first():
        check_volume(row, actor)


def _of_image(kind: str, id_: str, actor: Actor) -> None:
    """Without it they could not be made anew. Its names are protected by themselves: see `_of_tag`."""
    if kind not in ("image.remove", "image.untag"):
        return
    row = Image.everything.filter(pk=id_).first()
    if row is None or not _any_of_ours(Q(engine_id=row.engine_id, image_native_id=row.native_id)):
        return
    if not _is_open(row.team_id, str(row), actor):
        raise _in_use(str(row))


def _of_tag(kind: str, id_: str, actor: Actor) -> None:
    """What they are made anew from is not to be anybody's other image. A pull brings what the name stands for."""
    row = Tag.objects.select_related("image").filter(pk=id_).first()
    if row is None or kind in HARMLESS:
        return
    found = ours()
    if found == Own():
        return
    rows = Container.everything.filter(engine_id=row.engine_id).exclude(image_ref="")
    rows = rows.only("name", "team", "stack", "native_id", "engine", "image_ref")
    used = any(references.tag_of(one.image_ref) == row.name and found.has(one) for one in rows)
    if used and not _is_open(row.image.team_id, row.name, actor):
        raise _in_use(row.name)


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
registry.protect("volume", _of_volume)
registry.protect("image", _of_image)
registry.protect("tag", _of_tag)
