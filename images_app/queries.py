"""Images and builds to read: always from `visible_to`, in a number of queries that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.access import Actor
from accounts.querysets import visible_to
from images_app import scans
from images_app.examples import Base
from images_app.models import Build, Image, Layer, Scan, Tag, TagCheck
from operations.models import Operation

PAGE = 50
BASES = 200
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader filters images by; empty fields filter nothing."""

    view: str = "all"
    q: str = ""
    ordering: str = "name"
    engine: str = ""
    """The id of the one engine whose images are asked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One name of an image; an image with two tags has two rows, one without any has one."""

    image: Image
    tag: Tag | None
    same: bool = False
    """Whether the row above is another name of the same image."""
    newer: bool = False
    """Whether its registry has a newer image under this name."""
    scan: Scan | None = None
    """The newest of the image."""

    @property
    def reference(self) -> str:
        """What a container would be run from."""
        return self.tag.name if self.tag else self.image.native_id

    @property
    def repository(self) -> str:
        """What rows are grouped by; empty for images without a tag."""
        return self.tag.repository if self.tag else ""

    @property
    def dangling(self) -> bool:
        """Whether nothing names this image any more."""
        return self.tag is None

    @property
    def used(self) -> int:
        """How many containers are made from it."""
        return self.image.used  # type: ignore[attr-defined]

    @property
    def running(self) -> int:
        """How many of those run."""
        return self.image.running  # type: ignore[attr-defined]


@dataclass(slots=True)
class Group:
    """The rows of one repository; ``repository`` is empty for the untagged and where rows are not grouped."""

    repository: str
    rows: list[Row] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The heading."""
        return self.repository or _("Untagged")

    @property
    def images(self) -> int:
        """How many different images the names point at."""
        return len({row.image.pk for row in self.rows})


@dataclass(frozen=True, slots=True)
class Listing:
    """The list: groups to show, and how many names each view has."""

    groups: list[Group]
    counts: dict[str, int]
    shown: int
    grouped: bool


def images(actor: Actor) -> QuerySet[Image]:
    """What this actor may know of, with ``used`` and ``running`` counts of containers."""
    return (
        visible_to(actor, Image.objects.all())
        .select_related("team", "engine")
        .annotate(
            used=Count("containers", distinct=True),
            running=Count("containers", filter=Q(containers__state="running"), distinct=True),
        )
    )


def image(actor: Actor, pk: UUID) -> Image | None:
    """One image with its tags; ``None`` where there is none, or not for this actor."""
    return images(actor).prefetch_related("tags").filter(pk=pk).first()


def listing(actor: Actor, wanted: Wanted) -> Listing:
    """Three queries, then sorted here: the rows of one engine's images fit into memory many times over."""
    found = images(actor).defer("config", "labels", "digests").prefetch_related("tags")
    if wanted.engine:
        found = found.filter(engine_id=wanted.engine)
    newer = set(TagCheck.objects.filter(newer=True).values_list("engine_id", "name"))
    rows = [row for image in found for row in _rows(image, newer)]
    known = scans.newest((row.image.native_id, row.image.team_id) for row in rows)
    rows = [row for row in rows if _matches(row, wanted.q)]
    views = ("all", "used", "unused", "dangling", "newer")
    counts = {view: sum(1 for row in rows if _in_view(row, view)) for view in views}
    rows = _sorted([row for row in rows if _in_view(row, wanted.view)], wanted.ordering)
    rows = [
        replace(
            r,
            same=i > 0 and rows[i - 1].image == r.image,
            scan=known.get((r.image.native_id, r.image.team_id)),
        )
        for i, r in enumerate(rows)
    ]
    grouped = wanted.ordering.lstrip("-") == "name"
    return Listing(
        _grouped(rows) if grouped else [Group("", rows)] if rows else [], counts, len(rows), grouped
    )


def named(image: Image) -> str:
    """What people call an image: its first tag, else the start of its digest."""
    tags = sorted(tag.name for tag in image.tags.all())
    return tags[0] if tags else image.name or image.short_id


def short_name(reference: str) -> str:
    """``registry/team/web:1.2`` without the path: ``web:1.2``."""
    return reference.rpartition("/")[2]


def tag_names(actor: Actor, limit: int = 200) -> list[str]:
    """Names of images that are here, for suggestions."""
    return list(visible_to(actor, Tag.objects.all(), "image__team").values_list("name", flat=True)[:limit])


