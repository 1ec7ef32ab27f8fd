"""What a removal would do, before anybody agrees: what goes for good, who is affected, what stays.

Told from rows alone: what the engine would have to count first (files in the writable layer) is named without a size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.urls import reverse

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app.listing import ports_of
from containers_app.models import Container, Mount, Volume

_LIVE = ("running", "paused", "restarting")
_KEPT_HERE = ("json-file", "local", "k8s-file", "")
"""Log drivers whose lines go with the container."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line: what, some words on it, more that steps back, bytes (``None``: not counted), and what one can do.

    ``tick`` is the name of a choice, with its words, and what the button says once it is taken.
    """

    what: str
    text: str = ""
    more: str = ""
    size: int | None = None
    link: str = ""
    link_text: str = ""
    tick: str = ""
    tick_text: str = ""
    wording: str = ""


@dataclass(slots=True)
class Fate:
    """The three lists. ``lead`` says how it is now, ``force`` that it has to be ended by force."""

    lead: str = ""
    force: bool = False
    blocked: str = ""
    button: str = "Remove"
    lost: list[Item] = field(default_factory=list)
    affected: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)


def removal(container: Container, changes: Sequence[str] | None = None) -> Fate:
    """The fate of one container. ``changes``: paths that differ from its image, ``None`` where nobody could tell."""
    live = container.state in _LIVE
    fate = Fate(force=live, button="Remove container")
    served = [port.text for port in ports_of(container, "") if port.url]
    if live:
        serves = f" and serves {_and(served)}" if served else ""
        fate.lead = f"It is {container.get_state_display().lower()}{serves}. It will be killed, without time to finish."
    fate.lost.append(_written(changes))
    fate.lost += _logs(container)
    if live and served:
        fate.affected.append(Item(_and(served), "stops answering"))
    mounts = list(container.mounts.select_related("volume"))
    fate.kept += [*_things(container, mounts), *_anonymous(mounts)]
    return fate


def removal_of_many(found: Sequence[Container]) -> Fate:
    """The fate of several containers at once."""
    live = [one for one in found if one.state in _LIVE]
    count = f"{len(found)} container{'' if len(found) == 1 else 's'}"
    fate = Fate(force=bool(live), button=f"Remove {count}")
    if live:
        fate.lead = f"{len(live)} of them run. They will be killed, without time to finish."
    fate.lost = [Item(one.name, one.image_ref, "running" if one in live else "stopped") for one in found[:50]]
    if len(found) > len(fate.lost):
        fate.lost.append(Item(f"and {len(found) - len(fate.lost)} more"))
    fate.lost.append(Item("Their logs and the files they wrote", "outside of volumes"))
    served = [port.text for one in live for port in ports_of(one, "") if port.url]
    if served:
        fate.affected.append(
            Item(_and(served[:12]), "stop answering" if len(served) > 1 else "stops answering")
        )
    fate.kept.append(Item("Images, volumes and networks"))
    return fate


def volume_removal(volume: Volume, actor: Actor) -> Fate:
    """The fate of a volume. Nothing removes one that a container mounts."""
    users = list(Container.objects.filter(mounts__volume=volume).distinct())
    fate = Fate(button="Remove volume and its data")
    fate.lost.append(Item("Everything in it", "", f"{volume.driver} driver", volume.size))
    if users:
        seen = list(visible_to(actor, Container.objects.filter(pk__in=[one.pk for one in users])))
        names = [one.name for one in seen]
        if hidden := len(users) - len(seen):
            names.append(f"{hidden} of another team")
        verb = "mounts" if len(users) == 1 else "mount"
        fate.blocked = f"{_and(names)} {verb} it. Remove {'that' if len(users) == 1 else 'those'} first."
        fate.affected = [Item(one.name, "", one.get_state_display().lower()) for one in seen]
    return fate


def _written(changes: Sequence[str] | None) -> Item:
    """What the writable layer holds, by the deepest paths alone: a folder of a changed file counts for nothing."""
    if changes is None:
        return Item("Files it wrote", "inside the container", "everything outside its volumes and host paths")
    kept = set(changes)
    parents = {path.rpartition("/")[0] for path in kept}
    files = sorted(path for path in kept if path not in parents)
    if not files:
        return Item("No changed files", "inside the container")
    folders = list(dict.fromkeys("/" + path.strip("/").split("/")[0] for path in files))
    rest = f" and {len(folders) - 4} more" if len(folders) > 4 else ""
    word = "1 changed file" if len(files) == 1 else f"{len(files)} changed files"
    return Item(word, "inside the container", "below " + ", ".join(folders[:4]) + rest)


def _logs(container: Container) -> list[Item]:
    if container.log_driver not in _KEPT_HERE:
        return []
    page = reverse("containers:logs", args=[container.pk])
    driver = f"{container.log_driver} driver" if container.log_driver else ""
    return [Item("Its logs", "", driver, link=page, link_text="Look first")]


def _things(container: Container, mounts: Iterable[Mount]) -> list[Item]:
    volumes = [m.source for m in mounts if m.type == "volume" and not (m.volume and m.volume.anonymous)]
    paths = [m.source for m in mounts if m.type == "bind"]
    networks = [str(network.get("name")) for network in container.networks]
    found = [Item("Image", container.image_ref or container.image_native_id[:19])]
    for word, names in (("Volume", volumes), ("Host path", paths), ("Network", networks)):
        if names:
            found.append(Item(word if len(names) == 1 else f"{word}s", _and(names)))
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
            f"at {_and([m.target for m in found])}",
            size=sum(sizes) if sizes else None,
            tick="volumes",
            tick_text="Remove too",
            wording=f"Remove container and volume{'s' if many else ''}",
        )
    ]


def _and(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
