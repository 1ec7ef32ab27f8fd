"""What changes of containers and volumes would do, before anybody agrees.

Told from rows, and from one look at what the writable layer holds that is bounded in time; what it did not tell is said
to be unknown. Who shares a network or a volume with a container and is another team's is counted, never named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app.models import Container, Mount, Volume
from engine.errors import EngineError
from operations import trash
from operations.models import Operation, TrashItem
from operations.plans import Item, Plan, count, listed, undo
from operations.reads import read

LOOK = 1.5
"""Seconds that a plan waits for what the engine can tell about it."""
FILES_SHOWN = 4
_LIVE = ("running", "paused", "restarting")
_KEPT_HERE = ("json-file", "local", "k8s-file", "")
"""Log drivers whose lines go with the container."""

Written = Mapping[str, Any]


def target(operation: Operation) -> Container | None:
    """The container that an operation is about."""
    return Container.everything.select_related("engine").filter(pk=operation.target_id).first()


# Removing


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.remove``."""
    container = target(operation)
    if container is None:
        return Plan(lead="It is gone already.")
    plan = removal(
        container, written_by(container, actor), actor, forever=bool(operation.params.get("forever"))
    )
    if container.state in _LIVE and not operation.params.get("force"):
        plan.blocked = "It is running: stop it first, or force it."
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
    live = container.state in _LIVE
    plan = Plan(force=live, button="Remove container")
    undo(plan, forever=forever, no_undo="It removes itself when it ends." if container.auto_remove else "")
    served = serving(container)
    if live:
        serves = f" and serves {listed(served)}" if served else ""
        end = (
            "It is stopped first, with 10 s to finish."
            if plan.undo_hours
            else "It will be killed, without time to finish."
        )
        plan.lead = f"It is {container.get_state_display().lower()}{serves}. {end}"
        plan.stopped.append(Item(container.name, container.get_state_display().lower()))
    lose(plan, container, written, actor)
    if live and served:
        plan.affected.append(
            Item(listed(served), "stops answering" if len(served) == 1 else "stop answering")
        )
    plan.affected += dependents(container, actor)
    mounts = list(container.mounts.select_related("volume"))
    plan.kept += [*things(container, mounts), *_anonymous(mounts)]
    return plan


def removal_of_many(found: Sequence[Container]) -> Plan:
    """The plan of removing several containers at once."""
    live = [one for one in found if one.state in _LIVE]
    many = count(len(found), "container")
    plan = Plan(force=bool(live), button=f"Remove {many}")
    undo(plan)
    if live:
        end = "They are stopped first." if plan.undo_hours else "They will be killed, without time to finish."
        plan.lead = f"{len(live)} of them {'runs' if len(live) == 1 else 'run'}. {end}"
    plan.lost = [Item(one.name, one.image_ref, "running" if one in live else "stopped") for one in found[:50]]
    if len(found) > len(plan.lost):
        plan.lost.append(Item(f"and {len(found) - len(plan.lost)} more"))
    plan.lost.append(Item("Their logs and the files they wrote", "outside of volumes"))
    served = [port for one in live for port in serving(one)]
    if served:
        plan.affected.append(
            Item(listed(served[:12]), "stop answering" if len(served) > 1 else "stops answering")
        )
    plan.kept.append(Item("Images, volumes and networks"))
    return plan


def killing_many(found: Sequence[Container]) -> Plan:
    """The plan of a signal for several containers at once."""
    live = [one for one in found if one.state in _LIVE]
    plan = Plan(button=f"Kill {count(len(live), 'container')}")
    if not live:
        plan.blocked = "None of them runs."
    plan.changed = [Item(one.name, "gets the signal") for one in live[:50]]
    served = list(dict.fromkeys(port for one in live for port in serving(one)))
    if served:
        plan.affected.append(Item(listed(served[:12]), "may not answer any more, until it runs again"))
    plan.kept.append(Item("What they wrote", "and their volumes, networks and settings"))
    return plan


