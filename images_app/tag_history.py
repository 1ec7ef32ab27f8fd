"""Where tags pointed, and what has become of the images there: whether a tag can go back to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.access import Actor
from accounts.querysets import visible_to
from images_app.models import Image, Tag, TagMove

HERE, TRASH, REGISTRY, GONE, FOREIGN = "here", "trash", "registry", "gone", "foreign"
FATES = (HERE, TRASH, REGISTRY, GONE)
"""On the engine; there, in the trash; known to the registry of the name; nowhere. `FOREIGN`: another team's."""


@dataclass(frozen=True, slots=True)
class Move:
    """A movement of a tag. The images are ``None`` where they are gone, or not this reader's.

    ``fate`` is that of the image before; ``tag`` is there where it can be made to point at that one again.
    """

    move: TagMove
    before: Image | None
    after: Image | None
    fate: str = ""
    tag: Tag | None = None
    foreign: frozenset[str] = frozenset()
    """Of the two images, those that are another team's."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An image that a tag pointed at. ``row``: of what is on the engine, in the trash or not."""

    native_id: str
    fate: str
    row: Image | None
    digest: str = ""


def tag_history(image: Image, actor: Actor, limit: int = 20) -> list[Move]:
    """Where the tags of this image were, and which tags were here; newest first. Five queries."""
    names = [tag.name for tag in image.tags.all()]
    about = Q(name__in=names) | Q(from_native_id=image.native_id) | Q(to_native_id=image.native_id)
    moves = list(TagMove.objects.filter(about, engine_id=image.engine_id).select_related("operation")[:limit])
    return told(image.engine_id, moves, actor)


def told(engine_id: UUID, moves: Sequence[TagMove], actor: Actor) -> list[Move]:
    """These movements with what has become of the images."""
    ids = {native for move in moves for native in (move.from_native_id, move.to_native_id) if native}
    rows, seen = _images(engine_id, ids, actor)
    tags = visible_to(actor, Tag.objects.filter(engine_id=engine_id), "image__team")
    now = {tag.name: tag for tag in tags.filter(name__in={m.name for m in moves}).select_related("image")}
    digests = _digests(engine_id, moves)
    shown = {key for key, row in rows.items() if row.pk in seen and not row.trashed_at}
    foreign = frozenset(key for key, row in rows.items() if row.pk not in seen)
    found = []
    for move in moves:
        before, tag = rows.get(move.from_native_id), now.get(move.name)
        fate = _fate(before, seen, digests.get((move.name, move.from_native_id), ""))
        back = tag if tag and tag.image.native_id != move.from_native_id else None
        found.append(
            Move(
                move, before if move.from_native_id in shown else None,
                rows.get(move.to_native_id) if move.to_native_id in shown else None,
                fate if move.from_native_id else "", back if fate in (HERE, TRASH, REGISTRY) else None,
                foreign & {move.from_native_id, move.to_native_id},
            )
        )  # fmt: skip
    return found


def behind(image: Image, actor: Actor) -> list[Any]:
    """Containers whose tag points at this image now, and that were made from an earlier one."""
    containers = Image._meta.get_field("containers").related_model._default_manager.all()
    rows = containers.filter(engine_id=image.engine_id, drift_image=image.native_id)
    return list(visible_to(actor, rows).only("name", "team").order_by("name"))


def earlier(tag: Tag, native_id: str, actor: Actor) -> Earlier | None:
    """One of the images that it has pointed at; ``None`` where it never did."""
    moves = TagMove.objects.filter(
        Q(from_native_id=native_id) | Q(to_native_id=native_id), engine_id=tag.engine_id
    )
    mine = list(moves.filter(name=tag.name))
    if not native_id or not mine:
        return None
    rows, seen = _images(tag.engine_id, {native_id}, actor)
    digest = _digests(tag.engine_id, mine).get((tag.name, native_id), "")
    row = rows.get(native_id)
    return Earlier(native_id, _fate(row, seen, digest), row, digest)


def _images(engine_id: UUID, ids: Iterable[str], actor: Actor) -> tuple[dict[str, Image], set[UUID]]:
    """Those on the engine by their ids, the trash included; and which of them are the reader's."""
    there: QuerySet[Image] = Image.everything.filter(engine_id=engine_id, native_id__in=ids)
    rows = {row.native_id: row for row in there.defer("config", "labels")}
    return rows, set(visible_to(actor, there).values_list("pk", flat=True))


def _digests(engine_id: UUID, moves: Sequence[TagMove]) -> dict[tuple[str, str], str]:
    """Tag and image → the digest that the registry knows it by, as far as movements tell."""
    found: dict[tuple[str, str], str] = {}
    columns = ("name", "from_native_id", "from_digest", "to_native_id", "to_digest")
    rows = TagMove.objects.filter(engine_id=engine_id, name__in={move.name for move in moves}).order_by("id")
    for name, before, before_digest, after, after_digest in rows.values_list(*columns):
        for native_id, digest in ((before, before_digest), (after, after_digest)):
            if native_id and digest:
                found[name, native_id] = digest
    return found


def _fate(row: Image | None, seen: set[UUID], digest: str) -> str:
    if row:
        return FOREIGN if row.pk not in seen else TRASH if row.trashed_at else HERE
    return REGISTRY if digest else GONE
