"""Whether a registry has a newer image under a tag than an engine: asked on a schedule, by the digest alone.

A question for the heads of a manifest, which no registry counts as a pull. Asked is only of images that came from, or
went to, the registry of their name: names of what was built here go nowhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts import audit
from accounts.access import SYSTEM, Actor, require
from engine import names
from engine import registries as remote
from engine.errors import EngineError, RegistryBusy, RegistryUnreachable
from images_app import registries
from images_app.models import Image, Tag, TagCheck
from operations import outbox, registry, services
from operations.services import Target
from streams import bell

log = logging.getLogger(__name__)
MOST = 200
"""Tags of one round."""
BUSY = 900
"""Seconds until a registry is asked again that wants to be asked less often and does not say when."""
_free = threading.Lock()

registry.target("tag", lambda: Tag.objects.select_related("image", "engine"))


def interval() -> timedelta:
    """How long an answer holds; zero: nobody asks by himself."""
    return timedelta(hours=max(0, settings.TAG_CHECK_HOURS))


def digests_of(tag: Tag) -> set[str]:
    """The digests that its image is known by at the registry of this name; empty for what was made here."""
    pairs = (str(digest).partition("@") for digest in tag.image.digests)
    return {digest for repository, _, digest in pairs if repository == tag.repository}


def look(tag: Tag) -> TagCheck:
    """Asks now, and keeps the answer. Raises `RegistryBusy` and `RegistryUnreachable`, for its host's others. In a
    worker.
    """
    row, _ = TagCheck.objects.get_or_create(engine_id=tag.engine_id, name=tag.name)
    now, wait = timezone.now(), interval() or timedelta(days=1)
    reference = names.ImageReference.parse(tag.name)
    try:
        digest = _at(reference.registry, tag).digest(reference.repository, reference.tag)
    except EngineError as error:
        if isinstance(error, RegistryBusy):
            wait = timedelta(seconds=error.details.get("seconds") or BUSY)
        rows = TagCheck.objects.filter(pk=row.pk)
        rows.update(problem=error.message[:500], checked_at=now, next_at=now + wait)
        if isinstance(error, RegistryBusy | RegistryUnreachable):
            raise
    else:
        _keep(row, tag, digest, now, wait)
    row.refresh_from_db()
    return row


def _keep(row: TagCheck, tag: Tag, digest: str, now: datetime, wait: timedelta) -> None:
    row.digest, row.problem, row.checked_at, row.next_at = digest, "", now, now + wait
    row.save(update_fields=["digest", "problem", "checked_at", "next_at"])
    settle(tag.engine_id, tag.name)
    bell.ring(f"image:{tag.image_id}")


def settle(engine_id: UUID, *only: str) -> None:
    """Says of each tag anew whether its registry has a newer one, as an answer or an image has changed. Two queries
    where nothing is other.
    """
    rows = TagCheck.objects.filter(engine_id=engine_id).exclude(digest="")
    known = {row.name: row for row in (rows.filter(name__in=only) if only else rows)}
    tags = (
        Tag.objects.filter(engine_id=engine_id, name__in=known).select_related("image", "engine")
        if known
        else []
    )
    found = {tag.name: tag for tag in tags}
    for name, row in known.items():
        here = digests_of(found[name]) if name in found else set()
        fresh = bool(here) and row.digest not in here
        newer = fresh and not row.never and row.digest != row.skipped
        if newer != row.newer:
            with transaction.atomic():
                TagCheck.objects.filter(pk=row.pk).update(newer=newer)
                if newer:
                    _tell(found[name], row.digest)
            bell.ring("images")


def _tell(tag: Tag, digest: str) -> None:
    outbox.tell(outbox.Told(
        event="image.update", key=f"tag:{tag.engine_id}:{tag.name}:{digest}", type="image", id=str(tag.image_id),
        name=tag.name, engine=tag.engine, team_id=tag.image.team_id,
        title=f"A newer image of {tag.name} is at its registry", text=f"It has {digest[:19]} there now.",
        path=f"/images/{tag.image_id}/", facts={"tag": tag.name, "digest": digest},
    ))  # fmt: skip


def _at(host: str, tag: Tag) -> remote.Registry:
    row = registries.of_host(host, actor=SYSTEM, team_id=tag.image.team_id)
    return registries.at(row) if row else remote.Registry(host, registries.gate())


def round_() -> int:
    """Asks for each tag whose time has come, each by one worker; how many were asked for."""
    now, asked = timezone.now(), 0
    known = {(row.engine_id, row.name): row for row in TagCheck.objects.all()}
    away: dict[str, timedelta] = {}
    for tag in Tag.objects.exclude(image__digests=[]).select_related("image", "engine"):
        row = known.get((tag.engine_id, tag.name))
        if asked >= MOST or (row and (row.never or row.next_at > now)) or not digests_of(tag):
            continue
        host = names.ImageReference.parse(tag.name).registry
        if not _claimed(tag, row, now, away.get(host)) or host in away:
            continue
        asked += 1
        try:
            look(tag)
        except RegistryBusy as error:
            away[host] = timedelta(seconds=error.details.get("seconds") or BUSY)
        except RegistryUnreachable:
            away[host] = interval()
    return asked


def _claimed(tag: Tag, row: TagCheck | None, now: datetime, wait: timedelta | None) -> bool:
    """Another worker may be at it. ``wait``: its registry does not answer, so it is not asked this time."""
    if row is None:
        row, made = TagCheck.objects.get_or_create(engine_id=tag.engine_id, name=tag.name)
        if not made:
            return False
    rows = TagCheck.objects.filter(pk=row.pk, next_at=row.next_at)
    return bool(rows.update(next_at=now + (wait or interval())))


@registry.every(60)
def ask() -> None:
    """A round, beside everything else that the worker does: a registry may take its time."""
    if interval() and _free.acquire(blocking=False):
        threading.Thread(target=_asking, name="tag-checks", daemon=True).start()


def _asking() -> None:
    try:
        round_()
    except Exception:
        log.exception("a round of tag checks broke")
    finally:
        connection.close()
        _free.release()


def say(tag: Tag, *, actor: Actor, skip: bool | None = None, never: bool | None = None) -> TagCheck:
    """What is to be thought of it: ``skip`` the version that is there now, or ``never`` ask for this tag.

    Raises `accounts.access.Denied` or Http404. No change of an engine, so no operation; but a line in the audit trail.
    """
    image = tag.image
    target = Target("image", str(image.pk), tag.name)
    with services.denials("image.check", actor=actor, target=target, team_id=image.team_id):
        require(actor, "image.tag", image)
    row, _ = TagCheck.objects.get_or_create(engine_id=tag.engine_id, name=tag.name)
    if skip is not None:
        row.skipped = row.digest if skip else ""
    if never is not None:
        row.never = never
    with transaction.atomic():
        row.save(update_fields=["skipped", "never"])
        settle(tag.engine_id, tag.name)
        audit.record(
            "image.check", actor, target_type="image", target_id=str(image.pk), target_name=tag.name,
            team_id=image.team_id, detail={"skip": skip, "never": never},
        )  # fmt: skip
        transaction.on_commit(lambda: bell.ring("images", f"image:{image.pk}"), robust=True)
    row.refresh_from_db()
    return row


def of_engine(engine_id: UUID) -> dict[str, str]:
    """Tag → digest at its registry, of those that are to be thought of."""
    rows = (
        TagCheck.objects.filter(engine_id=engine_id, never=False)
        .exclude(digest="")
        .exclude(skipped=F("digest"))
    )
    return dict(rows.values_list("name", "digest"))


def of_tags() -> Exists:
    """For a query of tags: whether the registry of each has a newer image."""
    return Exists(TagCheck.objects.filter(engine=OuterRef("engine"), name=OuterRef("name"), newer=True))


def of_images() -> Exists:
    """For a query of images: whether that is so of one of its tags."""
    checks = TagCheck.objects.filter(engine=OuterRef("engine"), name=OuterRef("name"), newer=True)
    return Exists(Tag.objects.filter(Exists(checks), image=OuterRef("pk")))


@dataclass(frozen=True, slots=True)
class Known:
    """A tag that came from a registry, and what that has under its name; ``check`` is ``None`` before it was asked."""

    tag: Tag
    check: TagCheck | None

    @property
    def skipped(self) -> bool:
        """Whether the version that is there now is to be left out."""
        return bool(self.check and self.check.digest and self.check.digest == self.check.skipped)


def of_image(image: Image, tags: Sequence[Tag]) -> list[Known]:
    """Its tags that came from a registry. One query."""
    if not image.digests:
        return []
    rows = TagCheck.objects.filter(engine_id=image.engine_id, name__in=[tag.name for tag in tags])
    checks = {row.name: row for row in rows}
    for tag in tags:
        tag.image = image
    return [Known(tag, checks.get(tag.name)) for tag in tags if digests_of(tag)]
