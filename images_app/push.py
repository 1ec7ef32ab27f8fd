"""Sending an image to a registry, with progress by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from engine import names
from engine import registries as remote
from engine.errors import Conflict, EngineError, PolicyDenied
from images_app import references, registries, sync
from images_app.models import Image
from images_app.progress import PullLayers
from images_app.verbs import after, now
from operations import services
from operations.models import Operation
from operations.plans import Item, Plan
from operations.registry import Context, leaving, operation
from streams import bell


def pushing(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``image.push``."""
    reference = str(operation_.params["reference"])
    image = Image.objects.filter(pk=operation_.target_id).first()
    if image is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Push"), no_undo=_("A registry takes nothing back."))
    if not image.tags.filter(name=reference).exists():
        plan.made.append(Item(reference, _("this image gets that name first"), mono=True))
    said = _("at its registry; what had the name there loses it")
    plan.changed.append(Item(reference, said, size=image.size))
    return plan


def _is_pushed(ctx: Context) -> Mapping[str, Any] | None:
    """Whether the registry has under that name what the engine knows this image there by."""
    reference, native_id = str(ctx.params["reference"]), str(ctx.params["native_id"])
    actor = services.actor_of(ctx.operation)
    if actor is None or now(ctx, reference) != native_id:
        return None
    named = names.ImageReference.parse(reference)
    row = registries.of_host(named.registry, actor=actor, team_id=services.owner_of(ctx.operation).team_id)
    try:
        asked = registries.at(row) if row else remote.Registry(named.registry, registries.gate())
        digest = asked.digest(named.repository, named.tag)
        known = ctx.engine.image(native_id).digests
    except EngineError:
        return None
    own = f"{reference.rpartition(':')[0]}@{digest}"
    return (
        {"image": ctx.operation.target_id, "reference": reference, "digest": digest} if own in known else None
    )


def _after(ctx: Context) -> None:
    after(ctx)
    bell.ring("registries")


@operation(
    "image.push", label="Push", doing="Pushing", done="Pushed",
    deadline=1860, repeatable=True, verify=_is_pushed, after=_after,
    plan=pushing,
)  # fmt: skip
def push(ctx: Context) -> Mapping[str, Any]:
    """Gives it the name of its place at the registry where it has another, and sends the layers that are not there."""
    reference, native_id = str(ctx.params["reference"]), str(ctx.params["native_id"])
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    team_id = services.owner_of(ctx.operation).team_id
    chosen = str(ctx.params.get("registry", ""))
    auth = registries.auth(reference, actor=actor, team_id=team_id, chosen=chosen)
    if now(ctx, reference) != native_id:
        sync.reconcile(ctx.operation.engine, ctx.engine)
        references.may_tag([reference], actor=actor, engine=ctx.operation.engine, team_id=team_id)
        ctx.check_fence()
        ctx.engine.tag(native_id, reference)
        if now(ctx, reference) != native_id:
            raise Conflict("The engine accepted the tag, and it points elsewhere.")
    ctx.check_fence()
    with leaving(f"{reference} was not pushed whole; what the registry has of it, nobody names."):
        digest = ctx.engine.push(
            reference, emit=PullLayers(ctx).emit, should_stop=ctx.should_stop, deadline=1800, auth=auth
        )
    return {"image": ctx.operation.target_id, "reference": reference, "digest": digest}
