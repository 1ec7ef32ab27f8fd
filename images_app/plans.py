"""What a removal would do, before anybody agrees: what goes for good, who is affected, what stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from accounts.access import Actor
from accounts.querysets import visible_to
from images_app.lineage import lineage
from images_app.models import Image, Tag


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a fate: what it is, more about it, how many bytes (``None``: none that count)."""

    what: str
    more: str = ""
    size: int | None = None
    mono: bool = False


@dataclass(slots=True)
class Fate:
    """The three lists of a removal. ``blocked`` says why it cannot be done now; ``force`` that it needs a yes."""

    lost: list[Item] = field(default_factory=list)
    affected: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)
    blocked: str = ""
    needs_yes: str = ""
    button: str = "Remove"
    frees: int = 0


def removal(image: Image, actor: Actor) -> Fate:
    """The fate of an image and all its tags."""
    line = lineage(image, actor)
    tags = list(image.tags.all())
    fate = Fate(frees=line.own)
    again = "can be pulled again" if image.digests else "was made here, and no registry is known to have it"
    fate.lost.append(Item(f"Image {image.short_id}", again, line.own))
    fate.lost += [Item(tag.name, "tag", mono=True) for tag in tags]
    running, stopped = _users(image)
    if running:
        verb, pronoun = ("runs", "it") if len(running) == 1 else ("run", "them")
        fate.blocked = f"{_list(running, actor)} {verb} from it. Stop and remove {pronoun} first."
    if stopped:
        fate.affected.append(
            Item(_list(stopped, actor), "stopped, stays, and cannot be made again from here")
        )
        users = _count(len(stopped), "stopped container uses it", "stopped containers use it")
        fate.needs_yes = f"Remove it although {users}"
    children = _children(image)
    if children and not running:
        fate.blocked = (
            f"{_count(children, 'image was', 'images were')} built on it step by step. Remove those first."
        )
    if line.shared:
        others = max((part.shared for part in line.parts), default=0)
        fate.kept.append(
            Item("Layers that other images share", _count(others, "image", "images"), line.shared)
        )
    if running or stopped:
        fate.kept.append(Item("Containers and their volumes"))
    fate.button = "Remove image" if len(tags) < 2 else f"Remove image and {len(tags)} tags"
    return fate


def untagging(tag: Tag, actor: Actor) -> Fate:
    """The fate of one tag; with the last one the image itself goes, which is what the engine does."""
    image = tag.image
    others = [other.name for other in image.tags.all() if other.pk != tag.pk]
    if not others:
        fate = removal(image, actor)
        fate.button = "Remove tag and image"
        return fate
    fate = Fate(lost=[Item(tag.name, "tag", mono=True)], button="Remove tag")
    fate.kept.append(Item(f"Image {image.short_id}", f"still named {', '.join(others)}", image.size))
    return fate


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
        shown + ([_count(hidden, "container of another team", "containers of other teams")] if hidden else [])
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
