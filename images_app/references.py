"""Who may let a tag point elsewhere: nobody takes a name that is another team's, or nobody's."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from accounts.access import Actor
from accounts.querysets import visible_to
from engine import guard
from engine.errors import PolicyDenied
from images_app.models import Tag
from operations import services
from operations.models import Engine


def may_tag(tags: Iterable[str], *, actor: Actor, engine: Engine, team_id: UUID | None) -> None:
    """Raises `PolicyDenied` where one of these tags points at an image that the actor may not know of."""
    if services.guard_level(actor, team_id) == guard.SITE:
        return
    wanted = set(tags)
    there = Tag.objects.filter(engine=engine, name__in=wanted)
    mine = visible_to(actor, there, "image__team").values_list("name", flat=True)
    taken = sorted(set(there.values_list("name", flat=True)) - set(mine))
    if taken:
        raise PolicyDenied(
            f"There is an image {taken[0]} already that is not your team's: choose another name.",
            rule="not_your_tag",
            field="tags",
        )