def bases(actor: Actor) -> list[Base]:
    """Images that something can be built on, the plainest first. A shell is known from what they run or ran in."""
    tagged = visible_to(actor, Image.objects.filter(tags__isnull=False)).distinct().prefetch_related("tags")
    shells = set(
        Layer.objects.filter(Q(command__startswith="/bin/sh -c ") | Q(command__startswith="RUN /bin/sh -c "))
        .exclude(command__contains="#(nop)")
        .filter(image__in=tagged)
        .values_list("image_id", flat=True)
    )
    found = []
    for image in tagged.only("size", "config")[:BASES]:
        command, entry = (_words(image.config.get(key)) for key in ("Cmd", "Entrypoint"))
        first = (entry or command).split(" ", 1)[0].rpartition("/")[2]
        python = first.startswith("python")
        name = min((tag.name for tag in image.tags.all()), key=lambda n: (n.endswith(":latest"), len(n)))
        base = Base(name, first in ("sh", "bash", "ash") or python or image.pk in shells, python)
        found.append((bool(entry), first not in ("sh", "bash", "ash"), image.size, base))
    return [row[-1] for row in sorted(found, key=lambda row: row[:-1])]


def siblings(image: Image, actor: Actor, limit: int = 8) -> list[Row]:
    """Other images under the same repositories, newest first: its earlier and later versions here."""
    repositories = {tag.repository for tag in image.tags.all()}
    tags = Tag.objects.filter(repository__in=repositories, engine_id=image.engine_id).exclude(image=image)
    newest = list(visible_to(actor, tags, "image__team").order_by("-image__created_at")[:limit])
    there = {
        row.pk: row for row in images(actor).filter(pk__in=[tag.image_id for tag in newest]).defer("config")
    }
    return [Row(there[tag.image_id], tag) for tag in newest if tag.image_id in there]


def builds(actor: Actor) -> QuerySet[Build]:
    """Builds this actor may know of, newest first."""
    return visible_to(actor, Build.objects.all()).select_related(
        "operation", "operation__actor", "operation__engine", "operation__trash", "image", "engine", "team"
    )


def containers(actor: Actor) -> list[tuple[str, str]]:
    """Id and name of those that a build's image could be put into."""
    rows = visible_to(actor, Image._meta.get_field("containers").related_model._default_manager.all())
    return [(str(pk), name) for pk, name in rows.order_by("name").values_list("pk", "name")[:200]]


def following(actor: Actor, build: Build) -> list[Operation]:
    """What was asked for together with the build, to be done after it."""
    if build.operation is None or build.operation.batch is None:
        return []
    rows = visible_to(actor, Operation.objects.filter(batch=build.operation.batch, step__gt=0))
    return list(rows.select_related("engine", "actor", "trash").order_by("step", "created_at")[:5])


