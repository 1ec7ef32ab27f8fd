"""Another container with the settings of one that exists, beside it and under a name of its own.

It is made in the engine room from the engine's own inspection, so that the values of its variables go nowhere. An
attempt that died in the middle is found again by the operation's id, as in `containers_app.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import bodies, own, recreate, recreate_plan, run, sync
from containers_app.models import Container
from engine.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    EngineError,
    ImageNotFound,
    NameInUse,
    NotFound,
    PolicyDenied,
    Unreachable,
)
from engine.types import ContainerInfo, Progress
from operations import services
from operations.models import Operation
from operations.plans import Item, Plan
from operations.registry import Context, operation

MOST_TRIES = 1000


def free_name(container: Container) -> str:
    """``web-2``, or the next that nobody has."""
    stem, _, number = container.name.rpartition("-")
    base = stem if stem and number.isdecimal() and len(number) < 4 else container.name
    taken = set(Container.everything.filter(engine_id=container.engine_id).values_list("name", flat=True))
    return next(name for n in range(2, MOST_TRIES) if (name := f"{base[:58]}-{n}") not in taken)


def planned(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``container.duplicate``."""
    name, source = operation_.target_name, str(operation_.params["source"])
    plan = Plan(button=_("Duplicate container"), made=[Item(name, _("like the one that it is made from"))])
    container = Container.objects.filter(pk=source).first()
    if container is None:
        return plan
    plan.made = [Item(name, _("like %(name)s") % {"name": container.name})]
    plan.changed += recreate_plan.settings(container, operation_.params.get("changes") or {})
    shared = [one.source for one in container.mounts.all() if one.volume and not one.volume.anonymous]
    plan.affected += [
        Item(one, _("is written to by %(name)s and %(other)s") % {"name": container.name, "other": name})
        for one in shared
    ]
    return plan


def _verify(ctx: Context) -> Mapping[str, Any] | bool | None:
    """Finds what an attempt has made, and brings it to its end."""
    found = ctx.engine.find_by_operation(str(ctx.operation.pk))
    if found is None:
        return None
    try:
        return _begun(ctx, found)
    except (DeadlineExceeded, Unreachable):
        raise
    except EngineError:
        return False


@operation(
    "container.duplicate", label="Duplicate", doing="Duplicating", done="Duplicated",
    deadline=300, repeatable=True, verify=_verify,
    plan=planned,
)  # fmt: skip
def duplicate(ctx: Context) -> Mapping[str, Any]:
    """Makes another one like it, with ports and nameless volumes of its own, and starts it."""
    found = ctx.engine.find_by_operation(str(ctx.operation.pk))
    if found:
        return _begun(ctx, found)
    try:
        old = ctx.engine.container(str(ctx.params["native_id"]))
    except NotFound:
        raise NotFound("The container that it was to be like is gone from the engine.") from None
    return _started(ctx, _made(ctx, old))


def _begun(ctx: Context, made: ContainerInfo) -> Mapping[str, Any]:
    """Brings what an attempt has made to its end."""
    if actor := services.actor_of(ctx.operation):
        run.found_again(ctx, made, made.image_ref, actor=actor)
    return _started(ctx, made)


def _started(ctx: Context, made: ContainerInfo) -> Mapping[str, Any]:
    return run.begin(ctx, made, start=bool(ctx.params["start"]), like=_source(ctx))


def _source(ctx: Context) -> Container | None:
    return Container.everything.filter(pk=ctx.params["source"]).first()


def _made(ctx: Context, old: ContainerInfo) -> ContainerInfo:
    actor, changes, asked = services.actor_of(ctx.operation), recreate.changes_in(ctx.params), ctx.operation
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    sync.refresh_volumes(asked.engine, ctx.engine)
    if source := _source(ctx):
        own.check_reach(source, actor)
    recreate.allowed(old, actor=actor, engine=asked.engine, team_id=asked.team_id, changes=changes)
    run.scanned(ctx, old.image_ref, old.image_id, actor=actor)
    if ctx.should_stop():
        raise Cancelled("Cancelled before the container was made.")
    ctx.emit(Progress(message="Making the container"))
    ctx.check_fence()
    try:
        made = ctx.engine.create_like(
            old.native_id, image=_image(ctx, old), name=asked.target_name, operation_id=str(asked.pk), changes=changes,
            apart=True,
        )  # fmt: skip
    except NameInUse:
        found = ctx.engine.find_by_operation(str(asked.pk))
        if found is None:
            raise
        return found
    except ImageNotFound as error:
        raise Conflict("Its image is gone from the engine: run another one from an image.") from error
    return ctx.engine.container(made)


def _image(ctx: Context, old: ContainerInfo) -> str:
    """The very image that it runs; by its name where that still means it."""
    reference = bodies.image_of(old.image_ref, old.image_id)
    found = ctx.engine.resolve_image(reference)
    return reference if found and found.native_id == old.image_id else old.image_id
