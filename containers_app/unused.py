"""What nobody uses on an engine, kind by kind, with the bytes that go with it.

Told from rows, in a number of queries that does not grow with them; sizes of what was written come from the engine's
own count. What is in the trash is used by the trash, unless the trash itself is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from containers_app import own
from containers_app.attachments import by_network, is_own
from containers_app.models import Container, Mount, Network, Volume
from containers_app.prune_rules import Rules
from engine.disk import CacheRecord, DiskUsage
from images_app.held import Held, alone, layers_held
from images_app.models import Image, Tag, TagMove
from operations.models import Engine, TrashItem

STOPPED = ("exited", "created", "dead")
KINDS: Mapping[str, tuple[Any, Any]] = {
    "containers": (
        ngettext_lazy("%(n)s stopped container", "%(n)s stopped containers", "n"),
        _("what they wrote outside of volumes, and their logs"),
    ),
    "images": (
        ngettext_lazy("%(n)s untagged image", "%(n)s untagged images", "n"),
        _("no name points at them, and no container uses them"),
    ),
    "unused_images": (
        ngettext_lazy("%(n)s unused image", "%(n)s unused images", "n"),
        _("with their names; no container uses them"),
    ),
    "volumes": (
        ngettext_lazy("%(n)s anonymous volume", "%(n)s anonymous volumes", "n"),
        _("no container mounts them"),
    ),
    "named_volumes": (
        ngettext_lazy("%(n)s named volume", "%(n)s named volumes", "n"),
        _("no container mounts them now; their data goes with them"),
    ),
    "build_cache": (
        ngettext_lazy("%(n)s step in the build cache", "%(n)s steps in the build cache", "n"),
        _("no build runs on them; the next one takes longer"),
    ),
    "networks": (
        ngettext_lazy("%(n)s unused network", "%(n)s unused networks", "n"),
        _("no container is on them; the engine's own stay"),
    ),
    "trash": (
        ngettext_lazy("%(n)s thing in the trash", "%(n)s things in the trash", "n"),
        _("they cannot be taken back any more"),
    ),
}
"""Kind → what one of them is called, and what there is to say about them."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "images": ("images", "unused_images"),
    "containers": ("containers",),
    "volumes": ("volumes", "named_volumes"),
    "build_cache": ("build_cache",),
}
"""Part of an engine's disk → the kinds whose removal gives some of it back."""
MOST_SHOWN = 200
"""Things of one kind on a page; the rest is counted there, and goes all the same."""

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an engine's disk: how many things, their bytes, and how many of these nobody uses now."""

    kind: str
    count: int
    size: int
    unused: int


@dataclass(frozen=True, slots=True)
class Unused:
    """What can go from one engine. ``usage`` is ``None`` where the engine did not count in time."""

    engine: Engine
    usage: DiskUsage | None
    held: Held
    parents: Mapping[str, str]
    found: Mapping[str, list[Item]]

    def items(self, kinds: Collection[str], rules: Rules | None = None) -> list[Item]:
        """What these kinds hold, in an order that can be removed, each thing once and with its size.

        ``rules``: what of it stays all the same; so does what it stands on.
        """
        stays = self._staying(rules) if rules else set()
        chosen = [
            {key: value for key, value in item.items() if key != "labels"}
            for kind in KINDS
            if kind in kinds
            for item in self.found[kind]
            if item["id"] not in stays
        ]
        if {"images", "unused_images"} <= set(kinds):
            untagged = {item["id"] for item in self.found["images"]}
            chosen = [i for i in chosen if i["kind"] != "unused_images" or i["id"] not in untagged]
        images = [item for item in chosen if item["image"]]
        images.sort(key=lambda item: -self._depth(item["image"]))
        layers = alone(self.held, [item["image"] for item in images])
        for item in images:
            item["layers"] = layers.pop(item["image"], {})
            item["size"] = sum(item["layers"].values())
        rest = [item for item in chosen if not item["image"]]
        first = [item for item in rest if not item["kind"].endswith("volumes")]
        return [*first, *images, *(item for item in rest if item["kind"].endswith("volumes"))]

    def parts(self, usage: DiskUsage) -> list[Part]:
        """What takes the disk, by `PARTS`. What another part needs (an image a stopped container) counts as used."""
        sizes = {
            "images": (len(usage.images), usage.layers),
            "containers": (len(usage.containers), sum(usage.containers.values())),
            "volumes": (len(usage.volumes), sum(usage.volumes.values())),
            "build_cache": (len(usage.cache), usage.cached),
        }
        return [
            Part(
                kind, *sizes[kind], min(sizes[kind][1], sum(item["size"] or 0 for item in self.items(kinds)))
            )
            for kind, kinds in PARTS.items()
        ]

    def _staying(self, rules: Rules) -> set[str]:
        """The ids of what the rules keep, and of the images and steps below it."""
        now = timezone.now()
        if rules.keep_tags:
            rules = replace(rules, newest=_newest(self.engine))
        stays = {item["id"] for items in self.found.values() for item in items if rules.keeps(item, now)}
        images = {item["native_id"]: item["id"] for item in self.found["unused_images"]}
        for image in [native_id for native_id, id_ in images.items() if id_ in stays]:
            stays |= {images[above] for above in _above(image, self.parents) if above in images}
        records = {record.native_id: record for record in self.usage.cache} if self.usage else {}
        return stays | _with_parents(records, [key for key in records if key in stays])

    def _depth(self, image: str) -> int:
        """How many images it was built on step by step: it has to go before them."""
        return len(list(_above(image, self.parents)))


