"""What scanners found in images: reports that people and pipelines bring, what is kept of them, and how two compare.

A scan is of an image's digest. Whose word it is says whom it counts for: one that a team brought counts for that team
alone, so that nobody's false report opens another team's gate; one of the worker's own scanner, or of a site
administrator, counts for all.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, require
from engine import scan_reports
from engine.errors import Invalid
from engine.scan_reports import SEVERITIES, Finding, Report
from engine.specs import SpecError
from images_app.models import Image, Scan
from operations import registry, services
from operations.services import Target
from streams import bell

PERMISSION = "image.report"
KEPT = 10
"""Scans of an image that one team has brought, nobody has, or the worker has made; older ones go."""
UNUSED = timedelta(days=30)
"""For how long they stay when no image of that digest is here: it may come back."""
AHEAD = timedelta(minutes=10)
"""A clock elsewhere may be ahead by so much. What is later would never grow old."""


def bring(image: Image, data: bytes, *, actor: Actor) -> tuple[Scan, bool]:
    """Keeps a report about this image; ``(the scan, whether it is new)``: the same report twice is one scan.

    Raises `accounts.access.Denied` or Http404, and `SpecError` where it cannot be read or is about another image. No
    change of an engine, so no operation; but a line in the audit trail.
    """
    target = Target("image", str(image.pk), str(image))
    with services.denials(PERMISSION, actor=actor, target=target, team_id=image.team_id):
        require(actor, PERMISSION, image)
    try:
        report = scan_reports.parse(data)
        about(image, report)
    except Invalid as error:
        raise SpecError({"report": [error.message]}) from None
    whole_site = actor.is_site_admin and actor.token_team_id is None
    return keep(image, report, data, team_id=None if whole_site else image.team_id, actor=actor)


def about(image: Image, report: Report) -> None:
    """Raises `Invalid` where the report is about another image than this one."""
    known = frozenset(str(one).rpartition("@")[2] for one in image.digests)
    if not report.is_of(image.native_id, known):
        other = report.image_id or min(report.digests)
        said = _("The report is about another image, %(other)s: this one is %(this)s.")
        raise Invalid(said % {"other": _short(other), "this": _short(image.native_id)})
    if report.scanned_at and report.scanned_at > timezone.now() + AHEAD:
        raise Invalid(_("The report says that it was made in the future."))


def keep(
    image: Image, report: Report, data: bytes, *, team_id: UUID | None, actor: Actor, by_worker: bool = False
) -> tuple[Scan, bool]:
    """The scan of a report that was judged, written with its line in the trail; those beyond `KEPT` go."""
    whose = Scan.objects.filter(digest=image.native_id, team=team_id, by_worker=by_worker)
    digest, now = hashlib.sha256(data).hexdigest(), timezone.now()
    with transaction.atomic():
        list(
            Image.everything.select_for_update().filter(pk=image.pk).values_list("pk")
        )  # one after the other
        if not by_worker and (same := whose.filter(report=digest).first()):
            return same, False
        made = Scan.objects.create(
            digest=image.native_id, team_id=team_id, scanner=report.scanner, version=report.version,
            database_at=report.database_at, scanned_at=min(report.scanned_at or now, now), received_at=now,
            counts=counted(report.findings), fixable=counted(one for one in report.findings if one.fixed),
            data=packed(report.findings), report=digest, actor_name=actor.name, by_worker=by_worker,
        )  # fmt: skip
        old = [pk for (pk,) in whose.values_list("pk")[KEPT:] if pk != made.pk]
        Scan.objects.filter(pk__in=old).delete()
        audit.record(
            PERMISSION, actor, target_type="image", target_id=str(image.pk), target_name=str(image),
            team_id=image.team_id,
            detail={"scanner": f"{made.scanner} {made.version}".strip(), "report": digest, "found": made.counts},
        )  # fmt: skip
        transaction.on_commit(lambda: bell.ring("images", f"image:{image.pk}"), robust=True)
    return made, True


# Reading


def of_image(image: Image) -> QuerySet[Scan]:
    """Scans of an image that its reader may see, the newest first: its team's own, and those for all."""
    return counting([image.native_id], image.team_id)


def counting(digests: Iterable[str], team_id: UUID | None) -> QuerySet[Scan]:
    """Those of images of these digests that count for a team, the newest first."""
    return Scan.objects.filter(Q(team=None) | Q(team=team_id), digest__in=set(digests)).select_related("team")


