"""The team that a wish names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from accounts.access import Actor
from accounts.models import Team
from accounts.querysets import only_team, visible_teams


def team_of(actor: Actor, body: Mapping[str, Any]) -> Team | None:
    """By its slug; where the body names none, the only one that the actor is in, if there is just one.

    ``"team": null`` is nobody's, which site administrators may make. A team that is not the actor's does not exist.
    """
    if "team" not in body:
        return only_team(actor)
    slug = body["team"]
    if slug is None:
        return None
    found = visible_teams(actor).filter(slug=slug).first() if isinstance(slug, str) else None
    if found is None:
        raise ValidationError({"team": [_("No such team.")]})
    return found
