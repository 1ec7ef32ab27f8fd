"""What changes of containers and volumes would do, before anybody agrees.

Told from rows, and from one look at what the writable layer holds that is bounded in time; what it did not tell is said
to be unknown. Who shares a network or a volume with a container and is another team's is counted, never named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app.models import Container, Mount
from engine.errors import EngineError
from operations.models import Operation, TrashItem
from operations.plans import Item, Plan, listed, undo
from operations.reads import read
from operations.retold import inside

LOOK = 1.5
"""Seconds that a plan waits for what the engine can tell about it."""
FILES_SHOWN = 4
LIVE = ("running", "paused", "restarting")
_KEPT_HERE = ("json-file", "local", "k8s-file", "")
"""Log drivers whose lines go with the container."""
STOPS = {
    "stop": (_lazy("Stop"), _lazy("stopped")),
    "restart": (_lazy("Restart"), _lazy("stopped and started")),
    "pause": (_lazy("Pause"), _lazy("frozen")),
    "kill": (_lazy("Kill"), _lazy("sent a signal")),
}
"""What the button says, and what is done to it."""

Written = Mapping[str, Any]


def target(operation: Operation) -> Container | None:
    """The container that an operation is about."""
    return Container.everything.select_related("engine").filter(pk=operation.target_id).first()


# Removing


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.remove``."""
    container = target(operation)
    if container is None:
        return Plan(lead=_("It is gone already."))
    plan = removal(
        container, written_by(container, actor), actor, forever=bool(operation.params.get("forever"))
    )
    if container.state in LIVE and not operation.params.get("force"):
        plan.blocked = _("It is running: stop it first, or force it.")
    if operation.params.get("volumes"):
        _take_anonymous(plan)
    return plan


def written_by(container: Container, actor: Actor) -> Written | None:
    """What the writable layer holds, ``None`` where the engine did not say in time."""
    try:
        return read("container.written", container, actor=actor, deadline=LOOK)
    except EngineError:
        return None


def removal(container: Container, written: Written | None, actor: Actor, *, forever: bool = False) -> Plan:
    """The plan of one removal."""
    live = container.state in LIVE
    plan = Plan(force=live, button=_("Remove container"))
    undo(plan, forever=forever, no_undo=_("It removes itself when it ends.") if container.auto_remove else "")
    served = serving(container)
    if live:
        plan.lead = " ".join([_state_of(container, served), _end_of_one(plan)])
        plan.stopped.append(Item(container.name, inside(container.get_state_display())))
    lose(plan, container, written, actor)
    if live and served:
        plan.affected.append(Item(listed(served), stop_answering(len(served))))
    plan.affected += dependents(container, actor)
    mounts = list(container.mounts.select_related("volume"))
    plan.kept += [*things(container, mounts), *_anonymous(mounts)]
    return plan


def _state_of(container: Container, served: list[str]) -> str:
    said = {"state": inside(container.get_state_display()), "ports": listed(served)}
    return _("It is %(state)s and serves %(ports)s.") % said if served else _("It is %(state)s.") % said


def _end_of_one(plan: Plan) -> str:
    if plan.undo_hours:
        return _("It is stopped first, with 10 s to finish.")
    return _("It will be killed, without time to finish.")


def stop_answering(number: int) -> str:
    """What becomes of so many ports."""
    return ngettext("stops answering", "stop answering", number)


