"""What a reference means on an engine, and whose that is: nobody takes a name that is another team's, or nobody's, and
nobody makes anything of an image that is another team's alone.

An image that a registry gave may be had by whoever that registry gives it to. What a team has built is on the engine
alone: for others it does not exist, and what a registry has under its name is something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.access import Actor
from accounts.querysets import visible_to
from engine import guard
from engine.errors import PolicyDenied
from images_app.models import Image, Tag
from operations import policies, registry
from operations.models import Engine

_ID = re.compile("(?:sha256:)?[0-9a-f]{4,64}")
LIBRARY = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/")


def may_tag(
    tags: Iterable[str], *, actor: Actor, engine: Engine, team_id: UUID | None, native_id: str = ""
) -> None:
    """Raises `PolicyDenied` where one of these tags points at an image that the actor may not know of, and
    `SelfProtected` where Slipway's own containers are made from it. ``native_id``: of the image that they are to
    point at, where it is known; those that do already stay where they are.
    """
    wanted = set(tags)
    there = Tag.objects.filter(engine=engine, name__in=wanted)
    moving = there.exclude(image__native_id=native_id) if native_id else there
    for pk in moving.values_list("pk", flat=True):
        registry.may_touch("image.tag", "tag", str(pk), actor)
    if policies.guard_level(actor, team_id) == guard.SITE:
        return
    mine = visible_to(actor, there, "image__team").values_list("name", flat=True)
    taken = sorted(set(there.values_list("name", flat=True)) - set(mine))
    if taken:
        raise PolicyDenied(
            f"There is an image {taken[0]} already that is not your team's: choose another name.",
            rule="not_your_tag",
            field="tags",
        )


def tag_of(reference: str) -> str:
    """``nginx`` → ``nginx:latest``, however the registry was written; empty for what no tag can move away from."""
    if "@" in reference or reference.startswith("sha256:") or not reference:
        return ""
    for prefix in LIBRARY:
        if reference.startswith(prefix):
            reference = reference.removeprefix(prefix)
            break
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def from_registry(reference: str, digests: Iterable[object]) -> bool:
    """Whether an image with these digests is what the registry of this name has given, or was given."""
    repository = repository_of(reference)
    return any(repository_of(str(digest)) == repository for digest in digests)


def repository_of(reference: str) -> str:
    """``nginx`` of ``docker.io/library/nginx:1.27`` and of ``nginx@sha256:…``."""
    return tag_of(reference.partition("@")[0]).rpartition(":")[0]


def meant(reference: str, engine: Engine) -> QuerySet[Image]:
    """What it may mean on this engine, as far as rows know: a tag, a digest, an id or the beginning of one."""
    here = Image.objects.filter(engine=engine)
    if _ID.fullmatch(reference):
        by_id = Q(native_id__startswith=f"sha256:{reference.removeprefix('sha256:')}")
        return here.filter(by_id | Q(tags__name=tag_of(reference))).distinct()
    if "@" in reference:
        digest = reference.rpartition("@")[2]
        rows = here.exclude(digests=[]).values_list("pk", "digests")
        return here.filter(
            pk__in=[pk for pk, found in rows if any(str(one).endswith(digest) for one in found)]
        )
    return here.filter(tags__name=tag_of(reference))


def may_fetch(
    reference: str,
    native_id: str,
    digests: Iterable[object],
    *,
    actor: Actor,
    engine: Engine,
    team_id: UUID | None,
    field: str = "reference",
) -> None:
    """Raises `PolicyDenied` where a pull would take the name away from an image that no registry gave and that is not
    this team's: whoever has made that would run what somebody else has put into a registry under its name.

    ``native_id`` and ``digests`` are of what the reference means on the engine now; empty for nothing.
    """
    if not native_id or not tag_of(reference) or from_registry(reference, digests):
        return
    if policies.guard_level(actor, team_id) == guard.SITE:
        return
    there = Image.objects.filter(engine=engine, native_id=native_id)
    own = there.filter(team=team_id) if team_id is not None else there.none()
    if own.exists() or visible_to(actor, there).exists():
        return
    raise PolicyDenied(
        f"There is an image {tag_of(reference)} already that is not your team's and that came from no registry: a pull"
        " would take its name away.",
        rule="not_your_tag",
        field=field,
    )
