"""The gate that images pass by their scans: asked where a container is to be made, with what is known of its image.

It judges an image by its id where that is known, and else by what a reference means on the engine now; the worker asks
again with the very id that a container is made from, so that a tag that moves in between leads around nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.access import Actor
from accounts.querysets import foreign_to
from engine import scan_guard
from engine.guard import Violation
from engine.rails import Rails
from engine.scan_guard import Facts, Known
from images_app import references, scans
from images_app.models import Scan
from operations import policies
from operations.models import Engine

Pair = tuple[str, UUID | None]
RULES = (scan_guard.REQUIRED, scan_guard.SEVERE)


def check(
    reference: str,
    *,
    engine: Engine,
    actor: Actor,
    team_id: UUID | None,
    name: str = "",
    native_id: str = "",
    field: str = "image",
) -> None:
    """Raises `PolicyDenied` where no container of this team may be made from it. ``name`` is the container's: an
    exception may be for it or for the image. ``native_id``: of the image, where it is certain.
    """

    def judge(rails: Rails) -> list[Violation]:
        if not rails.scans:
            return []
        id_ = native_id or resolved(reference, engine, actor, team_id)
        if id_ is None:
            return []
        pair = (id_, team_id)
        facts = known([pair])[pair] if id_ else {}
        told = Facts(reference, bool(id_), **facts)
        return scan_guard.of_scans(told, rails, timezone.now(), field)

    policies.check_by(judge, actor=actor, team_id=team_id, name=name, also=called(reference))


def called(reference: str) -> tuple[str, ...]:
    """What an exception may call an image of this reference."""
    return tuple({reference, references.tag_of(reference)} - {""})


def resolved(reference: str, engine: Engine, actor: Actor, team_id: UUID | None) -> str | None:
    """The id of the image that it means here, as far as rows know; empty for none, and for one that is another team's
    alone. ``None`` where another team has it from a registry: it will be fetched from there, and the worker judges it.
    """
    there = references.meant(reference, engine)
    foreign = foreign_to(actor, there, team_id)
    if found := there.exclude(pk__in=foreign.values("pk")).first():
        return found.native_id
    return None if any(references.from_registry(reference, one.digests) for one in foreign) else ""


def known(pairs: Iterable[Pair]) -> dict[Pair, dict[str, Any]]:
    """What scans say of each image to each team: the arguments of `Facts`, and the same `Known` for the same scan. Two
    queries; findings are read when they are asked for.
    """
    wanted = list(dict.fromkeys(pairs))
    every, own = scans.newest(wanted), scans.newest(wanted, by_worker=True)
    told = _known(scan for pair in wanted for scan in (every.get(pair), own.get(pair)) if scan)
    return {pair: {"newest": told.get(every.get(pair)), "own": told.get(own.get(pair))} for pair in wanted}


def violations(image: str, facts: dict[str, Any], rails: Rails) -> list[Violation]:
    """What a container that exists breaks: its image is on the engine."""
    return scan_guard.of_scans(Facts(image, **facts), rails, timezone.now())


def _known(some: Iterable[Scan]) -> dict[Scan | None, Known]:
    every = list(dict.fromkeys(some))
    reader = scans.Reader(every)
    return {scan: Known(scan.scanned_at, scan.counts, partial(reader.of, scan)) for scan in every}
