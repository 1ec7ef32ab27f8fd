"""What a removal would do, before anybody agrees: what goes for good, who is affected, what stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import Actor
from accounts.querysets import visible_to
from images_app.lineage import lineage
from images_app.models import Image, Tag
from operations.models import Operation
from operations.plans import Item, Plan, undo


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``image.remove``."""
    image = Image.objects.filter(pk=operation.target_id).first()
    if image is None:
        return Plan(lead=_("It is gone already."))
    plan = removal(image, actor, forever=bool(operation.params.get("forever")))
    if plan.needs_yes and not operation.params.get("force") and not plan.blocked:
        plan.blocked = _("Stopped containers use it: force it to remove it all the same.")
    return plan


def untagging(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``image.untag``; with the last tag the image itself goes, which is what the engine does."""
    tag = Tag.objects.filter(engine=operation.engine, name=operation.params["reference"]).first()
    if tag is None:
        return Plan(lead=_("It is gone already."))
    image, forever = tag.image, bool(operation.params.get("forever"))
    others = [other.name for other in image.tags.all() if other.pk != tag.pk]
    if not others:
        plan = removal(image, actor, forever=forever)
        plan.button = _("Remove tag and image")
        return plan
    plan = Plan(lost=[Item(tag.name, more=_("tag"), mono=True)], button=_("Remove tag"))
    undo(plan, forever=forever)
    plan.kept.append(
        Item(_named(image), more=_("still named %(names)s") % {"names": ", ".join(others)}, size=image.size)
    )
    return plan


def removal(image: Image, actor: Actor, *, forever: bool = False) -> Plan:
    """The plan for an image and all its tags."""
    line = lineage(image, actor)
    tags = list(image.tags.all())
    plan = Plan(frees=line.own)
    undo(plan, forever=forever)
    if not plan.frees:
        plan.lead = _("This frees nothing: other images share all its layers.")
    again = (
        _("can be pulled again") if image.digests else _("was made here, and no registry is known to have it")
    )
    plan.lost.append(Item(_named(image), more=again, size=line.own))
    plan.lost += [Item(tag.name, more=_("tag"), mono=True) for tag in tags]
    running, stopped = _users(image)
    if running:
        plan.blocked = ngettext(
            "%(names)s runs from it. Stop and remove it first.",
            "%(names)s run from it. Stop and remove them first.",
            len(running),
        ) % {"names": _list(running, actor)}
    if stopped:
        plan.affected.append(
            Item(_list(stopped, actor), more=_("stopped, stays, and cannot be made again from here"))
        )
        plan.needs_yes = ngettext(
            "Remove it although %(n)s stopped container uses it",
            "Remove it although %(n)s stopped containers use it",
            len(stopped),
        ) % {"n": len(stopped)}
    children = _children(image)
    if children and not running:
        plan.blocked = ngettext(
            "%(n)s image was built on it step by step. Remove those first.",
            "%(n)s images were built on it step by step. Remove those first.",
            children,
        ) % {"n": children}
    if line.shared:
        others = max((part.shared for part in line.parts), default=0)
        more = ngettext("%(n)s image", "%(n)s images", others) % {"n": others}
        plan.kept.append(Item(_("Layers that other images share"), more=more, size=line.shared))
    if running or stopped:
        plan.kept.append(Item(_("Containers and their volumes")))
    plan.button = _("Remove image")
    if len(tags) > 1:
        plan.button = _("Remove image and %(n)s tags") % {"n": len(tags)}
    return plan


def _named(image: Image) -> str:
    return _("Image %(id)s") % {"id": image.short_id}


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
    shown = names[:3] + ([_("%(n)s more") % {"n": len(names) - 3}] if len(names) > 3 else [])
    if hidden:
        others = ngettext("%(n)s container of another team", "%(n)s containers of other teams", hidden)
        shown.append(others % {"n": hidden})
    return ", ".join(shown)
