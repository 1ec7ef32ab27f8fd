"""Volumes that a container names and that are not there any more.

Some engines start it on empty ones without a word, others refuse. Here it is refused, and done where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor
from containers_app import plans, sync
from containers_app.models import Container, Volume
from engine import names
from engine.errors import NotFound, VolumeMissing
from engine.specs import VolumeSpec
from engine.types import ContainerInfo
from operations.models import Operation
from operations.plans import Item, Plan, listed
from operations.registry import Context
from operations.services import Refused

STARTS = ("start", "restart", "recreate")
"""What lets an engine make a volume that a container names."""
Params = Mapping[str, Any]


def of(container: Container) -> list[str]:
    """Those with a name that no volume of the engine has, by the rows."""
    named = list(container.mounts.filter(type="volume").values_list("source", flat=True))
    there = set(
        Volume.objects.filter(engine_id=container.engine_id, native_id__in=named).values_list(
            "native_id", flat=True
        )
    )
    return [name for name in named if name not in there and _has_a_name(name)]


def _has_a_name(name: str) -> bool:
    return bool(name) and not names.is_anonymous_volume(name)


def words(gone: Iterable[str], verb: str = "starting") -> str:
    """The sentence."""
    found = list(gone)
    one, more = _GONE.get(verb, _GONE["starting"])
    text = one if len(found) == 1 else more
    return str(text) % {"names": listed(found)}


_GONE = {
    "starting": (
        _lazy(
            "The data of %(names)s is gone: starting would create an empty one. "
            "Take it back from the trash or a backup first, or ask for empty volumes."
        ),
        _lazy(
            "The data of %(names)s is gone: starting would create empty ones. "
            "Take it back from the trash or a backup first, or ask for empty volumes."
        ),
    ),
    "restarting": (
        _lazy(
            "The data of %(names)s is gone: restarting would create an empty one. "
            "Take it back from the trash or a backup first, or ask for empty volumes."
        ),
        _lazy(
            "The data of %(names)s is gone: restarting would create empty ones. "
            "Take it back from the trash or a backup first, or ask for empty volumes."
        ),
    ),
}


def check(container: Container, params: Params) -> Callable[[], None]:
    """Raises `Refused` (``volume_missing``) where some are gone and nobody has asked for empty ones."""

    def inner() -> None:
        if not params.get("empty_volumes") and (gone := of(container)):
            raise Refused("volume_missing", words(gone), volumes=gone)

    return inner


def require(ctx: Context, info: ContainerInfo) -> None:
    """The same on the engine, right before it happens. Raises `VolumeMissing`, or makes the empty ones asked for."""
    gone = look(ctx, info)
    if gone and not ctx.params.get("empty_volumes"):
        raise VolumeMissing(words(gone), volumes=gone)
    for name in gone:
        ctx.check_fence()
        ctx.engine.create_volume(VolumeSpec(name))
    if gone:
        sync.refresh_volumes(ctx.operation.engine, ctx.engine)
        made = Volume.objects.filter(engine=ctx.operation.engine, native_id__in=gone, team=None)
        made.update(team=ctx.operation.team)


def look(ctx: Context, info: ContainerInfo) -> list[str]:
    """Those that the engine does not have."""
    found: list[str] = []
    for mount in info.mounts:
        if mount.type == "volume" and _has_a_name(mount.source):
            try:
                ctx.engine.volume(mount.source)
            except NotFound:
                found.append(mount.source)
    return found


def tell(plan: Plan, container: Container) -> None:
    """What a plan says of them."""
    for name in of(container):
        plan.lost.append(
            Item(
                _("Volume %(name)s") % {"name": name},
                _("volume data is gone: starting would create an empty one"),
            )
        )


def starting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.start``."""
    plan = Plan(button=_("Start"))
    container = plans.target(operation)
    if container is None:
        return Plan(lead=_("It is gone."))
    plan.changed.append(Item(container.name, _("is started")))
    tell(plan, container)
    return plan


def restarting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.restart``."""
    plan = plans.stopping(operation, actor)
    if container := plans.target(operation):
        tell(plan, container)
    return plan