def newest(
    pairs: Iterable[tuple[str, UUID | None]], *, by_worker: bool = False
) -> dict[tuple[str, UUID | None], Scan]:
    """The newest scan that counts for each ``(digest, team)``, without its findings; ``by_worker``: of those that the
    worker made. One query.
    """
    wanted = set(pairs)
    rows = Scan.objects.filter(digest__in={digest for digest, _team in wanted}).defer("data")
    rows = rows.filter(by_worker=True) if by_worker else rows
    by_digest: dict[str, list[Scan]] = {}
    for row in rows if wanted else ():
        by_digest.setdefault(row.digest, []).append(row)
    found: dict[tuple[str, UUID | None], Scan] = {}
    for digest, team_id in wanted:
        for row in by_digest.get(digest, ()):
            if row.team_id in (None, team_id):
                found[digest, team_id] = row
                break
    return found


def newest_of(digest: str, team_id: UUID | None) -> Scan | None:
    """The same for one image."""
    return newest([(digest, team_id)]).get((digest, team_id))


def findings(scan: Scan) -> list[Finding]:
    """All of them, the worst first."""
    return _unpacked(scan.data)


def _unpacked(data: Any) -> list[Finding]:
    return [Finding(*row) for row in json.loads(zlib.decompress(data))]


class Reader:
    """Findings of these scans, for whoever asks for many of them, in about this order: read `AT_ONCE` a query, and the
    last `AT_HAND` kept as they are, since each may have 20,000."""

    AT_ONCE, AT_HAND = 50, 8

    def __init__(self, some: Iterable[Scan]) -> None:
        self._waiting = list(dict.fromkeys(one.pk for one in some if any(one.counts.values())))
        self._packed: dict[UUID, Any] = {}
        self._at_hand: dict[UUID, list[Finding]] = {}

    def of(self, scan: Scan) -> list[Finding]:
        """As `findings`."""
        found = self._at_hand.pop(scan.pk, None)
        if found is None:
            found = _unpacked(self._data(scan.pk))
            if len(self._at_hand) >= self.AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        self._at_hand[scan.pk] = found  # the last one asked for
        return found

    def _data(self, pk: UUID) -> Any:
        if pk not in self._packed:
            wanted = [pk, *[one for one in self._waiting if one != pk][: self.AT_ONCE - 1]]
            self._packed |= Scan.objects.filter(pk__in=wanted).order_by().values_list("pk", "data")
            self._waiting = [one for one in self._waiting if one not in self._packed]
        return self._packed.pop(pk)


def matching(
    every: Sequence[Finding], *, severity: str = "", q: str = "", fixable: bool | None = None
) -> list[Finding]:
    """Those of a severity, with these words, and with or without a version that mends them."""
    words = q.lower().split()
    return [
        one
        for one in every
        if (not severity or one.severity == severity)
        and (fixable is None or bool(one.fixed) == fixable)
        and (not words or all(word in f"{one.id} {one.package} {one.title}".lower() for word in words))
    ]


@dataclass(frozen=True, slots=True)
class Change:
    """What is other than in the scan ``before``: by severity, then by name."""

    before: Scan
    new: list[Finding]
    gone: list[Finding]


def change(scan: Scan, rows: QuerySet[Scan]) -> Change | None:
    """What is new and what is gone since the scan before, among ``rows``; ``None`` where there is none before."""
    after = list(rows.defer("data"))
    at = next((n for n, row in enumerate(after) if row.pk == scan.pk), len(after))
    if at + 1 >= len(after):
        return None
    now, then = findings(scan), findings(Scan.objects.get(pk=after[at + 1].pk))
    mine, theirs = ({one[:3] for one in some} for some in (now, then))
    return Change(
        after[at + 1],
        [one for one in now if one[:3] not in theirs],
        [one for one in then if one[:3] not in mine],
    )


def worst(scan: Scan) -> str:
    """The highest severity that it lists; empty where it lists nothing."""
    return next((name for name in SEVERITIES if scan.counts.get(name)), "")


def counted(some: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each severity."""
    found = dict.fromkeys(SEVERITIES, 0)
    for one in some:
        found[one.severity] += 1
    return found


def packed(some: Sequence[Finding]) -> bytes:
    """As they are kept."""
    return zlib.compress(json.dumps(some, separators=(",", ":"), ensure_ascii=False).encode(), 6)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


@registry.every(1800)
def drop_unused() -> int:
    """Removes scans of images that are long gone; how many."""
    here = Image.everything.values("native_id")
    gone = Scan.objects.filter(received_at__lt=timezone.now() - UNUSED).exclude(digest__in=here)
    return gone.delete()[0]