def unused(engine: Engine, usage: DiskUsage | None) -> Unused:
    """Everything that could go, of every kind."""
    everything = Image.everything.filter(engine=engine).exclude(parent_id="")
    parents: dict[str, str] = dict(everything.values_list("native_id", "parent_id"))
    parents |= usage.parents if usage else {}
    images = _images(engine, parents)
    found = {
        "containers": _containers(engine, usage),
        "images": [{**item, "kind": "images"} for item in images if not item["tags"]],
        "unused_images": images,
        "volumes": _volumes(engine, usage, anonymous=True),
        "named_volumes": _volumes(engine, usage, anonymous=False),
        "build_cache": _cache(usage),
        "networks": _networks(engine),
        "trash": _trash(engine, usage),
    }
    return Unused(engine, usage, layers_held(engine), parents, found)


def _item(kind: str, row: Any, name: str, size: int | None, *since: datetime | None, **facts: Any) -> Item:
    """``since``: when it was made, used, named: the last of these counts as its age. ``labels`` get into no plan."""
    return {
        "kind": kind, "id": str(row.pk), "native_id": row.native_id, "name": name, "size": size, "image": "",
        "since": _moment(max((moment for moment in since if moment), default=None)),
        "labels": getattr(row, "labels", {}), **facts,
    }  # fmt: skip


def _moment(when: Any) -> str:
    return when.isoformat() if when else ""


def _containers(engine: Engine, usage: DiskUsage | None) -> list[Item]:
    found = own.ours()
    rows = Container.objects.filter(engine=engine, state__in=STOPPED).order_by("name")
    return [
        _item(
            "containers", row, row.name, usage.containers.get(row.native_id) if usage else None, row.created_at,
            row.started_at, row.finished_at, started_at=_moment(row.started_at),
        )
        for row in rows.only(
            "native_id", "name", "created_at", "started_at", "finished_at", "labels", "stack", "engine", "team"
        )
        if not found.has(row)
    ]  # fmt: skip


def _images(engine: Engine, parents: Mapping[str, str]) -> list[Item]:
    """Images that no container uses, and that no image which stays was built on."""
    everything = Image.everything.filter(engine=engine)
    used = set(
        Container.everything.filter(engine=engine).values_list("image_native_id", flat=True).distinct()
    )
    rows = list(
        everything.filter(trashed_at=None).exclude(native_id__in=used).prefetch_related("tags")
        .only("native_id", "name", "trashed_at", "created_at", "labels").order_by("name", "native_id")
    )  # fmt: skip
    free = {row.native_id for row in rows}
    stay = (used | set(everything.values_list("native_id", flat=True))) - free
    needed = {above for image in stay for above in _above(image, parents)}
    moved = _moved(engine)
    return [
        _item(
            "unused_images",
            row,
            str(row),
            0,
            row.created_at,
            moved.get(row.native_id),
            image=row.native_id,
            tags=sorted(t.name for t in row.tags.all()),
        )
        for row in rows
        if row.native_id not in needed
    ]


def _moved(engine: Engine) -> dict[str, datetime]:
    """Image → when a tag was last given to it or taken from it: what was pulled today may be made years ago."""
    found: dict[str, datetime] = {}
    for side in ("to_native_id", "from_native_id"):
        rows = TagMove.objects.filter(engine=engine).order_by().values_list(side).annotate(at=Max("at"))
        for image, at in rows:
            found[image] = max(at, found.get(image, at))
    return found