def restoring(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.restore``."""
    container = target(operation)
    item = TrashItem.objects.filter(pk=operation.params.get("trash")).first()
    plan = Plan(button="Take back")
    if container is None or item is None:
        return plan
    again = "and is started" if item.facts.get("running") else "and stays stopped, as it was"
    plan.changed.append(Item(item.name, f"gets its name and restart policy again, {again}"))
    other = Container.objects.filter(engine_id=item.engine_id, name=item.name).first()
    if other and other.native_id == item.facts.get("successor"):
        plan.button = "Swap back"
        plan.changed.append(Item(f"The {other.name} of now", "is stopped and goes into the trash in turn"))
        plan.stopped.append(Item(other.name, other.get_state_display().lower()))
        if ports := serving(other):
            plan.affected.append(
                Item(
                    listed(ports),
                    "does not answer meanwhile" if len(ports) == 1 else "do not answer meanwhile",
                )
            )
        undo(plan)
    elif other:
        plan.blocked = f'Another container is called "{item.name}" now: rename that one first.'
    return plan


def purging(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.purge``."""
    container = target(operation)
    if container is None:
        return Plan(lead="It is gone already.")
    plan = removal(container, written_by(container, actor), actor, forever=True)
    plan.button, plan.lead, plan.force = "Remove for good", "Nothing brings it back.", False
    return plan


# Stopping, restarting, renaming


def stopping(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.stop``, ``kill``, ``pause`` and ``restart``."""
    container = target(operation)
    if container is None:
        return Plan(lead="It is gone.")
    action = operation.kind.partition(".")[2]
    back = action == "restart"
    plan = Plan(button=action.capitalize())
    words = {"restart": "stopped and started", "pause": "frozen", "kill": "sent a signal"}.get(
        action, "stopped"
    )
    if container.state not in _LIVE and not back:
        plan.lead = "It does not run."
        return plan
    plan.stopped.append(Item(container.name, words))
    served = serving(container)
    if served:
        word = "does not answer" if len(served) == 1 else "do not answer"
        plan.affected.append(Item(listed(served), f"{word} until it runs again"))
    plan.affected += dependents(container, actor)
    plan.kept.append(Item("What it wrote", "and its volumes, networks and settings"))
    if action == "stop" and container.auto_remove:
        plan.kept, plan.lost = (
            [],
            [Item(container.name, "removes itself when it ends", "with what it wrote and its logs")],
        )
    return plan


def renaming(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.rename``."""
    container = target(operation)
    return (
        renamed(container, str(operation.params.get("name", ""))) if container else Plan(lead="It is gone.")
    )


def renamed(container: Container, name: str = "") -> Plan:
    """What another name does; its processes notice nothing."""
    plan = Plan(button="Rename")
    if name:
        plan.changed.append(Item(container.name, f"is called {name} then"))
    own = [str(n.get("name")) for n in container.networks if n.get("name") not in ("bridge", "host", "none")]
    if own:
        words = f'reach it by its new name; "{container.name}" is not found any more'
        plan.affected.append(Item(f"Others on {listed(own)}", words))
    plan.kept.append(Item("Everything else", more="it is not restarted"))
    return plan


def reaches_others(container: Container, actor: Actor) -> bool:
    """Whether to stop it would cut off other containers, or lose it."""
    return container.state in _LIVE and (container.auto_remove or bool(dependents(container, actor)))


def dependents(container: Container, actor: Actor) -> list[Item]:
    """Containers that use its network, its processes or its volumes, or are linked to it."""
    of = f"container:{container.native_id}"
    shares = Q()
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        shares |= Q(**{f"inspect__HostConfig__{mode}": of})
    uses = Q(inspect__HostConfig__VolumesFrom__icontains=container.native_id)
    uses |= Q(inspect__HostConfig__Links__icontains=f"/{container.name}:")
    others = Container.objects.filter(engine_id=container.engine_id).exclude(pk=container.pk)
    found: list[Item] = []
    for condition, words in (
        (shares, "shares its network or processes: cut off with it"),
        (uses, "uses its volumes or a link"),
    ):
        users = others.filter(condition)
        seen = list(visible_to(actor, users).values_list("name", flat=True)[:20])
        found += [Item(name, words) for name in seen]
        if hidden := users.count() - len(seen):
            found.append(Item(count(hidden, "container of another team", "containers of other teams"), words))
    return found


# Volumes


def volume_removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``volume.remove``."""
    volume = Volume.objects.filter(pk=operation.target_id).first()
    if volume is None:
        return Plan(lead="It is gone already.")
    return volume_removal(volume, actor, forever=bool(operation.params.get("forever")))


def volume_removal(volume: Volume, actor: Actor, *, forever: bool = False) -> Plan:
    """Nothing removes a volume that a container mounts; a container in the trash goes for good with it."""
    users = list(Container.everything.filter(mounts__volume=volume).distinct())
    plan = Plan(button="Remove volume and its data")
    undo(plan, forever=forever, no_undo=_volume_stays_gone(volume))
    plan.lost.append(Item("Everything in it", "", f"{volume.driver} driver", volume.size))
    if volume.size is None:
        plan.unknown.append("how much is in it")
    there = [one for one in users if one.trashed_at is None]
    seen = {
        one.pk for one in visible_to(actor, Container.everything.filter(pk__in=[one.pk for one in users]))
    }
    names = [one.name for one in there if one.pk in seen]
    if hidden := len(there) - len(names):
        names.append(f"{hidden} of another team")
    if there:
        verb = "mounts" if len(there) == 1 else "mount"
        plan.blocked = f"{listed(names)} {verb} it. Remove {'that' if len(there) == 1 else 'those'} first."
    plan.affected = [Item(one.name, "", one.get_state_display().lower()) for one in there if one.pk in seen]
    for one in users:
        if one.trashed_at is not None:
            name = _name_in_trash(one) if one.pk in seen else "A container of another team"
            plan.affected.append(Item(name, "in the trash, mounts it: it cannot be taken back any more"))
    return plan


def _volume_stays_gone(volume: Volume) -> str:
    if volume.driver != "local" or volume.options:
        return "Its data lies outside the engine's own folder, and is not copied."
    if volume.size is not None and volume.size > trash.most_bytes():
        return f"It holds more than the {settings.UNDO_MB} MB that are kept."
    return ""


def _name_in_trash(container: Container) -> str:
    item = TrashItem.objects.filter(kind="container", target_id=str(container.pk)).first()
    return item.name if item else container.name


# Parts


def lose(plan: Plan, container: Container, written: Written | None, actor: Actor) -> None:
    """What goes with the container itself."""
    plan.lost.append(_written(container, written, actor))
    if written is None:
        plan.unknown.append("which files it wrote")
    elif not written["complete"]:
        plan.unknown.append("the sizes of all its files")
    plan.lost += _logs(container)


def _written(container: Container, written: Written | None, actor: Actor) -> Item:
    """What the writable layer holds, mounts and noise left out."""
    if written is None:
        return Item("Files it wrote", "inside the container", "everything outside its volumes and host paths")
    files: list[str] = [entry["path"] for entry in written["files"]]
    if not files:
        return Item("No changed files", "inside the container")
    folders = list(dict.fromkeys("/" + path.strip("/").split("/")[0] for path in files))
    rest = f" and {len(folders) - FILES_SHOWN} more" if len(folders) > FILES_SHOWN else ""
    page = "containers:copy" if can(actor, "container.copy", container) else "containers:files"
    here = container.trashed_at is None  # what is in the trash has no page
    return Item(
        count(int(written["total"]), "changed file"), "inside the container",
        "below " + ", ".join(folders[:FILES_SHOWN]) + rest,
        size=int(written["bytes"]) if written["complete"] else None,
        link=reverse(page, args=[container.pk]) if here else "",
        link_text="Save a copy" if page == "containers:copy" else "See files",
    )  # fmt: skip


def _logs(container: Container) -> list[Item]:
    if container.log_driver not in _KEPT_HERE:
        return []
    page = "" if container.trashed_at else reverse("containers:logs", args=[container.pk])
    driver = f"{container.log_driver} driver" if container.log_driver else ""
    return [Item("Its logs", "", driver, link=page, link_text="Look first")]


def serving(container: Container) -> list[str]:
    """The engine's ports that lead to it; one address family says all."""
    return list(dict.fromkeys(f"port {port['host']}" for port in container.ports if port.get("host")))


def things(container: Container, mounts: Iterable[Mount]) -> list[Item]:
    """What it uses and stays: image, volumes, host paths, networks."""
    volumes = [m.source for m in mounts if m.type == "volume" and not (m.volume and m.volume.anonymous)]
    paths = [m.source for m in mounts if m.type == "bind"]
    networks = [str(network.get("name")) for network in container.networks]
    found = [Item("Image", container.image_ref or container.image_native_id[:19])]
    for word, names in (("Volume", volumes), ("Host path", paths), ("Network", networks)):
        if names:
            found.append(Item(word if len(names) == 1 else f"{word}s", listed(names)))
    return found


def _anonymous(mounts: Iterable[Mount]) -> list[Item]:
    """Volumes without a name are kept too, unless one asks: nobody finds them again afterwards."""
    found = [m for m in mounts if m.type == "volume" and m.volume and m.volume.anonymous]
    if not found:
        return []
    many = len(found) > 1
    sizes = [m.volume.size for m in found if m.volume and m.volume.size is not None]
    return [
        Item(
            f"{len(found)} anonymous volume{'s' if many else ''}",
            f"at {listed([m.target for m in found])}",
            size=sum(sizes) if sizes else None,
            tick="volumes",
            tick_text="Remove too",
            wording=f"Remove container and volume{'s' if many else ''}",
        )
    ]


def _take_anonymous(plan: Plan) -> None:
    """The choice was made: they go too."""
    plan.lost += [item for item in plan.kept if item.tick == "volumes"]
    plan.kept = [item for item in plan.kept if item.tick != "volumes"]
