"""Rows of images, tags and layers from what an engine says. The only writer of those facts.

A list of images costs 13 ms a hundred, so every hint ends in one list; only what it shows to be new or changed
is inspected. Each movement of a tag is kept, since the engine forgets it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from engine.base import Engine as EngineBackend
from engine.types import Event, ImageInfo, ImageSummary
from images_app import held, newer
from images_app.models import Image, Layer, Tag, TagMove
from operations import trash
from operations.models import Engine, Operation
from operations.projection import Report, chunks, differs, fitted, inspected, listed
from streams import bell

KIND = "image"
TRIES = 3
"""How often a list is asked for again because somebody wrote a newer one meanwhile."""


def reconcile(engine: Engine, backend: EngineBackend) -> Report:
    """Makes the rows of images and tags equal to the engine. Raises `engine.errors.EngineError`."""
    began = time.monotonic()
    report = Report()
    for _ in range(TRIES):
        if _once(engine, backend, report):
            break
    report.seconds = time.monotonic() - began
    return report


def apply(engine: Engine, backend: EngineBackend, events: Sequence[Event]) -> None:
    """Looks again when an event says that images may have changed."""
    if any(event.type == "image" for event in events):
        reconcile(engine, backend)


def refresh(
    engine: Engine, backend: EngineBackend, native_id: str = "", *, operation: Operation | None = None
) -> Image | None:
    """Looks again after one of our own changes; the image of that id, where there is one now.

    With an ``operation``, the movements of the tags it names are put down to it.
    """
    reconcile(engine, backend)
    image = Image.everything.filter(engine=engine, native_id=native_id).first() if native_id else None
    if operation:
        _attribute(engine, operation)
        if image and image.team_id is None and operation.team_id:
            Image.everything.filter(pk=image.pk, team=None).update(team=operation.team_id)
            image.refresh_from_db()
    return image


def _once(engine: Engine, backend: EngineBackend, report: Report) -> bool:
    """One list, written where it is the newest; false where it is not."""
    seen = timezone.now()
    summaries = {summary.native_id: summary for summary in backend.images()}
    report.seen = len(summaries)
    known = dict(Image.everything.filter(engine=engine).values_list("native_id", "fingerprint"))
    wanted = [key for key, summary in summaries.items() if known.get(key) != summary.fingerprint]
    infos = [info for _, info in inspected(wanted, backend.image) if info]
    topics: set[str] = set()
    for chunk in chunks(infos):
        with transaction.atomic():
            topics |= _save(engine, seen, chunk, report)
    with transaction.atomic():
        moved = _tags_differ(engine, summaries)
        there = Image.everything.filter(engine=engine, seen_at__lte=seen).values_list("native_id", "pk")
        gone = {pk for key, pk in there if key not in summaries}
        if (infos or moved or gone) and not listed(engine, KIND, seen):
            return False
        if moved:
            topics |= _move_tags(engine, summaries, first=not known)
            topics |= _out_of_trash(engine, seen)
        topics |= {f"image:{pk}" for pk in gone}
        report.removed += len(gone)
        _keep_digests(engine, gone)
        trash.lost("image", gone)
        Image.everything.filter(pk__in=gone).delete()
    if infos or gone or Image.everything.filter(engine=engine, unique_size=None).exists():
        held.count(engine)
    if topics:
        newer.settle(engine.pk)
        bell.ring("images", *sorted(topics))
    return True


def _save(engine: Engine, seen: datetime, infos: Sequence[ImageInfo], report: Report) -> set[str]:
    """Upserts these images, and their layers where they are new: an image of one id never changes its layers."""
    ids = [info.native_id for info in infos]
    rows = {row.native_id: row for row in Image.everything.filter(engine=engine, native_id__in=ids)}
    facts = {info.native_id: fitted(Image, _facts(info)) for info in infos}
    write = [key for key in ids if key not in rows or differs(rows[key], facts[key])]
    if not write:
        return set()
    Image.everything.bulk_create(
        [Image(engine=engine, native_id=key, seen_at=seen, **facts[key]) for key in write],
        update_conflicts=True,
        unique_fields=["engine", "native_id"],
        update_fields=["seen_at", *facts[write[0]]],
    )
    pks = dict(Image.everything.filter(engine=engine, native_id__in=write).values_list("native_id", "pk"))
    fresh = [info for info in infos if info.native_id in pks and info.native_id not in rows]
    Layer.objects.bulk_create(
        [
            Layer(
                image_id=pks[info.native_id], index=layer.index, digest=layer.digest[:80],
                command=layer.command, size=layer.size, created_at=layer.created_at, empty=layer.empty,
            )
            for info in fresh
            for layer in info.layers
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    report.added += len(fresh)
    report.changed += len(write) - len(fresh)
    return {f"image:{pk}" for pk in pks.values()}


def _facts(info: ImageInfo) -> dict[str, Any]:
    digest_names = [digest.partition("@")[0] for digest in info.digests]
    return {
        "name": (*(tag for tag in info.tags if not trash.is_tag_name(tag)), *digest_names, "")[0],
        "digests": list(info.digests),
        "size": info.size,
        "created_at": info.created_at,
        "parent_id": info.parent_id,
        "architecture": info.architecture,
        "os": info.os,
        "author": info.author,
        "labels": dict(info.labels),
        "config": dict(info.config),
        "stack": list(info.stack),
        "fingerprint": info.fingerprint,
    }


def _wanted(summaries: Mapping[str, ImageSummary]) -> dict[str, str]:
    """Tag → id of the image it names."""
    return {tag: key for key, summary in summaries.items() for tag in summary.tags if len(tag) <= 255}


def _tags_differ(engine: Engine, summaries: Mapping[str, ImageSummary]) -> bool:
    return _wanted(summaries) != dict(
        Tag.everything.filter(engine=engine).values_list("name", "image__native_id")
    )


def _move_tags(engine: Engine, summaries: Mapping[str, ImageSummary], *, first: bool) -> set[str]:
    """Makes the tags those of the list, and keeps each movement. ``first``: what was there before us is none."""
    wanted = _wanted(summaries)
    pks = dict(Image.everything.filter(engine=engine).values_list("native_id", "pk"))
    now = {tag.name: tag for tag in Tag.everything.filter(engine=engine).select_related("image")}
    moves: list[tuple[str, str, str]] = []
    for name in sorted(wanted.keys() | now.keys()):
        before = now[name].image.native_id if name in now else ""
        after = wanted.get(name, "")
        if before == after or (after and after not in pks):
            continue
        moves.append((name, before, after))
        if not after:
            now[name].delete()
        elif before:
            Tag.everything.filter(pk=now[name].pk).update(image=pks[after])
        else:
            repository, _, tag = name.rpartition(":")
            Tag.everything.create(
                engine=engine, image_id=pks[after], name=name, repository=repository, tag=tag[:128]
            )
    touched = {key for _, before, after in moves for key in (before, after)}
    moves = [] if first else [move for move in moves if not trash.is_tag_name(move[0])]
    there = Image.everything.filter(engine=engine, native_id__in={key for _, *ids in moves for key in ids})
    known = dict(there.values_list("native_id", "digests")) if moves else {}
    TagMove.objects.bulk_create(
        TagMove(
            engine=engine, name=name, from_native_id=before, to_native_id=after,
            from_digest=_digest(name, known.get(before, ())), to_digest=_digest(name, known.get(after, ())),
        )
        for name, before, after in moves
    )  # fmt: skip
    return {f"image:{pks[key]}" for key in touched if key in pks}


def _keep_digests(engine: Engine, gone: Iterable[UUID]) -> None:
    """Of images that go: one that was pushed since its tag came can be pulled again too."""
    for row in Image.everything.filter(pk__in=gone).exclude(digests=[]).only("native_id", "digests"):
        for repository, _, digest in (str(one).partition("@") for one in row.digests):
            moves = TagMove.objects.filter(engine=engine, name__startswith=f"{repository}:")
            moves.filter(to_native_id=row.native_id, to_digest="").update(to_digest=digest[:80])
            moves.filter(from_native_id=row.native_id, from_digest="").update(from_digest=digest[:80])


def _digest(tag: str, digests: Iterable[str]) -> str:
    """Of those, the one that the registry of this name has it under."""
    own = f"{tag.rpartition(':')[0]}@"
    return next((one.removeprefix(own)[:80] for one in digests if one.startswith(own)), "")


def _out_of_trash(engine: Engine, seen: datetime) -> set[str]:
    """An image is in the trash for as long as nothing but the trash names it."""
    held = Tag.everything.filter(image=OuterRef("pk"), repository=trash.NAMES)
    named = Tag.everything.filter(image=OuterRef("pk")).exclude(repository=trash.NAMES)
    trashed = Image.everything.filter(engine=engine, trashed_at__lt=seen)
    found = list(trashed.filter(Exists(named) | ~Exists(held)).values_list("pk", flat=True))
    Image.everything.filter(pk__in=found).update(trashed_at=None)
    trash.left("image", found)
    return {f"image:{pk}" for pk in found}


def _attribute(engine: Engine, operation: Operation) -> None:
    """The events of our own change may have been seen by the gateway before: then the movement is there already."""
    since = operation.started_at or operation.created_at
    TagMove.objects.filter(engine=engine, operation=None, name__in=_names(operation), at__gte=since).update(
        operation=operation
    )


def _names(operation: Operation) -> Iterable[str]:
    """The tags that an operation sets or takes away, by its parameters."""
    params = operation.params
    named = [*params.get("tags", []), params.get("reference", "")]
    return {str(name) for name in named if name}