def restoring(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.restore``."""
    container = target(operation)
    item = TrashItem.objects.filter(pk=operation.params.get("trash")).first()
    plan = Plan(button=_("Take back"))
    if container is None or item is None:
        return plan
    again = (
        _("gets its name and restart policy again, and is started")
        if item.facts.get("running")
        else _("gets its name and restart policy again, and stays stopped, as it was")
    )
    plan.changed.append(Item(item.name, again))
    other = Container.objects.filter(engine_id=item.engine_id, name=item.name).first()
    if other and other.native_id == item.facts.get("successor"):
        plan.button = _("Swap back")
        plan.changed.append(
            Item(
                _("The %(name)s of now") % {"name": other.name},
                _("is stopped and goes into the trash in turn"),
            )
        )
        plan.stopped.append(Item(other.name, inside(other.get_state_display())))
        if ports := serving(other):
            plan.affected.append(
                Item(
                    listed(ports),
                    ngettext("does not answer meanwhile", "do not answer meanwhile", len(ports)),
                )
            )
        undo(plan)
    elif other:
        plan.blocked = _('Another container is called "%(name)s" now: rename that one first.') % {
            "name": item.name
        }
    return plan


def purging(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.purge``."""
    container = target(operation)
    if container is None:
        return Plan(lead=_("It is gone already."))
    plan = removal(container, written_by(container, actor), actor, forever=True)
    plan.button, plan.lead, plan.force = _("Remove for good"), _("Nothing brings it back."), False
    return plan


# Stopping, restarting, renaming


def stopping(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.stop``, ``kill``, ``pause`` and ``restart``."""
    container = target(operation)
    if container is None:
        return Plan(lead=_("It is gone."))
    action = operation.kind.partition(".")[2]
    back = action == "restart"
    button, words = STOPS.get(action, STOPS["stop"])
    plan = Plan(button=str(button))
    if container.state not in LIVE and not back:
        plan.lead = _("It does not run.")
        return plan
    plan.stopped.append(Item(container.name, str(words)))
    served = serving(container)
    if served:
        plan.affected.append(Item(listed(served), no_answer(len(served))))
    plan.affected += dependents(container, actor)
    plan.kept.append(Item(_("What it wrote"), _("and its volumes, networks and settings")))
    if action == "stop" and container.auto_remove:
        plan.kept, plan.lost = (
            [],
            [Item(container.name, _("removes itself when it ends"), _("with what it wrote and its logs"))],
        )
    return plan


def no_answer(number: int) -> str:
    """The same until it runs again."""
    return ngettext("does not answer until it runs again", "do not answer until it runs again", number)


def renaming(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.rename``."""
    container = target(operation)
    return (
        renamed(container, str(operation.params.get("name", "")))
        if container
        else Plan(lead=_("It is gone."))
    )


def renamed(container: Container, name: str = "") -> Plan:
    """What another name does; its processes notice nothing."""
    plan = Plan(button=_("Rename"))
    if name:
        plan.changed.append(Item(container.name, _("is called %(name)s then") % {"name": name}))
    own = [str(n.get("name")) for n in container.networks if n.get("name") not in ("bridge", "host", "none")]
    if own:
        words = _('reach it by its new name; "%(name)s" is not found any more') % {"name": container.name}
        plan.affected.append(Item(_("Others on %(names)s") % {"names": listed(own)}, words))
    plan.kept.append(Item(_("Everything else"), more=_("it is not restarted")))
    return plan


def reaches_others(container: Container, actor: Actor) -> bool:
    """Whether to stop it would cut off other containers, or lose it."""
    return container.state in LIVE and (container.auto_remove or bool(dependents(container, actor)))


def dependents(container: Container, actor: Actor) -> list[Item]:
    """Containers that use its network, its processes or its volumes, or are linked to it."""
    return dependents_of([container], actor, besides=[container])


def dependents_of(of: Sequence[Container], actor: Actor, *, besides: Sequence[Container]) -> list[Item]:
    """The same of several, without those ``besides``."""
    if not of:
        return []
    shares, uses = Q(), Q()
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        shares |= Q(**{f"inspect__HostConfig__{mode}__in": [f"container:{one.native_id}" for one in of]})
    for one in of:
        uses |= Q(inspect__HostConfig__VolumesFrom__icontains=one.native_id)
        uses |= Q(engine_id=one.engine_id, inspect__HostConfig__Links__icontains=f"/{one.name}:")
    others = Container.objects.filter(engine_id__in={one.engine_id for one in of})
    others = others.exclude(pk__in=[one.pk for one in besides])
    found: list[Item] = []
    for condition, words in (
        (shares, _("shares its network or processes: cut off with it")),
        (uses, _("uses its volumes or a link")),
    ):
        users = others.filter(condition)
        seen = list(visible_to(actor, users).values_list("name", flat=True)[:20])
        found += [Item(name, words) for name in seen]
        if hidden := users.count() - len(seen):
            found.append(Item(of_others(hidden), words))
    return found


# Parts


def of_others(number: int) -> str:
    """How many there are of other teams, which nobody names."""
    return ngettext("%(n)s container of another team", "%(n)s containers of other teams", number) % {
        "n": number
    }


def lose(plan: Plan, container: Container, written: Written | None, actor: Actor) -> None:
    """What goes with the container itself."""
    plan.lost.append(_written(container, written, actor))
    if written is None:
        plan.unknown.append(_("which files it wrote"))
    elif not written["complete"]:
        plan.unknown.append(_("the sizes of all its files"))
    plan.lost += _logs(container)


def _written(container: Container, written: Written | None, actor: Actor) -> Item:
    """What the writable layer holds, mounts and noise left out."""
    if written is None:
        return Item(
            _("Files it wrote"), _("inside the container"), _("everything outside its volumes and host paths")
        )
    files: list[str] = [entry["path"] for entry in written["files"]]
    if not files:
        return Item(_("No changed files"), _("inside the container"))
    folders = list(dict.fromkeys("/" + path.strip("/").split("/")[0] for path in files))
    more = len(folders) - FILES_SHOWN
    where = _("below %(folders)s and %(n)s more") if more > 0 else _("below %(folders)s")
    total = int(written["total"])
    page = "containers:copy" if can(actor, "container.copy", container) else "containers:files"
    here = container.trashed_at is None  # what is in the trash has no page
    return Item(
        ngettext("%(n)s changed file", "%(n)s changed files", total) % {"n": total}, _("inside the container"),
        where % {"folders": ", ".join(folders[:FILES_SHOWN]), "n": more},
        size=int(written["bytes"]) if written["complete"] else None,
        link=reverse(page, args=[container.pk]) if here else "",
        link_text=_("Save a copy") if page == "containers:copy" else _("See files"),
    )  # fmt: skip


def _logs(container: Container) -> list[Item]:
    if container.log_driver not in _KEPT_HERE:
        return []
    page = "" if container.trashed_at else reverse("containers:logs", args=[container.pk])
    driver = _("%(log_driver)s driver") % {"log_driver": container.log_driver} if container.log_driver else ""
    return [Item(_("Its logs"), "", driver, link=page, link_text=_("Look first"))]


def serving(container: Container) -> list[str]:
    """The engine's ports that lead to it; one address family says all."""
    return list(
        dict.fromkeys(
            _("port %(host)s") % {"host": port["host"]} for port in container.ports if port.get("host")
        )
    )


def things(container: Container, mounts: Iterable[Mount]) -> list[Item]:
    """What it uses and stays: image, volumes, host paths, networks."""
    volumes = [m.source for m in mounts if m.type == "volume" and not (m.volume and m.volume.anonymous)]
    paths = [m.source for m in mounts if m.type == "bind"]
    networks = [str(network.get("name")) for network in container.networks]
    found = [Item(_("Image"), container.image_ref or container.image_native_id[:19])]
    words = (
        (_("Volume") if len(volumes) == 1 else _("Volumes"), volumes),
        (_("Host path") if len(paths) == 1 else _("Host paths"), paths),
        (_("Network") if len(networks) == 1 else _("Networks"), networks),
    )
    found += [Item(word, listed(names)) for word, names in words if names]
    return found


def _anonymous(mounts: Iterable[Mount]) -> list[Item]:
    """Volumes without a name are kept too, unless one asks: nobody finds them again afterwards."""
    found = [m for m in mounts if m.type == "volume" and m.volume and m.volume.anonymous]
    if not found:
        return []
    many = len(found)
    sizes = [m.volume.size for m in found if m.volume and m.volume.size is not None]
    return [
        Item(
            ngettext("%(n)s anonymous volume", "%(n)s anonymous volumes", many) % {"n": many},
            _("at %(names)s") % {"names": listed([m.target for m in found])},
            size=sum(sizes) if sizes else None,
            tick="volumes",
            tick_text=_("Remove too"),
            wording=ngettext("Remove container and volume", "Remove container and volumes", many),
        )
    ]


def _take_anonymous(plan: Plan) -> None:
    """The choice was made: they go too."""
    plan.lost += [item for item in plan.kept if item.tick == "volumes"]
    plan.kept = [item for item in plan.kept if item.tick != "volumes"]
