"""What a removal would do, before anybody agrees: what goes for good, who is affected, what stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accounts.access import Actor
from accounts.querysets import visible_to
from images_app.lineage import lineage
from images_app.models import Image, Tag
from operations.models import Operation
from operations.plans import Item, Plan, count, undo


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``image.remove``."""
    image = Image.objects.filter(pk=operation.target_id).first()
    if image is None:
        return Plan(lead="It is gone already.")
    plan = removal(image, actor, forever=bool(operation.params.get("forever")))
    if plan.needs_yes and not operation.params.get("force") and not plan.blocked:
        plan.blocked = "Stopped containers use it: force it to remove it all the same."
    return plan


def untagging(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``image.untag``; with the last tag the image itself goes, which is what the engine does."""
    tag = Tag.objects.filter(engine=operation.engine, name=operation.params["reference"]).first()
    if tag is None:
        return Plan(lead="It is gone already.")
    image, forever = tag.image, bool(operation.params.get("forever"))
    others = [other.name for other in image.tags.all() if other.pk != tag.pk]
    if not others:
        plan = removal(image, actor, forever=forever)
        plan.button = "Remove tag and image"
        return plan
    plan = Plan(lost=[Item(tag.name, more="tag", mono=True)], button="Remove tag")
    undo(plan, forever=forever)
    plan.kept.append(
        Item(f"Image {image.short_id}", more=f"still named {', '.join(others)}", size=image.size)
    )
    return plan


def removal(image: Image, actor: Actor, *, forever: bool = False) -> Plan:
    """The plan for an image and all its tags."""
    line = lineage(image, actor)
    tags = list(image.tags.all())
    plan = Plan(frees=line.own)
    undo(plan, forever=forever)
    if not plan.frees:
        plan.lead = "This frees nothing: other images share all its layers."
    again = "can be pulled again" if image.digests else "was made here, and no registry is known to have it"
    plan.lost.append(Item(f"Image {image.short_id}", more=again, size=line.own))
    plan.lost += [Item(tag.name, more="tag", mono=True) for tag in tags]
    running, stopped = _users(image)
    if running:
        verb, pronoun = ("runs", "it") if len(running) == 1 else ("run", "them")
        plan.blocked = f"{_list(running, actor)} {verb} from it. Stop and remove {pronoun} first."
    if stopped:
        plan.affected.append(
            Item(_list(stopped, actor), more="stopped, stays, and cannot be made again from here")
        )
        users = count(len(stopped), "stopped container uses it", "stopped containers use it")
        plan.needs_yes = f"Remove it although {users}"
    children = _children(image)
    if children and not running:
        plan.blocked = (
            f"{count(children, 'image was', 'images were')} built on it step by step. Remove those first."
        )
    if line.shared:
        others = max((part.shared for part in line.parts), default=0)
        plan.kept.append(
            Item("Layers that other images share", more=count(others, "image"), size=line.shared)
        )
    if running or stopped:
        plan.kept.append(Item("Containers and their volumes"))
    plan.button = "Remove image" if len(tags) < 2 else f"Remove image and {len(tags)} tags"
    return plan


def _users(image: Image) -> tuple[list[Any], list[Any]]:
    """Containers of it, those that run (or will again) apart from those that do not."""
    found = list(image.containers.all())
    up = ("running", "paused", "restarting")
    return [c for c in found if c.state in up], [c for c in found if c.state not in up]


def _children(image: Image) -> int:
    return (
        Image.objects.filter(engine_id=image.engine_id, parent_id=image.native_id).count()
        if image.native_id
        else 0
    )


def _list(containers: Iterable[Any], actor: Actor) -> str:
    """Names of those that the actor may know, the others as a number."""
    containers = list(containers)
    rows = visible_to(actor, type(containers[0]).objects.filter(pk__in=[c.pk for c in containers]))
    names = list(rows.order_by("name").values_list("name", flat=True))
    hidden = len(containers) - len(names)
    shown = names[:3] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return ", ".join(
        shown + ([count(hidden, "container of another team", "containers of other teams")] if hidden else [])
    )