def _newest(engine: Engine) -> dict[str, int]:
    """Tag → its place among those of its repository, the newest image first; used ones count too."""
    rows = Tag.objects.filter(engine=engine).values_list(
        "repository", "name", "image__created_at", "created_at"
    )
    places: Counter[str] = Counter()
    found: dict[str, int] = {}
    for repository, name, *_rest in sorted(rows, key=lambda row: (_moment(row[2]), row[3]), reverse=True):
        found[name] = places[repository]
        places[repository] += 1
    return found


def _above(image: str, parents: Mapping[str, str]) -> Iterable[str]:
    """What it was built on step by step, nearest first."""
    seen = {image}
    while (image := parents.get(image, "")) and image not in seen:
        seen.add(image)
        yield image


def _unmounted(engine: Engine) -> QuerySet[Volume]:
    """Of the engine's own driver: what others hold does not lie on the engine, and others may use it."""
    mounts = Mount.objects.filter(container__engine=engine, type="volume", source=OuterRef("native_id"))
    return Volume.objects.filter(~Exists(mounts), engine=engine, driver="local").order_by("native_id")


def _volumes(engine: Engine, usage: DiskUsage | None, *, anonymous: bool) -> list[Item]:
    return [
        _item(
            "volumes" if anonymous else "named_volumes", row, row.native_id,
            usage.volumes.get(row.native_id) if usage else None, row.created_at, row.last_used_at,
            created_at=_moment(row.created_at),
        )
        for row in _unmounted(engine).filter(anonymous=anonymous)
    ]  # fmt: skip


def _cache(usage: DiskUsage | None) -> list[Item]:
    """What builders keep and nothing uses, each before what it stands on."""
    records = {record.native_id: record for record in usage.cache} if usage else {}
    busy = _with_parents(records, [key for key, record in records.items() if record.in_use])
    free = records.keys() - busy
    above = Counter(parent for key in free for parent in records[key].parents if parent in free)
    order = sorted(key for key in free if not above[key])
    for key in order:  # grows while it is walked: what nothing stands on any more
        for parent in records[key].parents:
            above[parent] -= 1
            if parent in free and not above[parent]:
                order.append(parent)
    return [
        {
            "kind": "build_cache", "id": key, "native_id": key, "name": records[key].description or key,
            "size": records[key].own, "image": "", "what": records[key].kind, "since": records[key].used_at,
            "labels": {},
        }
        for key in order
    ]  # fmt: skip


def _with_parents(records: Mapping[str, CacheRecord], some: Iterable[str]) -> set[str]:
    """These records, and all that they stand on."""
    found, todo = set[str](), list(some)
    while todo:
        key = todo.pop()
        if key in records and key not in found:
            found.add(key)
            todo += records[key].parents
    return found


def _networks(engine: Engine) -> list[Item]:
    """Those that no container is on, running or not, and that people have made."""
    rows = [row for row in Network.objects.filter(engine=engine).order_by("name") if not is_own(row)]
    users = by_network(rows, Container.everything.filter(engine=engine).only("networks", "engine_id"))
    return [
        _item("networks", row, row.name, 0, row.created_at)
        for row in rows
        if not users[row.pk] and row.scope == "local"
    ]


def _trash(engine: Engine, usage: DiskUsage | None) -> list[Item]:
    rows = TrashItem.objects.filter(engine=engine, state=TrashItem.State.KEPT).order_by("kind", "name", "pk")
    with_them = _anonymous_of_each(engine)
    return [
        _item(
            "trash", row, row.name, _size_in_trash(row, usage, with_them), row.created_at, what=row.kind,
            image=row.native_id if row.kind == "image" and row.facts.get("trashed") else "",
        )
        for row in rows
    ]  # fmt: skip


def _anonymous_of_each(engine: Engine) -> dict[str, list[str]]:
    """Container in the trash → the anonymous volumes that nobody else mounts."""
    mounts = list(
        Mount.objects.filter(container__engine=engine, type="volume").values_list(
            "source", "container__native_id", "container__trashed_at", "volume__anonymous"
        )
    )
    users = Counter(source for source, *_ in mounts)
    found: dict[str, list[str]] = {}
    for source, container, trashed_at, anonymous in mounts:
        if trashed_at and anonymous and users[source] == 1:
            found.setdefault(container, []).append(source)
    return found


def _size_in_trash(row: TrashItem, usage: DiskUsage | None, with_them: Mapping[str, list[str]]) -> int | None:
    """A volume's is that of our file; a container's what it wrote, and the volumes that were to go with it."""
    if row.kind != "container":
        return row.size if row.kind == "volume" else 0
    if usage is None or row.native_id not in usage.containers:
        return None
    volumes = with_them.get(row.native_id, []) if row.facts.get("volumes") else []
    return usage.containers[row.native_id] + sum(usage.volumes.get(name, 0) for name in volumes)
