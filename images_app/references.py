"""Who may let a tag point elsewhere: nobody takes a name that is another team's, or nobody's."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from accounts.access import Actor
from accounts.querysets import visible_to
from engine import guard
from engine.errors import PolicyDenied
from images_app.models import Tag
from operations import policies, registry
from operations.models import Engine

_LIBRARY = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/")


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
    for prefix in _LIBRARY:
        if reference.startswith(prefix):
            reference = reference.removeprefix(prefix)
            break
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
