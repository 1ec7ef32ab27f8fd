"""What copies of volumes would do."""

from __future__ import annotations

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app.models import Container, Volume
from operations.models import Operation
from operations.plans import Item, Plan, count, listed

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
        seen.append(count(hidden, "container of another team", "containers of other teams"))
    if seen:
        words = "may write to it meanwhile: stop first what must not be caught in the middle"
        plan.affected.append(Item(listed(seen), words))


def cloning(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.clone``."""
    volume = _source(operation)
    if volume is None:
        return Plan(lead="It is gone.")
    plan = Plan(button="Clone volume")
    plan.made.append(
        Item(str(operation.params["name"]), f"with all that is in {volume.name}", size=volume.size)
    )
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, "stays as it is"))
    return plan


def exporting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.export``."""
    volume = _source(operation)
    if volume is None:
        return Plan(lead="It is gone.")
    plan = Plan(button="Export volume")
    plan.made.append(Item("A tar", "of all that is in it, kept for a day", size=volume.size))
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, "stays as it is"))
    return plan


def importing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.import``."""
    plan = Plan(button="Import volume")
    size = operation.params.get("size")
    plan.made.append(Item(operation.target_name, "with what is in the archive", size=size))
    return plan
