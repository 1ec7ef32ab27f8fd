"""What backups would do, and what a restore writes over."""

from __future__ import annotations

from accounts.access import Actor
from containers_app.backed import BackupStore, VolumeBackup
from containers_app.models import Volume
from containers_app.volume_plans import meanwhile
from operations.models import Operation
from operations.plans import Item, Plan, listed

SHOWN = 5


def place(store: BackupStore | None) -> str:
    """Where it lies, in words."""
    return f"the store {store.name}" if store else "the folder of backups"


def backing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.backup``."""
    volume = Volume.objects.filter(pk=operation.target_id).first()
    if volume is None:
        return Plan(lead="It is gone.")
    plan = Plan(button="Back up")
    asked = operation.params.get("store")
    store = BackupStore.objects.filter(pk=asked).first() if asked else None
    plan.made.append(Item("A backup", f"of all that is in it, in {place(store)}", size=volume.size))
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, "stays as it is"))
    return plan


def recovering(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.recover``."""
    backup = VolumeBackup.objects.filter(pk=operation.params["backup"]).first()
    if backup is None:
        return Plan(lead="This backup is gone.")
    name, paths = str(operation.params["name"]), [str(path) for path in operation.params["paths"]]
    what = listed(paths[:SHOWN]) + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")
    what = what or f"all {backup.entries} entries"
    plan = Plan(button="Restore")
    if operation.params["new"]:
        plan.made.append(Item(f"Volume {name}", f"with {what} of {backup.created_at:%Y-%m-%d %H:%M} UTC"))
        return plan
    plan.lost.append(Item(f"In {name}", f"what has the name of what comes back is written over: {what}"))
    plan.no_undo = "Back it up first, if what it holds now counts."
    volume = Volume.objects.filter(engine_id=backup.engine_id, native_id=name).first()
    if volume:
        meanwhile(plan, volume, actor)
    plan.kept.append(Item("Files that the backup does not hold", "stay"))
    return plan


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``backup.remove``."""
    backup = VolumeBackup.objects.select_related("store").filter(pk=operation.params["backup"]).first()
    if backup is None:
        return Plan(lead="It is gone already.")
    plan = Plan(button="Remove backup", no_undo="Its file goes from the store at once.")
    plan.lost.append(Item("The backup", f"of {backup}, in {place(backup.store)}", size=backup.size))
    plan.kept.append(Item(f"Volume {backup.volume_name}", "and its other backups"))
    return plan
