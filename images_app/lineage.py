"""Which image stands on which, as far as rows tell: two images whose histories begin alike share those layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.utils.translation import gettext

from accounts.access import Actor
from accounts.querysets import visible_to
from engine import files
from images_app.models import Image, Layer
from images_app.queries import images, named

MOST = 200
"""Images that are compared with; the largest engines have families that are larger."""
SHADES = 4
Key = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """One line of the history on the bar. ``x`` and ``width`` are per cent; ``shared`` counts other images."""

    layer: Layer
    word: str
    command: str
    x: float
    width: float
    pct: int
    shared: int
    biggest: bool = False


@dataclass(slots=True)
class Part:
    """What one image of the line added. ``image`` is ``None`` for layers whose image is not here (or not yours)."""

    name: str
    image: Image | None
    shade: str
    size: int = 0
    shared: int = 0
    own: bool = False
    pieces: list[Piece] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The whole line, oldest first, and ``children``: images that stand on this one, those the reader may see, with
    ``used`` and ``running`` containers. ``own`` bytes are in no other image here: what a removal would really free."""

    parts: list[Part]
    children: list[Image]
    own: int
    shared: int
    layers: int
    empty: int


def lineage(image: Image, actor: Actor) -> Lineage:
    """Five queries at most, however many images there are."""
    mine = list(image.layers.all())
    family = _family(image, mine)
    depth = {pk: _common(mine, rows) for pk, rows in family.items()}
    shared = [sum(1 for d in depth.values() if d > i) for i in range(len(mine))]
    bases = {d: pk for pk, d in sorted(depth.items(), key=str) if 0 < d == len(family[pk]) < len(mine)}
    known = _known(bases, actor)
    bases = {d: pk for d, pk in bases.items() if pk in known}
    own = sum(layer.size for i, layer in enumerate(mine) if not shared[i])
    parts = _parts(image, mine, shared, [(d, known[bases[d]]) for d in sorted(bases)])
    total = sum(layer.size for layer in mine)
    below = [pk for pk, d in depth.items() if d == len(mine) < len(family[pk])]
    return Lineage(
        parts,
        _children(below, actor),
        own,
        total - own,
        sum(not r.empty for r in mine),
        sum(r.empty for r in mine),
    )


def _key(layer: Layer) -> Key:
    return (layer.digest, layer.command, layer.size, str(layer.created_at))


def _family(image: Image, mine: Sequence[Layer]) -> dict[UUID, list[Layer]]:
    """Histories of the other images on this engine that begin as this one does."""
    if not mine:
        return {}
    first = mine[0]
    same = Layer.objects.filter(
        image__engine_id=image.engine_id,
        index=0,
        command=first.command,
        size=first.size,
        created_at=first.created_at,
    )
    ids = list(same.exclude(image=image).values_list("image_id", flat=True)[:MOST])
    found: dict[UUID, list[Layer]] = {pk: [] for pk in ids}
    rows = Layer.objects.filter(image_id__in=ids).only(
        "image_id", "index", "digest", "command", "size", "created_at"
    )
    for row in rows.order_by("image_id", "index"):
        found[row.image_id].append(row)
    return found


def _common(mine: Sequence[Layer], other: Sequence[Layer]) -> int:
    count = 0
    for a, b in zip(mine, other, strict=False):
        if _key(a) != _key(b):
            break
        count += 1
    return count


def _known(bases: dict[int, UUID], actor: Actor) -> dict[UUID, Image]:
    images = visible_to(actor, Image.objects.filter(pk__in=list(bases.values()))).prefetch_related("tags")
    return {image.pk: image for image in images.defer("config", "labels")}


def _children(ids: Sequence[UUID], actor: Actor) -> list[Image]:
    found = images(actor).filter(pk__in=ids).prefetch_related("tags").defer("config", "labels")
    return (
        sorted(found, key=lambda image: (image.created_at is None, image.created_at, named(image)))
        if ids
        else []
    )


def _parts(
    image: Image, mine: Sequence[Layer], shared: Sequence[int], bases: Sequence[tuple[int, Image]]
) -> list[Part]:
    cuts = [(depth, named(base), base) for depth, base in bases]
    parts: list[Part] = []
    start = 0
    for depth, name, base in cuts:
        parts.append(Part(name, base, ""))
        parts[-1].pieces = _pieces(mine, shared, start, depth)
        start = depth
    rest = _split_unknown(shared, start, len(mine), bool(cuts))
    for begin, end, is_own in rest:
        name = named(image) if is_own or len(rest) == 1 else gettext("base that is not here")
        parts.append(Part(name, image if is_own else None, "", own=is_own))
        parts[-1].pieces = _pieces(mine, shared, begin, end)
    for i, part in enumerate(parts):
        part.shade = f"l{max(1, SHADES - (len(parts) - 1 - i))}"
        part.size = sum(piece.layer.size for piece in part.pieces)
        part.shared = max((piece.shared for piece in part.pieces), default=0)
    return [part for part in parts if part.pieces]


def _split_unknown(
    shared: Sequence[int], start: int, end: int, has_base: bool
) -> list[tuple[int, int, bool]]:
    """Layers after the last known base: those that others share too come from a base that has no name here."""
    border = start
    while border < end and shared[border]:
        border += 1
    if has_base or border in (start, end):
        return [(start, end, True)] if start < end else []
    return [(start, border, False), (border, end, True)]


def _pieces(mine: Sequence[Layer], shared: Sequence[int], start: int, end: int) -> list[Piece]:
    total = sum(layer.size for layer in mine) or 1
    largest = max((layer.size for layer in mine), default=0)
    found = []
    for i in range(start, end):
        layer = mine[i]
        x = 100 * sum(r.size for r in mine[:i]) / total
        width = 100 * layer.size / total
        word, command = readable(layer.command)
        command = files.shown(" ".join(command.split()))  # text of somebody else's Dockerfile
        pct = round(100 * layer.size / largest) if largest else 0
        biggest = layer.size == largest and largest > 0
        # a hair of the panel between neighbours, unless the layer is only a hair itself
        gap = 0.2 if width > 0.6 else 0
        shown = max(0.3, width - gap)
        x = round(min(x, 100 - shown), 2)
        found.append(Piece(layer, word, command, x, round(shown, 2), pct, shared[i], biggest))
    return found


def readable(command: str) -> tuple[str, str]:
    """A history line as its Dockerfile wrote it: ``("RUN", "apk add curl")``."""
    text = re.sub(r"\s*# buildkit$", "", command.strip())
    if nop := re.match(r"^/bin/sh -c #\(nop\)\s+(.*)$", text, re.DOTALL):
        text = nop[1].strip()
    elif shell := re.match(r"^(?:\|\d+ (?:\S+=.*? )*)?/bin/sh -c (.*)$", text, re.DOTALL):
        text = f"RUN {shell[1].strip()}"
    word, _, rest = text.partition(" ")
    if re.fullmatch(r"[A-Z]+", word):
        rest = re.sub(r"^(?:/bin/sh -c )", "", rest.strip()) if word == "RUN" else rest.strip()
        return word, re.sub(r"^(file|dir|multi):([0-9a-f]{8})[0-9a-f]*( in )", r"\1:\2\3", rest)
    return "", text
