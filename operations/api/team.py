"""The team that a wish names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError

from accounts.access import Actor
from accounts.models import Team
from accounts.querysets import visible_teams


def team_of(actor: Actor, body: Mapping[str, Any]) -> Team | None:
    """By its slug; ``None`` where the body names none. One that is not the actor's does not exist."""
    slug = body.get("team")
    if slug is None:
        return None
    found = visible_teams(actor).filter(slug=slug).first() if isinstance(slug, str) else None
    if found is None:
        raise ValidationError({"team": ["No such team."]})
    return found