def build_page(
    actor: Actor, *, view: str = "all", q: str = "", before: datetime | None = None
) -> tuple[list[Build], datetime | None]:
    """A page of builds, and where the next one starts (``None`` at the end)."""
    rows = builds(actor).defer("dockerfile", "labels", "build_args")
    states = {"running": ("queued", "running", "unknown"), "failed": ("failed",), "done": ("succeeded",)}.get(
        view
    )
    if states:
        rows = rows.filter(operation__state__in=states)
    if view == "mine":
        rows = rows.filter(operation__actor=actor.user)
    if q:
        rows = rows.filter(operation__target_name__icontains=q)
    if before:
        rows = rows.filter(created_at__lt=before)
    found = list(rows[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].created_at if len(found) > PAGE else None


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier build of the same name: seconds, how many steps and how many of them from the cache.

    It is drawn as a bar ``high`` from the bottom of `TALL`, at ``x``; ``low`` of it came from the cache.
    """

    pk: UUID
    state: str
    seconds: float
    steps: int
    cached: int
    x: int = 0
    high: float = 0
    low: float = 0

    @property
    def top(self) -> float:
        """Where the bar begins."""
        return round(TALL - self.high, 1)

    @property
    def cut(self) -> float:
        """Where the part from the cache begins."""
        return round(TALL - self.low, 1)

    @property
    def share(self) -> int:
        """Per cent of the steps that came from the cache."""
        return round(100 * self.cached / self.steps) if self.steps else 0


TREND = 24
"""Builds in a trend."""
TALL, APART = 22, 7


def trends(actor: Actor, builds: Sequence[Build]) -> dict[str, list[Past]]:
    """For the name of each of these (its first tag, without the version) the newest builds that have ended, oldest
    first. One query.
    """
    wanted = Q(pk=None)
    for name in {repository(build) for build in builds}:
        wanted |= Q(operation__target_name__startswith=f"{name}:")
    rows = visible_to(actor, Build.objects.filter(wanted, operation__state__in=("succeeded", "failed")))
    fields = ("pk", "tags", "steps", "operation__state", "operation__started_at", "operation__finished_at")
    found: dict[str, list[Past]] = {}
    for pk, tags, steps, state, begun, ended in rows.order_by("-created_at").values_list(*fields)[:500]:
        past = found.setdefault(str(tags[0]).rpartition(":")[0], []) if tags else []
        if begun and ended and len(past) < TREND:
            # A base is there or is not; what no line asks for is never cached.
            work = [one for one in steps if one.get("line", 1) and not one["instruction"].startswith("FROM")]
            cached = sum(bool(one.get("cached")) for one in work)
            past.append(Past(pk, state, (ended - begun).total_seconds(), len(work), cached))
    return {name: _scaled(past[::-1]) for name, past in found.items()}


def repository(build: Build) -> str:
    """The name of what it builds, without the version."""
    return str(build.tags[0]).rpartition(":")[0] if build.tags else ""


def _scaled(past: list[Past]) -> list[Past]:
    most = max((one.seconds for one in past), default=0) or 1
    found = []
    for i, one in enumerate(past):
        high = round(max(2, TALL * one.seconds / most), 1)
        found.append(replace(one, x=i * APART, high=high, low=round(high * one.share / 100, 1)))
    return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What a container from this image inherits. Durations in seconds; secrets are masked in the rows already."""

    rows: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    health: str


def facts(config: dict[str, Any]) -> Facts:
    """The engine's ``Config`` object in the words of `docker inspect`."""
    rows = [
        (gettext_noop("Entrypoint"), _words(config.get("Entrypoint"))),
        (gettext_noop("Command"), _words(config.get("Cmd"))),
        (gettext_noop("User"), str(config.get("User") or "root")),
        (gettext_noop("Working dir"), str(config.get("WorkingDir") or "/")),
        (gettext_noop("Ports"), ", ".join(sorted(config.get("ExposedPorts") or {}))),
        (gettext_noop("Volumes"), ", ".join(sorted(config.get("Volumes") or {}))),
        (gettext_noop("Stop signal"), str(config.get("StopSignal") or "")),
    ]
    pairs = [str(item).partition("=") for item in config.get("Env") or []]
    return Facts(
        [row for row in rows if row[1]], [(name, value) for name, _, value in pairs], _health(config)
    )


def _health(config: dict[str, Any]) -> str:
    check = config.get("Healthcheck") or {}
    test = check.get("Test") or []
    if not test or test[0] == "NONE":
        return ""
    every = (check.get("Interval") or 30_000_000_000) / 1e9
    said = _("%(command)s every %(seconds)s s")
    return said % {"command": " ".join(map(str, test[1:])), "seconds": f"{every:g}"}


def _words(value: Any) -> str:
    if not value:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rows(image: Image, newer: set[tuple[UUID, str]]) -> list[Row]:
    tags = list(image.tags.all())
    return [Row(image, tag, newer=(image.engine_id, tag.name) in newer) for tag in tags] or [Row(image, None)]


def _matches(row: Row, q: str) -> bool:
    if not q:
        return True
    text = f"{row.tag.name if row.tag else row.image.name} {row.image.native_id}".lower()
    return all(word in text for word in q.lower().split())


def _in_view(row: Row, view: str) -> bool:
    if view == "used":
        return row.used > 0
    if view == "unused":
        return row.used == 0
    if view == "newer":
        return row.newer
    return view != "dangling" or row.dangling


def _sorted(rows: Iterable[Row], ordering: str) -> list[Row]:
    """Untagged ones come last when sorted by name; equal ones are told apart by their name."""
    by, down = ordering.lstrip("-"), ordering.startswith("-")
    rows = sorted(rows, key=lambda r: (r.tag is None, r.tag.name if r.tag else r.image.native_id))
    if by == "size":
        return sorted(rows, key=lambda r: r.image.size, reverse=down)
    if by == "unique":
        return sorted(rows, key=lambda r: r.image.unique_size or 0, reverse=down)
    if by == "created":
        return sorted(rows, key=lambda r: r.image.created_at or NEVER, reverse=down)
    if by == "host":
        return sorted(rows, key=lambda r: r.image.engine.name, reverse=down)
    if by == "used":
        return sorted(rows, key=lambda r: r.used, reverse=down)
    return rows[::-1] if down else rows


def _grouped(rows: Sequence[Row]) -> list[Group]:
    found: dict[str, Group] = {}
    for row in rows:
        found.setdefault(row.repository, Group(row.repository)).rows.append(row)
    return list(found.values())
