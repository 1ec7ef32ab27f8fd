"""What copies and removals of volumes would do."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app.models import Container, Volume
from containers_app.plans import of_others
from operations import trash
from operations.models import Operation, TrashItem
from operations.plans import Item, Plan, listed, undo
from operations.retold import inside

LIVE = ("running", "restarting")


def _source(operation: Operation) -> Volume | None:
    return Volume.objects.filter(pk=operation.target_id).first()


def meanwhile(plan: Plan, volume: Volume, actor: Actor) -> None:
    """What writes to it while it is read may be caught in the middle."""
    writers = Container.objects.filter(
        mounts__volume=volume, mounts__read_only=False, state__in=LIVE
    ).distinct()
    seen = list(visible_to(actor, writers).order_by("name").values_list("name", flat=True))
    if hidden := writers.count() - len(seen):
        seen.append(of_others(hidden))
    if seen:
        words = _("may write to it meanwhile: stop first what must not be caught in the middle")
        plan.affected.append(Item(listed(seen), words))


def cloning(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.clone``."""
    volume = _source(operation)
    if volume is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Clone volume"))
    plan.made.append(
        Item(
            str(operation.params["name"]),
            _("with all that is in %(name)s") % {"name": volume.name},
            size=volume.size,
        )
    )
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, _("stays as it is")))
    return plan


def exporting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.export``."""
    volume = _source(operation)
    if volume is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Export volume"))
    plan.made.append(Item(_("A tar"), _("of all that is in it, kept for a day"), size=volume.size))
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, _("stays as it is")))
    return plan


def importing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.import``."""
    plan = Plan(button=_("Import volume"))
    size = operation.params.get("size")
    plan.made.append(Item(operation.target_name, _("with what is in the archive"), size=size))
    return plan


# Removing


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.remove``."""
    volume = Volume.objects.filter(pk=operation.target_id).first()
    if volume is None:
        return Plan(lead=_("It is gone already."))
    return removal(volume, actor, forever=bool(operation.params.get("forever")))


def removal(volume: Volume, actor: Actor, *, forever: bool = False) -> Plan:
    """Nothing removes a volume that a container mounts; a container in the trash goes for good with it."""
    users = list(Container.everything.filter(mounts__volume=volume).distinct())
    plan = Plan(button=_("Remove volume and its data"))
    undo(plan, forever=forever, no_undo=_volume_stays_gone(volume))
    plan.lost.append(
        Item(_("Everything in it"), "", _("%(driver)s driver") % {"driver": volume.driver}, volume.size)
    )
    if volume.size is None:
        plan.unknown.append(_("how much is in it"))
    there = [one for one in users if one.trashed_at is None]
    seen = {
        one.pk for one in visible_to(actor, Container.everything.filter(pk__in=[one.pk for one in users]))
    }
    names = [one.name for one in there if one.pk in seen]
    if hidden := len(there) - len(names):
        names.append(_("%(n)s of another team") % {"n": hidden})
    if there:
        plan.blocked = ngettext(
            "%(names)s mounts it. Remove that first.", "%(names)s mount it. Remove those first.", len(there)
        ) % {"names": listed(names)}
    plan.affected = [Item(one.name, "", inside(one.get_state_display())) for one in there if one.pk in seen]
    for one in users:
        if one.trashed_at is not None:
            name = _name_in_trash(one) if one.pk in seen else _("A container of another team")
            plan.affected.append(Item(name, _("in the trash, mounts it: it cannot be taken back any more")))
    return plan


def _volume_stays_gone(volume: Volume) -> str:
    if volume.driver != "local" or volume.options:
        return _("Its data lies outside the engine's own folder, and is not copied.")
    if volume.size is not None and volume.size > trash.most_bytes():
        return _("It holds more than the %(undo_mb)s MB that are kept.") % {"undo_mb": settings.UNDO_MB}
    return ""


def _name_in_trash(container: Container) -> str:
    item = TrashItem.objects.filter(kind="container", target_id=str(container.pk)).first()
    return item.name if item else container.name
