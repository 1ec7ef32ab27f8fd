"""What backups would do, and what a restore writes over."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app.backed import BackupStore, VolumeBackup
from containers_app.models import Volume
from containers_app.volume_plans import meanwhile
from operations.models import Operation
from operations.plans import Item, Plan, listed

SHOWN = 5


def place(store: BackupStore | None) -> str:
    """Where it lies, in words."""
    return _("the store %(name)s") % {"name": store.name} if store else _("the folder of backups")


def backing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.backup``."""
    volume = Volume.objects.filter(pk=operation.target_id).first()
    if volume is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Back up"))
    asked = operation.params.get("store")
    store = BackupStore.objects.filter(pk=asked).first() if asked else None
    plan.made.append(
        Item(
            _("A backup"), _("of all that is in it, in %(place)s") % {"place": place(store)}, size=volume.size
        )
    )
    meanwhile(plan, volume, actor)
    plan.kept.append(Item(volume.name, _("stays as it is")))
    return plan


def recovering(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.recover``."""
    backup = VolumeBackup.objects.filter(pk=operation.params["backup"]).first()
    if backup is None:
        return Plan(lead=_("This backup is gone."))
    name, paths = str(operation.params["name"]), [str(path) for path in operation.params["paths"]]
    what = listed(paths[:SHOWN]) or _("all %(number)s entries") % {"number": backup.entries}
    if len(paths) > SHOWN:
        what = _("%(names)s and %(number)s more") % {"names": what, "number": len(paths) - SHOWN}
    plan = Plan(button=_("Restore"))
    if operation.params["new"]:
        made = f"{timezone.localtime(backup.created_at):%Y-%m-%d %H:%M %Z}"
        words = _("with %(what)s of %(when)s") % {"what": what, "when": made}
        plan.made.append(Item(_("Volume %(name)s") % {"name": name}, words))
        return plan
    plan.lost.append(
        Item(
            _("In %(name)s") % {"name": name},
            _("what has the name of what comes back is written over: %(what)s") % {"what": what},
        )
    )
    plan.no_undo = _("Back it up first, if what it holds now counts.")
    volume = Volume.objects.filter(engine_id=backup.engine_id, native_id=name).first()
    if volume:
        meanwhile(plan, volume, actor)
    plan.kept.append(Item(_("Files that the backup does not hold"), _("stay")))
    return plan


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``backup.remove``."""
    backup = VolumeBackup.objects.select_related("store").filter(pk=operation.params["backup"]).first()
    if backup is None:
        return Plan(lead=_("It is gone already."))
    plan = Plan(button=_("Remove backup"), no_undo=_("Its file goes from the store at once."))
    plan.lost.append(
        Item(
            _("The backup"),
            _("of %(backup)s, in %(place)s") % {"backup": backup, "place": place(backup.store)},
            size=backup.size,
        )
    )
    plan.kept.append(Item(_("Volume %(name)s") % {"name": backup.volume_name}, _("and its other backups")))
    return plan
